"""Identities: what the index says of somebody who is known already, with all grants that count now."""

import time
from collections.abc import Sequence

from auth.grants import Grant
from auth.identity import Identity
from auth.limits import UNLIMITED, Limits
from auth.principals import Kind, Principal
from auth.secrets import SecretKind
from registry.index import Connection, credentials, grants, principals, trust_rules, users
from registry.index.credentials import CredentialRow
from registry.index.trust_rules import TrustRuleRow
from registry.oci.errors import Unauthenticated


def of_principal(connection: Connection, principal_id: int, credential: CredentialRow | None) -> Identity:
    """A user or robot with the grants to it and to its groups, limited by the token that it used.

    Raises Unauthenticated when it is gone or disabled, and when what its token was got with has expired.
    """
    ends = False
    if credential is not None:
        origin: CredentialRow | None = credential
        if credential.parent_id is not None:
            origin = credentials.get(connection, credential.parent_id)
            check_credential(origin)
        ends = origin is not None and origin.kind != SecretKind.REFRESH and origin.expires_at is not None
    row = principals.get(connection, principal_id)
    if row is None or row.disabled:
        raise Unauthenticated("this account was removed or disabled", problem="invalid_token")
    granted, groups = grants.of_identity(connection, principal_id)
    limits = UNLIMITED if credential is None else limits_of(credential)._replace(ends=ends)
    principal = Principal(Kind(row.kind), row.name)
    credential_id = None if credential is None else credential.id
    return Identity(principal, tuple(granted), tuple(groups), limits, principal_id, credential_id)


def of_token(
    connection: Connection, principal_id: int, credential_id: int | None, issued_at: int
) -> Identity:
    """Whoever a registry token was given to at a time, if he and what he had signed in with are still good.

    Raises Unauthenticated.
    """
    credential = None
    if credential_id is not None:
        credential = credentials.get(connection, credential_id)
        check_credential(credential)
    else:
        user = users.get(connection, principal_id)
        if user is not None and issued_at < int(user.password_set_at or 0):
            raise Unauthenticated("this token was got with a former password", problem="invalid_token")
    return of_principal(connection, principal_id, credential)


def of_rules(connection: Connection, subject: str, rule_ids: Sequence[int]) -> Identity:
    """A job that trust rules let in, with what those of them give that are still there.

    Raises Unauthenticated when none is.
    """
    rules = [rule for rule in trust_rules.get_many(connection, rule_ids) if not rule.disabled]
    return of_job(subject, rules)


def of_job(subject: str, rules: Sequence[TrustRuleRow]) -> Identity:
    """A job with the roles of its trust rules. Raises Unauthenticated when there are none."""
    if not rules:
        raise Unauthenticated("the trust rule that let this job in is gone", problem="invalid_token")
    given = tuple(Grant(rule.id, f"rule:{rule.name}", rule.role, rule.pattern) for rule in rules)
    return Identity(Principal(Kind.JOB, subject), given, rules=tuple(rule.id for rule in rules))


def check_credential(credential: CredentialRow | None) -> None:
    """Raise Unauthenticated unless a credential may be used."""
    if credential is None:
        raise Unauthenticated("this token was revoked", problem="invalid_token")
    if credential.expires_at is not None and credential.expires_at <= time.time():
        day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(credential.expires_at))
        raise Unauthenticated(f"this token expired at {day}", problem="invalid_token")


def limits_of(credential: CredentialRow) -> Limits:
    """The limits in a row of credentials."""
    return Limits.parse(credential.read_only, credential.repositories, credential.addresses)
