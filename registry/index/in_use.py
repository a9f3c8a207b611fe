"""Digests in use: what clusters run, as each of them says for a while."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, tuple_

from registry.index.statements import Statement
from registry.index.upkeep_tables import digests_in_use, jobs


class InUseRow(NamedTuple):
    """A digest of a repository, whether it is there or not. `reporter` is a name that whoever reports,
    `reported_by` (a principal as text), chose. It counts before `until`."""

    repository: str
    digest: str
    reporter: str
    reported_by: str
    reported_at: float
    until: float


Key = tuple[str, str, str, str]
"""Repository, digest, reporter, reported_by: the order of pages."""

IN_USE = select(*(digests_in_use.c[name] for name in InUseRow._fields))
KEY = tuple(digests_in_use.c[name] for name in InUseRow._fields[:4])

OF_REPOSITORY = Statement(
    select(digests_in_use.c.digest)
    .distinct()
    .where(digests_in_use.c.repository == bindparam("repository"), digests_in_use.c.until > bindparam("now"))
)

RECORD = Statement(insert(digests_in_use))

FORGET = Statement(
    delete(digests_in_use).where(
        digests_in_use.c.reporter == bindparam("name"), digests_in_use.c.reported_by == bindparam("principal")
    )
)

EXPIRE = Statement(delete(digests_in_use).where(digests_in_use.c.until <= bindparam("now")))

# Retention renews its job at the beginning of each transaction (jobs.keep): it waits for us, or we for it.
WAIT_FOR_RETENTION = Statement(select(jobs.c.fence).where(jobs.c.name == "retention").with_for_update())


def of_repository(connection: Connection, repository: str, now: float) -> frozenset[str]:
    """The digests of a repository that are in use."""
    rows = OF_REPOSITORY.all(connection, {"repository": repository, "now": now})
    return frozenset(digest for (digest,) in rows)


def replace(
    connection: Connection,
    reporter: str,
    reported_by: str,
    digests: Iterable[tuple[str, str]],
    now: float,
    until: float,
) -> None:
    """Enter what a reporter runs, as repositories with digests, in place of all that it said before. What
    retention decides from then on knows it."""
    WAIT_FOR_RETENTION.first(connection, {})
    FORGET.run(connection, {"name": reporter, "principal": reported_by})
    rows = [InUseRow(*one, reporter, reported_by, now, until) for one in sorted(set(digests))]
    RECORD.run_each(connection, [row._asdict() for row in rows])


def page(connection: Connection, last: Key | None, limit: int, now: float) -> Sequence[InUseRow]:
    """At most `limit` digests in use after the key `last`, by repository first."""
    statement = IN_USE.where(digests_in_use.c.until > now).order_by(*KEY).limit(limit)
    if last is not None:
        statement = statement.where(tuple_(*KEY) > tuple_(*last))
    return [InUseRow(*row) for row in connection.execute(statement)]


def expire(connection: Connection, now: float) -> int:
    """Forget what nobody has said again in time; how many."""
    return EXPIRE.run(connection, {"now": now})
