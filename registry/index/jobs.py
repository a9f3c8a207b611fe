"""Jobs: work in the background that one process does at a time. Who holds one, and how it went.

Each holder has a number of its own, the fence. Whoever lost a job without noticing, because he was paused or
cut off, has an older one, and changes nothing any more.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, or_, select, update

from registry.index.statements import Row, Statement
from registry.index.upkeep_tables import jobs


class JobRow(NamedTuple):
    """A job. `holder` is None when nobody does it; with a `held_until` in the future nobody should before.

    `state` is where the work goes on, `report` what the last one that finished says of itself.
    """

    name: str
    holder: str | None
    fence: int
    held_until: float
    state: Mapping[str, Any]
    started_at: float | None
    finished_at: float | None
    report: Mapping[str, Any] | None


JOB = (
    jobs.c.name,
    jobs.c.holder,
    jobs.c.fence,
    jobs.c.held_until,
    jobs.c.state,
    jobs.c.started_at,
    jobs.c.finished_at,
    jobs.c.report,
)

TAKE = Statement(
    lambda insert: (
        insert(jobs)
        .on_conflict_do_update(
            index_elements=[jobs.c.name],
            set_={
                "holder": insert(jobs).excluded.holder,
                "fence": jobs.c.fence + 1,
                "held_until": insert(jobs).excluded.held_until,
                "started_at": insert(jobs).excluded.started_at,
            },
            where=or_(jobs.c.holder.is_(None), jobs.c.held_until <= bindparam("now"))
            & or_(
                jobs.c.finished_at.is_(None),
                jobs.c.finished_at <= bindparam("finished_before"),
                jobs.c.finished_at > insert(jobs).excluded.held_until,  # by a clock that was wrong
            ),
        )
        .returning(*JOB)
    )
)

OURS = (jobs.c.name == bindparam("job"), jobs.c.fence == bindparam("ours"), jobs.c.holder.is_not(None))

KEEP = Statement(update(jobs).where(*OURS).values(held_until=bindparam("until")))

SAVE = Statement(update(jobs).where(*OURS).values(state=bindparam("saved")))

FINISH = Statement(
    update(jobs)
    .where(*OURS)
    .values(
        holder=None,
        held_until=bindparam("time"),
        finished_at=bindparam("time"),
        report=bindparam("told"),
        state=None,
    )
)

RELEASE = Statement(update(jobs).where(*OURS).values(holder=None, held_until=bindparam("until")))

POSTPONE = Statement(
    lambda insert: insert(jobs).on_conflict_do_update(
        index_elements=[jobs.c.name], set_={"held_until": insert(jobs).excluded.held_until}
    )
)

LEAVE = Statement(
    lambda insert: insert(jobs).on_conflict_do_update(
        index_elements=[jobs.c.name], set_={"state": insert(jobs).excluded.state}
    )
)

ALL = Statement(select(*JOB).order_by(jobs.c.name))
GET = Statement(select(*JOB).where(jobs.c.name == bindparam("job")))


def take(
    connection: Connection, name: str, holder: str, now: float, until: float, finished_before: float
) -> JobRow | None:
    """Make a job the holder's until then, unless somebody else has it, or it finished since
    `finished_before`: None."""
    values = {
        "name": name,
        "holder": holder,
        "fence": 1,
        "held_until": until,
        "started_at": now,
        "now": now,
        "finished_before": finished_before,
    }
    row = TAKE.first(connection, values)
    return None if row is None else job_row(row)


def keep(connection: Connection, name: str, fence: int, until: float) -> bool:
    """Hold on to a job. False: it is somebody else's, and so are its changes. True: nobody else gets it
    before this transaction has ended."""
    return KEEP.run(connection, {"job": name, "ours": fence, "until": until}) > 0


def save(connection: Connection, name: str, fence: int, state: Mapping[str, Any]) -> None:
    """Note where the work goes on."""
    SAVE.run(connection, {"job": name, "ours": fence, "saved": json.dumps(dict(state))})


def finish(connection: Connection, name: str, fence: int, report: Mapping[str, Any], now: float) -> bool:
    """End a job that is done. False: it is somebody else's."""
    values = {"job": name, "ours": fence, "told": json.dumps(dict(report)), "time": now}
    return FINISH.run(connection, values) > 0


def release(connection: Connection, name: str, fence: int, until: float) -> bool:
    """Let go of a job that is not done; before `until` it is not for those who only do what is due."""
    return RELEASE.run(connection, {"job": name, "ours": fence, "until": until}) > 0


def get(connection: Connection, name: str) -> JobRow | None:
    """A job that was held at least once."""
    row = GET.first(connection, {"job": name})
    return None if row is None else job_row(row)


def everything(connection: Connection) -> Sequence[JobRow]:
    """All jobs that were held at least once, by name."""
    return [job_row(row) for row in ALL.all(connection, {})]


def job_row(row: Row) -> JobRow:
    values = JobRow(*row)
    report = None if values.report is None else json.loads(str(values.report))
    return values._replace(state=json.loads(str(values.state or "{}")), report=report)


def postpone(connection: Connection, name: str, until: float) -> None:
    """Have a job that nobody holds due not before then; whoever asks for it gets it."""
    POSTPONE.run(connection, {"name": name, "fence": 0, "held_until": until})


def leave(connection: Connection, name: str, state: Mapping[str, Any]) -> None:
    """Leave something to do to whoever takes a job next."""
    LEAVE.run(connection, {"name": name, "fence": 0, "held_until": 0.0, "state": json.dumps(dict(state))})
