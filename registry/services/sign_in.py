"""Signing in with a name and a password: what kinds there are, and how each is checked.

A password may be a user's own, the secret of a robot, a personal token, or the token of an OIDC issuer. A
secret identifies its principal by itself; the name beside it must still be that one's, since anything else is
a mistake.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

from auth import throttle
from auth.actor import Actor
from auth.directory import Directory
from auth.identity import Identity
from auth.jws import looks_like_jwt
from auth.passwords import hash_password, verify_password
from auth.secrets import SecretKind, hash_secret, kind_of
from auth.throttle import ACCOUNT, ADDRESS
from registry.index import Connection, Index, credentials, sign_in_failures, users
from registry.index.credentials import CredentialRow
from registry.index.users import UserRow
from registry.oci.errors import TooManyRequests, Unauthenticated
from registry.services.accounts.lookup import is_name
from registry.services.audit import REFUSED, Audit
from registry.services.directory_users import DirectoryUsers
from registry.services.federation import Federation
from registry.services.identities import check_credential, of_principal

Result = TypeVar("Result")

WRONG = "the user name or the password is wrong"
HASHING_THREADS = 2
"""Passwords that a process checks at once: each takes a core for some 50 ms."""
TRIES_AT_ONCE = 4
"""Passwords from one address that a process checks at once: all of them may pass as the last free one."""


class SignIn:
    """Finds out who somebody is."""

    def __init__(
        self, index: Index, audit: Audit, federation: Federation, directory: Directory | None
    ) -> None:
        self._index = index
        self._audit = audit
        self._federation = federation
        self._directory = None if directory is None else DirectoryUsers(index, directory)
        self._threads = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="passwords")
        self._checking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._trying: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._uses: dict[int, float] = {}
        self._sign_ins: dict[int, float] = {}

    async def sign_in(self, name: str, password: str, actor: Actor) -> Identity:
        """Who this is. Raises Unauthenticated, which says no more than whoever asks may know, and
        TooManyRequests. Both are audited; `actor` tells from where."""
        if looks_like_jwt(password):
            return await self.sign_in_by_job_token(password, actor)  # whatever name came with it
        if kind_of(password) is not None:
            found = self._by_secret(name, password, actor.address)
        else:
            found = self._by_password(name, password, actor.address)
        if known := account_name(name):
            actor = actor._replace(principal=f"user:{known}")
        return await self._audited(found, actor)

    async def sign_in_by_job_token(self, token: str, actor: Actor) -> Identity:
        """The job that an OIDC issuer's token is of. Raises as `sign_in` does."""
        return await self._audited(self._federation.sign_in(token), actor)

    async def refresh(self, secret: str, actor: Actor) -> Identity:
        """Whom a refresh token belongs to. Raises Unauthenticated."""
        return await self._audited(self._by_refresh_token(secret, actor.address), actor)

    async def _audited(self, found: Coroutine[None, None, Identity], actor: Actor) -> Identity:
        try:
            identity = await found
        except (Unauthenticated, TooManyRequests) as error:
            await self._audit.note(actor, "sign-in", None, REFUSED, {"reason": error.message})
            raise
        signed_in = actor._replace(principal=str(identity.principal))
        await self._audit.note(signed_in, "sign-in", detail=how(identity))
        return identity

    async def save_uses(self) -> None:
        """Write down when tokens were last used and users last signed in. Kept when it fails."""
        uses, self._uses = self._uses, {}
        sign_ins, self._sign_ins = self._sign_ins, {}
        if not uses and not sign_ins:
            return

        def change(connection: Connection) -> None:
            credentials.note_used(connection, uses)
            users.note_sign_in(connection, sign_ins)

        try:
            await self._index.write(change, durable=False)
        except BaseException:
            self._uses = uses | self._uses
            self._sign_ins = sign_ins | self._sign_ins
            raise

    async def expire(self) -> int:
        """Remove credentials whose time is over and failures that are forgotten; returns how many."""
        now = time.time()

        def change(connection: Connection) -> int:
            sign_in_failures.remove_before(connection, now - throttle.FORGET_SECONDS)
            return credentials.remove_expired(connection, now)

        return await self._index.write(change)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    async def _by_secret(self, name: str, secret: str, address: str) -> Identity:
        if kind_of(secret) is SecretKind.REFRESH:
            raise Unauthenticated(
                "a refresh token is no password: send it as refresh_token to the token endpoint"
            )
        identity = await self._of_secret(secret, address)
        if identity.principal.name != name.lower():
            raise Unauthenticated("this token belongs to somebody else: give its owner's name with it")
        return identity

    async def _by_refresh_token(self, secret: str, address: str) -> Identity:
        if kind_of(secret) is not SecretKind.REFRESH:
            raise Unauthenticated("this is not a refresh token of this registry")
        return await self._of_secret(secret, address)

    async def _of_secret(self, secret: str, address: str) -> Identity:
        def query(connection: Connection) -> tuple[Identity, CredentialRow]:
            credential = credentials.find_by_hash(connection, hash_secret(secret))
            if credential is None:
                raise Unauthenticated("this token is not known: it was revoked or is not complete")
            check_credential(credential)
            return of_principal(connection, credential.principal_id, credential), credential

        identity, credential = await self._index.read(query)
        check_address(identity, address)
        if self._directory is not None:
            await self._directory.check_still_there(credential.principal_id)
        self._uses[credential.id] = time.time()
        return identity

    async def _by_password(self, name: str, password: str, address: str) -> Identity:
        name = account_name(name)  # nobody is called ""; all else goes its way
        source = throttle.source(address)
        lock = self._checking.setdefault(name, asyncio.Lock())
        few = self._trying.setdefault(source, asyncio.Semaphore(TRIES_AT_ONCE))
        async with lock, few:  # one try at a time: else many at once would all be the first ones
            user = await self._by_own_password(name, password, (f"account:{name}", f"address:{source}"))
        self._sign_ins[user.principal.id] = time.time()
        return await self._index.read(partial(of_principal, principal_id=user.principal.id, credential=None))

    async def _by_own_password(self, name: str, password: str, keys: tuple[str, str]) -> UserRow:
        row, failures = await self._index.read(
            lambda connection: (users.find(connection, name), sign_in_failures.find(connection, keys))
        )
        now = time.time()
        waits = [
            throttle.wait(failures.get(key), now, *patience)
            for key, patience in zip(keys, (ACCOUNT, ADDRESS), strict=True)
        ]
        if (wait := max(waits)) > 0:
            raise TooManyRequests("too many failed tries to sign in; try again later", wait)
        user = await self._checked(name, password, row)
        if user is None:
            await self._index.write(partial(note_failures, keys=keys, now=now), durable=False)
            raise Unauthenticated(WRONG)
        if keys[0] in failures:
            await self._index.write(partial(sign_in_failures.clear, keys=keys[:1]), durable=False)
        return user

    async def _checked(self, name: str, password: str, row: UserRow | None) -> UserRow | None:
        """The user, if that is the password. Whether there is such a user shows neither in the answer nor in
        the time it takes."""
        if self._directory is not None and (row is None or row.source == "ldap"):
            return await self._directory.sign_in(name, password)
        usable = row is not None and row.source == "local" and not row.principal.disabled
        hashed = row.password_hash if row is not None and usable else None
        verified = await self._in_thread(partial(verify_password, hashed, password))
        if row is None or not verified.ok:
            return None
        if verified.needs_rehash:
            renewed = await self._in_thread(partial(hash_password, password))
            await self._index.write(
                partial(users.renew_hash, id=row.principal.id, old=hashed, new=renewed), durable=False
            )
        return row

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def account_name(name: str) -> str:
    """The name as accounts have it, to be written down; empty for what is none, since that may be a secret
    that went into the wrong field."""
    lowered = name.lower()
    return lowered if is_name(lowered) and kind_of(name) is None else ""


def note_failures(connection: Connection, keys: Sequence[str], now: float) -> None:
    for key in keys:
        sign_in_failures.note(connection, key, now)


def check_address(identity: Identity, address: str) -> None:
    """Raise Unauthenticated unless the token that was used may be used from here."""
    if not identity.limits.admit(address):
        raise Unauthenticated("this token may not be used from this address", problem="invalid_token")


def how(identity: Identity) -> dict[str, object]:
    """With what somebody signed in."""
    if identity.credential_id is not None:
        return {"token": identity.credential_id}
    if identity.rules:
        return {"rules": [grant.source.partition(":")[2] for grant in identity.grants]}
    return {}
