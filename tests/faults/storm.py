"""Clients push, retag, delete and leave uploads half done, while the registry is killed again and again."""

import http.client
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from conformance.client import Client
from conformance.content import Manifest, digest_of, random_bytes
from tests.faults.journal import audit
from tests.faults.pusher import Pusher, Session, image_of
from tests.support.server import RunningRegistry, free_port, start_registry

DIED = (OSError, http.client.HTTPException)

SHARED = [random_bytes(size) for size in (10, 700, 40_000, 300_000, 1_500_000)]
"""Content that several clients push at once."""


@dataclass
class Sailor:
    """A client in the storm, with a repository of its own."""

    pusher: Pusher
    luck: random.Random
    blobs: dict[str, bytes] = field(default_factory=dict)
    images: dict[str, Manifest] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    steps: int = 0

    def sail(self, ended: threading.Event) -> None:
        """Work until the end, or until the registry is gone."""
        while not ended.is_set():
            try:
                self.step()
            except DIED:
                return

    def step(self) -> None:
        """Do something that makes sense at sea."""
        self.luck.choice((self.push, self.push, self.tag, self.tag, self.untag, self.drop, self.wait))()
        self.steps += 1

    def settle(self, sample: int | None) -> None:
        """Pull what is in doubt, and forget what turned out not to be there."""
        journal, key = self.pusher.journal, self.pusher.key
        journal.verify(self.pusher.client, sample)
        self.blobs = {one: data for one, data in self.blobs.items() if journal.value(key("blobs", one))}
        self.images = {one: item for one, item in self.images.items() if journal.value(key("manifests", one))}

    def finish(self) -> None:
        """Carry every upload to its end."""
        for session in self.sessions:
            self.pusher.append(session, len(session.content) - 1)
            self.pusher.finish(session)
        self.sessions.clear()

    def push(self) -> None:
        content = self.luck.choice((*SHARED, random_bytes(self.luck.choice((20, 5000, 200_000)))))
        self.blobs[digest_of(content)] = content  # from now on perhaps
        if self.luck.random() < 0.3:
            self.pusher.push_whole(content)
            return
        session = self.pusher.open_session(content)
        self.sessions.append(session)
        for stop in sorted(self.luck.choices(range(len(content)), k=self.luck.randrange(3))):
            if stop - session.acknowledged > 1:
                self.pusher.append(session, stop)
        if self.luck.random() < 0.9:
            self.pusher.finish(session)
            self.sessions.remove(session)

    def wait(self) -> None:
        """Take up an upload that was left, perhaps one that a dead registry held."""
        if self.sessions:
            session = self.sessions[0]
            self.pusher.append(session, len(session.content) - 1)
            self.pusher.finish(session)
            self.sessions.remove(session)

    def tag(self) -> None:
        """A new image, or an old one under another name."""
        certain = [content for content in self.blobs.values() if self._certain("blobs", digest_of(content))]
        if not certain:
            return
        contents = self.luck.sample(certain, min(3, len(certain)))
        manifest = image_of(*contents, annotations={"nonce": str(self.luck.randrange(20))})
        self.images[manifest.digest] = manifest
        self.pusher.put_manifest(manifest, f"tag{self.luck.randrange(6)}")

    def untag(self) -> None:
        """Delete a tag, or an image with all of its tags."""
        if self.luck.random() < 0.5 or not self.images:
            self.pusher.delete("manifests", f"tag{self.luck.randrange(6)}")
            return
        digest = self.luck.choice(list(self.images))
        body = self.images[digest].body
        tags = [f"tag{number}" for number in range(6)]
        gone = [tag for tag in tags if self.pusher.journal.value(self.pusher.key("manifests", tag)) == body]
        self.pusher.delete("manifests", digest, *gone)
        del self.images[digest]

    def drop(self) -> None:
        """Delete a blob that no image needs."""
        needed = b"".join(manifest.body for manifest in self.images.values())
        free = [digest for digest in self.blobs if digest.encode() not in needed]
        open_ones = {session.digest for session in self.sessions}
        if free and (digest := self.luck.choice(free)) not in open_ones:
            self.pusher.delete("blobs", digest)
            del self.blobs[digest]

    def _certain(self, kind: str, reference: str) -> bool:
        return self.pusher.journal.value(self.pusher.key(kind, reference)) is not None


@dataclass
class Storm:
    """The registry on `data`, and its clients. `report` is told of each round in a line."""

    data: Path
    seed: int
    clients: int = 4
    workers: int = 2
    report: Callable[[str], None] = print

    def rage(self, seconds: float) -> int:
        """Kill the registry at random moments for so long; returns how often. Fails when anything that was
        acknowledged is not there afterwards, or a request gets an answer that it must not get."""
        luck, port = random.Random(self.seed), free_port()
        client = Client(f"http://127.0.0.1:{port}")
        sailors = [
            Sailor(Pusher(client, f"storm/{number}"), random.Random(luck.random()))
            for number in range(self.clients)
        ]
        ends = time.monotonic() + seconds
        kills = 0
        while time.monotonic() < ends:
            running = self._start(port)
            try:
                self._round(running, sailors, luck)
            finally:
                running.kill()
            kills += 1
            self.report(f"killed {kills} times after {sum(sailor.steps for sailor in sailors)} steps")
        running = self._start(port)
        try:
            for sailor in sailors:
                sailor.settle(None)
                sailor.finish()
                sailor.settle(None)
            self.report(f"{audit(self.data)} blobs are whole, {kills} kills")
            assert running.stop() == 0
        finally:
            running.kill()
        assert "Traceback" not in running.log
        return kills

    def _start(self, port: int) -> RunningRegistry:
        return start_registry(
            self.data,
            workers=self.workers,
            port=port,
            environment={"ENTREPOT_UPLOADS__LEASE_SECONDS": "1", "ENTREPOT_LOG__ACCESS": "false"},
        )

    def _round(self, running: RunningRegistry, sailors: list[Sailor], luck: random.Random) -> None:
        """Check what the last death left, and let them work until the next one."""
        with ThreadPoolExecutor(len(sailors)) as threads:
            for settled in [threads.submit(sailor.settle, 20) for sailor in sailors]:
                settled.result()
            audit(self.data)
            ended = threading.Event()
            sailing = [threads.submit(sailor.sail, ended) for sailor in sailors]
            time.sleep(luck.uniform(0.05, 1.0))
            running.kill()
            ended.set()
            for one in sailing:
                one.result()
