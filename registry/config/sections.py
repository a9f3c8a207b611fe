"""What can be set for the server, the index, storage and the registry's work. Accounts: `accounts`."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from registry.config.values import (
    UNLESS_EMPTY,
    Network,
    Seconds,
    Section,
    WholeSeconds,
    networks,
    split_listen,
    split_url,
    usable_cores,
)
from registry.drivers import driver_class


class ServerSettings(Section):
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
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(networks)] = Field(
        (), description="networks whose Forwarded and X-Forwarded-* headers are believed"
    )
    tls: Annotated[Literal["auto"] | None, UNLESS_EMPTY] = Field(
        None, description="`auto`: a certificate of an authority of our own, made in `tls` in `data`"
    )
    tls_certificate: Annotated[Path | None, UNLESS_EMPTY] = Field(
        None, description="the certificate with its chain, PEM; read anew when it changes"
    )
    tls_key: Annotated[Path | None, UNLESS_EMPTY] = Field(None, description="its key, PEM")
    drain_seconds: float = Field(
        30, ge=0, allow_inf_nan=False, description="how long running requests may take to finish at the end"
    )
    notice_seconds: float = Field(
        0,
        ge=0,
        allow_inf_nan=False,
        description="how long /readyz says no at the end, before nobody is accepted any more",
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

    @property
    def scheme(self) -> str:
        """How clients speak to the socket, proxies aside."""
        return "http" if self.tls is None and self.tls_certificate is None else "https"

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
        parts = split_url(url, ("http", "https"), "https://registry.example.com")
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

    @model_validator(mode="after")
    def _check_tls(self) -> "ServerSettings":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("server.tls_certificate and server.tls_key belong together: set both or neither")
        if self.tls is not None and self.tls_certificate is not None:
            raise ValueError(
                "server.tls is auto, which makes a certificate, and server.tls_certificate names one: keep "
                "one of them"
            )
        return self


class IndexSettings(Section):
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


class UploadSettings(Section):
    """Upload sessions."""

    expire_seconds: WholeSeconds = Field(604800, description="how long a session lives without a byte")
    tombstone_seconds: WholeSeconds = Field(
        3600, description="how long a finished session answers a repeated PUT"
    )
    lease_seconds: Seconds = Field(
        10, description="how long a session is held for a process that died while it wrote it"
    )


class BlobSettings(Section):
    """Blobs."""

    lease_seconds: Seconds = Field(
        86400, description="how long a blob that was shown, mounted or pushed is kept for a manifest to come"
    )


class ManifestSettings(Section):
    """Manifests."""

    max_bytes: int = Field(4 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="the largest accepted")
    sparse: bool = Field(False, description="accept manifests that cite content which is not here")
    max_tags: int = Field(64, ge=10, le=1000, description="`tag=` parameters in one request")


class DeletionSettings(Section):
    """What clients may delete."""

    tags: bool = Field(True, description="DELETE of a tag")
    manifests: bool = Field(True, description="DELETE of a manifest by its digest")
    blobs: bool = Field(True, description="DELETE of a blob")


class GcSettings(Section):
    """Collection: freeing what nothing needs any more."""

    every_seconds: float = Field(
        3600, ge=0, allow_inf_nan=False, description="between two collections; 0: only when it is asked for"
    )
    delay_seconds: float = Field(
        3600,
        ge=0,
        allow_inf_nan=False,
        description="how long bytes that nothing needs any more stay for those who are reading them",
    )


class UndoSettings(Section):
    """What was deleted."""

    window_seconds: int = Field(
        604800, ge=0, description="how long what was deleted can be restored; 0: nothing can be"
    )


class RetentionSettings(Section):
    """Deleting what no rule keeps."""

    every_seconds: float = Field(
        86400,
        ge=0,
        allow_inf_nan=False,
        description="between two runs over all repositories that have rules; 0: only when it is asked for",
    )


class ScrubSettings(Section):
    """Reading all that is stored, to find what is wrong before somebody needs it."""

    every_seconds: float = Field(
        2592000, ge=0, allow_inf_nan=False, description="between two scrubs; 0: only when it is asked for"
    )
    bytes_per_second: int = Field(
        20_000_000, ge=0, description="how fast it reads the storage, at most; 0: as fast as it goes"
    )


class JournalSettings(Section):
    """What exists in the index alone, written to the storage as well."""

    every_seconds: float = Field(
        60,
        ge=0,
        allow_inf_nan=False,
        description="between two objects with what came meanwhile; 0: nothing is written",
    )


class ListSettings(Section):
    """Pages of tags and of the catalog."""

    default: int = Field(100, ge=1, description="repositories in a page of the catalog, when none are asked")
    maximum: int = Field(1000, ge=1, le=100_000, description="entries in any page, whatever was asked for")

    @model_validator(mode="after")
    def _check_order(self) -> "ListSettings":
        if self.default > self.maximum:
            raise ValueError(f"lists.default ({self.default}) should not be above maximum ({self.maximum})")
        return self


class LogSettings(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least that is told")
    access: bool = Field(True, description="a line for each request")
    format: Literal["text", "json"] = Field("text", description="lines for people or for programs")
