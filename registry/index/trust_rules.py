"""Trust rules: whose tokens let jobs in, and with which role."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, update

from auth.patterns import RepositoryPattern
from auth.roles import Role
from registry.index import access
from registry.index.ranges import page_by_name
from registry.index.statements import Row, Statement
from registry.index.tables import trust_rules


class TrustRuleRow(NamedTuple):
    """A rule. `claims` maps claims to what they must be; `keys` is the issuer's JSON Web Key Set where it is
    not to be asked for it; `created_by` is a principal as text."""

    id: int
    name: str
    issuer: str
    audience: str
    claims: Mapping[str, str]
    role: Role
    pattern: RepositoryPattern
    keys: Mapping[str, object] | None
    disabled: bool
    created_at: float
    created_by: str


TRUST_RULES = select(
    trust_rules.c.id,
    trust_rules.c.name,
    trust_rules.c.issuer,
    trust_rules.c.audience,
    trust_rules.c.claims,
    trust_rules.c.role,
    trust_rules.c.pattern,
    trust_rules.c["keys"],
    trust_rules.c.disabled,
    trust_rules.c.created_at,
    trust_rules.c.created_by,
)

FIND = Statement(TRUST_RULES.where(trust_rules.c.name == bindparam("rule_name")))

OF_ISSUER = Statement(
    TRUST_RULES.where(trust_rules.c.issuer == bindparam("wanted")).order_by(trust_rules.c.id)
)

ISSUERS = Statement(
    select(trust_rules.c.issuer)
    .distinct()
    .where(trust_rules.c.disabled.is_(False))
    .order_by(trust_rules.c.issuer)
)

CREATE = Statement(lambda insert: insert(trust_rules).on_conflict_do_nothing().returning(trust_rules.c.id))

SET_DISABLED = Statement(
    update(trust_rules)
    .where(trust_rules.c.id == bindparam("wanted"), trust_rules.c.disabled != bindparam("now_disabled"))
    .values(disabled=bindparam("now_disabled"))
)

REMOVE = Statement(delete(trust_rules).where(trust_rules.c.id == bindparam("id")))


def trust_rule_row(row: Row) -> TrustRuleRow:
    id, name, issuer, audience, claims, role, pattern, keys, disabled, created_at, created_by = row
    return TrustRuleRow(
        id,
        name,
        issuer,
        audience,
        json.loads(claims),
        Role(role),
        RepositoryPattern(pattern),
        None if keys is None else json.loads(keys),
        bool(disabled),
        created_at,
        created_by,
    )


def find(connection: Connection, name: str) -> TrustRuleRow | None:
    """The rule with this name."""
    row = FIND.first(connection, {"rule_name": name})
    return None if row is None else trust_rule_row(row)


def of_issuer(connection: Connection, issuer: str) -> Sequence[TrustRuleRow]:
    """The rules that name an issuer, disabled ones too."""
    return [trust_rule_row(row) for row in OF_ISSUER.all(connection, {"wanted": issuer})]


def get_many(connection: Connection, ids: Sequence[int]) -> Sequence[TrustRuleRow]:
    """Those of these rules that are still there, disabled ones too."""
    statement = TRUST_RULES.where(trust_rules.c.id.in_(ids)).order_by(trust_rules.c.id)
    return [trust_rule_row(tuple(row)) for row in connection.execute(statement)]


def issuers(connection: Connection) -> Sequence[str]:
    """The issuers that rules name which are not disabled, in byte order."""
    return [issuer for (issuer,) in ISSUERS.all(connection, {})]


def create(
    connection: Connection,
    name: str,
    issuer: str,
    audience: str,
    claims: Mapping[str, str],
    role: Role,
    pattern: RepositoryPattern,
    keys: Mapping[str, object] | None,
    created_at: float,
    created_by: str,
) -> int | None:
    """Enter a rule; its id, or None if the name is taken."""
    values = {
        "name": name,
        "issuer": issuer,
        "audience": audience,
        "claims": json.dumps(dict(claims)),
        "role": role.value,
        "pattern": pattern.text,
        "keys": None if keys is None else json.dumps(dict(keys)),
        "disabled": False,
        "created_at": created_at,
        "created_by": created_by,
    }
    created: int | None = CREATE.scalar(connection, values)
    if created is not None:
        access.bump(connection)
    return created


def page(
    connection: Connection, last: str | None, limit: int, search: str | None = None
) -> Sequence[TrustRuleRow]:
    """At most `limit` rules after the name `last`, in byte order; those with `search` in their names."""
    statement = page_by_name(TRUST_RULES, trust_rules.c.name, last, limit, search)
    return [trust_rule_row(tuple(row)) for row in connection.execute(statement)]


def set_disabled(connection: Connection, id: int, disabled: bool) -> bool:
    """Let a rule rest, or count again. False: it was so already, or is gone."""
    return access.changed(connection, SET_DISABLED.run(connection, {"wanted": id, "now_disabled": disabled}))


def remove(connection: Connection, id: int) -> bool:
    """Delete a rule. False: it was gone."""
    return access.changed(connection, REMOVE.run(connection, {"id": id}))
