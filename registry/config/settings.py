"""All sections in one tree, and what must not go together."""

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from auth.addresses import is_loopback
from registry.config.accounts import AuditSettings, AuthSettings, LdapSettings
from registry.config.sections import (
    BlobSettings,
    DeletionSettings,
    GcSettings,
    IndexSettings,
    JournalSettings,
    ListSettings,
    LogSettings,
    ManifestSettings,
    RetentionSettings,
    ScrubSettings,
    ServerSettings,
    StorageSettings,
    UndoSettings,
    UploadSettings,
)
from registry.config.values import Section
from registry.drivers import driver_class


class Settings(Section):
    """All that can be set. Make it with `registry.config_sources.load`, or in a test by hand."""

    data: Path = Field(Path("data"), description="the folder for the index and the blobs")
    server: ServerSettings = Field(default_factory=ServerSettings)
    index: IndexSettings = Field(default_factory=IndexSettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    uploads: UploadSettings = Field(default_factory=UploadSettings)
    blobs: BlobSettings = Field(default_factory=BlobSettings)
    manifests: ManifestSettings = Field(default_factory=ManifestSettings)
    deletion: DeletionSettings = Field(default_factory=DeletionSettings)
    gc: GcSettings = Field(default_factory=GcSettings)
    undo: UndoSettings = Field(default_factory=UndoSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    scrub: ScrubSettings = Field(default_factory=ScrubSettings)
    journal: JournalSettings = Field(default_factory=JournalSettings)
    lists: ListSettings = Field(default_factory=ListSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    ldap: LdapSettings = Field(default_factory=LdapSettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)

    @property
    def open(self) -> bool:
        """Whether there are no accounts: whoever can connect may do everything."""
        return self.auth.mode == "open" or self.auth.insecure_open

    def index_url(self) -> str:
        """The URL of the index as SQLAlchemy takes it: with its driver, and with its password."""
        if self.index.url is not None:
            return self.index.url.get_secret_value()
        return f"sqlite:///{(self.data / 'index.sqlite').absolute()}"

    def tls_folder(self) -> Path:
        """Where the authority of `server.tls = "auto"` is kept."""
        return self.data / "tls"

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
        if self.auth.mode != "open" or self.auth.insecure_open or is_loopback(self.server.host):
            return None
        return (
            f"auth.mode is open and server.listen is {self.server.listen}, which other machines can reach: "
            "anyone who can connect could read, push and delete everything. Set auth.mode to accounts, "
            "listen on 127.0.0.1, or say --insecure-open (auth.insecure_open = true) if you want just that."
        )

    def _unshared_storage(self) -> str | None:
        if self.server.workers == 1 or driver_class(self.storage.driver).shared:
            return None
        return (
            f"server.workers is {self.server.workers}, but the storage driver {self.storage.driver!r} keeps "
            "its objects in one process: set server.workers to 1, or choose another driver."
        )
