"""Takes webhooks, and notes each with the status that Redis has of its job at that moment."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import redis

from tests.rq_state.dump import trace


class WebhookServer:
    """An HTTP server on a port of its own."""

    def __init__(self, client: redis.Redis) -> None:
        self.received: list[dict[str, Any]] = []
        self._client = client
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def open(self) -> Iterator[None]:
        """Serves until left."""
        self._thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def seen(self) -> list[dict[str, Any]]:
        """All that came, in an order that depends on nothing."""
        return sorted(self.received, key=lambda one: json.dumps(one, sort_keys=True))

    def _note(self, method: str, path: str, token: str | None, body: bytes) -> None:
        said = json.loads(body) if body else {}
        for name in ("enqueued_at", "ended_at"):
            said[name] = bool(said.get(name))
        if said.get("exc_info"):
            said["exc_info"] = trace(said["exc_info"])
        status = self._client.hget(f"rq:job:{said['job_id']}", "status") if "job_id" in said else b""
        self.received.append(
            {"method": method, "path": path, "token": token, "body": said, "status": (status or b"gone").decode()}
        )

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        note = self._note

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                note(self.command, self.path, self.headers.get("X-Token"), body)
                self.send_response(204)
                self.end_headers()

        return Handler
