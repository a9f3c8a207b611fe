"""Clients push, mount, retag and delete while collections and runs of retention follow each other closely,
with leases near zero.

A lease that is over is no promise: so a client may be told that a blob is gone, and pushes it again, as
engines do. What a manifest holds that was acknowledged may never go.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from conformance.client import Client
from conformance.content import Manifest, digest_of, index, random_bytes
from tests.faults.journal import Value, pull
from tests.faults.pusher import OCTETS, Pusher, expect, image_of

ENVIRONMENT = {
    "ENTREPOT_GC__EVERY_SECONDS": "0.01",
    "ENTREPOT_GC__DELAY_SECONDS": "0",
    "ENTREPOT_BLOBS__LEASE_SECONDS": "0.02",
    "ENTREPOT_UNDO__WINDOW_SECONDS": "0",
    "ENTREPOT_RETENTION__EVERY_SECONDS": "0.05",
    "ENTREPOT_LOG__ACCESS": "false",
}

FADING = ("retention", "set", "fading", "--repositories", "storm/*", "--tags", "old-*", "--keep-last", "0")
"""The command that lets tags like these go."""

CLIENTS = 8
TAGS = 6

PAUSE_SECONDS = 0.15
"""Between two steps of a client, on average: what counts is the order of things and not their number."""

TRIES = 1000
"""To push an image whose blobs are collected before its manifest comes, as all are on a busy machine."""

SHARED = [random_bytes(size) for size in (10, 20, 700, 800, 5_000, 6_000, 40_000, 100_000)]
"""Content that all clients push: what one deletes, another one mounts."""


@dataclass
class Sailor:
    """A client with a repository of its own. `others` are those whose blobs it mounts."""

    pusher: Pusher
    others: Sequence[Pusher]
    luck: random.Random
    images: dict[str, tuple[Manifest, tuple[bytes, ...]]] = field(default_factory=dict)
    """By digest: what is acknowledged, with its content."""
    steps: int = 0
    faded: int = 0
    """Images that were left to retention, for a moment at least."""
    pushed_again: int = 0
    """Blobs that were gone when the manifest came."""

    def sail(self, ended: threading.Event) -> None:
        """Work until the end."""
        choices: tuple[Callable[[], None], ...] = (
            self.push, self.push, self.push, self.retag, self.untag, self.delete, self.list, self.look,
            self.fade,
        )  # fmt: skip
        while not ended.wait(self.luck.uniform(0, 2 * PAUSE_SECONDS)):
            self.luck.choice(choices)()
            self.steps += 1

    def push(self) -> None:
        """An image of common and of own layers, as engines push: ask, mount, or send; then the manifest."""
        own = [random_bytes(self.luck.choice((30, 3000)))] if self.luck.random() < 0.3 else []
        contents = (*own, *self.luck.sample(SHARED, self.luck.randint(1, 3)))
        manifest = image_of(*contents, annotations={"nonce": str(self.luck.randrange(5))})
        self._keep(manifest, contents)

    def fade(self) -> None:
        """An image under a tag that retention takes, and with it the image. One in two gets another tag, just
        in time or too late, so that it has to be sent again. From then on it stays."""
        contents = self.luck.sample(SHARED, self.luck.randint(1, 3))
        manifest = image_of(*contents, annotations={"fading": f"{self.pusher.repository} {self.steps}"})
        fading = f"old-{self.luck.randrange(TAGS)}"
        self._push(manifest, fading, contents)
        self.faded += 1
        if self.luck.random() < 0.5:
            self._keep(manifest, contents)
            target = self.pusher.path("manifests", fading)
            expect(self.pusher.client.request("DELETE", target), 202, 404)

    def retag(self) -> None:
        """What is here gets another tag: its blobs are needed, so nothing can be missing."""
        if self.images:
            manifest, _ = self.luck.choice(list(self.images.values()))
            self.pusher.put_manifest(manifest, self._tag())

    def list(self) -> None:
        """An index of two images that are here."""
        if len(self.images) > 1:
            children = self.luck.sample([manifest for manifest, _ in self.images.values()], 2)
            nonce = str(self.luck.randrange(5))
            listing = index([child.as_descriptor() for child in children], annotations={"nonce": nonce})
            self.pusher.put_manifest(listing, "list")

    def untag(self) -> None:
        """The manifest stays, with all that it holds."""
        self.pusher.delete("manifests", self._tag())

    def delete(self) -> None:
        """An image with all of its tags, as retention does."""
        if not self.images:
            return
        digest = self.luck.choice(list(self.images))
        body = self.images.pop(digest)[0].body
        tags = [f"tag{number}" for number in range(TAGS)]
        gone = [tag for tag in tags if self.pusher.journal.value(self.pusher.key("manifests", tag)) == body]
        self.pusher.delete("manifests", digest, *gone)

    def look(self) -> None:
        """Pull one of the images."""
        if self.images:
            self.check(self.luck.choice(list(self.images)))

    def check(self, digest: str) -> None:
        """An image is here with all of its bytes."""
        manifest, contents = self.images[digest]
        wanted: Mapping[str, Value] = {digest_of(content): content for content in contents}
        assert pull(self.pusher.client, self.pusher.key("manifests", digest)) == manifest.body
        for blob, content in wanted.items():
            found = pull(self.pusher.client, self.pusher.key("blobs", blob))
            assert found == content, f"{blob} of {digest} in {self.pusher.repository} is lost"

    def settle(self) -> int:
        """Pull all that was ever acknowledged; how many things."""
        for digest in self.images:
            self.check(digest)
        return len(self.images) + self.pusher.journal.verify(self.pusher.client)

    def _tag(self) -> str:
        return f"tag{self.luck.randrange(TAGS)}"

    def _keep(self, manifest: Manifest, contents: Sequence[bytes]) -> None:
        """Push an image under a tag that nobody else takes away."""
        tag, key = self._tag(), self.pusher.key
        pushed = {key("manifests", one): manifest.body for one in (tag, manifest.digest)}
        with self.pusher.journal.changing(pushed):
            self._push(manifest, tag, contents)
        self.images[manifest.digest] = manifest, tuple(contents)

    def _push(self, manifest: Manifest, tag: str, contents: Sequence[bytes]) -> None:
        """Push blobs and manifest until it is taken; only a blob that was collected excuses a refusal."""
        target, headers = self.pusher.path("manifests", tag), {"Content-Type": manifest.media_type}
        for _ in range(TRIES):
            for content in contents:
                self._ensure(content)
            answer = expect(self.pusher.client.request("PUT", target, manifest.body, headers), 201, 400)
            if answer.status == 201:
                return
            codes = {entry["code"] for entry in json.loads(answer.body)["errors"]}
            assert codes == {"MANIFEST_BLOB_UNKNOWN"}, answer.body
            self.pushed_again += 1
        raise AssertionError(f"of {TRIES} tries to push an image none was quicker than the collector")

    def _ensure(self, content: bytes) -> None:
        client, digest = self.pusher.client, digest_of(content)
        if expect(client.request("HEAD", self.pusher.path("blobs", digest)), 200, 404).status == 200:
            return
        if self.luck.random() < 0.5:
            source = self.luck.choice(self.others).repository
            query = f"uploads/?mount={digest}&from={source}"
            mounted = expect(client.request("POST", self.pusher.path("blobs", query)), 201, 202)
            if mounted.status == 201:
                return
            expect(client.request("DELETE", mounted.header("Location") or ""), 204)
        target = self.pusher.path("blobs", f"uploads/?digest={digest}")
        expect(client.request("POST", target, content, OCTETS), 201)


def storm(url: str, seconds: float, seed: int) -> list[Sailor]:
    """Let the clients work for so long, and pull all that was acknowledged. Fails when anything is not as it
    was acknowledged, or when a request gets an answer that it must not get."""
    luck = random.Random(seed)
    client = Client(url)
    pushers = [Pusher(client, f"storm/{number}") for number in range(CLIENTS)]
    sailors = [Sailor(one, pushers, random.Random(luck.random())) for one in pushers]
    ended = threading.Event()
    with ThreadPoolExecutor(CLIENTS) as threads:
        sailing = [threads.submit(one.sail, ended) for one in sailors]
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and not any(one.done() for one in sailing):
            ended.wait(0.2)
        ended.set()
        for one in sailing:
            one.result()
    for sailor in sailors:
        sailor.settle()
    return sailors
