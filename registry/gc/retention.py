"""Retention at work: repository by repository, what rules let go is deleted."""

import math
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

from auth.patterns import EVERYTHING, RepositoryPattern
from registry.gc.dropping import Dropped, Dropping, Outdated
from registry.gc.jobs import Job
from registry.index import Connection, Index, in_use, repositories
from registry.services.audit import Audit
from registry.services.retention.decision import decide
from registry.services.retention.reading import contents, rules_of

JOB = "retention"

BATCH = 200
"""Repositories whose rows are read at once."""

ROOTS_AT_ONCE = 20
"""Manifests in a transaction, each with what goes with it: so that pushes don't wait long."""

TRIES = 5
"""How often a repository is decided about in a run whose protected tags or digests change again and again."""

Report = dict[str, int]
"""`repositories` that a rule is for and that are done, `tags` and `manifests` that were deleted, and, as
`changed`, repositories to which people did so much meanwhile that they are left for the next run."""


class Retention:
    """Carries out the rules that are set. `keep_deleted`: whether what goes can be restored for a while."""

    def __init__(self, index: Index, audit: Audit, *, keep_deleted: bool) -> None:
        self._index = index
        self._audit = audit
        self._keep_deleted = keep_deleted

    async def run(self, job: Job) -> Report:
        """Go through all repositories. Raises LostJob."""
        report, _ = await self.go_on(job, EVERYTHING, None, math.inf)
        return report

    async def go_on(
        self, job: Job, wanted: RepositoryPattern, after: str | None, seconds: float
    ) -> tuple[Report, str | None]:
        """Go through the repositories that match, from behind the name `after` on. If that takes longer than
        so many seconds the second answer is where to go on, else None. Raises LostJob."""
        await job.write(lambda connection: in_use.expire(connection, time.time()), durable=False)
        report = dict.fromkeys(("repositories", "tags", "manifests", "changed"), 0)
        end = time.monotonic() + seconds
        async for name in self._names(wanted, after):
            for _ in range(TRIES):
                dropping = await self._index.read(partial(self._decide, name=name))
                if dropping is None:
                    break
                with suppress(Outdated):
                    if not await self._carry_out(job, dropping, report, end):
                        return report, after or ""
                    report["repositories"] += 1
                    break
            else:
                report["changed"] += 1
            after = name
            if time.monotonic() >= end:
                return report, after
        return report, None

    async def _names(self, wanted: RepositoryPattern, last: str | None) -> AsyncIterator[str]:
        if wanted.is_exact:
            if last is None or last < str(wanted):
                yield str(wanted)
            return
        prefix = wanted.prefix
        last = max(prefix, last or "")  # which no name equals, and which lies before all that begin with it
        while True:
            read = partial(repositories.page_visible, last=last, limit=BATCH, prefixes=None)
            rows = await self._index.read(read)
            for row in rows:
                if wanted.matches(row.name):
                    yield row.name
            if len(rows) < BATCH or not rows[-1].name.startswith(prefix):
                return
            last = rows[-1].name

    def _decide(self, connection: Connection, name: str) -> Dropping | None:
        """Decide what goes from a repository; None if no rule is for it, or it is gone."""
        row = repositories.details(connection, name)
        rules = rules_of(connection, name)
        if row is None or not rules:
            return None
        now = time.time()
        found = contents(connection, row, rules, now)
        return Dropping(row, found, decide(found, now), self._audit, keep_deleted=self._keep_deleted)

    async def _carry_out(self, job: Job, dropping: Dropping, report: Report, end: float) -> bool:
        """Delete what was decided about. False: it took too long to finish. Raises Outdated."""
        roots = dropping.roots()
        for start in range(0, len(roots), ROOTS_AT_ONCE):
            if start and time.monotonic() >= end:
                return False
            batch = roots[start : start + ROOTS_AT_ONCE]
            dropped: Dropped = await job.write(partial(dropping.drop, roots=batch))
            self._audit.tell(*dropped.audit)
            report["tags"] += dropped.tags
            report["manifests"] += dropped.manifests
        return True
