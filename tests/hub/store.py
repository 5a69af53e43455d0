"""What the loopback Hub keeps: repositories with their commits, branches, tags and pull requests."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field


class HubError(Exception):
    """An answer other than success, with the code that the client tells errors apart by."""

    def __init__(self, status: int, message: str, code: str | None = None):
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class File:
    content: bytes
    is_lfs: bool

    @property
    def git_oid(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @property
    def etag(self) -> str:
        return hashlib.sha256(self.content).hexdigest() if self.is_lfs else self.git_oid


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    title: str
    files: dict[str, File]


@dataclass
class Repository:
    name: str
    owner: str
    private: bool = False
    gated: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)  # refs/heads/main and so on: commit
    pull_requests: int = 0

    def __post_init__(self):
        self.commit("refs/heads/main", None, "initial commit", {})

    def commit(self, ref: str, parent: str | None, title: str, files: dict[str, File]) -> Commit:
        """Put files on a reference; a reference that is not there begins here."""
        oid = hashlib.sha1(
            repr((self.name, ref, parent, title, sorted(files), len(self.commits))).encode()
        ).hexdigest()
        self.commits[oid] = Commit(oid, parent, title, files)
        self.refs[ref] = oid
        return self.commits[oid]

    def find(self, revision: str) -> Commit:
        """The commit of a branch, a tag, a pull request or an id."""
        for ref in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if ref in self.refs:
                return self.commits[self.refs[ref]]
        if revision in self.commits:
            return self.commits[revision]
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def branch_of(self, revision: str) -> str:
        """The reference that a commit to a revision moves."""
        ref = revision if revision.startswith("refs/") else f"refs/heads/{revision}"
        if ref not in self.refs:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return ref

    def begin_pull_request(self, base: str) -> str:
        self.pull_requests += 1
        ref = f"refs/pr/{self.pull_requests}"
        self.refs[ref] = self.find(base).oid
        return ref

    def add_ref(self, ref: str, start: str) -> None:
        if ref in self.refs:
            raise HubError(409, f"Reference already exists: {ref}")
        self.refs[ref] = self.find(start).oid


@dataclass
class Store:
    repositories: dict[str, Repository] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)  # token: user, who owns the repositories "user/..."
    uploads: dict[str, bytes] = field(default_factory=dict)  # LFS objects by their SHA-256

    def user(self, authorization: str | None) -> str | None:
        if authorization is None:
            return None
        token = authorization.removeprefix("Bearer ")
        if token not in self.users:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self.users[token]

    def create(self, user: str | None, owner: str | None, name: str, private: bool) -> Repository:
        if user is None:
            raise HubError(401, "Invalid username or password.")
        name = f"{owner or user}/{name}"
        if name in self.repositories:
            raise HubError(409, "You already created this model repo")
        if name.split("/")[0] != user:
            raise HubError(403, f"You don't have the rights to create a model under the namespace {owner!r}")
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.ASCII):
            raise HubError(400, f"Invalid repository name {name!r}")
        self.repositories[name] = Repository(name, user, private)
        return self.repositories[name]

    def open(self, user: str | None, name: str) -> Repository:
        """A repository to read; a private one is not there for others."""
        found = self.repositories.get(name)
        if found is None or (found.private and found.owner != user):
            raise HubError(401 if user is None else 404, "Repository not found", "RepoNotFound")
        return found

    def open_to_write(self, user: str | None, name: str) -> Repository:
        found = self.open(user, name)
        if found.owner != user:
            raise HubError(403, "you must use a write token of this namespace")
        return found
