"""A model hub on this machine, with the faults of real ones: cut connections, no ranges, redirects."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Hub:
    """What the hub serves and how it misbehaves; `requests` records (path, Range, Authorization)."""

    content: bytes
    ranges: bool = True
    cut_after: int | None = None
    """Close each connection after this many bytes of the body."""
    cuts: int = 1_000_000
    """How many connections are cut."""
    status: int = 200
    redirect_to: str = ""
    url: str = ""
    sent: int = 0
    requests: list[tuple[str, str | None, str | None]] = field(default_factory=list)


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.requests.append((self.path, self.headers["Range"], self.headers["Authorization"]))
            if hub.redirect_to:
                self.send_response(302)
                self.send_header("Location", hub.redirect_to + self.path)
                self.end_headers()
                return
            if hub.status != 200:
                self.send_error(hub.status)
                return
            start = 0
            match = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
            if match and hub.ranges:
                start = int(match[1])
                if start >= len(hub.content):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(hub.content) - 1}/{len(hub.content)}")
            else:
                self.send_response(200)
            body = hub.content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if hub.cut_after is not None and hub.cuts > 0:
                hub.cuts -= 1
                body = body[: hub.cut_after]
            hub.sent += len(body)
            with suppress(ConnectionError):  # the client may refuse the file by its length and hang up
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
