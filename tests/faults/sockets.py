"""HTTP by hand, for clients that don't finish what they begin."""

import socket
from urllib.parse import urlsplit


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30)


def head(method: str, target: str, *lines: str) -> bytes:
    """The head of a request to a path or a URL, with these header lines."""
    parts = urlsplit(target)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: registry", *lines, "", "")).encode()
