"""A TCP proxy whose kinds look at what they forward, or hold it back."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

Server = TypeVar("Server", bound=socketserver.BaseServer)


class Proxy(socketserver.ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1 and forwards each connection to `upstream` (`host:port`). Its own
    `address` has the same form."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forwarding)
        host, port = upstream.split(":")
        self.upstream = (host, int(port))
        self.address = f"127.0.0.1:{self.server_address[1]}"

    def sent(self, size: int) -> None:
        """So many bytes come from a client, and are about to be passed on."""

    def passes(self) -> bool:
        """Whether what has come from upstream is passed on; if not, the connection ends."""
        return True


class _Forwarding(socketserver.BaseRequestHandler):
    server: Proxy
    request: socket.socket

    def handle(self) -> None:
        with socket.create_connection(self.server.upstream, timeout=60) as upstream, suppress(OSError):
            threading.Thread(target=self._send, args=(upstream,), daemon=True).start()
            while (answer := upstream.recv(1 << 16)) and self.server.passes():
                self.request.sendall(answer)

    def _send(self, upstream: socket.socket) -> None:
        with suppress(OSError):  # one of the two has gone
            while data := self.request.recv(1 << 16):
                self.server.sent(len(data))
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)


@contextmanager
def in_a_thread(server: Server) -> Iterator[Server]:
    """Serve inside of the block."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
