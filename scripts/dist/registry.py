"""An npm registry with the packages of dist/ alone: so that `npm install leaselock` is tried as people type it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from toolchain import DIST

if TYPE_CHECKING:
    from collections.abc import Iterator


def packument(archive: Path, url: str) -> dict[str, Any]:
    """What a registry says of a package with one version."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile("package/package.json")
        manifest = json.loads(file.read()) if file else {}
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    manifest["dist"] = {"tarball": f"{url}/-/{archive.name}", "integrity": f"sha512-{digest}"}
    version = manifest["version"]
    return {"name": manifest["name"], "dist-tags": {"latest": version}, "versions": {version: manifest}}


class Handler(BaseHTTPRequestHandler):
    """Answers npm."""

    packages: dict[str, dict[str, Any]]

    def do_GET(self) -> None:
        """A package, or a file."""
        path = unquote(self.path).strip("/")
        if path.startswith("-/") and (DIST / Path(path).name).is_file():
            self.answer(200, (DIST / Path(path).name).read_bytes())
        elif path in self.packages:
            self.answer(200, json.dumps(self.packages[path]).encode())
        else:
            self.answer(404, b"{}")

    def do_POST(self) -> None:
        """Audits and the like, which nobody does here."""
        self.answer(404, b"{}")

    def answer(self, status: int, body: bytes) -> None:
        """Sends a reply."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def registry() -> Iterator[str]:
    """The URL of a registry with the packages of dist/."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    found = [packument(archive, url) for archive in DIST.glob("*.tgz")]
    Handler.packages = {package["name"]: package for package in found}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
