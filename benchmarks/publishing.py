"""Put content into a server: through the API of a registry, as a file where nginx serves it."""

from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.client import Connection, with_digest
from benchmarks.content import MANIFEST_TYPE, Blob, LargeContent
from benchmarks.servers import SERVERS, RunningServer


def push_blob(connection: Connection, repository: str, blob: Blob) -> None:
    """POST, then a PUT with the whole body, as containerd does."""
    started = connection.request("POST", f"/v2/{repository}/blobs/uploads/").expect(202)
    headers = {"Content-Type": "application/octet-stream"}
    connection.request("PUT", with_digest(started.location, blob.digest), headers, blob.data).expect(201)


def push_manifest(connection: Connection, repository: str, reference: str, manifest: bytes) -> None:
    headers = {"Content-Type": MANIFEST_TYPE}
    connection.request("PUT", f"/v2/{repository}/manifests/{reference}", headers, manifest).expect(201)


def push_large(
    connection: Connection, repository: str, content: LargeContent, tail: bytes, digest: str
) -> None:
    """POST, one PATCH with the whole body, then an empty PUT, as docker does."""
    started = connection.request("POST", f"/v2/{repository}/blobs/uploads/").expect(202)
    headers = {**content.framing, "Content-Type": "application/octet-stream"}
    connection.send(connection.head("PATCH", started.location, headers))
    content.send(connection, tail)
    patched = connection.answer("PATCH").expect(202)
    connection.request("PUT", with_digest(patched.location, digest)).expect(201)


def blob_length(connection: Connection, repository: str, digest: str) -> int:
    """What a HEAD says, where distribution sends clients to S3 as for a GET."""
    head = connection.request("HEAD", f"/v2/{repository}/blobs/{digest}").expect(200, 307)
    if head.status == 307:
        with Connection(urlsplit(head.headers["location"]).netloc) as storage:
            head = storage.request("HEAD", head.location).expect(200)
    return int(head.headers["content-length"])


def publish_blob(server: RunningServer, repository: str, blob: Blob) -> None:
    """Make a small blob readable."""
    if SERVERS[server.name].registry:
        with server.connect(repository) as connection:
            push_blob(connection, repository, blob)
    else:
        _file(server, f"{repository}/blobs/{blob.digest}").write_bytes(blob.data)


def publish_manifest(server: RunningServer, repository: str, tag: str, manifest: bytes) -> None:
    """Make a manifest readable by a tag. Its blobs have to be there."""
    if SERVERS[server.name].registry:
        with server.connect(repository) as connection:
            push_manifest(connection, repository, tag, manifest)
    else:
        _file(server, f"{repository}/manifests/{tag}").write_bytes(manifest)


def publish_large(
    server: RunningServer, repository: str, content: LargeContent, tail: bytes, digest: str
) -> None:
    """Make a large blob readable."""
    if SERVERS[server.name].registry:
        with server.connect(repository) as connection:
            push_large(connection, repository, content, tail, digest)
    else:
        content.write(_file(server, f"{repository}/blobs/{digest}"), tail)


def _file(server: RunningServer, target: str) -> Path:
    path = server.folder / "files" / "v2" / target
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
