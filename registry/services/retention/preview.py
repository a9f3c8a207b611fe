"""What retention would do now: a verdict for each tag, and the bytes that would come free."""

import re
import time
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from threading import Lock
from typing import NamedTuple

from auth.patterns import RepositoryPattern
from registry.index import Connection, Index, repositories
from registry.index.freed import Held
from registry.index.repositories import RepositoryRow
from registry.index.retention_rules import RetentionRuleRow
from registry.oci.errors import InputInvalid
from registry.services.batches import rows_after
from registry.services.retention.conditions import problems
from registry.services.retention.decision import Decision, Verdict, decide
from registry.services.retention.reading import contents, rules_of

__all__ = ["Entry", "Preview", "Previews", "Summary"]

BATCH = 200

REMEMBERED = 4
"""Decisions on repositories of which only a part was shown; without them each page would cost a whole one."""


class Preview(NamedTuple):
    """What to look at: the repositories that match and that may be shown; with the rule `tried`, which is not
    set, as if it were. Who may not know `everything` learns nothing of other repositories."""

    repositories: RepositoryPattern
    shown: Callable[[str], bool]
    tried: RetentionRuleRow | None = None
    everything: bool = False


class Entry(NamedTuple):
    """What would become of a tag, or of a manifest without one."""

    repository: str
    verdict: Verdict


class Cursor(NamedTuple):
    """Where a page ended: behind this verdict. All pages are of the same moment `at`."""

    at: float
    repository: str
    key: tuple[bool, str]

    def __str__(self) -> str:
        is_digest, name = self.key
        return f"{self.at!r} {self.repository}{'@' if is_digest else ':'}{name}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """What `str` wrote. Raises InputInvalid."""
        found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?) ([^ :@]+)([:@])(.+)", text)
        if found is None:
            raise InputInvalid([("last", "should be `next` of the page before")])
        return cls(float(found[1]), found[2], (found[3] == "@", found[4]))


class Summary(NamedTuple):
    """Numbers of tags, and of manifests without one. `bytes`: of the manifests that would go, and of the
    blobs that nothing else holds then: in any repository, or in those that were looked at for who may not
    know everything."""

    repositories: int
    tags_kept: int
    tags_dropped: int
    untagged_kept: int
    untagged_dropped: int
    bytes: int


class Previews:
    """Looks at what retention would do."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._remembered: OrderedDict[object, Decision] = OrderedDict()
        self._lock = Lock()

    async def page(
        self, preview: Preview, last: str | None, limit: int
    ) -> tuple[Sequence[Entry], str | None]:
        """At most `limit` verdicts behind the cursor `last`, and the cursor for more; None at the end.
        Repositories that no rule is for are left out. Raises InputInvalid."""
        _check(preview)
        cursor = Cursor(time.time(), "", (False, "")) if last is None else Cursor.parse(last)
        found = await self._index.read(partial(self._page, preview=preview, cursor=cursor, limit=limit))
        shown = found[:limit]
        if len(found) == len(shown):
            return shown, None
        return shown, str(Cursor(cursor.at, shown[-1].repository, _key(shown[-1].verdict)))

    async def summary(self, preview: Preview) -> Summary:
        """All of it in numbers. Raises InputInvalid."""
        _check(preview)
        return await self._index.read(partial(_summary, preview=preview, now=time.time()))

    def _page(self, connection: Connection, preview: Preview, cursor: Cursor, limit: int) -> list[Entry]:
        """One entry more than is asked for, if there is one."""
        found: list[Entry] = []
        for row in _repositories(connection, preview, cursor.repository):
            known = (cursor.at, row.uid, preview.tried)
            with self._lock:
                decision = self._remembered.pop(known, None)
            if decision is None:
                decision = _decision(connection, row, preview, cursor.at)
            verdicts = decision.verdicts
            start = bisect_right(verdicts, cursor.key, key=_key) if row.name == cursor.repository else 0
            found += (Entry(row.name, one) for one in verdicts[start : start + limit + 1 - len(found)])
            if len(found) > limit:
                with self._lock:
                    self._remembered[known] = decision
                    if len(self._remembered) > REMEMBERED:
                        self._remembered.popitem(last=False)
                break
        return found


def _summary(connection: Connection, preview: Preview, now: float) -> Summary:
    held, numbers, count, bytes = Held(), Counter[tuple[bool, bool]](), 0, 0
    for row in _repositories(connection, preview, ""):
        decision = _decision(connection, row, preview, now)
        count += bool(decision.verdicts)
        numbers.update((one.tag is not None, one.kept) for one in decision.verdicts)
        bytes += sum(one.facts.size for one in decision.going.values())
        held.add(connection, row.id, [one.facts.id for one in decision.going.values()])
    return Summary(
        repositories=count,
        tags_kept=numbers[True, True],
        tags_dropped=numbers[True, False],
        untagged_kept=numbers[False, True],
        untagged_dropped=numbers[False, False],
        bytes=bytes + held.freed(connection, elsewhere=preview.everything),
    )


def _decision(connection: Connection, row: RepositoryRow, preview: Preview, now: float) -> Decision:
    rules = rules_of(connection, row.name, preview.tried)
    return decide(contents(connection, row, rules, now), now) if rules else Decision((), {}, {})


def _repositories(connection: Connection, preview: Preview, start: str) -> Iterator[RepositoryRow]:
    """The repositories to look at, by name, from `start` on."""
    wanted = preview.repositories
    if wanted.is_exact:
        row = repositories.details(connection, str(wanted))
        if row is not None and preview.shown(row.name):
            yield row
        return
    read = partial(repositories.page_visible, connection, prefixes=[wanted.prefix])
    following: Iterator[RepositoryRow] = rows_after(start or None, read, lambda row: row.name, BATCH)
    first = repositories.details(connection, start)
    for row in chain([] if first is None else [first], following):
        if wanted.matches(row.name) and preview.shown(row.name):
            yield row


def _check(preview: Preview) -> None:
    """Raise InputInvalid for a rule that could not be set."""
    if preview.tried is not None and (found := problems(preview.tried)):
        raise InputInvalid([(f"rule.{field}" if field else "rule", problem) for field, problem in found])


def _key(verdict: Verdict) -> tuple[bool, str]:
    """The order of verdicts within a repository."""
    return verdict.tag is None, verdict.tag or verdict.digest
