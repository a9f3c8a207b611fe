"""What a registry acknowledged to a client, and may therefore never lose.

A `Journal` holds for each thing the values that it may have: one, once its last change was acknowledged,
and both the old and the new one from the moment that a change is sent until its answer is read.
"""

import random
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from conformance.client import Client
from conformance.content import DOCKER_IMAGE, DOCKER_LIST, OCI_IMAGE, OCI_INDEX, digest_of

Key = tuple[str, str, str]
"""`blobs` or `manifests`, a repository, and a digest or a tag."""

Value = bytes | None
"""The bytes that a GET answers with; None: it answers 404."""

ANY_MANIFEST = {"Accept": ", ".join((OCI_IMAGE, OCI_INDEX, DOCKER_IMAGE, DOCKER_LIST))}


class Journal:
    """Facts of one client, which nobody else changes."""

    def __init__(self) -> None:
        self._possible: dict[Key, set[Value]] = {}
        self._unsettled: set[Key] = set()

    @contextmanager
    def changing(self, changes: Mapping[Key, Value]) -> Iterator[None]:
        """Send a change inside of the block, and leave it without an error only when it is acknowledged."""
        for key, value in changes.items():
            self._possible.setdefault(key, {None}).add(value)
            self._unsettled.add(key)
        yield
        for key, value in changes.items():
            self._possible[key] = {value}

    def value(self, key: Key) -> Value:
        """What is certainly there."""
        (value,) = self._possible.get(key, {None})
        return value

    def certain(self) -> dict[Key, Value]:
        """All that is not in doubt."""
        return {key: next(iter(values)) for key, values in self._possible.items() if len(values) == 1}

    def verify(self, client: Client, sample: int | None = None) -> int:
        """Pull everything, or what changed since it was pulled last and `sample` other things.

        Fails for what is not as it was acknowledged. Settles what was in doubt; returns how many were
        pulled.
        """
        settled = sorted(self._possible.keys() - self._unsettled)
        if sample is not None:
            settled = random.sample(settled, min(sample, len(settled)))
        keys = [*sorted(self._unsettled), *settled]
        for key in keys:
            value = pull(client, key)
            assert value in self._possible[key], (
                f"{key} is {describe(value)}; acknowledged: {[describe(one) for one in self._possible[key]]}"
            )
            self._possible[key] = {value}
            self._unsettled.discard(key)
        return len(keys)


def describe(value: Value) -> str:
    return "not there" if value is None else f"{len(value)} bytes, {digest_of(value)}"


def pull(client: Client, key: Key) -> Value:
    """What the registry has now. Fails for any answer but 200 and 404, and for a digest that is not told
    right."""
    kind, repository, reference = key
    answer = client.request("GET", f"/v2/{repository}/{kind}/{reference}", headers=ANY_MANIFEST)
    if answer.status == 404:
        return None
    assert answer.status == 200, f"GET {key}: {answer}"
    told = answer.header("Docker-Content-Digest") or ""
    assert digest_of(answer.body, told.partition(":")[0]) == told
    return answer.body


def audit(data: Path) -> int:
    """Compare the index with the bytes on the disk: no row may point to bytes that are not there.

    Returns the number of blobs. Works beside a running registry that takes no pushes meanwhile.
    """
    with closing(sqlite3.connect(data / "index.sqlite", timeout=30)) as index:
        assert index.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert index.execute("PRAGMA foreign_key_check").fetchall() == []
        rows = index.execute("SELECT digest, size, location FROM blobs").fetchall()
        for digest, size, location in rows:
            content = (data / "storage" / location).read_bytes()
            assert len(content) == size, f"{location} has {len(content)} bytes, the index says {size}"
            assert digest_of(content, digest.partition(":")[0]) == digest, f"{location} is damaged"
        for digest, size, body in index.execute("SELECT digest, size, body FROM manifests"):
            assert (len(body), digest_of(body, digest.partition(":")[0])) == (size, digest)
        for state, offset in index.execute("SELECT state, offset FROM uploads WHERE finished IS NULL"):
            check_staged(index, data, state, offset)
        return len(rows)


def check_staged(index: sqlite3.Connection, data: Path, state: str, offset: int) -> None:
    """The bytes of a running session are staged, or are an object already that no row knows."""
    (token,) = index.execute("SELECT json_extract(?, '$.token')", (state,)).fetchone()
    kept = [data / "storage" / "staging" / token, *(data / "storage" / "blobs").glob(f"*/*/*.{token}")]
    sizes = [path.stat().st_size for path in kept if path.exists()]
    assert not offset or max(sizes, default=0) >= offset, f"of {offset} staged bytes there are {sizes}"
