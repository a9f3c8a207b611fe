"""What an index holds that has grown for two years, as rows: the same ones for the same seed and time.

Few repositories are huge and many are small (Zipf's law), and so is the use of base layers. A push brings an
image, or an index of two; six of ten make a new tag, the others move one that is there. One push of five is
signed. The oldest is two years ago, the audit reaches back 90 days. All work in the background is done.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Row = tuple[str, tuple[Any, ...]]
"""The name of a table, and values for its COLUMNS."""

DAY = 86400
AGE = 730 * DAY
AUDIT_AGE = 90 * DAY

COLUMNS = {
    "repositories": ("id", "name", "created_at", "uid", "public"),
    "blobs": ("id", "digest", "size", "location", "lease_until", "created_at", "examine_at"),
    "repository_blobs": ("repository_id", "blob_id", "created_at", "examine_at"),
    "manifests": (
        "id", "repository_id", "digest", "media_type", "artifact_type", "size", "body", "subject",
        "annotations", "pushed_by", "pushed_at", "pulled_at", "missing_recorded", "journaled",
    ),
    "manifest_blobs": ("manifest_id", "repository_id", "blob_id"),
    "manifest_children": ("manifest_id", "child_digest"),
    "tags": ("repository_id", "name", "manifest_id", "updated_at"),
    "tag_history": ("id", "repository_id", "name", "digest", "at", "by", "journaled"),
    "uploads": (
        "id", "repository", "algorithm", "offset", "state", "prefix_digest", "claim", "claim_until",
        "finished", "created_by", "created_at", "expires_at",
    ),
    "principals": ("id", "kind", "name", "description", "disabled", "created_at", "created_by"),
    "users": ("principal_id", "password_hash", "password_set_at", "source"),
    "group_members": ("group_id", "member_id", "source"),
    "grants": ("id", "principal_id", "role", "pattern", "created_at", "created_by"),
    "credentials": (
        "id", "principal_id", "kind", "hash", "description", "read_only", "repositories", "addresses",
        "created_at", "expires_at",
    ),
    "quotas": ("prefix", "bytes", "created_at", "created_by"),
    "audit": (
        "id", "at", "request_id", "actor", "address", "action", "target", "result", "detail",
    ),
}  # fmt: skip
"""The tables that are filled, in an order that foreign keys allow."""

IMAGE = "application/vnd.oci.image.manifest.v1+json"
IMAGE_INDEX = "application/vnd.oci.image.index.v1+json"
SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

OWN_LAYERS = 4
STACK = 3
"""Layers of an image that nobody else has, and those of the base image below them."""


@dataclass(frozen=True)
class Scale:
    """How much there is of everything, by the number of blobs."""

    blobs: int

    @property
    def repositories(self) -> int:
        return max(4, self.blobs // 50)

    @property
    def organisations(self) -> int:
        return max(2, self.repositories // 400)

    @property
    def stacks(self) -> int:
        return max(4, self.blobs // 3000)

    @property
    def users(self) -> int:
        return max(4, self.blobs // 500)

    @property
    def audit(self) -> int:
        return self.blobs // 2

    @property
    def uploads(self) -> int:
        return max(200, self.blobs // 1000)


@dataclass(frozen=True)
class Blob:
    """`size` in bytes."""

    id: int
    digest: str
    size: int


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def repository_name(scale: Scale, rank: int) -> str:
    """The name of a repository; the largest has the rank 0."""
    return f"{organisation(rank % scale.organisations)}/team-{rank % 7}/app-{rank:05}"


def organisation(number: int) -> str:
    return f"org-{number:03}"


def user_name(number: int) -> str:
    return f"user-{number:05}"


class Shape:
    """Makes the rows. `now` is the newest time in them."""

    def __init__(self, scale: Scale, now: float, seed: int = 1) -> None:
        self._scale, self._now, self._seed = scale, now, seed
        self._random = random.Random(seed)
        self._blobs = self._manifests = self._history = 0

    def rows(self) -> Iterator[Row]:
        """All rows, each after those that it refers to."""
        yield from self._people()
        stacks = []
        for _ in range(self._scale.stacks):
            stacks.append([self._blob() for _ in range(STACK)])
            yield from (self._blob_row(layer, self._now - AGE) for layer in stacks[-1])
        ranks = range(self._scale.repositories)
        images = (self._scale.blobs - self._blobs) / (OWN_LAYERS + 1.16)  # 0.16: the signatures
        share = images / sum(1 / (rank + 1) for rank in ranks)
        popularity = [1 / (number + 1) for number in range(len(stacks))]
        for rank in ranks:
            bases = self._random.choices(stacks, popularity, k=2)
            yield from self._repository(rank, max(1, round(share / (rank + 1))), bases)
        yield from self._uploads()
        yield from self._audit()

    def _people(self) -> Iterator[Row]:
        then = self._now - AGE
        groups = max(2, self._scale.users // 10)
        for number in range(1, groups + 1):
            yield "principals", (number, "group", f"group-{number:04}", "", False, then, "user:admin")
            pattern = f"{organisation(number % self._scale.organisations)}/team-{number % 7}/**"
            yield "grants", (number, number, "writer", pattern, then, "user:admin")
        for number in range(self._scale.users):
            id = groups + 1 + number
            name = user_name(number)
            yield "principals", (id, "user", name, "", False, then, "user:admin")
            yield "users", (id, "$argon2id$" + "x" * 80, then, "local")
            for group in {self._random.randint(1, groups) for _ in range(3)}:
                yield "group_members", (group, id, "local")
            yield "grants", (id, id, "reader", f"{organisation(number % 2)}/**", then, "user:admin")
            for which in range(4):
                hash = hashlib.sha256(f"{name}/{which}".encode()).hexdigest()
                yield (
                    "credentials",
                    (id * 4 + which, id, "personal", hash, "", False, "[]", "[]", then, None),
                )
        for number in range(0, self._scale.organisations, 10):
            yield "quotas", (organisation(number), 1 << 50, then, "user:admin")

    def _blob(self) -> Blob:
        self._blobs += 1
        digest = digest_of(f"{self._seed}/{self._blobs}".encode())
        part = int(digest[7:15], 16) / 2**32
        return Blob(self._blobs, digest, int(1024 * 2 ** (17 * part)))

    def _blob_row(self, blob: Blob, at: float) -> Row:
        encoded = blob.digest[7:]
        location = f"sha256/{encoded[:2]}/{encoded}/{encoded[:32]}"
        return "blobs", (blob.id, blob.digest, blob.size, location, at, at, None)

    def _repository(self, rank: int, images: int, bases: list[list[Blob]]) -> Iterator[Row]:
        """A repository that so many images were pushed to."""
        id, name = rank + 1, repository_name(self._scale, rank)
        created = self._now - AGE * self._random.random()
        yield "repositories", (id, name, created, f"{id:016x}", rank % 50 == 49)
        for layer in {layer.id for base in bases for layer in base}:
            yield "repository_blobs", (id, layer, created, None)
        tags: dict[str, tuple[int, float]] = {}
        by = f"user:{user_name(rank % self._scale.users)}"
        done = 0
        while done < images:
            at = created + (self._now - created) * done / images
            count = 2 if images - done > 1 and self._random.random() < 0.25 else 1
            done += count
            pushed: list[tuple[int, str, int]] = []
            for _ in range(count):
                yield from self._image(id, bases[self._random.random() < 0.2], by, at)
                pushed.append(self._last)
            if count > 1:
                yield from self._index(id, pushed, by, at)
            manifest, digest, _ = self._last
            moved = tags and self._random.random() < 0.375
            tag = self._random.choice(("latest", "main")) if moved else f"v{len(tags):06}"
            tags[tag] = manifest, at
            self._history += 1
            yield "tag_history", (self._history, id, tag, digest, at, by, True)
            if self._random.random() < 0.2:
                yield from self._signature(id, digest, by, at)
        for tag, (manifest, at) in tags.items():
            yield "tags", (id, tag, manifest, at)

    def _image(self, repository: int, base: list[Blob], by: str, at: float) -> Iterator[Row]:
        own = [self._blob() for _ in range(1 + OWN_LAYERS)]
        for blob in own:
            yield self._blob_row(blob, at)
            yield "repository_blobs", (repository, blob.id, at, None)
        layers = [*base, *own[1:]]
        yield from self._manifest(repository, IMAGE, manifest_document(own[0], layers), by, at)
        for blob in (own[0], *layers):
            yield "manifest_blobs", (self._manifests, repository, blob.id)

    def _index(
        self, repository: int, children: list[tuple[int, str, int]], by: str, at: float
    ) -> Iterator[Row]:
        yield from self._manifest(repository, IMAGE_INDEX, index_document(children), by, at)
        for _, digest, _ in children:
            yield "manifest_children", (self._manifests, digest)

    def _signature(self, repository: int, subject: str, by: str, at: float) -> Iterator[Row]:
        layer = self._blob()
        yield self._blob_row(layer, at)
        yield "repository_blobs", (repository, layer.id, at, None)
        document = manifest_document(layer, [], artifactType=SIGNATURE, subject=descriptor(IMAGE, subject, 1))
        yield from self._manifest(repository, IMAGE, document, by, at, subject)
        yield "manifest_blobs", (self._manifests, repository, layer.id)

    def _manifest(
        self, repository: int, media_type: str, body: bytes, by: str, at: float, subject: str | None = None
    ) -> Iterator[Row]:
        self._manifests += 1
        digest = digest_of(body)
        self._last = self._manifests, digest, len(body)
        about = (None, None) if subject is None else (SIGNATURE, '{"dev.example": "signed"}')
        yield "manifests", (
            self._manifests, repository, digest, media_type, about[0], len(body), body, subject, about[1],
            by, at, at, True, True,
        )  # fmt: skip

    def _uploads(self) -> Iterator[Row]:
        """One of ten is running, the others are tombstones. None has expired."""
        for number in range(self._scale.uploads):
            name = repository_name(self._scale, self._random.randrange(self._scale.repositories))
            digest = digest_of(f"{self._seed}/upload/{number}".encode())
            finished = digest if number % 10 else None
            yield "uploads", (
                f"{number:08x}-0000-4000-8000-{number:012x}", name, "sha256", 1 << 20, '{"path": "staging"}',
                None, None, 0.0, finished, "user:ci", self._now, self._now + 7 * DAY,
            )  # fmt: skip

    def _audit(self) -> Iterator[Row]:
        """Pushes nearly all; few sign-ins that were refused, and fifty changes of rights."""
        seldom = self._scale.audit // 50
        for number in range(1, self._scale.audit + 1):
            at = self._now - AUDIT_AGE * (1 - number / self._scale.audit)
            chance = self._random.random()
            rank = int(self._scale.repositories ** self._random.random()) - 1
            actor = f"user:{user_name(rank % self._scale.users)}"
            action, result = "push", "allowed"
            target: str | None = repository_name(self._scale, rank)
            if number % seldom == 0:
                action, target = "grant.add", actor
            elif chance < 0.02:
                action, target, result = "sign-in", None, "refused"
            detail = f'{{"digest": "sha256:{number:064x}", "tags": ["latest"]}}'
            request = f"{number:032x}"
            yield "audit", (number, at, request, actor, "10.0.0.1", action, target, result, detail)


def manifest_document(config: Blob, layers: list[Blob], **more: object) -> bytes:
    """An image manifest."""
    document = {
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor(CONFIG, config.digest, config.size),
        "layers": [descriptor(LAYER, layer.digest, layer.size) for layer in layers],
        **more,
    }
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def index_document(children: list[tuple[int, str, int]]) -> bytes:
    """An image index of manifests: (id, digest, size in bytes)."""
    manifests = [descriptor(IMAGE, digest, size) for _, digest, size in children]
    document = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": manifests}
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def descriptor(media_type: str, digest: str, size: int) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": size}
