"""Registries that keep their blobs in S3, each in a bucket of its own of one server.

Clients are sent there for large blobs. Entrepot's index is in PostgreSQL; the others keep everything in S3.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.programs import Distribution, Entrepot
from benchmarks.services import Services, services_present

ONE, THREE = "entrepot-s3", "entrepot-s3-x3"
PEER = "docker-registry-s3"
INSTALL = "for versitygw, nginx and PostgreSQL: make tools"


class EntrepotOnS3(Entrepot):
    """One replica or several, each with two workers as on a folder."""

    on_s3 = True
    install = INSTALL

    def __init__(self, name: str, replicas: int, services: Services | None = None) -> None:
        self.name, self.replicas = name, replicas
        self._services = services
        self._settings: Mapping[str, str] = {}
        if services is not None:
            s3, database = services.s3, services.database
            self._settings = {
                "ENTREPOT_INDEX__URL": database.url(database.create_database()),
                "ENTREPOT_STORAGE__DRIVER": "s3",
                "ENTREPOT_STORAGE__S3__REDIRECT": "on",
                **{
                    f"ENTREPOT_STORAGE__S3__{key.upper()}": str(value)
                    for key, value in s3.settings(s3.create_bucket(), services.endpoint).items()
                },
            }

    def path(self) -> str | None:
        return super().path() if services_present() else None

    def bound(self, services: Services) -> "EntrepotOnS3":
        return EntrepotOnS3(self.name, self.replicas, services)

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), **self._settings}

    def helpers(self) -> Sequence[int]:
        return () if self._services is None else (self._services.database.process.pid,)


class DistributionOnS3(Distribution):
    """distribution, version 2 or 3. It redirects unless it is told not to."""

    on_s3 = True

    def __init__(self, name: str, program: str, install: str, services: Services | None = None) -> None:
        super().__init__(name, program, install if services_present() else f"{install}; {INSTALL}")
        self._settings: Mapping[str, object] = {}
        if services is not None:
            given = services.s3.settings(services.s3.create_bucket(), services.endpoint)
            self._settings = {
                "regionendpoint": given["endpoint"],
                "region": given["region"],
                "bucket": given["bucket"],
                "accesskey": given["access_key"],
                "secretkey": given["secret_key"],
                "forcepathstyle": given["path_style"],
                "secure": False,
            }

    def path(self) -> str | None:
        return super().path() if services_present() else None

    def bound(self, services: Services) -> "DistributionOnS3":
        return DistributionOnS3(self.name, self.program, self.install, services)

    def _driver(self, folder: Path) -> Mapping[str, object]:
        return {"s3": self._settings}
