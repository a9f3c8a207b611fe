"""Equal stores for Entrepot and for docker-registry: the same images, and the same garbage, written as each
lays them out. Blobs are a few bytes long."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from registry.index.migrations import upgrade

IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

LAYERS = 4
IMAGES = 100
"""Layers in an image, and images in a repository."""


class Blob(NamedTuple):
    """Content under its digest."""

    digest: str
    content: bytes


class Image(NamedTuple):
    """A manifest with its tag, and the blobs that it needs: the config first."""

    repository: str
    tag: str
    manifest: Blob
    blobs: Sequence[Blob]


def blob_of(content: bytes) -> Blob:
    return Blob(f"sha256:{hashlib.sha256(content).hexdigest()}", content)


def described(media_type: str, blob: Blob) -> dict[str, object]:
    return {"mediaType": media_type, "digest": blob.digest, "size": len(blob.content)}


def images(count: int) -> Iterator[Image]:
    """Images of so many blobs in all."""
    for number in range(count // (1 + LAYERS)):
        config, *layers = (blob_of(f"{number}/{layer}".encode()) for layer in range(1 + LAYERS))
        document = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": described(CONFIG, config),
            "layers": [described(LAYER, layer) for layer in layers],
        }
        manifest = blob_of(json.dumps(document).encode())
        yield Image(f"repository-{number // IMAGES:05}", f"v{number}", manifest, (config, *layers))


def garbage(count: int) -> Iterator[Blob]:
    """So many blobs that no manifest needs."""
    return (blob_of(f"garbage/{number}".encode()) for number in range(count))


def split(count: int, share: float) -> tuple[int, int]:
    """How many blobs of `count` are needed, in whole images, and how many are garbage."""
    needed = round(count * (1 - share)) // (1 + LAYERS) * (1 + LAYERS)
    return needed, count - needed


def own_store(folder: Path, count: int, share: float) -> int:
    """Entrepot's, with its index; how much of it is garbage."""
    needed, spare = split(count, share)
    folder.mkdir(parents=True)
    upgrade(f"sqlite:///{folder / 'index.sqlite'}")
    index = sqlite3.connect(folder / "index.sqlite", isolation_level=None)
    then = time.time() - 100_000
    index.execute("PRAGMA synchronous = OFF")
    index.execute("BEGIN")

    def enter(blob: Blob, repository: int, examine_at: float | None) -> int:
        encoded = blob.digest.partition(":")[2]
        location = f"blobs/sha256/{encoded[:2]}/{encoded}.{encoded[:32]}"
        write(folder / "storage" / location, blob.content)
        added = index.execute(
            "INSERT INTO blobs (digest, size, location, lease_until, created_at, examine_at) "
            "VALUES (?, ?, ?, ?, ?, NULL)",
            (blob.digest, len(blob.content), location, then, then),
        )
        assert added.lastrowid is not None
        index.execute(
            "INSERT INTO repository_blobs VALUES (?, ?, ?, ?)",
            (repository, added.lastrowid, then, examine_at),
        )
        return added.lastrowid

    known: dict[str, int] = {}
    for image in images(needed):
        if image.repository not in known:
            known[image.repository] = len(known) + 1
            index.execute(
                "INSERT INTO repositories (id, name, created_at, uid) VALUES (?, ?, ?, ?)",
                (len(known), image.repository, then, f"{len(known):016x}"),
            )
        repository = known[image.repository]
        ids = [enter(blob, repository, None) for blob in image.blobs]
        digest, body = image.manifest
        added = index.execute(
            "INSERT INTO manifests "
            "(repository_id, digest, media_type, size, body, pushed_at, missing_recorded) "
            "VALUES (?, ?, ?, ?, ?, ?, 1)",
            (repository, digest, IMAGE, len(body), body, then),
        )
        edges = [(added.lastrowid, repository, id) for id in ids]
        index.executemany("INSERT INTO manifest_blobs VALUES (?, ?, ?)", edges)
        index.execute("INSERT INTO tags VALUES (?, ?, ?, ?)", (repository, image.tag, added.lastrowid, then))
    for blob in garbage(spare):
        enter(blob, 1, then)
    index.execute("COMMIT")
    index.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    index.close()
    return spare


def docker_store(folder: Path, count: int, share: float) -> int:
    """docker-registry's; how much of it is garbage."""
    needed, spare = split(count, share)
    registry = folder / "docker" / "registry" / "v2"

    def enter(blob: Blob) -> None:
        encoded = blob.digest.partition(":")[2]
        write(registry / "blobs" / "sha256" / encoded[:2] / encoded / "data", blob.content)

    def link(path: Path, digest: str) -> None:
        write(path / "link", digest.encode())

    for image in images(needed):
        repository = registry / "repositories" / image.repository
        for blob in image.blobs:
            enter(blob)
            link(repository / "_layers" / "sha256" / blob.digest[7:], blob.digest)
        enter(image.manifest)
        digest = image.manifest.digest
        link(repository / "_manifests" / "revisions" / "sha256" / digest[7:], digest)
        tag = repository / "_manifests" / "tags" / image.tag
        link(tag / "current", digest)
        link(tag / "index" / "sha256" / digest[7:], digest)
    for blob in garbage(spare):
        enter(blob)
    return spare


def write(path: Path, content: bytes) -> None:
    """Write a file, with the folders above it."""
    try:
        path.write_bytes(content)
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
