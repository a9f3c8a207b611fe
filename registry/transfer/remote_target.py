"""A registry as the place where images go."""

import json
from collections.abc import Sequence

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.media_types import OCI_INDEX
from registry.transfer.client import Client, refusal
from registry.transfer.content import Content, Moved, Read, content_of
from registry.transfer.errors import Missing, TransferError
from registry.transfer.remote import MANIFESTS, RemoteSource, digest_of, fallback_tag
from registry.transfer.sessions import Sessions
from registry.transfer.uploads import CHUNK_BYTES, Uploads


class RemoteTarget:
    """A registry, through `client`. `sessions` keep where uploads can go on."""

    def __init__(self, client: Client, sessions: Sessions, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.client = client
        self._uploads = Uploads(client, sessions, chunk_bytes)

    async def digest(self, repository: str, tag: str) -> Digest | None:
        """See Target.digest."""
        return await digest_of(self.client, repository, tag)

    async def has_manifest(self, repository: str, digest: Digest) -> bool:
        """See Target.has_manifest."""
        url = self.client.url(f"/v2/{repository}/manifests/{digest}")
        answer = await self.client.request("HEAD", url, repository, MANIFESTS)
        if answer.status not in (200, 404):
            raise refusal(self.client.name, answer.status, answer.body)
        return answer.status == 200

    async def has_blob(self, repository: str, blob: Descriptor) -> bool:
        """See Target.has_blob."""
        return await self._uploads.has(repository, blob.digest)

    async def mount(self, repository: str, blob: Descriptor, origin: str) -> bool:
        """See Target.mount."""
        return await self._uploads.mount(repository, blob.digest, origin)

    async def put_blob(self, repository: str, blob: Descriptor, read: Read, moved: Moved) -> None:
        """See Target.put_blob."""
        await self._uploads.put(repository, blob, read, moved)

    async def put_manifest(
        self, repository: str, content: Content, tags: Sequence[str], *, root: bool
    ) -> None:
        """See Target.put_manifest."""
        for reference in tags or (content.digest,):
            knows_subjects = await self._put(repository, content, reference)
            if content.manifest.subject is not None and not knows_subjects:
                await self._enter_by_tag(repository, content, content.manifest.subject.digest)

    async def _put(self, repository: str, content: Content, reference: str) -> bool:
        """Whether the registry says that it knows the subject of the manifest."""
        url = self.client.url(f"/v2/{repository}/manifests/{reference}")
        kind = {"Content-Type": content.manifest.media_type}
        answer = await self.client.request("PUT", url, repository, kind, content.data)
        if answer.status != 201:
            raise refusal(f"{self.client.name}/{repository}", answer.status, answer.body)
        told = answer.headers.get("Docker-Content-Digest")
        if told is not None and told != content.digest and told.startswith(content.digest.algorithm):
            raise TransferError(f"{self.client.name} took the manifest {content.digest} for {told}")
        return "OCI-Subject" in answer.headers

    async def _enter_by_tag(self, repository: str, content: Content, subject: Digest) -> None:
        """For a registry without the referrers API (distribution-spec, "Pushing Manifests with Subject")."""
        tag = fallback_tag(subject)
        listed: list[dict[str, object]] = []
        try:
            index = await RemoteSource(self.client).manifest(repository, tag)
        except Missing:
            pass
        else:
            listed = [child.as_json() for child in index.manifest.children]
        if any(entry["digest"] == content.digest for entry in listed):
            return
        manifest = content.manifest
        listed.append(
            Descriptor(
                manifest.media_type,
                content.digest,
                len(content.data),
                manifest.artifact_type,
                manifest.annotations,
            ).as_json()
        )
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
        data = json.dumps(document).encode()
        await self._put(repository, content_of(data, None, OCI_INDEX, repository), tag)
