"""Replaying the journal: what it tells is entered again, in the order in which it happened.

A batch that lies in two objects, because these were merged, is replayed once; one that is replayed twice does
no harm.
"""

import base64
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from registry.index import Connection, blobs, rebuilding
from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, ManifestInvalid
from registry.oci.manifest import Manifest, parse_manifest
from registry.services.manifest_entries import NewManifest, enter


class CanNotBe(Exception):
    """A manifest can't be brought back; the message says why."""


def after(lines: Iterable[Mapping[str, Any]], at: float) -> Iterator[Mapping[str, Any]]:
    """The lines of batches later than that."""
    wanted = False
    for line in lines:
        if "batch" in line:
            wanted = line["batch"] > at
        if wanted:
            yield line


class Replay:
    """Enters what lines of the journal tell. What was deleted since `kept_since` can be restored then.

    `lost`: why a manifest could not be brought back, by the uid of its repository and its digest.
    `repositories`: the ids of repositories by uid, `names`: their names by id.
    """

    def __init__(self, kept_since: float) -> None:
        self._kept_since = kept_since
        self.lost: dict[tuple[str, str], str] = {}
        self.repositories: dict[str, int] = {}
        self.names: dict[int, str] = {}

    def apply(self, connection: Connection, lines: Iterable[Mapping[str, Any]]) -> Counter[str]:
        """Enter some lines; what was entered, by kind. It may run again, if its transaction is undone."""
        counts: Counter[str] = Counter()
        for line in lines:
            if "repository" in line:
                repository_id = rebuilding.enter_repository(connection, line)
                self.repositories[line["repository"]] = repository_id
                self.names[repository_id] = line["name"]
            elif "removed" in line:
                counts["removals"] += self._remove(connection, line)
            elif "manifest" in line:
                counts["manifests"] += self._enter_manifest(connection, line)
            elif "tag" in line:
                counts["history"] += self._enter_history(connection, line)
        return counts

    def _repository(self, connection: Connection, uid: str) -> int | None:
        if uid not in self.repositories:
            found = rebuilding.repository_of(connection, uid)
            if found is None:
                return None
            self.repositories[uid] = found
        return self.repositories[uid]

    def _remove(self, connection: Connection, line: Mapping[str, Any]) -> bool:
        uid, digest = line["removed"], line["digest"]
        keep = line["at"] >= self._kept_since
        if digest is None:
            self.repositories.pop(uid, None)
            for key in [key for key in self.lost if key[0] == uid]:
                del self.lost[key]
            return rebuilding.remove_repository(connection, uid, line, keep=keep)
        self.lost.pop((uid, digest), None)
        repository_id = self._repository(connection, uid)
        if repository_id is None:
            return False
        return rebuilding.remove_manifest(connection, repository_id, uid, line, keep=keep)

    def _enter_manifest(self, connection: Connection, line: Mapping[str, Any]) -> bool:
        key = (line["manifest"], line["digest"])
        repository_id = self._repository(connection, line["manifest"])
        if repository_id is None:
            self.lost[key] = "its repository is not in the journal"
            return False
        try:
            _enter(connection, repository_id, line)
        except (CanNotBe, ManifestInvalid, DigestInvalid) as error:
            self.lost[key] = str(error)
            return False
        self.lost.pop(key, None)
        return True

    def _enter_history(self, connection: Connection, line: Mapping[str, Any]) -> bool:
        repository_id = self._repository(connection, line["tag"])
        return repository_id is not None and rebuilding.enter_history(connection, repository_id, line)


def _enter(connection: Connection, repository_id: int, line: Mapping[str, Any]) -> None:
    body = base64.b64decode(line["body"])
    digest = Digest.parse(line["digest"])
    if Digest.of(body, digest.algorithm) != digest:
        raise CanNotBe("its bytes in the journal are wrong")
    manifest = parse_manifest(body, line["media_type"])
    # What was not there when it came stays out of reach: the repository may not read it.
    missing = set(line["missing"])
    found = rebuilding.blob_ids(connection, cited(manifest) - missing)
    lacking = {blob.digest for blob in manifest.required_blobs} - found.keys() - missing
    if lacking:
        raise CanNotBe(f"it needs blobs that are not in the storage: {', '.join(sorted(lacking))}")
    now = time.time()
    for blob_id in sorted(found.values()):
        blobs.link(connection, repository_id, blob_id, now)
    new = NewManifest(digest, body, manifest, line["pushed_by"], line["pushed_at"])
    manifest_id, _ = enter(connection, repository_id, new, sparse=True)
    rebuilding.settle(connection, manifest_id, found)


def cited(manifest: Manifest) -> set[str]:
    """The digests of all content that a manifest names."""
    return {descriptor.digest for descriptor in (*manifest.blobs, *manifest.children)}
