"""What the registry says over plain HTTP: the neutral witness of what an engine pushed."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any, cast

from tests.engines.images import (
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    OCI_INDEX,
    OCI_MANIFEST,
    Blob,
    Image,
    Index,
    sha256,
)
from tests.engines.layouts import read_content

ANY_MANIFEST = {"Accept": ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_MANIFEST_LIST, DOCKER_MANIFEST))}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Remote:
    """The registry at `address` (`host:port`). `authorization` goes with every request that has none."""

    address: str
    authorization: str | None = None

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        own = {} if self.authorization is None else {"Authorization": self.authorization}
        try:
            connection.request(method, path, body, {**own, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, cast(Message, response.headers), response.read())
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        answer = self.request("GET", path, headers)
        assert answer.status == 200, f"GET {path}: {answer.status} {answer.body[:500]!r}"
        return answer

    def name(self, repository: str, tag: str = "latest") -> str:
        """How an engine calls the image: `host:port/repository:tag`."""
        return f"{self.address}/{repository}:{tag}"

    def manifest(self, repository: str, reference: str) -> Blob:
        answer = self.get(f"/v2/{repository}/manifests/{reference}", ANY_MANIFEST)
        found = Blob(answer.headers["Content-Type"], answer.body)
        assert answer.headers["Docker-Content-Digest"] == found.digest
        return found

    def blob(self, repository: str, digest: str) -> bytes:
        body = self.get(f"/v2/{repository}/blobs/{digest}").body
        assert sha256(body) == digest
        return body

    def has_blob(self, repository: str, digest: str) -> bool:
        status = self.request("HEAD", f"/v2/{repository}/blobs/{digest}").status
        assert status in (200, 404)
        return status == 200

    def content(self, repository: str, reference: str = "latest") -> Image | Index:
        """Everything below a tag or digest, every digest and size compared with the bytes."""
        top = self.manifest(repository, reference)

        def read(digest: str) -> bytes:
            if digest == top.digest:
                return top.data
            if digest in children:
                return self.manifest(repository, digest).data
            return self.blob(repository, digest)

        children = {child["digest"] for child in top.json().get("manifests", [])}
        return read_content(read, top.descriptor())

    def image(self, repository: str, reference: str = "latest") -> Image:
        found = self.content(repository, reference)
        assert isinstance(found, Image)
        return found

    def put(self, repository: str, image: Image, tag: str = "latest") -> None:
        """Push an image as no engine does: each blob in one request."""
        for blob in image.blobs:
            target = f"/v2/{repository}/blobs/uploads/?digest={blob.digest}"
            headers = {"Content-Type": "application/octet-stream"}
            answer = self.request("POST", target, headers, blob.data)
            assert answer.status == 201, f"POST {target}: {answer.status} {answer.body!r}"
        headers = {"Content-Type": image.manifest.media_type}
        answer = self.request("PUT", f"/v2/{repository}/manifests/{tag}", headers, image.manifest.data)
        assert answer.status == 201, f"PUT {repository}:{tag}: {answer.status} {answer.body!r}"

    def tags(self, repository: str) -> list[str]:
        return list(json.loads(self.get(f"/v2/{repository}/tags/list").body)["tags"] or [])

    def has_manifest(self, repository: str, reference: str) -> bool:
        status = self.request("HEAD", f"/v2/{repository}/manifests/{reference}", ANY_MANIFEST).status
        assert status in (200, 404)
        return status == 200

    def referrers(self, repository: str, digest: str) -> list[dict[str, Any]]:
        """Descriptors of what refers to `digest`; only for registries that have the referrers API."""
        answer = self.get(f"/v2/{repository}/referrers/{digest}")
        assert answer.headers["Content-Type"] == OCI_INDEX
        return list(json.loads(answer.body)["manifests"])

    def has_referrers(self, repository: str) -> bool:
        """Does this registry have the referrers API? Entrepot does; docker-registry 2.8 does not."""
        path = f"/v2/{repository}/referrers/{sha256(b'')}"
        return self.request("GET", path).status == 200

    def delete_image(self, repository: str, image: Image) -> None:
        """The manifest with its tags, then its blobs: afterwards nothing of it is in the repository."""
        paths = [f"manifests/{image.digest}"]
        paths += [f"blobs/{digest}" for digest in dict.fromkeys(blob.digest for blob in image.blobs)]
        for path in paths:
            answer = self.request("DELETE", f"/v2/{repository}/{path}")
            assert answer.status == 202, f"DELETE {path}: {answer.status} {answer.body[:500]!r}"
        assert not self.has_manifest(repository, image.digest)
        assert not any(self.has_blob(repository, blob.digest) for blob in image.blobs)
