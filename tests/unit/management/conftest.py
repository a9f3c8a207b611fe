"""The management API on an index of its own, with people who call it."""

import json
import time
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import Any

import pytest

from auth.actor import SYSTEM, Actor
from auth.federation import IssuerUnavailable
from auth.grants import Grant
from auth.identity import NOBODY, Identity
from auth.keys import PublicKey
from auth.limits import UNLIMITED, Limits
from auth.patterns import RepositoryPattern
from auth.principals import Kind, Principal
from auth.roles import Role
from registry.gc.collector import Collector
from registry.index import Index, grants, principals, users
from registry.management.assembly import management
from registry.management.management import Management, Result
from registry.oci.media_types import OCI_INDEX
from registry.oci.name import RepositoryName, Tag
from registry.services.access_cache import Epoch
from registry.services.audit import Audit
from registry.services.federation import Federation
from registry.services.identities import of_principal
from registry.services.manifests import Manifests
from registry.services.policies import QuotaGate
from registry.services.quarantine import Quarantine
from registry.services.repositories import Repositories
from registry.services.sign_in import SignIn
from registry.services.signing_keys import SigningKeys
from registry.services.uploads import Uploads
from storage_drivers.memory import MemoryDriver
from tests.unit.index.conftest import index, index_url

__all__ = ["index", "index_url"]


class NoIssuers:
    """Nobody outside can be asked."""

    async def keys(self, issuer: str, kid: str | None) -> tuple[PublicKey, ...]:
        raise IssuerUnavailable("there are no issuers here")


class Desk:
    """Calls operations as somebody, and looks at the index behind them."""

    def __init__(self, index: Index, management: Management, manifests: Manifests, uploads: Uploads) -> None:
        self.index = index
        self.management = management
        self.manifests = manifests
        self.uploads = uploads
        self.caller: Identity = NOBODY

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        by: Identity | None = None,
        query: Iterable[tuple[str, str]] = (),
    ) -> Result:
        """The result of an operation, called by `caller` unless by somebody else."""
        caller = self.caller if by is None else by
        actor = Actor(str(caller.principal), "192.0.2.1", "request-1")
        sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return await self.management.call(caller, actor, method, path, tuple(query), sent)

    async def get(self, path: str, *, by: Identity | None = None, **query: str) -> Any:
        return (await self.call("GET", path, by=by, query=query.items())).document

    async def audited(self, action: str) -> list[dict[str, Any]]:
        """What the audit has of an action, the newest first."""
        everything = await self.get("/audit", by=BOSS, action=action)
        entries: list[dict[str, Any]] = everything["entries"]
        return entries

    async def user(self, name: str, *granted: tuple[Role, str], limits: Limits = UNLIMITED) -> Identity:
        """A user who is there from now on with these grants, signed in."""
        return await self.principal(Principal(Kind.USER, name), *granted, limits=limits)

    async def principal(
        self, principal: Principal, *granted: tuple[Role, str], limits: Limits = UNLIMITED
    ) -> Identity:
        """A principal who is there from now on with these grants, signed in."""

        def change(connection: Any) -> int:
            now = time.time()
            if principal.kind is Kind.USER:
                users.create(connection, principal.name, None, "local", "", now, "system")
            else:
                principals.create(connection, principal.kind, principal.name, "", now, "system")
            row = principals.find(connection, principal)
            assert row is not None
            for role, pattern in granted:
                grants.add(connection, row.id, role, RepositoryPattern.parse(pattern), now, "system")
            return row.id

        principal_id = await self.index.write(change)
        return await self.signed_in(principal_id, limits)

    async def push(self, repository: str, *tags: str) -> int:
        """Put an empty index there under each of the tags; the bytes that one has."""
        body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
        for tag in tags:
            await self.manifests.put(
                RepositoryName.parse(repository), Tag.parse(tag), body, OCI_INDEX, SYSTEM
            )
        return len(body)

    async def signed_in(self, principal_id: int, limits: Limits = UNLIMITED) -> Identity:
        """Somebody with all that he may do now."""
        found = await self.index.read(partial(of_principal, principal_id=principal_id, credential=None))
        return found._replace(limits=limits)


BOSS = Identity(
    Principal(Kind.OPERATOR, "root"),
    (Grant(0, "operator:root", Role.ADMINISTRATOR, RepositoryPattern("**")),),
)


@pytest.fixture
async def desk(index: Index) -> AsyncIterator[Desk]:
    """Everything joined as the registry joins it. The caller is somebody with the index at hand."""
    audit = Audit(index, keep_seconds=3600)
    sign_in = SignIn(index, audit, Federation(index, NoIssuers()), None)
    keys = SigningKeys(index, audit, algorithm="ES256", token_seconds=300)
    manifests = Manifests(index, audit, sparse=False, deletion=True, tag_deletion=True)
    driver = MemoryDriver()
    uploads = Uploads(
        index,
        driver,
        QuotaGate(index, Epoch(index, 60)),
        expire_seconds=3600,
        tombstone_seconds=3600,
        claim_seconds=10,
        blob_lease_seconds=3600,
    )
    quarantine = Quarantine(index, driver, audit)
    repositories = Repositories(index, audit, deletion=True)
    collector = Collector(
        index, driver, audit, delay_seconds=0, window_seconds=3600, expire_uploads=uploads.expire
    )
    operations = management(
        index, audit, sign_in, keys, uploads, quarantine, repositories, manifests, collector, 3600.0, 0
    )
    joined = Desk(index, operations, manifests, uploads)
    joined.caller = BOSS
    yield joined
    sign_in.close()
