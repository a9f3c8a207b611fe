"""Why somebody may do something, or what he would need."""

from typing import NamedTuple

from auth.decisions import Decision, decide
from auth.identity import NOBODY, Identity
from auth.principals import GRANTEES, Kind, Principal
from auth.roles import Action
from registry.index import Connection, Index, access, grants
from registry.oci.errors import InputInvalid
from registry.services.accounts.lookup import find_principal

__all__ = ["Explanation", "Explanations"]


class Explanation(NamedTuple):
    """A decision, and for whom it would be taken."""

    identity: Identity
    decision: Decision


class Explanations:
    """Explains decisions by taking them."""

    def __init__(self, index: Index) -> None:
        self._index = index

    async def explain(self, principal: Principal, action: Action, repository: str) -> Explanation:
        """What a user, robot, group or nobody in particular may do, without the limits of any token.

        Raises Unknown, and InputInvalid for those whose rights are not in the index.
        """

        def query(connection: Connection) -> Explanation:
            if principal.kind is Kind.ANONYMOUS:
                return explained(connection, NOBODY, action, repository)
            row = find_principal(connection, *principal)
            granted, groups = grants.of_identity(connection, row.id)
            identity = Identity(principal, tuple(granted), tuple(groups), principal_id=row.id)
            if row.disabled:
                return Explanation(identity, Decision(False, f"{principal} is disabled"))
            return explained(connection, identity, action, repository)

        if principal.kind not in (*GRANTEES, Kind.ANONYMOUS):
            raise InputInvalid(
                [
                    (
                        "principal",
                        "should be user:NAME, robot:NAME, group:NAME or anonymous; what a job may do "
                        "depends on the token that it signs in with: see the trust rules",
                    )
                ]
            )
        return await self._index.read(query)

    async def explain_caller(self, identity: Identity, action: Action, repository: str) -> Explanation:
        """What somebody who is signed in may do with the token that he uses."""
        return await self._index.read(lambda connection: explained(connection, identity, action, repository))


def explained(connection: Connection, identity: Identity, action: Action, repository: str) -> Explanation:
    facts = access.facts(connection, repository)
    public = facts is not None and facts.public
    return Explanation(identity, decide(identity, action, repository, public=public))
