"""The tables of the metadata index, see docs/architecture.md.

Times are seconds since the epoch. Names and digests sort by byte on every database.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def text_by_byte(length: int) -> String:
    """Text that sorts by byte. SQLite's does by itself; PostgreSQL's follows the locale unless told."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def work_left(name: str | None, column: str, condition: str) -> Index:
    """A partial index, of the rows that some work is left with and not of all. Migrations make it so on
    PostgreSQL, too; to say so here would import its dialect wherever there is SQLite only."""
    return Index(name, column, sqlite_where=text(condition))


Identity = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only as INTEGER

repositories = Table(
    "repositories",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("name", text_by_byte(255), nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    Column(
        "uid",
        String(16),
        nullable=False,
        index=True,
        comment="random: another one under the same name has another",
    ),
    Column("public", Boolean, nullable=False, server_default=false()),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("immutable_tags", Text, nullable=False, server_default="[]", comment="patterns, a JSON array"),
    Column("updated_at", Double, comment="when a setting was last changed"),
    Column("journaled", Boolean, nullable=False, server_default=false(), comment="is in the storage, too"),
    work_left("ix_repositories_journaled", "id", "NOT journaled"),
)

blobs = Table(
    "blobs",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("digest", text_by_byte(255), nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
    Column("location", Text, nullable=False, unique=True, comment="chosen by the storage driver"),
    Column("lease_until", Double, nullable=False, comment="until then it is kept, referenced or not"),
    Column("created_at", Double, nullable=False),
    Column("examine_at", Double, server_default="0", comment="may be garbage from then on; null: is needed"),
    Column("quarantined_at", Double, comment="its bytes were found wrong or missing; a push heals it"),
    work_left(None, "examine_at", "examine_at IS NOT NULL"),
    work_left(None, "quarantined_at", "quarantined_at IS NOT NULL"),
)

repository_blobs = Table(
    "repository_blobs",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="RESTRICT"), primary_key=True),
    Column("blob_id", ForeignKey("blobs.id", ondelete="RESTRICT"), primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("examine_at", Double, server_default="0", comment="may be needless from then on; null: is needed"),
    Index(None, "blob_id", "repository_id"),  # both: a common layer has thousands of holders
    work_left(None, "examine_at", "examine_at IS NOT NULL"),
    comment="this repository may read this blob",
)

manifests = Table(
    "manifests",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="RESTRICT"), nullable=False),
    Column("digest", text_by_byte(255), nullable=False),
    Column("media_type", String(255), nullable=False),
    Column("artifact_type", Text),
    Column("size", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="exactly as pushed"),
    Column("subject", text_by_byte(255), comment="the digest that this manifest refers to"),
    Column("annotations", Text, comment="a JSON object, for the referrers list"),
    Column("pushed_by", String(255)),
    Column("pushed_at", Double, nullable=False),
    Column("pulled_at", Double),
    Column("missing_recorded", Boolean, nullable=False, server_default=false()),
    Column("journaled", Boolean, nullable=False, server_default=false(), comment="is in the storage, too"),
    UniqueConstraint("repository_id", "digest"),
    # Not of all: PostgreSQL may believe that a repository is empty, as a new one is until the next ANALYZE,
    # and would then look for a digest here as soon as among the digests.
    Index(
        None,
        "repository_id",
        "subject",
        "digest",
        sqlite_where=text("subject IS NOT NULL"),
    ),
    work_left("ix_manifests_missing_recorded", "id", "NOT missing_recorded"),
    work_left("ix_manifests_journaled", "id", "NOT journaled"),
)

manifest_blobs = Table(
    "manifest_blobs",
    metadata,
    Column("manifest_id", ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True),
    Column("repository_id", Identity, nullable=False),
    Column("blob_id", Identity, primary_key=True),
    # To the link and not to the blob: what a manifest needs stays readable in its own repository.
    ForeignKeyConstraint(
        ["repository_id", "blob_id"],
        ["repository_blobs.repository_id", "repository_blobs.blob_id"],
        ondelete="RESTRICT",
    ),
    Index(None, "repository_id", "blob_id"),
)

manifest_children = Table(
    "manifest_children",
    metadata,
    Column("manifest_id", ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True),
    # A digest and not a row: a sparse index lists children that nobody pushed, and a child may be deleted.
    Column("child_digest", text_by_byte(255), primary_key=True, index=True),
)

tags = Table(
    "tags",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="RESTRICT"), primary_key=True),
    Column("name", text_by_byte(128), primary_key=True),
    Column("manifest_id", ForeignKey("manifests.id", ondelete="RESTRICT"), nullable=False, index=True),
    Column("updated_at", Double, nullable=False),
)

