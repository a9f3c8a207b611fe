"""A registry of indexes for retention to work on: they need no blobs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from auth.actor import Actor
from auth.patterns import EVERYTHING, RepositoryPattern
from registry.gc.dropping import Dropping
from registry.gc.jobs import Jobs
from registry.gc.retention import Retention
from registry.index import Connection, Index, repositories, retention_rules, tags
from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown
from registry.oci.media_types import OCI_INDEX
from registry.oci.name import RepositoryName, Tag
from registry.services.audit import Audit
from registry.services.manifests import Manifests
from tests.unit.services.retention.contents import rule

NAME = RepositoryName.parse("acme/app")

CI = Actor("robot:ci")


class Shelf:
    """A registry of indexes: they need no blobs, and may list and refer to each other."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.audit = Audit(index, keep_seconds=3600)
        self.manifests = Manifests(index, self.audit, sparse=False, deletion=True, tag_deletion=True)
        self.retention = Retention(index, self.audit, keep_deleted=True)
        self.jobs = Jobs(index)

    async def push(
        self,
        text: str,
        *names: str,
        lists: Sequence[Digest] = (),
        subject: Digest | None = None,
        repository: RepositoryName = NAME,
    ) -> Digest:
        """An index that says something, under tags."""
        entries = [await self._descriptor(one, repository) for one in lists]
        document: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        document["annotations"] = {"text": text}
        if subject is not None:
            document["subject"] = await self._descriptor(subject, repository)
        body = json.dumps(document).encode()
        digest = Digest.of(body)
        await self.manifests.put(
            repository, digest, body, OCI_INDEX, CI, extra_tags=tuple(map(Tag.parse, names))
        )
        return digest

    async def _descriptor(self, digest: Digest, repository: RepositoryName) -> Mapping[str, object]:
        row = await self.manifests.find(repository, digest)
        return {"mediaType": OCI_INDEX, "digest": digest, "size": row.size}

    async def age(self, seconds: float) -> None:
        """Make everything that is there so much older."""
        names = {"tags": "updated_at", "manifests": "pushed_at", "tag_history": "at"}

        def change(connection: Connection) -> None:
            for table, column in names.items():
                text = f'UPDATE {table} SET "{column}" = "{column}" - {seconds}'
                connection.connection.driver_connection.execute(text)  # type: ignore[union-attr]

        await self.index.write(change)

    async def set_rule(self, **conditions: Any) -> None:
        given = rule(**conditions)
        await self.index.write(lambda connection: retention_rules.set(connection, given))

    async def run(self, pattern: RepositoryPattern = EVERYTHING) -> dict[str, int]:
        async with self.jobs.hold("retention") as job:
            report, following = await self.retention.go_on(job, pattern, None, 60)
        assert following is None
        return report

    async def names(self) -> set[str]:
        def query(connection: Connection) -> set[str]:
            repository_id = repositories.find(connection, NAME)
            assert repository_id is not None
            return set(tags.page(connection, repository_id, None, 1000))

        return await self.index.read(query)

    async def has(self, digest: Digest) -> bool:
        try:
            await self.manifests.find(NAME, digest)
        except ManifestUnknown:
            return False
        return True

    async def decided(self) -> Dropping:
        """What retention would delete now."""
        dropping = await self.index.read(lambda connection: self.retention._decide(connection, NAME))
        assert dropping is not None
        return dropping

    async def carry_out(self, dropping: Dropping) -> tuple[int, int]:
        dropped = await self.index.write(lambda connection: dropping.drop(connection, dropping.roots()))
        return dropped.tags, dropped.manifests
