"""A TCP proxy that loses answers: a request is carried out, and its client never hears of it."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from conformance.client import Client, Response


class LossyProxy(socketserver.ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1 and forwards each connection to `address` (`host:port`)."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: str) -> None:
        super().__init__(("127.0.0.1", 0), Forwarding)
        host, port = address.split(":")
        self.upstream = (host, int(port))
        self.losing = False
        self.client = Client(f"http://127.0.0.1:{self.server_address[1]}")

    def lose(self, method: str, target: str, body: bytes | None = None, **headers: str) -> None:
        """Send a request whose answer gets lost."""
        self.losing = True
        try:
            answer = self.request(method, target, body, **headers)
        except OSError:
            return
        finally:
            self.losing = False
        raise AssertionError(f"{answer} was not lost")

    def request(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Response:
        lines = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(
            method, target, body, {"Content-Type": "application/octet-stream", **lines}
        )


class Forwarding(socketserver.BaseRequestHandler):
    """One connection with one request, as `Client` makes it."""

    server: LossyProxy
    request: socket.socket

    def handle(self) -> None:
        with socket.create_connection(self.server.upstream, timeout=30) as upstream:
            threading.Thread(target=self._send, args=(upstream,), daemon=True).start()
            while answer := upstream.recv(1 << 16):
                if self.server.losing:
                    return
                self.request.sendall(answer)

    def _send(self, upstream: socket.socket) -> None:
        with suppress(OSError):  # one of the two has gone
            while data := self.request.recv(1 << 16):
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)


@contextmanager
def lossy_proxy(address: str) -> Iterator[LossyProxy]:
    with LossyProxy(address) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
