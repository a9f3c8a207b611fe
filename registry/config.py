"""The settings: one typed, immutable tree. Where the values come from is `config_sources`."""

import ipaddress
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from registry.drivers import driver_class

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
WholeSeconds = Annotated[int, Field(gt=0)]


class ConfigError(Exception):
    """The settings are wrong. `problems` has one line for each thing that is, fit to be shown."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def usable_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def split_listen(listen: str) -> tuple[str, int]:
    """`host:port` or `[IPv6]:port` in its two parts. Raises ValueError."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\[\]:\s/]+)):([0-9]{1,5})", listen, re.ASCII)
    if not found or not 1 <= int(found[3]) <= 65535:
        raise ValueError(
            "should be host:port, like 127.0.0.1:5000 or [::1]:5000, or 0.0.0.0:5000 for every IPv4 address"
        )
    if found[1]:
        ipaddress.IPv6Address(found[1])
    return found[1] or found[2], int(found[3])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _networks(value: object) -> tuple[Network, ...]:
    """Networks from a list, or from one string with commas or blanks between them."""
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    if not isinstance(value, list | tuple):
        raise ValueError('should be a list of addresses or networks, like ["10.0.0.0/8", "::1"]')  # noqa: TRY004
    return tuple(ipaddress.ip_network(entry if isinstance(entry, Network) else str(entry)) for entry in value)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class ServerSettings(_Section):
    """Sockets, processes and what is known of the proxy in front."""

    listen: str = Field("127.0.0.1:5000", description="address and port to listen on")
    workers: int = Field(
        default_factory=lambda: min(4, usable_cores()),
        ge=1,
        le=256,
        description="processes that serve; by default one per usable core, four at most",
    )
    external_url: str | None = Field(
        None, description="how clients reach the registry, like https://registry.example.com"
    )
    path_prefix: str = Field("", description="the path in front of /v2/ that the proxy keeps, like /prefix")
    relative_locations: bool = Field(
        True,
        description="tell paths and not whole URLs in Location; turn off only for clients that need them",
    )
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(_networks)] = Field(
        (), description="networks whose Forwarded and X-Forwarded-* headers are believed"
    )
    insecure_open: bool = Field(
        False, description="allow an address that others can reach, though there are no accounts"
    )
    drain_seconds: float = Field(
        30, ge=0, allow_inf_nan=False, description="how long running requests may take to finish at the end"
    )
    header_seconds: Seconds = Field(15, description="how long a client may take to send its headers")
    idle_seconds: Seconds = Field(60, description="how long a body may stand still")
    keepalive_seconds: Seconds = Field(75, description="how long an idle connection is kept")

    @property
    def host(self) -> str:
        """The address without brackets."""
        return split_listen(self.listen)[0]

    @property
    def port(self) -> int:
        return split_listen(self.listen)[1]

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, listen: str) -> str:
        split_listen(listen)
        return listen

    @field_validator("external_url")
    @classmethod
    def _check_external_url(cls, url: str | None) -> str | None:
        if not url:
            return None
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError for one that is no number
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ValueError("should be http:// or https:// and a host, like https://registry.example.com")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("should end after the host and port; a path goes into server.path_prefix")
        return f"{parts.scheme}://{parts.netloc}"

    @field_validator("path_prefix")
    @classmethod
    def _check_path_prefix(cls, prefix: str) -> str:
        prefix = prefix.rstrip("/")
        if prefix and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", prefix):
            raise ValueError("should be empty, or a path like /prefix, of letters, digits and . _ ~ -")
        return prefix


class IndexSettings(_Section):
    """The SQL database that knows what exists."""

    url: SecretStr | None = Field(
        None,
        description="sqlite:///file or postgresql://user:password@host/name; by default <data>/index.sqlite",
    )
    pool_size: int = Field(8, ge=1, le=1000, description="connections that each process keeps, at most")

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None or not url.get_secret_value():
            return None
        return SecretStr(_database_url(url.get_secret_value()))


