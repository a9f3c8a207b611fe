"""Rows for tests: each function enters one and returns its id."""

from auth.patterns import RepositoryPattern
from auth.principals import Kind
from auth.roles import Role
from registry.index import (
    Connection,
    blobs,
    credentials,
    grants,
    manifests,
    principals,
    repositories,
    tags,
    trust_rules,
    uploads,
    users,
)

BY = "user:admin"


def user(connection: Connection, name: str, source: str = "local") -> int:
    id = users.create(connection, name, f"hash of {name}", source, "", 1.0, BY)
    assert id is not None
    return id


def group(connection: Connection, name: str) -> int:
    return principal(connection, Kind.GROUP, name)


def robot(connection: Connection, name: str) -> int:
    return principal(connection, Kind.ROBOT, name)


def principal(connection: Connection, kind: Kind, name: str) -> int:
    id = principals.create(connection, kind, name, "", 1.0, BY)
    assert id is not None
    return id


def grant(connection: Connection, principal_id: int, role: Role, pattern: str) -> int:
    return grants.add(connection, principal_id, role, RepositoryPattern(pattern), 1.0, BY)


def credential(
    connection: Connection,
    principal_id: int,
    hash: str,
    kind: str = "personal",
    expires_at: float | None = None,
    parent_id: int | None = None,
) -> int:
    limits = {"read_only": False, "repositories": (), "addresses": ()}
    return credentials.create(
        connection,
        principal_id,
        kind,
        hash,
        "",
        **limits,
        created_at=1.0,
        expires_at=expires_at,
        parent_id=parent_id,
    )  # type: ignore[arg-type]


def trust_rule(connection: Connection, name: str, issuer: str = "https://ci.example") -> int:
    claims = {"repository": "acme/app"}
    pattern = RepositoryPattern("acme/app")
    id = trust_rules.create(connection, name, issuer, "entrepot", claims, Role.WRITER, pattern, None, 1.0, BY)
    assert id is not None
    return id


def blob(connection: Connection, repository: str, digest: str, size: int) -> int:
    """In a repository, which is made."""
    row = blobs.record(connection, digest, size, f"at {digest}", 0.0, 1.0)
    blobs.link(connection, repositories.ensure(connection, repository, 1.0), row.id, 1.0)
    return row.id


def manifest(
    connection: Connection, repository: str, digest: str, size: int, tag: str, blob_ids: tuple[int, ...] = ()
) -> int:
    """With a tag, in a repository, which is made."""
    repository_id = repositories.ensure(connection, repository, 1.0)
    values = {
        "repository_id": repository_id,
        "digest": digest,
        "media_type": "application/vnd.oci.image.manifest.v1+json",
        "artifact_type": None,
        "size": size,
        "body": b"{}",
        "subject": None,
        "annotations": None,
        "pushed_by": BY,
        "pushed_at": 1.0,
    }
    id = manifests.record(connection, values)
    manifests.record_edges(connection, id, repository_id, blob_ids, ["sha256:child"])
    tags.point(connection, repository_id, tag, id, digest, BY, 1.0)
    return id


def upload(connection: Connection, repository: str, id: str) -> str:
    uploads.create(connection, id, repository, "sha256", {"path": id}, by=BY, now=1.0, expires_at=1000.0)
    return id
