"""The answers of the loopback Hub, a function an endpoint; `server.py` finds it by method and path."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from hub.store import File, HubError, Repository

REPO = r"([^/]+/[^/]+)"
API = f"/api/models/{REPO}"
LFS_SUFFIXES = (".safetensors", ".bin", ".png")

ROUTES: list[tuple[str, str, Callable[..., Any]]] = []


def route(method: str, pattern: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Answer requests of a method whose path, still percent-encoded, matches a pattern."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        ROUTES.append((method, pattern, function))
        return function

    return register


@route("GET", "/api/whoami-v2")
def whoami(request):
    if request.user is None:
        raise HubError(401, "Invalid username or password.")
    return {"type": "user", "name": request.user, "orgs": [], "auth": {"accessToken": {"role": "write"}}}


@route("POST", "/api/validate-yaml")
def validate_yaml(request):
    return {"errors": [], "warnings": []}


@route("POST", "/api/repos/create")
def create_repo(request):
    wanted = request.json()
    url = f"{request.hub.url}/{wanted['organization'] or request.user}/{wanted['name']}"
    try:
        request.store.create(request.user, wanted["organization"], wanted["name"], is_private(wanted))
    except HubError as error:
        if error.status != 409:
            raise
        return request.reply(409, json.dumps({"error": error.message, "url": url}).encode())
    return {"url": url}


def is_private(wanted: dict[str, Any]) -> bool:
    return wanted.get("visibility") == "private" or bool(wanted.get("private"))  # the second until huggingface_hub 1


@route("DELETE", "/api/repos/delete")
def delete_repo(request):
    wanted = request.json()
    name = f"{wanted['organization']}/{wanted['name']}"
    request.store.open_to_write(request.user, name)
    del request.store.repositories[name]
    return {}


@route("GET", API)
def model_info(request, name):
    return revision_info(request, name, "main")


@route("GET", f"{API}/revision/([^/]+)")
def revision_info(request, name, revision):
    repository = request.store.open(request.user, name)
    commit = repository.find(revision)
    card = commit.files.get("README.md", File(b"", is_lfs=False)).content.decode()
    is_tagger = "pipeline_tag: token-classification" in card
    return {
        "id": name,
        "modelId": name,
        "sha": commit.oid,
        "private": repository.private,
        "tags": [],
        "library_name": "transformers",
        "pipeline_tag": "token-classification" if is_tagger else None,
        "siblings": [{"rfilename": path} for path in commit.files],
    }


@route("POST", f"{API}/branch/([^/]+)")
def create_branch(request, name, branch):
    start = (request.json() or {}).get("startingPoint") or "main"
    request.store.open_to_write(request.user, name).add_ref(f"refs/heads/{branch}", start)
    return {}


@route("POST", f"{API}/tag/([^/]+)")
def create_tag(request, name, revision):
    request.store.open_to_write(request.user, name).add_ref(f"refs/tags/{request.json()['tag']}", revision)
    return {}


@route("GET", f"{API}/refs")
def list_refs(request, name):
    repository = request.store.open(request.user, name)
    groups = {"branches": "refs/heads/", "tags": "refs/tags/", "pullRequests": "refs/pr/", "converts": "refs/convert/"}
    return {
        group: [
            {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": oid}
            for ref, oid in repository.refs.items()
            if ref.startswith(prefix)
        ]
        for group, prefix in groups.items()
    }


@route("POST", f"{API}/preupload/([^/]+)")
def preupload(request, name, revision):
    """Say which files go through LFS, and what those already there hold, so that unchanged ones are left out."""
    present = writable(request, name).find(revision).files
    answer = []
    for file in request.json()["files"]:
        is_lfs = file["path"].endswith(LFS_SUFFIXES)
        row = {"path": file["path"], "uploadMode": "lfs" if is_lfs else "regular", "shouldIgnore": False}
        if file["path"] in present:
            row["oid"] = present[file["path"]].etag
        answer.append(row)
    return {"files": answer}


def writable(request, name: str) -> Repository:
    """A repository to commit to; a pull request can be made by whoever can read it."""
    wants_pull_request = "create_pr" in request.query and request.user is not None
    open_ = request.store.open if wants_pull_request else request.store.open_to_write
    return open_(request.user, name)


@route("POST", rf"/{REPO}\.git/info/lfs/objects/batch")
def lfs_batch(request, name):
    request.store.open(request.user, name)
    answer = []
    for wanted in request.json()["objects"]:
        row = {"oid": wanted["oid"], "size": wanted["size"]}
        if wanted["oid"] not in request.store.uploads:
            row["actions"] = {"upload": {"href": f"{request.hub.url}/lfs-upload/{wanted['oid']}", "header": {}}}
        answer.append(row)
    return {"transfer": "basic", "objects": answer}


@route("PUT", "/lfs-upload/([0-9a-f]{64})")
def lfs_upload(request, oid):
    if hashlib.sha256(request.body).hexdigest() != oid:
        raise HubError(400, "The content is not that of its SHA-256")
    request.store.uploads[oid] = request.body
    return {}


@route("POST", f"{API}/commit/([^/]+)")
def commit(request, name, revision):
    repository = writable(request, name)
    if "create_pr" in request.query:
        ref = repository.begin_pull_request(revision)
    else:
        ref = repository.branch_of(revision)
    parent = repository.refs[ref]
    files = dict(repository.commits[parent].files)
    title = ""
    for line in request.body.splitlines():
        operation = json.loads(line)
        value = operation["value"]
        if operation["key"] == "header":
            title = value["summary"]
            if value.get("parentCommit") not in (None, parent):
                raise HubError(412, "A commit has happened since")
        elif operation["key"] == "file":
            files[value["path"]] = File(base64.b64decode(value["content"]), is_lfs=False)
        elif operation["key"] == "lfsFile":
            files[value["path"]] = File(request.hub.lfs_content(value["oid"]), is_lfs=True)
        elif operation["key"] == "deletedFile":
            del files[value["path"]]
        else:
            raise HubError(400, f"Unknown operation {operation['key']!r}")
    made = repository.commit(ref, parent, title, files)
    answer = {"commitUrl": f"{request.hub.url}/{name}/commit/{made.oid}", "commitOid": made.oid}
    if "create_pr" in request.query:
        answer["pullRequestUrl"] = f"{request.hub.url}/{name}/discussions/{repository.pull_requests}"
    return answer


@route("GET", f"{API}/tree/([^/]+)(?:/(.*))?")
def tree(request, name, revision, folder):
    files = request.store.open(request.user, name).find(revision).files
    prefix = f"{folder}/" if folder else ""
    return [describe(path, file) for path, file in files.items() if path.startswith(prefix)]


@route("POST", f"{API}/paths-info/([^/]+)")
def paths_info(request, name, revision):
    files = request.store.open(request.user, name).find(revision).files
    wanted = parse_qs(request.body.decode()).get("paths", [])
    return [describe(path, files[path]) for path in wanted if path in files]


def describe(path: str, file: File) -> dict[str, Any]:
    row: dict[str, Any] = {"type": "file", "path": path, "oid": file.git_oid, "size": len(file.content)}
    if file.is_lfs:
        row["lfs"] = {"oid": file.etag, "size": len(file.content), "pointerSize": 134}
    return row


@route("(?:GET|HEAD)", f"/{REPO}/resolve/([^/]+)/(.+)")
def resolve(request, name, revision, path):
    repository = request.store.open(request.user, name)
    if repository.gated and repository.owner != request.user:
        raise HubError(403, f"Access to model {name} is restricted", "GatedRepo")
    found = repository.find(revision)
    if path not in found.files:
        return request.reply(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": found.oid})
    file = found.files[path]
    headers = {"ETag": f'"{file.etag}"', "X-Repo-Commit": found.oid, "X-Linked-Size": str(len(file.content))}
    return request.reply_file(path, file, headers)
