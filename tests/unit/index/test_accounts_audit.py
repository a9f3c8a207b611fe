"""The audit: what is entered is found again, by every filter, the newest first."""

from collections.abc import Mapping
from functools import partial

import pytest

from registry.index import Connection, Index, audit
from registry.index.audit import AuditRow


def entry(
    at: float,
    actor: str = "user:alice",
    action: str = "push",
    target: str | None = "acme/app",
    result: str = "allowed",
    detail: Mapping[str, object] | None = None,
) -> AuditRow:
    return AuditRow(0, at, "req-1", actor, "10.0.0.1", action, target, result, detail or {})


ENTRIES = [
    entry(10.0, detail={"digest": "sha256:0", "tags": ["v1"], "count": 2}),
    entry(20.0, actor="robot:ci"),
    entry(20.0, action="delete", result="refused"),
    entry(30.0, action="sign-in", target=None),
    entry(25.0, target="acme/other"),
]
NEWEST_FIRST = [3, 4, 2, 1, 0]
"""Positions in ENTRIES: by time, and of one time what was entered last."""


async def test_an_entry_is_found_as_it_was_made(index: Index) -> None:
    await index.write(partial(audit.record, rows=ENTRIES))

    found = await index.read(partial(audit.page, limit=10))

    assert [row._replace(id=0) for row in found] == [ENTRIES[position] for position in NEWEST_FIRST]
    assert len({row.id for row in found}) == len(ENTRIES)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"since": 20.0}, [3, 4, 2, 1]),
        ({"until": 20.0}, [0]),
        ({"since": 20.0, "until": 30.0}, [4, 2, 1]),
        ({"actor": "robot:ci"}, [1]),
        ({"actor": "robot"}, []),
        ({"action": "push"}, [4, 1, 0]),
        ({"target": "acme/app"}, [2, 1, 0]),
        ({"result": "refused"}, [2]),
        ({"actor": "user:alice", "target": "acme/app", "since": 15.0}, [2]),
        ({"limit": 2}, [3, 4]),
    ],
)
async def test_filters(index: Index, wanted: Mapping[str, object], expected: list[int]) -> None:
    await index.write(partial(audit.record, rows=ENTRIES))

    found = await index.read(partial(audit.page, **{"limit": 10, **wanted}))  # type: ignore[arg-type]

    assert [row._replace(id=0) for row in found] == [ENTRIES[position] for position in expected]


@pytest.mark.parametrize("wanted", [{}, {"actor": "user:alice"}, {"action": "push"}])
async def test_pages_have_everything_once(index: Index, wanted: dict[str, str]) -> None:
    await index.write(partial(audit.record, rows=ENTRIES))
    whole = await index.read(partial(audit.page, limit=10, **wanted))  # type: ignore[arg-type]

    def walk(connection: Connection) -> list[AuditRow]:
        seen: list[AuditRow] = []
        while page := audit.page(connection, before=seen[-1].id if seen else None, limit=1, **wanted):  # type: ignore[arg-type]
            seen += page
        return seen

    assert len(whole) >= 3
    assert await index.read(walk) == list(whole)


async def test_old_entries_are_removed_the_oldest_first(index: Index) -> None:
    await index.write(partial(audit.record, rows=ENTRIES))
    whole = await index.read(partial(audit.page, limit=10))

    assert await index.write(partial(audit.remove_before, at=25.0, limit=2)) == 2
    assert [row.at for row in await index.read(partial(audit.page, limit=10))] == [30.0, 25.0, 20.0]
    assert await index.write(partial(audit.remove_before, at=25.0, limit=2)) == 1
    assert await index.write(partial(audit.remove_before, at=25.0, limit=2)) == 0
    assert await index.read(partial(audit.page, before=whole[-1].id, limit=10)) == []


async def test_an_id_is_not_given_again(index: Index) -> None:
    """Whoever pages would otherwise go on at the wrong entry."""
    given = []
    for _ in range(2):
        await index.write(partial(audit.record, rows=[entry(1.0)]))
        (row,) = await index.read(partial(audit.page, limit=10))
        await index.write(partial(audit.remove_before, at=2.0, limit=10))
        given.append(row.id)

    assert given[0] < given[1]


@pytest.mark.parametrize("text", ["a\0b", "a\udc80b", "ü" * 5000, "💥" * 600, "\\x00"])
async def test_a_text_that_a_database_would_refuse_stops_no_entry(index: Index, text: str) -> None:
    """Names come from clients, and one entry that can't be written would keep those behind it back."""
    hostile = AuditRow(0, 5.0, text, text, text, text, text, "refused", {"reason": text})

    await index.write(partial(audit.record, rows=[hostile, entry(6.0)]))

    ordinary, row = await index.read(partial(audit.page, limit=10))
    assert ordinary.at == 6.0
    assert row.actor == row.target == audit.storable(text)
    assert 0 < len(row.actor) <= audit.LONGEST_TEXT
    assert "\0" not in row.actor, "PostgreSQL refuses it"
    assert row.detail == {"reason": text}
    assert [found.at for found in await index.read(partial(audit.page, actor=text, limit=10))] == [5.0]
