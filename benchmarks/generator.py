"""The same request again and again, on kept connections: one thread with epoll.

It costs no more than `wrk`, and unlike it looks at every answer: its status, and as long as the first one.
And it can do HEAD: wrk 4.1 waits for the body that the Content-Length of a HEAD announces, and counts no
answer.
"""

import select
import socket
import time
from collections.abc import Sequence

from benchmarks.client import BenchmarkError


def answers_within(
    addresses: Sequence[str], request: bytes, connections: int, seconds: float, *, status: int = 200
) -> tuple[int, float]:
    """How many answers came within `seconds`, and how long it really took.

    The connections go to the addresses in turn.
    """
    sockets = [_connect(addresses[number % len(addresses)]) for number in range(connections)]
    begins = f"HTTP/1.1 {status} ".encode()
    try:
        return _exchange(sockets, request, begins, _answer_length(sockets[0], request), seconds)
    finally:
        for one in sockets:
            one.close()


def _connect(address: str) -> socket.socket:
    host, port = address.split(":")
    connected = socket.create_connection((host, int(port)), timeout=10)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def _answer_length(connected: socket.socket, request: bytes) -> int:
    """Bytes of one answer, headers and body: all that comes until it is silent for a while."""
    connected.sendall(request)
    answer = connected.recv(65536)
    connected.settimeout(0.2)
    try:
        while more := connected.recv(65536):
            answer += more
    except TimeoutError:
        return len(answer)
    raise BenchmarkError("the connection is not kept open")


def _exchange(
    sockets: list[socket.socket], request: bytes, begins: bytes, length: int, seconds: float
) -> tuple[int, float]:
    calls = {}
    begun: dict[int, bytes] = {}
    count = 0
    with select.epoll() as poll:
        for one in sockets:
            one.setblocking(False)
            calls[one.fileno()] = (one.recv, one.send)
            poll.register(one, select.EPOLLIN)
        start = now = time.perf_counter()
        for one in sockets:
            one.send(request)
        while (now := time.perf_counter()) < start + seconds:
            ready = poll.poll(10)
            if not ready:
                raise BenchmarkError("no answer within 10 s")
            for descriptor, _ in ready:
                receive, send = calls[descriptor]
                answer = receive(65536)
                if len(answer) != length:
                    if not answer:
                        raise BenchmarkError("the server closed a kept connection")
                    answer = begun.pop(descriptor, b"") + answer
                    if len(answer) < length:
                        begun[descriptor] = answer
                        continue
                if len(answer) != length or not answer.startswith(begins):
                    raise BenchmarkError(f"an answer of {len(answer)} bytes, not {length}: {answer[:300]!r}")
                count += 1
                send(request)
    return count, now - start
