"""Uploading one blob to a registry, in chunks that can be sent again, and from where it was broken off."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

from yarl import URL

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Hash, digest_from_hash, new_hash
from registry.transfer.client import Answer, Client, refusal
from registry.transfer.content import Moved, Pieces, Read
from registry.transfer.errors import Damaged, Interrupted, TransferError
from registry.transfer.sessions import Sessions

CHUNK_BYTES = 8 * 1024 * 1024
"""What is held in memory of a blob: a chunk is sent whole, again if need be."""

OCTETS = {"Content-Type": "application/octet-stream"}
_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")


class Session(NamedTuple):
    """An upload at a registry: its address for the next request, and how many bytes are there."""

    location: URL
    offset: int


class _Stale(Exception):
    """What an earlier attempt sent can't be gone on with: begin anew."""


class Uploads:
    """Uploads to one registry. `sessions` outlive this process."""

    def __init__(self, client: Client, sessions: Sessions, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._client = client
        self._sessions = sessions
        self._chunk = chunk_bytes

    async def has(self, repository: str, digest: str) -> bool:
        """Whether a repository holds a blob. Raises TransferError."""
        answer = await self._client.request("HEAD", self._url(repository, digest), repository)
        if answer.status not in (200, 404):
            raise refusal(self._client.name, answer.status, answer.body)
        return answer.status == 200

    async def mount(self, repository: str, digest: str, origin: str) -> bool:
        """Link a blob of another repository. Raises TransferError. Where it can't be had, the session that
        the registry begins in its place is kept for `put`."""
        url = self._url(repository, "uploads/").with_query({"mount": digest, "from": origin})
        answer = await self._client.request("POST", url, repository)
        if answer.status == 201:
            return True
        if answer.status == 202:
            self._keep(repository, digest, self._session(answer, 0))
            return False
        if answer.status in (401, 403, 404):
            return False  # who may not read there may still push here
        raise refusal(self._client.name, answer.status, answer.body)

    async def put(self, repository: str, blob: Descriptor, read: Read, moved: Moved) -> None:
        """Upload a blob. Raises Damaged for a source whose bytes have another digest, else TransferError."""
        attempt, reached = 0, 0
        while True:
            attempt += 1
            try:
                session = await self._resumed(repository, blob)
                if session is None:
                    session = await self._begun(repository, blob)
                if session.offset > reached:
                    attempt, reached = 1, session.offset
                await self._send(repository, blob, session, read, moved)
            except _Stale:
                await self._drop(repository, blob)
                if await self.has(repository, blob.digest):  # the upload had ended, and its answer was lost
                    break
                if attempt >= self._client.patience.attempts:
                    raise TransferError(f"{self._client.name} does not take the blob {blob.digest}") from None
            except Interrupted as problem:
                await self._client.patience.wait(attempt, problem)
                if await self.has(repository, blob.digest):  # only the answer was lost
                    break
            except Damaged:
                await self._drop(repository, blob)
                raise
            else:
                break
        self._sessions.forget(self._client.server, repository, blob.digest)

    async def _send(
        self, repository: str, blob: Descriptor, session: Session, read: Read, moved: Moved
    ) -> None:
        begun = session.offset
        seen = new_hash(blob.digest.algorithm) if begun == 0 else None
        moved(begun)
        read_bytes = begun
        rest = read(begun) if begun < blob.size else _nothing()
        async with aclosing(chunks(rest, self._chunk)) as runs:
            async for chunk in runs:
                read_bytes += len(chunk)
                if seen is not None:
                    await asyncio.to_thread(seen.update, chunk)
                if read_bytes >= blob.size:
                    _compare(blob, read_bytes, seen)
                if read_bytes == blob.size == len(chunk):
                    await self._finish(repository, blob, session, bytes(chunk), begun)
                    moved(blob.size)
                    return
                session = await self._append(repository, blob, session, bytes(chunk))
                moved(session.offset)
        _compare(blob, read_bytes, seen)
        await self._finish(repository, blob, session, b"", begun)

    async def _resumed(self, repository: str, blob: Descriptor) -> Session | None:
        kept = self._sessions.find(self._client.server, repository, blob.digest)
        if kept is None:
            return None
        location = URL(kept, encoded=True)
        answer = await self._client.request("GET", location, repository, patient=False)
        if answer.status != 204:
            return None
        session = self._session(answer, 0, location)
        return session if session.offset <= blob.size else None

    async def _begun(self, repository: str, blob: Descriptor) -> Session:
        url = self._url(repository, "uploads/")
        answer = await self._client.request("POST", url, repository, patient=False)
        if answer.status != 202:
            raise refusal(self._client.name, answer.status, answer.body)
        session = self._session(answer, 0)
        self._chunk = max(self._chunk, _least(answer))
        if blob.size > self._chunk:
            self._keep(repository, blob.digest, session)
        return session._replace(offset=0)

    async def _append(self, repository: str, blob: Descriptor, session: Session, chunk: bytes) -> Session:
        following = session.offset + len(chunk)
        headers = {**OCTETS, "Content-Range": f"{session.offset}-{following - 1}"}
        answer = await self._client.request(
            "PATCH", session.location, repository, headers, chunk, patient=False
        )
        if answer.status in (404, 416):
            raise _Stale
        if answer.status not in (202, 204):
            raise refusal(self._client.name, answer.status, answer.body)
        told = self._session(answer, following)
        if told.offset != following:
            raise _Stale
        self._keep(repository, blob.digest, told)
        return told

    async def _finish(
        self, repository: str, blob: Descriptor, session: Session, body: bytes, begun: int
    ) -> None:
        """`begun` is where this attempt began: who did not read all can't know which bytes are wrong."""
        mark = "&" if session.location.raw_query_string else "?"
        url = URL(f"{session.location}{mark}digest={blob.digest}", encoded=True)
        answer = await self._client.request("PUT", url, repository, OCTETS, body, patient=False)
        if answer.status == 201:
            return
        if answer.status in (404, 416) or (answer.status == 400 and begun):
            raise _Stale
        raise refusal(self._client.name, answer.status, answer.body)

    async def _drop(self, repository: str, blob: Descriptor) -> None:
        kept = self._sessions.find(self._client.server, repository, blob.digest)
        self._sessions.forget(self._client.server, repository, blob.digest)
        if kept is not None:
            await self._client.request("DELETE", URL(kept, encoded=True), repository)

    def _keep(self, repository: str, digest: str, session: Session) -> None:
        self._sessions.keep(self._client.server, repository, digest, str(session.location))

    def _session(self, answer: Answer, at_least: int, known: URL | None = None) -> Session:
        """Where a session stands. A Range of `0-0` stands for nothing as well as for one byte: it counts as
        nothing, and a registry that has the byte says so when more comes."""
        location = answer.headers.get("Location")
        if location is None and known is None:
            raise TransferError(f"{self._client.name} does not say where its upload goes on")
        url = answer.url.join(URL(location, encoded=True)) if location is not None else known
        assert url is not None
        found = _RANGE.fullmatch(answer.headers.get("Range", ""))
        offset = at_least if found is None else int(found[1]) + 1
        return Session(url, 0 if offset == 1 and at_least != 1 else offset)

    def _url(self, repository: str, rest: str) -> URL:
        return self._client.url(f"/v2/{repository}/blobs/{rest}")


async def chunks(pieces: Pieces, size: int) -> AsyncGenerator[bytearray, None]:
    """The same bytes in runs of `size`, the last one shorter; none for nothing."""
    run = bytearray()
    async with aclosing(pieces):
        async for piece in pieces:
            view = memoryview(piece)
            while len(run) + len(view) >= size:
                room = size - len(run)
                run += view[:room]
                yield run
                run, view = bytearray(), view[room:]
            run += view
    if run:
        yield run


def _compare(blob: Descriptor, size: int, seen: Hash | None) -> None:
    """Before the registry is told that this is all. Raises Damaged."""
    if size != blob.size:
        raise Damaged(
            f"the source's blob {blob.digest} is damaged: it should have {blob.size} bytes, and has {size}"
        )
    if seen is not None and (digest := digest_from_hash(seen, blob.digest.algorithm)) != blob.digest:
        raise Damaged(f"the source's blob {blob.digest} is damaged: its bytes have the digest {digest}")


def _least(answer: Answer) -> int:
    field = answer.headers.get("OCI-Chunk-Min-Length", "")
    return int(field) if field.isdecimal() and len(field) < 10 else 0


async def _nothing() -> Pieces:
    return
    yield b""
