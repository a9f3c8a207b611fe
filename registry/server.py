"""Processes: gunicorn supervises workers, each of which runs one event loop on one core.

Each worker has a listening socket of its own on the common port (SO_REUSEPORT): the kernel spreads the
connections by a hash. The supervisor opens these sockets and keeps them open, so that what waits in the
queue of a worker that died is served by the one that takes its place.
"""

import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
from typing import Any

import uvloop
from gunicorn.app.base import BaseApplication
from gunicorn.workers.base import Worker

from registry.app import Registry
from registry.config import ConfigError, Settings
from registry.telemetry import configure_logging
from registry.tls import server_certificate

log = logging.getLogger(__name__)

BACKLOG = 1024

COLLECT_AFTER = (10_000, 20, 20)
"""Python's collector of cycles: a request makes few, and each look costs more than they do."""

LARGE_BLOCK = 1 << 20
"""Bytes of memory that are worth a mapping of their own."""

HEARTBEAT = 1.0
STUCK_AFTER = 120
"""Seconds without a heartbeat after which the supervisor replaces a worker: its event loop hangs."""

GOODBYE_SECONDS = 5
"""How long a client's own goodbye is waited for when an encrypted connection is closed."""

QUEUED_GRACE = 0.05
"""Seconds in which connections that the kernel has accepted already are still taken, at the end."""


def serve(settings: Settings, sockets: list[socket.socket]) -> int:
    """Serve on what `listen` opened until SIGTERM or SIGINT; returns the exit code."""
    configure_logging(settings.log.level, settings.log.format)
    try:
        Supervised(settings, sockets).run()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def listen(settings: Settings) -> list[socket.socket]:
    """A socket for each worker, all on one port. Raises ConfigError, with the reason in plain words."""
    host, port = settings.server.host, settings.server.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        check_free(family, address)
        sockets = []
        for _ in range(settings.server.workers):
            opened = socket.socket(family, kind, protocol)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            opened.bind(address)
            opened.listen(BACKLOG)
            sockets.append(opened)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            [f"server.listen: can't listen on {host} port {port}: {reason}; choose another with --listen"]
        ) from error
    return sockets


def check_free(family: int, address: Any) -> None:
    """Raise OSError if somebody listens there. SO_REUSEPORT alone would let two registries of one user
    share the port, and each would get half of the requests."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


class Supervised(BaseApplication):  # type: ignore[misc]
    """Gunicorn, set up by our settings and by nothing else: no files, no environment, no control socket."""

    def __init__(self, settings: Settings, sockets: list[socket.socket]) -> None:
        self.settings = settings
        self._sockets = sockets
        super().__init__()

    def load_config(self) -> None:
        server = self.settings.server
        chosen = {
            "bind": [f"fd://{opened.detach()}" for opened in self._sockets],
            "workers": server.workers,
            "worker_class": RegistryWorker,
            "graceful_timeout": int(server.notice_seconds + server.drain_seconds) + 15,
            "timeout": STUCK_AFTER,
            "proc_name": "entrepot",
            "loglevel": "warning",
            "control_socket_disable": True,
            "pre_fork": assign_socket,
        }
        for key, value in chosen.items():
            self.cfg.set(key, value)

    def load(self) -> Settings:
        return self.settings


def assign_socket(arbiter: Any, worker: "RegistryWorker") -> None:
    """Give a new worker the socket that no living one has."""
    taken = {other.slot for other in arbiter.WORKERS.values()}
    count = len(arbiter.LISTENERS)
    worker.slot = next((slot for slot in range(count) if slot not in taken), worker.age % count)


def keep_large_blocks_apart() -> None:
    """Have malloc take each large block from the system and give it back when it is freed (mallopt(3)).

    glibc does so until the first of them is freed. From then on it takes those of up to 32 MiB from its heap:
    there the parts of uploads to S3 lie between small objects, and a process stays as large as it ever was.
    Other C libraries have their own ways.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-3, LARGE_BLOCK)  # M_MMAP_THRESHOLD


class RegistryWorker(Worker):  # type: ignore[misc]
    """One process. Its event loop serves until the supervisor says SIGTERM, and then drains."""

    slot = 0

    def init_signals(self) -> None:
        """SIGTERM and SIGINT are the event loop's; the rest as gunicorn has it."""
        super().init_signals()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the supervisor decides

    def run(self) -> None:
        self.booted = False
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())
        sys.exit(0)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGQUIT):
            loop.add_signal_handler(number, ended.set)
        settings: Settings = self.wsgi
        keep_large_blocks_apart()
        registry = Registry(settings)
        gc.freeze()  # what is there now stays to the end: the collector need not look at it again
        gc.set_threshold(*COLLECT_AFTER)
        for slot, other in enumerate(self.sockets):
            if slot != self.slot:
                other.close()  # else it would go on listening when its own worker has stopped
        listener = self.sockets[self.slot]
        watch: asyncio.Task[None] | None = None
        encryption: dict[str, Any] = {}
        if certificate := server_certificate(settings):
            watch = asyncio.create_task(certificate.watch(), name="certificate")
            encryption = {
                "ssl": certificate.context,
                "ssl_handshake_timeout": settings.server.header_seconds,
                "ssl_shutdown_timeout": GOODBYE_SECONDS,
            }
        server = await loop.create_server(registry.server, sock=listener.sock, backlog=BACKLOG, **encryption)
        self.booted = True
        try:
            await self._beat(ended)
            registry.announce_end()
            await asyncio.sleep(max(QUEUED_GRACE, settings.server.notice_seconds))
            server.close()
            await registry.drain()
        finally:
            if watch is not None:
                watch.cancel()
            await registry.close()

    async def _beat(self, ended: asyncio.Event) -> None:
        """Tell the supervisor that the event loop turns, until the end or until the supervisor is gone."""
        while not ended.is_set() and os.getppid() == self.ppid:
            self.notify()
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await ended.wait()
            except TimeoutError:
                continue
