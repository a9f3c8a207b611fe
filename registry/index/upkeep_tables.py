"""Tables of what is kept, what goes and how to get it back: see docs/architecture.md, "Collection".

`registry.index.tables` has the conventions.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from registry.index.tables import Identity, metadata, text_by_byte

missing_blobs = Table(
    "missing_blobs",
    metadata,
    Column("manifest_id", ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True),
    Column("repository_id", Identity, nullable=False),
    Column("digest", text_by_byte(255), primary_key=True),
    Index(None, "repository_id", "digest"),
    comment="what a sparse manifest cites and nobody had pushed: kept, should it come",
)

removed_repositories = Table(
    "removed_repositories",
    metadata,
    Column("uid", String(16), primary_key=True),
    Column("name", text_by_byte(255), nullable=False, index=True),
    Column("created_at", Double, nullable=False),
    Column("public", Boolean, nullable=False),
    Column("description", Text, nullable=False),
    Column("immutable_tags", Text, nullable=False, comment="patterns, a JSON array"),
    Column("updated_at", Double),
    Column("removed_at", Double, nullable=False, index=True),
    Column("removed_by", String(255)),
    Column("ending", Boolean, nullable=False, server_default=false(), comment="too late to restore it"),
)

removed_tag_history = Table(
    "removed_tag_history",
    metadata,
    Column("id", Identity, primary_key=True),
    Column(
        "repository_uid",
        ForeignKey("removed_repositories.uid", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("name", text_by_byte(128), nullable=False),
    Column("digest", text_by_byte(255)),
    Column("at", Double, nullable=False),
    Column("by", String(255)),
    comment="the history of the tags of removed repositories, in the order of ids",
)

removed_tags = Table(
    "removed_tags",
    metadata,
    Column("repository_uid", ForeignKey("removed_repositories.uid", ondelete="CASCADE"), primary_key=True),
    Column("name", text_by_byte(128), primary_key=True),
    Column("digest", text_by_byte(255), nullable=False),
    Column("updated_at", Double, nullable=False),
    comment="the tags of removed repositories",
)

removed_manifests = Table(
    "removed_manifests",
    metadata,
    Column("id", Identity, primary_key=True),
    # By uid and not by id: SQLite gives the id of a removed repository to the next one.
    Column("repository_uid", String(16), nullable=False),
    Column("repository", text_by_byte(255), nullable=False),
    Column("digest", text_by_byte(255), nullable=False),
    Column("media_type", String(255), nullable=False),
    Column("artifact_type", Text),
    Column("size", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("subject", text_by_byte(255)),
    Column("annotations", Text),
    Column("pushed_by", String(255)),
    Column("pushed_at", Double, nullable=False),
    Column("pulled_at", Double),
    Column("removed_at", Double, nullable=False, index=True),
    Column("removed_by", String(255)),
    UniqueConstraint("repository_uid", "digest"),
    Index(None, "repository", "removed_at"),
    Index(None, "repository_uid", "subject"),
    comment="deleted, and can be restored for a while",
)

removed_manifest_blobs = Table(
    "removed_manifest_blobs",
    metadata,
    Column("removed_manifest_id", ForeignKey("removed_manifests.id", ondelete="CASCADE"), primary_key=True),
    Column("repository_uid", String(16), nullable=False),
    Column("blob_id", ForeignKey("blobs.id", ondelete="RESTRICT"), primary_key=True, index=True),
    Index(None, "repository_uid", "blob_id"),
)

removed_manifest_children = Table(
    "removed_manifest_children",
    metadata,
    Column("removed_manifest_id", ForeignKey("removed_manifests.id", ondelete="CASCADE"), primary_key=True),
    Column("child_digest", text_by_byte(255), primary_key=True),
)

jobs = Table(
    "jobs",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("holder", String(36), comment="the process that does it now"),
    Column("fence", BigInteger, nullable=False, comment="one more for each holder"),
    Column("held_until", Double, nullable=False),
    Column("state", Text, comment="where it goes on, a JSON object"),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("report", Text, comment="of the last one that finished, a JSON object"),
    comment="work in the background, done by one process at a time",
)

retention_rules = Table(
    "retention_rules",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("name", text_by_byte(100), nullable=False, unique=True),
    Column("repositories", text_by_byte(255), nullable=False, comment="a pattern"),
    Column("tags", Text, nullable=False, comment="patterns of those it decides about, a JSON array"),
    Column("keep_last", Integer, comment="so many tags of a repository"),
    Column("keep_last_by", String(16), nullable=False, comment="pushed or pulled"),
    Column("keep_tags", Text, nullable=False, comment="patterns, a JSON array"),
    Column("keep_pushed_seconds", Double),
    Column("keep_pulled_seconds", Double),
    Column("untagged_seconds", Double, comment="null: manifests without a tag are kept"),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    sqlite_autoincrement=True,
)

digests_in_use = Table(
    "digests_in_use",
    metadata,
    Column("repository", text_by_byte(255), primary_key=True),
    Column("digest", text_by_byte(255), primary_key=True),
    Column("reporter", text_by_byte(100), primary_key=True),
    # In the key: nobody replaces what somebody else reports under the same name.
    Column("reported_by", text_by_byte(512), primary_key=True),
    Column("reported_at", Double, nullable=False),
    Column("until", Double, nullable=False, index=True),
    Index(None, "reporter", "reported_by"),
    comment="what a cluster runs, as it says",
)

index_copies = Table(
    "index_copies",
    metadata,
    Column("location", Text, primary_key=True),
    Column("kind", String(16), nullable=False, comment="journal or backup"),
    Column("since", Double, nullable=False, comment="of the first batch that is in it"),
    Column("until", Double, nullable=False, comment="of the last one"),
    Column("size", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Index(None, "kind", "until"),
    comment="objects in the storage that are no blobs: they hold rows of the index",
)

index_identity = Table(
    "index_identity",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(32), nullable=False),
    comment="at most one row: by this name what the index writes into the storage is known",
)

removals_to_journal = Table(
    "removals_to_journal",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("repository_uid", String(16), nullable=False),
    Column("digest", text_by_byte(255), comment="of a manifest; null: the whole repository"),
    Column("at", Double, nullable=False),
    Column("by", String(255)),
    comment="deletions that are not in the storage yet",
)
