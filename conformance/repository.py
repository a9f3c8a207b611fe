"""A repository under test, and the steps that most tests begin with."""

import secrets
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import pytest

from conformance.client import Client, HeaderLines, Response, with_query
from conformance.content import (
    EMPTY,
    OCI_CONFIG,
    OCI_IMAGE,
    OCI_LAYER,
    Json,
    Manifest,
    descriptor,
    digest_of,
    image,
    random_bytes,
    random_digest,
)

OCTETS = {"Content-Type": "application/octet-stream"}


@dataclass(frozen=True)
class Upload:
    """An open session. `chunk` is a length in bytes that the registry takes for a chunk."""

    location: str
    chunk: int


@dataclass(frozen=True)
class Repository:
    """A repository that no other test uses. `complete`: nothing that is optional may be missing."""

    client: Client
    name: str
    complete: bool

    def sibling(self) -> "Repository":
        """Another new repository of the same registry."""
        namespace = self.name.rpartition("/")[0]
        return Repository(self.client, f"{namespace}/{secrets.token_hex(6)}", self.complete)

    def optional(self, what: str) -> None:
        """End a test of something that a registry MAY leave out. Entrepot leaves nothing out."""
        if self.complete:
            pytest.fail(f"this registry must offer everything, and does not: {what}", pytrace=False)
        pytest.skip(f"not offered: {what}")

    def needs_referrers(self) -> None:
        """Go on only where the referrers API is offered: one that is not answers 404."""
        if self.get(self.path(f"referrers/{random_digest()}")).status == 404:
            self.optional("the referrers API")

    def path(self, rest: str, **query: str) -> str:
        return f"/v2/{self.name}/{rest}" + (f"?{urlencode(query)}" if query else "")

    def blob(self, digest: str) -> str:
        return self.path(f"blobs/{quote(digest, safe=':')}")

    def manifest(self, reference: str) -> str:
        return self.path(f"manifests/{quote(reference, safe=':')}")

    def get(self, target: str, headers: HeaderLines = ()) -> Response:
        return self.client.request("GET", target, headers=headers)

    def head(self, target: str, headers: HeaderLines = ()) -> Response:
        return self.client.request("HEAD", target, headers=headers)

    def delete(self, target: str) -> Response:
        return self.client.request("DELETE", target)

    def start_upload(self, **query: str) -> Upload:
        """POST for a session."""
        response = self.client.request("POST", self.path("blobs/uploads/", **query))
        assert response.status == 202, f"no upload session: {response}"
        location = response.header("Location")
        assert location, f"no Location of the upload session: {response}"
        smallest = response.header("OCI-Chunk-Min-Length") or "0"
        return Upload(location, max(1024, int(smallest)))

    def patch(self, location: str, chunk: bytes, start: int | None) -> Response:
        """PATCH a chunk whose first byte is at `start`; None streams it without a Content-Range."""
        headers = dict(OCTETS)
        if start is not None:
            headers["Content-Range"] = f"{start}-{start + len(chunk) - 1}"
        return self.client.request("PATCH", location, chunk, headers)

    def close_upload(
        self, location: str, digest: str, body: bytes | None = None, start: int | None = None
    ) -> Response:
        """The closing PUT, with a last chunk if there is one."""
        headers = dict(OCTETS) if body is not None else {}
        if body and start is not None:
            headers["Content-Range"] = f"{start}-{start + len(body) - 1}"
        return self.client.request("PUT", with_query(location, digest=digest), body, headers)

    def push_blob(self, content: bytes | None = None, algorithm: str = "sha256") -> tuple[bytes, str]:
        """Push a blob by POST and PUT; its bytes and its digest. Random bytes when none are given."""
        content = random_bytes(700) if content is None else content
        digest = digest_of(content, algorithm)
        response = self.close_upload(self.start_upload().location, digest, content)
        assert response.status == 201, f"the blob was not taken: {response}"
        return content, digest

    def put_manifest(self, manifest: Manifest, reference: str = "", **query: str) -> Response:
        """PUT a manifest to a tag or digest; to its own digest when none is given."""
        target = self.manifest(reference or manifest.digest) + (f"?{urlencode(query)}" if query else "")
        return self.client.request("PUT", target, manifest.body, {"Content-Type": manifest.media_type})

    def push_manifest(self, manifest: Manifest, reference: str = "") -> Manifest:
        response = self.put_manifest(manifest, reference)
        assert response.status == 201, f"the manifest was not taken: {response}"
        return manifest

    def new_image(self, media_type: str = OCI_IMAGE, **fields: object) -> Manifest:
        """An image manifest whose blobs are pushed, and which itself is not yet."""
        config, _ = self.push_blob(b'{"nonce":"%s"}' % secrets.token_hex(8).encode())
        layer, _ = self.push_blob()
        fields.setdefault("annotations", {"nonce": secrets.token_hex(8)})
        return image(
            descriptor(OCI_CONFIG, config),
            [descriptor(OCI_LAYER, layer)],
            media_type,
            **fields,
        )

    def push_image(self, reference: str = "", media_type: str = OCI_IMAGE, **fields: object) -> Manifest:
        return self.push_manifest(self.new_image(media_type, **fields), reference)

    def new_artifact(self, subject: Json, **fields: object) -> Manifest:
        """An artifact manifest that refers to `subject`; its empty config is pushed."""
        self.push_blob(b"{}")
        fields.setdefault("artifactType", "application/vnd.example.thing")
        fields.setdefault("annotations", {"nonce": secrets.token_hex(8)})
        empty = descriptor(EMPTY, b"{}")
        return image(empty, [empty], OCI_IMAGE, subject=subject, **fields)
