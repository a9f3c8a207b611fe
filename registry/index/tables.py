"""The tables of the metadata index, see docs/architecture.md.

Times are seconds since the epoch. Names and digests sort by byte on every database.
"""

from sqlalchemy import (
    BigInteger,
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


Identity = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only as INTEGER

repositories = Table(
    "repositories",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("name", text_by_byte(255), nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
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
)

repository_blobs = Table(
    "repository_blobs",
    metadata,
    Column("repository_id", ForeignKey("repositories.id", ondelete="RESTRICT"), primary_key=True),
    Column("blob_id", ForeignKey("blobs.id", ondelete="RESTRICT"), primary_key=True, index=True),
    Column("created_at", Double, nullable=False),
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
    UniqueConstraint("repository_id", "digest"),
    Index(None, "repository_id", "subject", "digest"),
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
    Index(None, "repository_id", "name", "at"),
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
    comment="locations whose bytes are to be deleted",
)
