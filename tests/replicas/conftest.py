"""Fixtures: a database that tests may stop, storages that replicas can share, and replicas on them."""

from collections.abc import Iterator, Mapping

import pytest

from tests.engines.conftest import docker_classic, folder, podman, skopeo, workspace
from tests.replicas.fleet import Fleet, fleet
from tests.replicas.storages import STORAGES, Storage
from tests.support.postgres import PostgresServer, postgres
from tests.support.s3_server import S3Server

__all__ = ["docker_classic", "folder", "podman", "skopeo", "workspace"]


@pytest.fixture(scope="session")
def own_postgres() -> Iterator[PostgresServer]:
    """A server of which nobody else has a connection."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session", params=STORAGES)
def storage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """Each storage that replicas can share."""

    def shared_folder() -> Mapping[str, str]:
        return {"ENTREPOT_STORAGE__FILESYSTEM__ROOT": str(tmp_path_factory.mktemp("storage"))}

    def bucket() -> Mapping[str, str]:
        settings = server.settings(server.create_bucket())
        return {
            "ENTREPOT_STORAGE__DRIVER": "s3",
            **{f"ENTREPOT_STORAGE__S3__{key.upper()}": str(value) for key, value in settings.items()},
        }

    if request.param == "folder":
        return shared_folder
    server: S3Server = request.getfixturevalue("s3_server")
    return bucket


@pytest.fixture(scope="session")
def replicas(
    own_postgres: PostgresServer, storage: Storage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """Replicas for all tests that leave them as they were."""
    with fleet(tmp_path_factory.mktemp("replicas"), own_postgres, storage()) as running:
        yield running
