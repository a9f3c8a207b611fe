"""A proxy in front of an S3 server that does what networks and busy servers do.

with in_a_thread(FaultyProxy(server.address)) as proxy:
    proxy.faults = [Fault("PUT", "partNumber=", "slow_down", times=3)]
"""

import http.client
import io
import re
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
FAILED = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
NO_FOLDER = b"<Error><Code>ExistingObjectIsDirectory</Code><Message>It is not.</Message></Error>"
FULL = b"<Error><Code>QuotaExceeded</Code><Message>The quota is used up.</Message></Error>"

ANSWERS = {
    "slow_down": (503, SLOW_DOWN),
    "error_in_200": (200, FAILED),
    "denied": (403, DENIED),
    "full": (403, FULL),
    "no_folder": (409, NO_FOLDER),
}


KEY_ERRORS = {"key_busy": "InternalError", "key_denied": "AccessDenied"}


@dataclass
class Fault:
    """What happens to the next `times` requests with this method whose target holds `part`.

    slow_down, error_in_200, denied, full, no_folder: an answer of the proxy's own; nothing is carried out
    reset: the connection is reset in the middle of the request's body
    lost_answer: carried out, and then the connection is reset
    cut_answer: half of the answer's body, and then the connection is reset
    key_busy, key_denied: carried out, and then an answer of 200 which says that the first key failed

    `fields` are header fields of an answer of the proxy's own.
    """

    method: str
    part: str
    kind: str
    times: int = 1
    fields: Mapping[str, str] = field(default_factory=dict)


NO_FAULT = Fault("", "", "")


class FaultyProxy(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1. `seen` has (method, target) of each request, in order."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: str) -> None:
        super().__init__(("127.0.0.1", 0), Forwarding)
        self.upstream = address
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fault_for(self, method: str, target: str) -> Fault:
        with self._lock:
            self.seen.append((method, target))
            for fault in self.faults:
                if fault.times and fault.method == method and fault.part in target:
                    fault.times -= 1
                    return fault
        return NO_FAULT

    @property
    def unused(self) -> list[Fault]:
        """Faults that did not happen as often as they should."""
        return [fault for fault in self.faults if fault.times]


class Forwarding(BaseHTTPRequestHandler):
    """A client's connection."""

    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def _forward(self) -> None:
        fault = self.server.fault_for(self.command, self.path)
        kind = fault.kind
        length = int(self.headers.get("Content-Length", 0))
        if kind == "reset":
            self.rfile.read(length // 2)
            self._reset()
            return
        body = self.rfile.read(length)
        if kind in ANSWERS:
            status, content = ANSWERS[kind]
            self._answer(status, [("Content-Type", "application/xml"), *fault.fields.items()], content)
            return
        connection = http.client.HTTPConnection(self.server.upstream, timeout=30)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if kind in KEY_ERRORS:
            content = refusal_of_first_key(body, KEY_ERRORS[kind])
            self._answer(200, [("Content-Type", "application/xml")], content)
            return
        if kind == "lost_answer":
            self._reset()
            return
        fields = [(name, value) for name, value in answer.getheaders() if name not in HOP_BY_HOP]
        self._answer(answer.status, fields, content, cut=kind == "cut_answer")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _forward  # noqa: N815

    def _answer(self, status: int, fields: list[tuple[str, str]], content: bytes, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in fields:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in fields):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self._reset()

    def _reset(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.wfile.close()
        self.connection.close()
        self.wfile = io.BytesIO()  # what http.server still says goes nowhere

    def log_message(self, *_: object) -> None:
        """The tests look at what happens, not at a log."""


def refusal_of_first_key(body: bytes, code: str) -> bytes:
    """What DeleteObjects answers if of all the keys in its body the first could not be deleted."""
    found = re.search(rb"<Key>.*?</Key>", body)
    assert found is not None
    error = b"<Error>%s<Code>%s</Code><Message>No.</Message></Error>" % (found[0], code.encode())
    return b"<DeleteResult>%s</DeleteResult>" % error


HOP_BY_HOP = frozenset({"Connection", "Keep-Alive", "Transfer-Encoding"})
