"""What is acknowledged outlives a power cut: shown by the system calls before each answer."""

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance.client import Client
from conformance.content import random_bytes
from tests.faults.power_cut import STRACE, SYNCS, Answer, Call, Disk, answers, path_of_descriptor, trace_of
from tests.faults.pusher import Pusher, image_of
from tests.support.server import RunningRegistry, free_port, start_registry
from tests.support.tools import tool

pytestmark = pytest.mark.xdist_group("power_cut")  # one process, and so one registry, for all of them

LAYER, CONFIG, EXTRA, SPARE = random_bytes(900_000), b'{"traced":true}', random_bytes(5000), random_bytes(700)
MANIFEST = image_of(CONFIG, LAYER)

REBUILT = ("index.sqlite-shm", "index.sqlite.lock")
"""SQLite makes the first anew from the log; the second is an empty file for flock."""


def push_in_sessions(pusher: Pusher) -> list[str]:
    """What any registry takes; returns what was answered with 201 or 202, in order."""
    chunked = pusher.open_session(LAYER)
    pusher.append(chunked, 300_000)
    pusher.append(chunked, 800_000)
    pusher.finish(chunked)
    empty_put = pusher.open_session(EXTRA)
    pusher.append(empty_put, len(EXTRA))
    pusher.finish(empty_put)
    pusher.finish(pusher.open_session(CONFIG))
    pusher.put_manifest(MANIFEST, "tag")
    return [
        *("session", "PATCH", "PATCH", "blob"),
        *("session", "PATCH", "blob"),
        *("session", "blob"),
        "manifest",
    ]


def push_all(pusher: Pusher) -> list[str]:
    done = push_in_sessions(pusher)
    pusher.push_whole(SPARE)
    pusher.put_manifest(image_of(CONFIG, EXTRA), "tag")
    pusher.put_manifest(MANIFEST, "second")
    pusher.delete("manifests", "second")
    pusher.delete("manifests", MANIFEST.digest)
    pusher.delete("blobs", pusher.push_whole(SPARE + b"twice"))
    return [*done, "blob", "manifest", "manifest", "deletion", "deletion", "blob", "deletion"]


@dataclass(frozen=True)
class Trace:
    """The system calls of a server on the folder `root`, empty at first, and what it acknowledged."""

    root: Path
    calls: list[Call]
    done: list[str]

    def answers(self, without: Callable[[str], bool] = lambda _path: False) -> list[tuple[str, Answer]]:
        """Each acknowledgement with the state of the disk; as if no file `without` had been synced."""
        disk = Disk(str(self.root), ignored=lambda loss: loss.endswith(REBUILT))
        calls = (
            call
            for call in self.calls
            if call.name not in SYNCS or not without(path_of_descriptor(call.arguments))
        )
        acknowledged = [answer for answer in answers(calls, disk) if answer.status in (201, 202)]
        return list(zip(self.done, acknowledged, strict=True))


def read_trace(file: Path) -> list[Call]:
    """strace writes on for a moment after the program has ended."""
    size = -1
    while size != file.stat().st_size:
        size = file.stat().st_size
        time.sleep(0.2)
    return list(trace_of(file.read_text(errors="replace").splitlines()))


@pytest.fixture(scope="module")
def entrepot(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """A first start in a folder that is not there yet, and then every kind of change."""
    folder = tmp_path_factory.mktemp("traced")
    (folder / "disk").mkdir()
    prefix = [tool("strace", "apt-get install strace"), *STRACE[1:], "-o", str(folder / "trace")]
    data = folder / "disk" / "made" / "data"
    running = start_registry(folder / "unused", prefix=prefix, arguments=["--data", str(data)])
    try:
        done = push_all(Pusher(Client(running.url), "some/image"))
        assert running.stop() == 0
    finally:
        running.kill()
    return Trace(folder / "disk", read_trace(folder / "trace"), done)


def test_nothing_acknowledged_is_lost(entrepot: Trace) -> None:
    for number, (what, answer) in enumerate(entrepot.answers()):
        # A session without bytes may be lost: that costs its client one more POST. And the staged name of
        # an object may come back: no row knows it, so it is left to the scrub.
        lost = {loss for loss in answer.lost if not loss.startswith("return of made/data/storage/staging/")}
        allowed = {"bytes made/data/index.sqlite-wal"} if what == "session" else set()
        assert lost <= allowed, f"answer {number} ({what}) came too early"


def test_every_change_is_in_the_log(entrepot: Trace) -> None:
    """The transaction itself comes before the answer, and is safe: not just nothing unsafe."""
    log = str(entrepot.root / "made/data/index.sqlite-wal")
    before = 0
    for number, (what, answer) in enumerate(entrepot.answers()):
        assert answer.kept.get(log, 0) > before or what == "session", f"answer {number} ({what})"
        before = answer.kept.get(log, 0)


def test_every_blob_is_there(entrepot: Trace) -> None:
    folder = str(entrepot.root / "made/data/storage/blobs/sha256")
    counts = []
    for what, answer in entrepot.answers():
        if what == "blob":
            blobs = {path: writes for path, writes in answer.kept.items() if path.startswith(f"{folder}/")}
            counts.append(
                sum(path.count("/") == folder.count("/") + 2 and n > 0 for path, n in blobs.items())
            )
    assert counts == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("sync", "hurt"),
    [
        (r"/staging/\w+$", {"PATCH", "blob"}),
        (r"/staging$", {"PATCH"}),
        (r"/blobs/sha256/\w\w$", {"blob"}),
        (r"/blobs/sha256$", {"blob"}),
        (r"/blobs$", {"blob"}),
        (r"/storage$", {"PATCH"}),
        (r"/data$", {"PATCH"}),
        (r"/index\.sqlite-wal$", {"PATCH", "blob", "manifest", "deletion"}),
        (r"/made$", {"PATCH", "blob", "manifest", "deletion"}),
    ],
)
def test_no_sync_could_be_left_out(entrepot: Trace, sync: str, hurt: set[str]) -> None:
    """The check sees it when any of the syncs is not made."""
    before = entrepot.answers()
    after = entrepot.answers(without=lambda path: re.search(sync, path) is not None)
    lost = [(what, answer.lost - one.lost) for (what, one), (_, answer) in zip(before, after, strict=True)]
    assert {what for what, more in lost if more and what != "session"} >= hurt


DOCKER_REGISTRY = """
version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http: {{addr: "{address}"}}
"""


def test_the_check_fails_elsewhere(tmp_path: Path) -> None:
    """docker-registry 2.8 syncs the bytes of blobs, but no directory and no link."""
    program = tool("docker-registry", "apt-get install docker-registry")
    prefix = [tool("strace", "apt-get install strace"), *STRACE[1:], "-o", str(tmp_path / "trace")]
    root, address = tmp_path / "disk", f"127.0.0.1:{free_port()}"
    root.mkdir()
    (tmp_path / "config.yml").write_text(DOCKER_REGISTRY.format(root=root, address=address))
    command = [*prefix, program, "serve", str(tmp_path / "config.yml")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        running = RunningRegistry(process, address, root, tmp_path / "log")
        running.wait_until_ready()
        done = push_in_sessions(Pusher(Client(running.url), "some/image"))
    finally:
        process.terminate()
        process.wait(10)
    after = dict(Trace(root, read_trace(tmp_path / "trace"), done).answers())  # the last of each kind
    assert any(re.fullmatch(r"name .*/blobs/sha256/\w\w/\w+/data", loss) for loss in after["blob"].lost)
    assert any(loss.startswith("name ") and loss.endswith("/link") for loss in after["manifest"].lost)
