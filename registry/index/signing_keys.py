"""Signing keys: private keys of registry tokens, kept in the index so that all processes share them."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from registry.index import access
from registry.index.statements import Statement
from registry.index.tables import signing_keys


class SigningKeyRow(NamedTuple):
    """A key; `private_key` is PEM. From `retired_at` on it only verifies."""

    kid: str
    algorithm: str
    private_key: str
    created_at: float
    retired_at: float | None

    def __repr__(self) -> str:
        """Without the private key, lest a log has it."""
        return f"SigningKeyRow({self.kid!r}, {self.algorithm!r})"


ALL_KEYS = Statement(
    select(
        signing_keys.c.kid,
        signing_keys.c.algorithm,
        signing_keys.c.private_key,
        signing_keys.c.created_at,
        signing_keys.c.retired_at,
    ).order_by(signing_keys.c.created_at, signing_keys.c.kid)
)

ADD = Statement(insert(signing_keys))

RETIRE = Statement(
    update(signing_keys)
    .where(signing_keys.c.kid == bindparam("wanted"), signing_keys.c.retired_at.is_(None))
    .values(retired_at=bindparam("time"))
)

REMOVE = Statement(delete(signing_keys).where(signing_keys.c.kid == bindparam("wanted")))

REMOVE_RETIRED = Statement(delete(signing_keys).where(signing_keys.c.retired_at < bindparam("before")))


def all_keys(connection: Connection) -> Sequence[SigningKeyRow]:
    """All keys, the oldest first."""
    return [SigningKeyRow(*row) for row in ALL_KEYS.all(connection, {})]


def add(connection: Connection, kid: str, algorithm: str, private_key: str, created_at: float) -> None:
    """Enter a key."""
    values = {"kid": kid, "algorithm": algorithm, "private_key": private_key, "created_at": created_at}
    ADD.run(connection, values)
    access.bump(connection)


def retire(connection: Connection, kid: str, at: float) -> bool:
    """Let a key only verify from then on. False: it was retired already, or is gone."""
    return access.changed(connection, RETIRE.run(connection, {"wanted": kid, "time": at}))


def remove(connection: Connection, kid: str) -> bool:
    """Drop a key, and so all tokens that it signed. False: it was gone."""
    return access.changed(connection, REMOVE.run(connection, {"wanted": kid}))


def remove_retired(connection: Connection, before: float) -> int:
    """Drop the keys that were retired before then; how many."""
    removed = REMOVE_RETIRED.run(connection, {"before": before})
    if removed:
        access.bump(connection)
    return removed
