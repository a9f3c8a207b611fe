"""Trust rules: which jobs of which OIDC issuer may sign in with their own tokens, and what they may do."""

import time
from collections.abc import Sequence
from functools import partial

from auth.actor import Actor
from auth.federation import TrustRule, check_rule
from registry.index import Connection, Index, trust_rules
from registry.index.trust_rules import TrustRuleRow
from registry.oci.errors import AlreadyExists, InputInvalid, Unknown
from registry.services.accounts.changes import Changes, Event
from registry.services.accounts.lookup import is_name
from registry.services.audit import Audit

__all__ = ["TrustRuleRow", "TrustRules"]


class TrustRules:
    """All trust rules."""

    def __init__(self, index: Index, audit: Audit) -> None:
        self._index = index
        self._changes = Changes(index, audit)

    async def page(self, last: str | None, limit: int) -> tuple[Sequence[TrustRuleRow], bool]:
        """At most `limit` rules after the name `last`, and whether more follow."""
        found = await self._index.read(partial(trust_rules.page, last=last, limit=limit + 1))
        return found[:limit], len(found) > limit

    async def get(self, name: str) -> TrustRuleRow:
        """Raises Unknown."""
        return await self._index.read(partial(find, name=name))

    async def create(self, wanted: TrustRule, actor: Actor) -> TrustRuleRow:
        """Enter a rule, whose id does not count. Raises AlreadyExists, and InputInvalid for one that would
        let in anybody."""
        try:
            check_rule(wanted)
        except ValueError as error:
            raise InputInvalid([("", str(error))]) from error

        def change(connection: Connection) -> TrustRuleRow:
            created = trust_rules.create(
                connection,
                wanted.name,
                wanted.issuer,
                wanted.audience,
                wanted.claims,
                wanted.role,
                wanted.pattern,
                wanted.jwks,
                time.time(),
                actor.principal,
            )
            if created is None:
                raise AlreadyExists("trust rule", wanted.name)
            return find(connection, wanted.name)

        detail = {
            "issuer": wanted.issuer,
            "audience": wanted.audience,
            "claims": dict(wanted.claims),
            "role": wanted.role.value,
            "pattern": str(wanted.pattern),
        }
        return await self._changes.make(change, actor, Event("trust.add", wanted.name, detail))

    async def set_disabled(self, name: str, disabled: bool, actor: Actor) -> None:
        """Raises Unknown."""

        def change(connection: Connection) -> None:
            trust_rules.set_disabled(connection, find(connection, name).id, disabled)

        await self._changes.make(change, actor, Event("trust.disable" if disabled else "trust.enable", name))

    async def remove(self, name: str, actor: Actor) -> None:
        """Raises Unknown."""

        def change(connection: Connection) -> None:
            trust_rules.remove(connection, find(connection, name).id)

        await self._changes.make(change, actor, Event("trust.remove", name))


def find(connection: Connection, name: str) -> TrustRuleRow:
    """Raises Unknown."""
    row = trust_rules.find(connection, name) if is_name(name) else None
    if row is None:
        raise Unknown("trust rule", name)
    return row
