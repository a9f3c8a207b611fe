"""Jobs that sign in with the short-lived token of their own OIDC issuer: no secret is stored anywhere.

A trust rule names issuer, audience and claims. Only issuers that a rule names are ever asked for their keys.
"""

from collections.abc import Sequence
from functools import partial

from auth.federation import (
    IdentityTokenInvalid,
    IssuerUnavailable,
    KeySource,
    matching,
    verify_identity_token,
)
from auth.identity import Identity
from auth.jws import unverified_issuer, unverified_key_id
from auth.keys import PublicKey, parse_jwks
from registry.index import Index, trust_rules
from registry.index.trust_rules import TrustRuleRow
from registry.oci.errors import Unauthenticated, Unavailable
from registry.services.identities import of_job


class Federation:
    """Signs jobs in. `keys` fetches the keys of issuers."""

    def __init__(self, index: Index, keys: KeySource) -> None:
        self._index = index
        self._keys = keys

    async def sign_in(self, token: str) -> Identity:
        """The job behind an issuer's token. Raises Unauthenticated and, when the issuer can't be asked,
        Unavailable."""
        issuer = unverified_issuer(token)
        if issuer is None:
            raise Unauthenticated("the password looks like the token of an OIDC issuer, but it is not one")
        found = await self._index.read(partial(trust_rules.of_issuer, issuer=issuer))
        rules = [rule for rule in found if not rule.disabled]
        if not rules:
            raise Unauthenticated(f"no trust rule of this registry names the issuer {issuer[:200]}")
        matched: list[TrustRuleRow] = []
        subject, problem = "", ""
        for group in grouped(rules):
            try:
                verified = verify_identity_token(
                    token, issuer, {rule.audience for rule in group}, await self._keys_of(group, token)
                )
            except IdentityTokenInvalid as error:
                problem = str(error)
                continue
            subject = verified.subject
            matched += matching(group, verified)
        if not subject:
            raise Unauthenticated(f"the token of {issuer} does not count: {problem}")
        if not matched:
            raise Unauthenticated(
                f"the token of {issuer} is good, but no trust rule matches its claims; its subject is "
                f"{subject[:200]!r}"
            )
        return of_job(subject, matched)

    async def _keys_of(self, rules: Sequence[TrustRuleRow], token: str) -> Sequence[PublicKey]:
        pinned = rules[0].keys
        if pinned is not None:
            return parse_jwks(pinned)
        issuer = rules[0].issuer
        try:
            return await self._keys.keys(issuer, unverified_key_id(token))
        except IssuerUnavailable as error:
            raise Unavailable(f"the issuer {issuer} can't be asked for its keys: {error}") from error


def grouped(rules: Sequence[TrustRuleRow]) -> list[list[TrustRuleRow]]:
    """Rules that are verified with the same keys: each with keys of its own alone, all others together."""
    asked = [rule for rule in rules if rule.keys is None]
    return [*([rule] for rule in rules if rule.keys is not None), *([asked] if asked else [])]
