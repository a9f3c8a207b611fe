"""What one replica acknowledged is what each other one answers with from then on."""

import itertools
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from conformance.client import Client
from conformance.content import Manifest, digest_of, encode, random_bytes
from tests.faults.journal import ANY_MANIFEST
from tests.faults.pusher import Pusher, expect, image_of
from tests.replicas.fleet import Fleet
from tests.replicas.storages import on
from tests.replicas.storm import Fixed, credentials

pytestmark = [pytest.mark.xdist_group("replicas"), on("s3")]

ROUNDS = int(os.environ.get("ENTREPOT_TEST_ROUNDS", "60"))


def pushers(fleet: Fleet, repository: str) -> list[Pusher]:
    """The same client at each replica, with rights to this repository."""
    header = credentials(fleet, repository, 0)
    return [Pusher(Client(url, Fixed(header)), repository) for url in fleet.urls]


def read(pusher: Pusher, kind: str, reference: str, method: str = "GET") -> bytes | None:
    """What is there; None: 404."""
    answer = pusher.client.request(method, pusher.path(kind, reference), headers=ANY_MANIFEST)
    return None if expect(answer, 200, 404).status == 404 else answer.body


def listed(pusher: Pusher, path: str) -> dict[str, list[object]]:
    found: dict[str, list[object]] = json.loads(expect(pusher.client.request("GET", path), 200).body)
    return found


def test_each_write_is_seen_at_once(replicas: Fleet) -> None:
    """A blob, a manifest and its tags, a referrer; then they are deleted."""
    turns = itertools.cycle(range(3))
    tokens = iter(range(1_000_000))
    for round_ in range(ROUNDS):
        if round_ % 20 == 0:  # a repository that no replica has heard of
            repository = f"reads/{os.urandom(6).hex()}"
            doors = pushers(replicas, repository)
            subject: Manifest | None = None
        writer = doors[number := next(turns)]
        readers = [door for other, door in enumerate(doors) if other != number]
        content = random_bytes(50 + round_ * 7)
        tag = f"tag{next(tokens) % 5}"
        blob = writer.push_whole(content)
        for reader in readers:
            assert read(reader, "blobs", blob, "HEAD") is not None
        manifest = image_of(content)
        if subject is not None:
            manifest = with_subject(content, subject)
        writer.put_manifest(manifest, tag)
        for reader in readers:
            assert read(reader, "manifests", tag) == manifest.body  # moved, from the sixth on
            assert tag in listed(reader, reader.path("tags", "list"))["tags"]
            if subject is None:
                assert (
                    repository
                    in listed(reader, f"/v2/_catalog?n=1000&last={repository[:-1]}")["repositories"]
                )
            else:
                found = listed(reader, reader.path("referrers", subject.digest))["manifests"]
                assert manifest.digest in [entry["digest"] for entry in found]  # type: ignore[index]
        if subject is None:
            subject = manifest
            writer.put_manifest(manifest, "subject")
        elif round_ % 2:
            writer.delete("manifests", manifest.digest, tag)
            writer.delete("blobs", blob)
            for reader in readers:
                assert read(reader, "manifests", tag, "HEAD") is None
                assert read(reader, "manifests", manifest.digest) is None
                assert read(reader, "blobs", blob, "HEAD") is None
                assert read(reader, "blobs", blob) is None


def with_subject(content: bytes, subject: Manifest) -> Manifest:
    described = {"mediaType": subject.media_type, "digest": subject.digest, "size": len(subject.body)}
    body = json.loads(image_of(content).body)
    return encode(subject.media_type, {**body, "subject": described})


def test_a_tag_that_moves_never_goes_back(replicas: Fleet) -> None:
    """One client moves a tag on, by one replica after the other; others read it meanwhile, wherever."""
    repository = f"moving/{os.urandom(6).hex()}"
    doors = pushers(replicas, repository)
    config = doors[0].push_whole(b"{}")
    manifests = [image_of(b"{}", annotations={"number": str(number)}) for number in range(ROUNDS)]
    number_of = {manifest.digest: number for number, manifest in enumerate(manifests)}
    acknowledged, sent = -1, 0
    doors[0].put_manifest(manifests[0], "latest")
    ended = threading.Event()

    def look(start: int) -> int:
        """Read again and again; how many moves were seen."""
        newest, seen = 0, 0
        for turn in itertools.count(start):
            done = ended.is_set()
            before = acknowledged
            body = read(doors[turn % 3], "manifests", "latest")
            assert body is not None
            found = number_of[digest_of(body)]
            assert max(newest, before) <= found <= sent, f"{found} after {newest} and {before} of {sent}"
            seen += found > newest
            newest = found
            if done:
                assert newest == ROUNDS - 1
                return seen
        raise AssertionError("counting never ends")

    with ThreadPoolExecutor(3) as threads:
        looking = [threads.submit(look, number) for number in range(3)]
        try:
            for number, manifest in enumerate(manifests):
                sent = number
                doors[number % 3].put_manifest(manifest, "latest")
                acknowledged = number
        finally:
            ended.set()
        assert all(one.result() > 1 for one in looking)
    assert read(doors[1], "blobs", config) == b"{}"
