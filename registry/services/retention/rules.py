"""The rules of retention: setting and removing them."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

from auth.actor import Actor
from registry.index import Connection, Index, retention_rules
from registry.index.retention_rules import RetentionRuleRow
from registry.oci.errors import AlreadyExists, InputInvalid, Unknown
from registry.services.accounts.changes import Changes, Event
from registry.services.accounts.lookup import is_name
from registry.services.audit import Audit
from registry.services.batches import rows_after
from registry.services.retention.conditions import problems

__all__ = ["RetentionRuleRow", "RetentionRules", "check_rule"]

BATCH = 200


class RetentionRules:
    """All rules."""

    def __init__(self, index: Index, audit: Audit) -> None:
        self._index = index
        self._changes = Changes(index, audit)

    async def page(
        self, last: str | None, limit: int, shown: Callable[[RetentionRuleRow], bool]
    ) -> tuple[Sequence[RetentionRuleRow], bool]:
        """At most `limit` rules after the name `last` that may be shown, and whether more follow."""

        def query(connection: Connection) -> list[RetentionRuleRow]:
            rows = rows_after(last, partial(retention_rules.page, connection), lambda row: row.name, BATCH)
            return list(islice(filter(shown, rows), limit + 1))

        found = await self._index.read(query)
        return found[:limit], len(found) > limit

    async def find(self, name: str) -> RetentionRuleRow | None:
        """The rule with this name."""
        return await self._index.read(partial(_find, name=name))

    async def set(
        self, rule: RetentionRuleRow, actor: Actor, may_replace: Callable[[RetentionRuleRow], bool]
    ) -> RetentionRuleRow:
        """Enter a rule in place of the one that had its name, if that may be. Raises AlreadyExists, and
        InputInvalid for a rule that would let all go without saying so."""
        check_rule(rule)

        def change(connection: Connection) -> None:
            before = retention_rules.find(connection, rule.name)
            if before is not None and not may_replace(before):
                raise AlreadyExists("retention rule", rule.name)
            retention_rules.set(connection, rule)

        detail = {"repositories": str(rule.repositories), **_conditions(rule)}
        await self._changes.make(change, actor, Event("retention.set", rule.name, detail))
        return rule

    async def set_disabled(self, name: str, disabled: bool, actor: Actor) -> None:
        """Raises Unknown."""

        def change(connection: Connection) -> None:
            if not retention_rules.set_disabled(connection, name, disabled):
                raise Unknown("retention rule", name)

        action = "retention.disable" if disabled else "retention.enable"
        await self._changes.make(change, actor, Event(action, name))

    async def remove(self, name: str, actor: Actor) -> None:
        """Raises Unknown."""

        def change(connection: Connection) -> None:
            if not retention_rules.remove(connection, name):
                raise Unknown("retention rule", name)

        await self._changes.make(change, actor, Event("retention.remove", name))


def check_rule(rule: RetentionRuleRow) -> None:
    """Raises InputInvalid."""
    found = problems(rule)
    if found:
        raise InputInvalid(found)


def _conditions(rule: RetentionRuleRow) -> dict[str, object]:
    """What the audit is told of a rule: what is set in it."""
    given = {
        "tags": [str(pattern) for pattern in rule.tags],
        "keep_last": rule.keep_last,
        "keep_last_by": None if rule.keep_last is None else rule.keep_last_by,
        "keep_tags": [str(pattern) for pattern in rule.keep_tags],
        "keep_pushed_seconds": rule.keep_pushed_seconds,
        "keep_pulled_seconds": rule.keep_pulled_seconds,
        "untagged_seconds": rule.untagged_seconds,
        "disabled": rule.disabled,
    }
    return {name: value for name, value in given.items() if value is not None and value != []}


def _find(connection: Connection, name: str) -> RetentionRuleRow | None:
    return retention_rules.find(connection, name) if is_name(name) else None
