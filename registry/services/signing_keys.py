"""The keys that registry tokens are signed with: made on first use, kept in the index or given as files.

A new key is published for a while before it signs, and an old one verifies for as long as a token of its
may live: so keys rotate while everybody works, and whoever keeps a copy of the key set has time to see it.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from auth.actor import Actor
from auth.keys import PublicKey, SigningKey
from registry.index import Connection, Index, access, signing_keys
from registry.index.signing_keys import SigningKeyRow
from registry.services.audit import Audit, AuditRow

__all__ = ["SigningKeyRow", "SigningKeys"]

PUBLISHED_SECONDS = 60
"""How long a key is published before it signs, unless it is the only one."""

LEEWAY_SECONDS = 120
"""How long a retired key is kept beyond the life of its last token."""

LOOK_AGAIN_SECONDS = 1.0


class SigningKeys:
    """The keys as this process knows them. `token_seconds` is how long a token lives."""

    def __init__(self, index: Index, audit: Audit, *, algorithm: str, token_seconds: float) -> None:
        self._index = index
        self._audit = audit
        self._algorithm = algorithm
        self._token_seconds = token_seconds
        self._keys: dict[str, SigningKey] = {}
        self._rows: Sequence[SigningKeyRow] = ()
        self._fixed: Sequence[SigningKey] = ()
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()

    def use_files(self, paths: Sequence[Path]) -> None:
        """Take the keys from PEM files; the first signs. Raises ValueError, naming the file."""
        self._fixed = read_keys(paths)
        self._keys = {key.kid: key for key in self._fixed}

    async def signing(self) -> SigningKey:
        """The key to sign with now. Makes the first one."""
        if self._fixed:
            return self._fixed[0]
        if not self._rows or time.monotonic() - self._looked_at > LOOK_AGAIN_SECONDS:
            await self._load()  # another process may have dropped the key
        if not self._rows:
            await self._index.write(partial(add_first, key=SigningKey.generate(self._algorithm)))
            await self._load()
        now = time.time()
        active = [row for row in self._rows if row.retired_at is None or row.retired_at > now]
        known = [row for row in active if row.created_at <= now - PUBLISHED_SECONDS]
        chosen = max(known or active or self._rows, key=lambda row: row.created_at)
        return self._keys[chosen.kid]

    async def look_for(self, kid: str) -> None:
        """Have a key ready for `verifying`. The index is asked for an unknown one, which another process may
        have made a moment ago: once for all that are looked for at the same time."""
        asked_at = time.monotonic()
        if self._fixed or kid in self._keys:
            return
        async with self._looking:
            if not self._rows or self._looked_at < asked_at:
                await self._load()

    def verifying(self, kid: str) -> PublicKey | None:
        """A key of ours by its id, if it is known here."""
        found = self._keys.get(kid)
        return None if found is None else found.public

    async def published(self) -> Sequence[PublicKey]:
        """All keys that verify now, for the key set (RFC 7517)."""
        if self._fixed:
            return [key.public for key in self._fixed]
        await self.signing()
        await self._load()
        return [self._keys[row.kid].public for row in self._rows]

    async def all(self) -> Sequence[SigningKeyRow]:
        """The rows of the index, the oldest first; none when keys come from files."""
        return [] if self._fixed else await self._index.read(signing_keys.all_keys)

    async def rotate(self, actor: Actor, *, at_once: bool = False) -> str:
        """Make a new key and retire the others; the new one's id.

        `at_once` is for a key that somebody else may have: it is dropped, and all tokens are void.
        Raises ValueError when the keys come from files.
        """
        if self._fixed:
            raise ValueError(
                "the keys come from files: put a new file first in auth.key_files, keep the old one behind "
                "it for as long as its tokens live, and restart"
            )
        new = SigningKey.generate(self._algorithm)
        now = time.time()

        def change(connection: Connection) -> AuditRow:
            for row in signing_keys.all_keys(connection):
                if at_once:
                    signing_keys.remove(connection, row.kid)
                elif row.retired_at is None:
                    signing_keys.retire(connection, row.kid, now + PUBLISHED_SECONDS)
            signing_keys.remove_retired(connection, now - self._token_seconds - LEEWAY_SECONDS)
            signing_keys.add(connection, new.kid, new.algorithm, new.to_pem(), now)
            return self._audit.record(connection, actor, "key.rotate", new.kid, {"at_once": at_once})

        row = await self._index.write(change)
        self._audit.tell(row)
        await self._load()
        return new.kid

    def forget(self) -> None:
        """Something was changed in the index: keys may have been dropped."""
        if not self._fixed:
            self._rows, self._keys = (), {}

    async def _load(self) -> None:
        began = time.monotonic()
        rows = await self._index.read(signing_keys.all_keys)
        now = time.time()
        living = [row for row in rows if row.retired_at is None or row.retired_at > now - self._kept_seconds]
        known = self._keys
        self._keys = {
            row.kid: known[row.kid] if row.kid in known else SigningKey.from_pem(row.private_key)
            for row in living
        }
        self._rows = living
        self._looked_at = began

    @property
    def _kept_seconds(self) -> float:
        return self._token_seconds + LEEWAY_SECONDS


def add_first(connection: Connection, key: SigningKey) -> None:
    """Enter a key unless there is one: several processes may start at once, and all but one of them wait for
    that one here."""
    access.bump(connection)
    if not signing_keys.all_keys(connection):
        signing_keys.add(connection, key.kid, key.algorithm, key.to_pem(), time.time())


def read_keys(paths: Sequence[Path]) -> Sequence[SigningKey]:
    """Private keys from PEM files. Raises ValueError, naming the file."""
    keys = []
    for path in paths:
        try:
            keys.append(SigningKey.from_pem(path.read_text("ascii")))
        except OSError as error:
            raise ValueError(f"auth.key_files: can't read {path}: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"auth.key_files: {path}: {error}") from error
    return keys
