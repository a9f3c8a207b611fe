"""Failed sign-ins, by account and by address: see auth.throttle."""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, case, delete, select

from auth.throttle import FORGET_SECONDS, Failures
from registry.index.statements import Statement
from registry.index.tables import sign_in_failures

# Written in one statement, so that failures at the same time count each. Also see throttle.after_failure.
NOTE = Statement(
    lambda insert: insert(sign_in_failures).on_conflict_do_update(
        index_elements=[sign_in_failures.c.key],
        set_={
            "count": case(
                (
                    insert(sign_in_failures).excluded.last_at - sign_in_failures.c.last_at >= FORGET_SECONDS,
                    1,
                ),
                else_=sign_in_failures.c.count + 1,
            ),
            "last_at": insert(sign_in_failures).excluded.last_at,
        },
    )
)

REMOVE_BEFORE = Statement(delete(sign_in_failures).where(sign_in_failures.c.last_at < bindparam("time")))


def find(connection: Connection, keys: Iterable[str]) -> dict[str, Failures]:
    """The failures of those of these keys that have some. A key is `account:NAME` or `address:ADDRESS`."""
    statement = select(sign_in_failures.c.key, sign_in_failures.c.count, sign_in_failures.c.last_at).where(
        sign_in_failures.c.key.in_(list(keys))
    )
    return {key: Failures(count, last_at) for key, count, last_at in connection.execute(statement)}


def note(connection: Connection, key: str, now: float) -> None:
    """Count one more failure, the first one when the last was long ago."""
    NOTE.run(connection, {"key": key, "count": 1, "last_at": now})


def clear(connection: Connection, keys: Iterable[str]) -> None:
    """Forget the failures of these keys."""
    connection.execute(delete(sign_in_failures).where(sign_in_failures.c.key.in_(list(keys))))


def remove_before(connection: Connection, at: float) -> int:
    """Forget all whose last failure was before then; how many."""
    return REMOVE_BEFORE.run(connection, {"time": at})
