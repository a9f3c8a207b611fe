"""OCI image layouts as a place where images go: a folder, which may become a tar file."""

import asyncio
import io
import json
import os
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest, Hash, digest_from_hash, new_hash
from registry.oci.media_types import OCI_INDEX
from registry.transfer.content import Content, Moved, Read
from registry.transfer.errors import Damaged, TransferError
from registry.transfer.layout import IMAGE_NAME, INDEX, MARK, REFERENCE_NAME, blob_name
from registry.transfer.uploads import chunks

WRITE_BYTES = 4 * 1024 * 1024


class LayoutTarget:
    """A folder, made if need be. What another export left in it stays, and is not fetched again.

    `host` is what the names of images begin with. With `anew` the index begins empty, and `names` tells the
    files that this export needs: blobs of another one may lie there. A blob that is not whole lies in a file
    ending with `.partial`. The layout's index is replaced in one step, after what it lists is there.
    """

    def __init__(self, folder: Path, host: str, *, anew: bool = False) -> None:
        """Raises TransferError."""
        self.folder = folder
        self.names = {MARK, INDEX}
        self._host = host
        try:
            if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).exists():
                raise TransferError(f"{folder} holds something else than an image layout")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / MARK).write_text('{"imageLayoutVersion": "1.0.0"}')
            self._listed = [] if anew else listed(folder / INDEX)
        except OSError as error:
            raise TransferError(f"{folder} can't be written: {error.strerror}") from error

    async def digest(self, repository: str, tag: str) -> Digest | None:
        """See Target.digest; no manifest is said to be here, so all tags are put."""
        return None

    async def has_manifest(self, repository: str, digest: Digest) -> bool:
        """See Target.has_manifest: somebody may have taken blobs away, so that is always looked for."""
        return False

    async def has_blob(self, repository: str, blob: Descriptor) -> bool:
        """See Target.has_blob: read, and compared with its digest."""
        self.names.add(blob_name(blob.digest))
        return await asyncio.to_thread(self._is_whole, blob)

    async def mount(self, repository: str, blob: Descriptor, origin: str) -> bool:
        """See Target.mount; a layout knows no repositories."""
        return False

    async def put_blob(self, repository: str, blob: Descriptor, read: Read, moved: Moved) -> None:
        """See Target.put_blob."""
        path = self.folder / blob_name(blob.digest)
        partial = path.with_name(f"{path.name}.partial")
        seen = await asyncio.to_thread(_prepare, partial, blob)
        have = partial.stat().st_size if partial.exists() else 0
        moved(have)
        try:
            with partial.open("ab") as file:
                if have < blob.size:
                    async with aclosing(chunks(read(have), WRITE_BYTES)) as runs:
                        async for chunk in runs:
                            await asyncio.to_thread(file.write, chunk)
                            await asyncio.to_thread(seen.update, chunk)
                            have += len(chunk)
                            if have > blob.size:
                                break
                            moved(have)
                await asyncio.to_thread(sync, file)
        except OSError as error:
            raise TransferError(f"{partial} can't be written: {error.strerror}") from error
        found = digest_from_hash(seen, blob.digest.algorithm)
        if have != blob.size or found != blob.digest:
            partial.unlink()
            raise Damaged(
                f"the blob {blob.digest} came damaged: {have} bytes of {blob.size}, with the digest {found}"
            )
        partial.replace(path)

    async def put_manifest(
        self, repository: str, content: Content, tags: Sequence[str], *, root: bool
    ) -> None:
        """See Target.put_manifest. What has a tag or a subject, and what no index lists, enters the layout's
        own index; a name that was there moves."""
        self.names.add(blob_name(content.digest))
        await asyncio.to_thread(self._write, content)
        own = Descriptor(content.manifest.media_type, content.digest, len(content.data)).as_json()
        if content.manifest.artifact_type is not None and content.manifest.subject is not None:
            own["artifactType"] = content.manifest.artifact_type
        entries: list[dict[str, Any]] = [
            {**own, "annotations": {REFERENCE_NAME: tag, IMAGE_NAME: f"{self._host}/{repository}:{tag}"}}
            for tag in tags
        ]
        if not tags and (root or content.manifest.subject is not None):
            entries = [own]
        for entry in entries:
            self._listed = [other for other in self._listed if not _same(other, entry)]
            self._listed.append(entry)
        if entries:
            document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self._listed}
            await asyncio.to_thread(_replace, self.folder / INDEX, json.dumps(document, indent=2).encode())

    def _write(self, content: Content) -> None:
        path = self.folder / blob_name(content.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, content.data)

    def _is_whole(self, blob: Descriptor) -> bool:
        path = self.folder / blob_name(blob.digest)
        if not path.is_file() or path.stat().st_size != blob.size:
            return False
        seen = new_hash(blob.digest.algorithm)
        _feed(path, seen)
        return digest_from_hash(seen, blob.digest.algorithm) == blob.digest


def _prepare(partial: Path, blob: Descriptor) -> Hash:
    """What came at an earlier time is read again; more than the blob has is nothing to go on with."""
    seen = new_hash(blob.digest.algorithm)
    partial.parent.mkdir(parents=True, exist_ok=True)
    if partial.exists():
        if partial.stat().st_size > blob.size:
            partial.unlink()
        else:
            _feed(partial, seen)
    return seen


def _feed(path: Path, seen: Hash) -> None:
    with path.open("rb") as file:
        while data := file.read(WRITE_BYTES):
            seen.update(data)


def sync(file: io.BufferedWriter) -> None:
    file.flush()
    os.fsync(file.fileno())


def _replace(path: Path, data: bytes) -> None:
    """In one step. Raises TransferError."""
    temporary = path.with_name(f"{path.name}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            sync(file)
        temporary.replace(path)
    except OSError as error:
        raise TransferError(f"{path} can't be written: {error.strerror}") from error


def listed(path: Path) -> list[dict[str, Any]]:
    """What a layout's index lists. Raises TransferError."""
    if not path.exists():
        return []
    try:
        entries = json.loads(path.read_bytes())["manifests"]
    except (ValueError, KeyError, TypeError) as error:
        raise TransferError(f"{path} is damaged") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise TransferError(f"{path} is damaged")
    return entries


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether both have one name; without names, whether they are one manifest."""
    names = [(entry.get("annotations") or {}) for entry in (one, other)]
    known = [(own.get(IMAGE_NAME), own.get(REFERENCE_NAME)) for own in names]
    if known[0] != known[1]:
        return False
    return known[0] != (None, None) or one.get("digest") == other.get("digest")
