"""Answers HTTP requests with the scale signal, for scalers that ask for a metric by HTTP.

One request at a time: who asks is a scaler, every few seconds. Nothing is kept between two requests.
"""

import json
import signal
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import FrameType

import click

from farm.store.connection import REDIS_ERRORS

REQUEST_SECONDS = 5.0
"""Who sends no whole request in this time is hung up on: others wait."""


def address_from(text: str) -> tuple[str, int]:
    """Address and port from `[ADDRESS:]PORT`; all addresses if none is given. Raises click.UsageError."""
    address, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise click.UsageError(f"--listen {text}: expected PORT or ADDRESS:PORT, as in 9200 or 127.0.0.1:9200.")
    return address.strip("[]"), int(port)


def answer_requests(address: tuple[str, int], read: Callable[[], Mapping[str, object]]) -> None:
    """Listens until SIGTERM or SIGINT. Raises click.ClickException if the address cannot be had."""
    try:
        server = HTTPServer(address, _handler(read))
    except OSError as error:
        raise click.ClickException(f"cannot listen at {address[0] or '*'}:{address[1]}: {error.strerror}") from error
    with server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stopper(server))
        click.echo(f"listens at {server.server_address[0]!s}:{server.server_port}", err=True)
        server.serve_forever(poll_interval=0.2)


def _stopper(server: HTTPServer) -> Callable[[int, FrameType | None], None]:
    """A handler of signals. `shutdown` waits for the loop that it interrupted, so it has a thread of its own."""
    return lambda *_: threading.Thread(target=server.shutdown, daemon=True).start()


def _handler(read: Callable[[], Mapping[str, object]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS

        def do_GET(self) -> None:
            """Any path: there is one answer. 503 while Redis does not give it, which scalers take for no metric."""
            try:
                status, body = 200, json.dumps(read())
            except REDIS_ERRORS as error:
                status, body = 503, json.dumps({"error": f"Redis does not answer: {error}"})
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Nothing: a scaler asks all day."""

    return Handler