tag_history = Table(
    "tag_history",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id", ondelete="RESTRICT"), nullable=False),
    Column("name", text_by_byte(128), nullable=False),
    Column("digest", text_by_byte(255), comment="null: the tag was deleted"),
    Column("at", Double, nullable=False),
    Column("by", String(255)),
    Column("journaled", Boolean, nullable=False, server_default=false(), comment="is in the storage, too"),
    Index(None, "repository_id", "name", "at"),
    work_left("ix_tag_history_journaled", "id", "NOT journaled"),
    comment="append-only",
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("repository", text_by_byte(255), nullable=False, comment="its row may not exist yet"),
    Column("algorithm", String(32), nullable=False),
    Column("offset", BigInteger, nullable=False, comment="bytes that are durable"),
    Column("state", Text, nullable=False, comment="the storage driver's, a JSON object"),
    Column("prefix_digest", text_by_byte(255), comment="of all bytes so far; null: not known"),
    Column("claim", String(36), comment="the request that is writing now"),
    Column("claim_until", Double, nullable=False),
    Column("finished", text_by_byte(255), comment="tombstone: the digest it became"),
    Column("created_by", String(255)),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
)

discarded = Table(
    "discarded",
    metadata,
    Column("location", Text, primary_key=True),
    Column("since", Double, nullable=False, index=True),
    Column("size", BigInteger, comment="in bytes; null: not known"),
    comment="locations whose bytes are to be deleted",
)

# Ids of the tables below stand in tokens and in the audit: sqlite_autoincrement keeps SQLite, too, from
# giving one a second time.

principals = Table(
    "principals",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("kind", String(16), nullable=False, comment="user, robot or group"),
    Column("name", text_by_byte(100), nullable=False),
    Column("description", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    UniqueConstraint("kind", "name"),
    sqlite_autoincrement=True,
)

users = Table(
    "users",
    metadata,
    Column("principal_id", ForeignKey("principals.id", ondelete="CASCADE"), primary_key=True),
    Column("password_hash", Text, comment="null: no password of ours lets this user in"),
    Column("password_set_at", Double, comment="what was got with an older one does not count"),
    Column("source", String(16), nullable=False, comment="local or ldap"),
    Column("signed_in_at", Double),
    Column("checked_at", Double, comment="when the directory was last asked"),
    comment="what a user has beyond other principals",
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_id", ForeignKey("principals.id", ondelete="CASCADE"), primary_key=True),
    Column("member_id", ForeignKey("principals.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("source", String(16), nullable=False, comment="local or ldap: who says so"),
)

grants = Table(
    "grants",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("principal_id", ForeignKey("principals.id", ondelete="CASCADE"), nullable=False),
    Column("role", String(16), nullable=False),
    Column("pattern", text_by_byte(255), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    UniqueConstraint("principal_id", "role", "pattern"),
    sqlite_autoincrement=True,
)

trust_rules = Table(
    "trust_rules",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("name", text_by_byte(100), nullable=False, unique=True),
    Column("issuer", text_by_byte(1024), nullable=False, index=True),
    Column("audience", Text, nullable=False),
    Column("claims", Text, nullable=False, comment="a JSON object"),
    Column("role", String(16), nullable=False),
    Column("pattern", text_by_byte(255), nullable=False),
    Column("keys", Text, comment="a JSON Web Key Set; null: the issuer is asked"),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    sqlite_autoincrement=True,
)

credentials = Table(
    "credentials",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("principal_id", ForeignKey("principals.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String(16), nullable=False, comment="refresh, personal or robot"),
    Column("hash", text_by_byte(64), nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("read_only", Boolean, nullable=False),
    Column("repositories", Text, nullable=False, comment="patterns, a JSON array; empty: not limited"),
    Column("addresses", Text, nullable=False, comment="networks, a JSON array; empty: not limited"),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("used_at", Double),
    Column(
        "parent_id",
        ForeignKey("credentials.id", ondelete="CASCADE"),
        index=True,
        comment="by which a refresh token was got",
    ),
    sqlite_autoincrement=True,
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", text_by_byte(64), primary_key=True),
    Column("algorithm", String(16), nullable=False),
    Column("private_key", Text, nullable=False, comment="PEM"),
    Column("created_at", Double, nullable=False),
    Column("retired_at", Double, comment="from then on it only verifies"),
)

access_epoch = Table(
    "access_epoch",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", BigInteger, nullable=False),
    comment="one row: the number of changes of rights",
)

quotas = Table(
    "quotas",
    metadata,
    Column("prefix", text_by_byte(255), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    # By those of migrations/quota_triggers.py: a table that is made anew must be given them again.
    Column(
        "used",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="bytes below the prefix, kept by triggers",
    ),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("at", Double, nullable=False, index=True),
    Column("request_id", Text, nullable=False),
    Column("actor", text_by_byte(512), nullable=False),
    Column("address", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", text_by_byte(512)),
    Column("result", String(16), nullable=False, comment="allowed, refused or failed"),
    Column("detail", Text, comment="a JSON object"),
    Index(None, "actor", "at"),
    Index(None, "target", "at"),
    sqlite_autoincrement=True,
)

sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("key", text_by_byte(255), primary_key=True, comment="account:NAME or address:ADDRESS"),
    Column("count", Integer, nullable=False),
    Column("last_at", Double, nullable=False),
)
