"""A Hub on the loopback interface: what huggingface_hub asks of a server, over HTTP, with nothing of it patched.

The Hub's own server is not free software, and the free ones need object storage or only mirror. This one keeps models
in memory. It also breaks off downloads where a test wants that.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hub.routes import ROUTES
from hub.store import File, HubError, Store


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # connections beyond it wait for a second


class LoopbackHub:
    """A running Hub: `with LoopbackHub() as hub`.

    Attributes:
        url: Where it listens, for HF_ENDPOINT.
        store: What it holds.
        cuts: By file name, how many bytes each coming download of the file gives before its connection breaks.
        served: Path of every download.
    """

    def __init__(self) -> None:
        self.store = Store(users={"token-of-org": "org", "token-of-stranger": "stranger"})
        self.cuts: dict[str, list[int]] = {}
        self.served: list[str] = []
        hub = self

        class Request(HubRequest):
            pass

        Request.hub = hub
        self._server = Server(("127.0.0.1", 0), Request)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> LoopbackHub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._server.shutdown()
        self._server.server_close()

    def lfs_content(self, oid: str) -> bytes:
        """What was uploaded under a SHA-256."""
        if oid not in self.store.uploads:
            raise HubError(400, f"No LFS object {oid}")
        return self.store.uploads[oid]


class HubRequest(BaseHTTPRequestHandler):
    """One request, with what the routes ask of it."""

    hub: LoopbackHub
    protocol_version = "HTTP/1.1"

    @property
    def store(self) -> Store:
        return self.hub.store

    def answer(self) -> None:
        """Find the route of the request, and send what it gives as JSON unless it has replied itself."""
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self.user = self.store.user(self.headers.get("Authorization"))
            for method, pattern, function in ROUTES:
                match = re.fullmatch(pattern, url.path) if re.fullmatch(method, self.command) else None
                if match:  # parted before it is unquoted: revisions and files may hold slashes
                    value = function(self, *(part and unquote(part) for part in match.groups()))
                    break
            else:
                raise HubError(404, f"Nothing at {url.path}")
        except HubError as error:
            headers = {"X-Error-Message": error.message, **({"X-Error-Code": error.code} if error.code else {})}
            self.reply(error.status, json.dumps({"error": error.message}).encode(), headers)
        else:
            if value is not None:
                self.reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    def json(self) -> Any:
        return json.loads(self.body or b"null")

    def reply(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def reply_file(self, path: str, file: File, headers: dict[str, str]) -> None:
        """Send a file or, when asked to go on with a download, the rest of it; perhaps break off."""
        if self.command == "HEAD":
            return self.reply(200, b"", {**headers, "Content-Length": str(len(file.content))})
        begun = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(begun[1]) if begun else 0
        self.hub.served.append(path)
        content = file.content[first:]
        if begun:
            headers = {**headers, "Content-Range": f"bytes {first}-{len(file.content) - 1}/{len(file.content)}"}
        cuts = self.hub.cuts.get(path)
        if not cuts:
            return self.reply(206 if begun else 200, content, headers)
        self.reply(206 if begun else 200, content[: cuts.pop(0)], {**headers, "Content-Length": str(len(content))})
        self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""
