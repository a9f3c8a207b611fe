"""Retention rules: which tags of which repositories are kept, and how long manifests without a tag are."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, update

from auth.patterns import RepositoryPattern, TagPattern
from registry.index.ranges import page_by_name
from registry.index.statements import Row, Statement
from registry.index.upkeep_tables import retention_rules


class RetentionRuleRow(NamedTuple):
    """A rule. It decides about the `tags` that match, and keeps those that fulfil any of its conditions;
    None and () are conditions that nothing fulfils.

    `keep_last_by` is pushed or pulled. `untagged_seconds` is how long a manifest without a tag is kept, None
    for ever. Spans of time are in seconds; `created_by` is a principal as text.
    """

    name: str
    repositories: RepositoryPattern
    tags: tuple[TagPattern, ...]
    keep_last: int | None
    keep_last_by: str
    keep_tags: tuple[TagPattern, ...]
    keep_pushed_seconds: float | None
    keep_pulled_seconds: float | None
    untagged_seconds: float | None
    disabled: bool
    created_at: float
    created_by: str


RULES = select(*(retention_rules.c[name] for name in RetentionRuleRow._fields))

FIND = Statement(RULES.where(retention_rules.c.name == bindparam("wanted")))

ENABLED = Statement(RULES.where(retention_rules.c.disabled.is_(False)).order_by(retention_rules.c.name))

REPLACED = [name for name in RetentionRuleRow._fields if name != "name"]

SET = Statement(
    lambda insert: insert(retention_rules).on_conflict_do_update(
        index_elements=[retention_rules.c.name],
        set_={name: insert(retention_rules).excluded[name] for name in REPLACED},
    )
)

SET_DISABLED = Statement(
    update(retention_rules)
    .where(retention_rules.c.name == bindparam("wanted"))
    .values(disabled=bindparam("now_disabled"))
)

REMOVE = Statement(delete(retention_rules).where(retention_rules.c.name == bindparam("wanted")))


def retention_rule_row(row: Row) -> RetentionRuleRow:
    values = RetentionRuleRow(*row)
    return values._replace(
        repositories=RepositoryPattern(str(row[1])),
        tags=_patterns(row[2]),
        keep_tags=_patterns(row[5]),
        disabled=bool(values.disabled),
    )


def find(connection: Connection, name: str) -> RetentionRuleRow | None:
    """The rule with this name."""
    row = FIND.first(connection, {"wanted": name})
    return None if row is None else retention_rule_row(row)


def enabled(connection: Connection) -> Sequence[RetentionRuleRow]:
    """The rules that count, in the order of their names."""
    return [retention_rule_row(row) for row in ENABLED.all(connection, {})]


def page(connection: Connection, last: str | None, limit: int) -> Sequence[RetentionRuleRow]:
    """At most `limit` rules after the name `last`, in byte order."""
    statement = page_by_name(RULES, retention_rules.c.name, last, limit, None)
    return [retention_rule_row(tuple(row)) for row in connection.execute(statement)]


def set(connection: Connection, rule: RetentionRuleRow) -> None:
    """Enter a rule, in place of the one that had its name."""
    values = rule._asdict() | {
        "repositories": str(rule.repositories),
        "tags": _texts(rule.tags),
        "keep_tags": _texts(rule.keep_tags),
    }
    SET.run(connection, values)


def set_disabled(connection: Connection, name: str, disabled: bool) -> bool:
    """Let a rule rest, or count again. False: there is none."""
    return SET_DISABLED.run(connection, {"wanted": name, "now_disabled": disabled}) > 0


def remove(connection: Connection, name: str) -> bool:
    """Delete a rule. False: there was none."""
    return REMOVE.run(connection, {"wanted": name}) > 0


def _patterns(text: object) -> tuple[TagPattern, ...]:
    return tuple(map(TagPattern, json.loads(str(text))))


def _texts(patterns: Sequence[TagPattern]) -> str:
    return json.dumps([str(pattern) for pattern in patterns])