def _database_url(url: str) -> str:
    """The URL with the one driver we use for each database. Raises ValueError, without the secret in it."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme in ("postgresql", "postgresql+psycopg"):
        return f"postgresql+psycopg://{rest}"
    if separator and scheme == "sqlite":
        if rest.startswith("/") and rest[1:] and not rest[1:].startswith((":memory:", "file:", "?")):
            return url
        raise ValueError("should name a file: sqlite:///relative/file or sqlite:////absolute/file")
    raise ValueError("should start with postgresql:// or sqlite:///")


class StorageSettings(BaseModel):
    """Which driver keeps the blobs, and a table for each driver, which the driver itself judges."""

    model_config = ConfigDict(frozen=True, extra="allow", validate_default=True)
    __pydantic_extra__: dict[str, dict[str, object]] = Field(init=False)

    driver: str = Field("filesystem", description="the name of a storage driver that is installed")

    @field_validator("driver")
    @classmethod
    def _check_driver(cls, name: str) -> str:
        driver_class(name)
        return name


class UploadSettings(_Section):
    """Upload sessions."""

    expire_seconds: WholeSeconds = Field(604800, description="how long a session lives without a byte")
    tombstone_seconds: WholeSeconds = Field(
        3600, description="how long a finished session answers a repeated PUT"
    )
    lease_seconds: Seconds = Field(
        10, description="how long a session is held for a process that died while it wrote it"
    )


class BlobSettings(_Section):
    """Blobs."""

    lease_seconds: WholeSeconds = Field(
        86400, description="how long a blob that was shown, mounted or pushed is kept for a manifest to come"
    )


class ManifestSettings(_Section):
    """Manifests."""

    max_bytes: int = Field(4 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="the largest accepted")
    sparse: bool = Field(False, description="accept manifests that cite content which is not here")
    max_tags: int = Field(64, ge=10, le=1000, description="`tag=` parameters in one request")


class DeletionSettings(_Section):
    """What clients may delete."""

    tags: bool = Field(True, description="DELETE of a tag")
    manifests: bool = Field(True, description="DELETE of a manifest by its digest")
    blobs: bool = Field(True, description="DELETE of a blob")


class ListSettings(_Section):
    """Pages of tags and of the catalog."""

    default: int = Field(100, ge=1, description="repositories in a page of the catalog, when none are asked")
    maximum: int = Field(1000, ge=1, le=100_000, description="entries in any page, whatever was asked for")

    @model_validator(mode="after")
    def _check_order(self) -> "ListSettings":
        if self.default > self.maximum:
            raise ValueError(f"lists.default ({self.default}) should not be above maximum ({self.maximum})")
        return self


class LogSettings(_Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least that is told")
    access: bool = Field(True, description="a line for each request")
    format: Literal["text", "json"] = Field("text", description="lines for people or for programs")


class Settings(_Section):
    """All that can be set. Make it with `registry.config_sources.load`, or in a test by hand."""

    data: Path = Field(Path("data"), description="the folder for the index and the blobs")
    server: ServerSettings = Field(default_factory=ServerSettings)
    index: IndexSettings = Field(default_factory=IndexSettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    uploads: UploadSettings = Field(default_factory=UploadSettings)
    blobs: BlobSettings = Field(default_factory=BlobSettings)
    manifests: ManifestSettings = Field(default_factory=ManifestSettings)
    deletion: DeletionSettings = Field(default_factory=DeletionSettings)
    lists: ListSettings = Field(default_factory=ListSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    def index_url(self) -> str:
        """The URL of the index as SQLAlchemy takes it: with its driver, and with its password."""
        if self.index.url is not None:
            return self.index.url.get_secret_value()
        return f"sqlite:///{(self.data / 'index.sqlite').absolute()}"

    def storage_settings(self) -> dict[str, object]:
        """The table of the chosen driver."""
        given = dict((self.storage.model_extra or {}).get(self.storage.driver, {}))
        if self.storage.driver == "filesystem":
            given.setdefault("root", str((self.data / "storage").absolute()))
        return given

    @field_validator("data")
    @classmethod
    def _check_data(cls, data: Path) -> Path:
        if set(str(data)) & {"?", "\0"}:
            raise ValueError("should have no '?' in it: it ends the file's name in a database URL")
        return data

    @model_validator(mode="after")
    def _check_together(self) -> "Settings":
        problems = [problem for problem in (self._open_to_others(), self._unshared_storage()) if problem]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _open_to_others(self) -> str | None:
        if self.server.insecure_open or is_loopback(self.server.host):
            return None
        return (
            f"server.listen is {self.server.listen}, which other machines can reach, and there are no "
            "accounts yet: anyone who can connect could read, push and delete everything. Listen on "
            "127.0.0.1, or say --insecure-open (server.insecure_open = true) if that is what you want."
        )

    def _unshared_storage(self) -> str | None:
        if self.server.workers == 1 or driver_class(self.storage.driver).shared:
            return None
        return (
            f"server.workers is {self.server.workers}, but the storage driver {self.storage.driver!r} keeps "
            "its objects in one process: set server.workers to 1, or choose another driver."
        )
