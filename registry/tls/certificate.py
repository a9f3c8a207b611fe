"""The server's certificate, which may be exchanged while it is in use."""

import asyncio
import logging
import os
import ssl
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

LOOK_EVERY = 60
"""Seconds between two looks at the files."""

Stamp = tuple[tuple[int, int, int] | None, ...]


class ServerCertificate:
    """A certificate with its chain, and its key; `context` is what connections are made with.

    `renew` is called before each look at the files, and makes new ones when that is due.
    """

    def __init__(self, certificate: Path, key: Path, renew: Callable[[], object] | None = None) -> None:
        """Raises ValueError for files that can't be used, and says why."""
        self._certificate = certificate
        self._key = key
        self._renew = renew
        self._seen = self._stamp()
        self._newest = self.context = server_context(certificate, key)
        self.context.sni_callback = self._choose

    async def watch(self) -> None:
        """Take up new files, until cancelled. Connections that are open keep what they began with."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Take up the files if they are new and good. If they are not good, say so once and go on as before:
        certificate and key are seldom exchanged at the same moment."""
        try:
            if self._renew is not None:
                self._renew()
            stamp = self._stamp()
            if stamp == self._seen:
                return
            self._seen = stamp
            self._newest = server_context(self._certificate, self._key)
        except (OSError, ValueError) as error:
            log.error("the certificate of before stays in use: %s", error)
        else:
            log.warning("a new certificate is in use, from %s", self._certificate)

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: object, _context: object) -> None:
        """Called for each handshake. To load new files into a context that is in use would not do: between
        certificate and key handshakes fail."""
        connection.context = self._newest

    def _stamp(self) -> Stamp:
        return tuple(stamp_of(path) for path in (self._certificate, self._key))


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 and later, for HTTP/1.1, and no renegotiation, which only a client that attacks asks for.

    Raises ValueError, naming the file that is wrong.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    for path in (certificate, key):
        try:
            path.open("rb").close()
        except OSError as error:
            raise ValueError(f"can't read {path}: {error.strerror}") from error
    try:
        context.load_cert_chain(certificate, key, password="")  # without one OpenSSL would ask at a terminal
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(f"{key} is not the key of the certificate in {certificate}") from error
        raise ValueError(
            f"{certificate} should hold a certificate with its chain, and {key} its key without a "
            f"passphrase, both PEM: {error.reason or error}"
        ) from error
    return context


def stamp_of(path: Path) -> tuple[int, int, int] | None:
    """What tells a file from the one that was there before; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
