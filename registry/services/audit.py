"""The audit: who did what, from where, and how it ended. Rows in the index, and a JSON line for each.

What changes something is entered in the transaction of the change, so that neither is there without the
other. Sign-ins and refusals change nothing: they are gathered and entered together, within a second.
"""

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial

from auth.actor import Actor
from auth.secrets import redacted
from registry.index import Connection, Index, audit
from registry.index.audit import AuditRow
from registry.services.floods import Floods
from registry.services.housekeeping import attempt_all

__all__ = ["ALLOWED", "FAILED", "REFUSED", "Audit", "AuditRow"]

log = logging.getLogger("entrepot.audit")

ALLOWED = "allowed"
REFUSED = "refused"
FAILED = "failed"

GATHER_SECONDS = 0.5
MOST_WAITING = 10_000
"""Entries that may wait to be written; who would add more waits until they are."""

BATCH = 500


class Audit:
    """Writes and reads the audit; rows are kept for `keep_seconds`."""

    def __init__(self, index: Index, keep_seconds: float) -> None:
        self._index = index
        self._keep_seconds = keep_seconds
        self._waiting: list[AuditRow] = []
        self._floods = Floods()
        self._writing = asyncio.Lock()

    def record(
        self,
        connection: Connection,
        actor: Actor,
        action: str,
        target: str | None = None,
        detail: Mapping[str, object] | None = None,
    ) -> AuditRow:
        """Enter a change in the transaction that makes it. Give the row to `tell` when that is committed."""
        row = entry(actor, action, target, ALLOWED, detail)
        audit.record(connection, [row])
        return row

    def tell(self, *rows: AuditRow) -> None:
        """Write the JSON line of entries that are committed."""
        if not log.isEnabledFor(logging.INFO):
            return
        for row in rows:
            fields = said(row)
            log.info("%s", json.dumps(fields), extra={"audit": fields})

    async def note(
        self,
        actor: Actor,
        action: str,
        target: str | None = None,
        result: str = ALLOWED,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        """Enter what changed nothing. It waits only when more comes than can be written.

        Of the refusals of one address only so many are entered one by one, and of the others their number:
        anybody can cause them, without an account.
        """
        row = entry(actor, action, target, result, detail)
        if result != ALLOWED and not self._floods.has_room(actor.address):
            return
        self.tell(row)
        self._waiting.append(row)
        if len(self._waiting) >= MOST_WAITING:
            await self.flush()

    async def run(self) -> None:
        """Write what was noted, again and again, until cancelled."""
        while True:
            await asyncio.sleep(GATHER_SECONDS)
            await attempt_all({"writing the audit": self.flush})

    async def flush(self) -> None:
        """Write down what was noted. When that fails it is kept for the next time."""
        for address, count in self._floods.left_out():
            row = entry(Actor("anonymous", address), "refusals", None, REFUSED, {"left_out": count})
            self.tell(row)
            self._waiting.append(row)
        async with self._writing:
            while batch := self._waiting[:BATCH]:
                await self._index.write(partial(audit.record, rows=batch), durable=False)
                del self._waiting[: len(batch)]

    async def page(self, wanted: Mapping[str, object], before: int | None, limit: int) -> Sequence[AuditRow]:
        """Entries that match (see registry.index.audit.page), newest first, those below the id `before`."""
        await self.flush()
        query = partial(audit.page, **wanted, before=before, limit=limit)  # type: ignore[arg-type]
        return await self._index.read(query)

    async def expire(self) -> int:
        """Remove what is older than is kept; returns how many rows."""
        count = 0
        oldest = time.time() - self._keep_seconds
        while removed := await self._index.write(partial(audit.remove_before, at=oldest, limit=BATCH)):
            count += removed
        return count


def entry(
    actor: Actor, action: str, target: str | None, result: str, detail: Mapping[str, object] | None
) -> AuditRow:
    """A row that has no id yet. A target may come from a path, where somebody may have put a secret."""
    target = target if target is None else redacted(target)
    return AuditRow(
        0, time.time(), actor.request_id, actor.principal, actor.address, action, target, result, detail or {}
    )


def said(row: AuditRow) -> dict[str, object]:
    """An entry as its JSON line has it, without what is empty."""
    fields = {
        "time": row.at,
        "actor": row.actor,
        "address": row.address,
        "action": row.action,
        "target": row.target,
        "result": row.result,
        "request_id": row.request_id,
        "detail": row.detail,
    }
    return {name: value for name, value in fields.items() if value not in (None, "", {})}
