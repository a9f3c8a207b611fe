"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Identity = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def by_byte(length: int) -> sa.String:
    """Text that sorts by byte on every database."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "repositories",
        sa.Column("id", Identity, nullable=False),
        sa.Column("name", by_byte(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_repositories"),
        sa.UniqueConstraint("name", name="uq_repositories_name"),
    )
    op.create_table(
        "blobs",
        sa.Column("id", Identity, nullable=False),
        sa.Column("digest", by_byte(255), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("location", sa.Text, nullable=False, comment="chosen by the storage driver"),
        sa.Column(
            "lease_until", sa.Double, nullable=False, comment="until then it is kept, referenced or not"
        ),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_blobs"),
        sa.UniqueConstraint("digest", name="uq_blobs_digest"),
        sa.UniqueConstraint("location", name="uq_blobs_location"),
    )
    op.create_table(
        "repository_blobs",
        sa.Column("repository_id", Identity, nullable=False),
        sa.Column("blob_id", Identity, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "blob_id", name="pk_repository_blobs"),
        _reference("repository_blobs", "repository_id", "repositories", "RESTRICT"),
        _reference("repository_blobs", "blob_id", "blobs", "RESTRICT"),
        comment="this repository may read this blob",
    )
    op.create_index("ix_repository_blobs_blob_id", "repository_blobs", ["blob_id"])
    _create_manifests()
    _create_tags()
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("repository", by_byte(255), nullable=False, comment="its row may not exist yet"),
        sa.Column("algorithm", sa.String(32), nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False, comment="bytes that are durable"),
        sa.Column("state", sa.Text, nullable=False, comment="the storage driver's, a JSON object"),
        sa.Column("prefix_digest", by_byte(255), comment="of all bytes so far; null: not known"),
        sa.Column("claim", sa.String(36), comment="the request that is writing now"),
        sa.Column("claim_until", sa.Double, nullable=False),
        sa.Column("finished", by_byte(255), comment="tombstone: the digest it became"),
        sa.Column("created_by", sa.String(255)),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
    )
    op.create_index("ix_uploads_expires_at", "uploads", ["expires_at"])
    op.create_table(
        "discarded",
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("location", name="pk_discarded"),
        comment="locations whose bytes are to be deleted",
    )
    op.create_index("ix_discarded_since", "discarded", ["since"])


def _create_manifests() -> None:
    op.create_table(
        "manifests",
        sa.Column("id", Identity, nullable=False),
        sa.Column("repository_id", Identity, nullable=False),
        sa.Column("digest", by_byte(255), nullable=False),
        sa.Column("media_type", sa.String(255), nullable=False),
        sa.Column("artifact_type", sa.Text),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False, comment="exactly as pushed"),
        sa.Column("subject", by_byte(255), comment="the digest that this manifest refers to"),
        sa.Column("annotations", sa.Text, comment="a JSON object, for the referrers list"),
        sa.Column("pushed_by", sa.String(255)),
        sa.Column("pushed_at", sa.Double, nullable=False),
        sa.Column("pulled_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_manifests"),
        sa.UniqueConstraint("repository_id", "digest", name="uq_manifests_repository_id_digest"),
        _reference("manifests", "repository_id", "repositories", "RESTRICT"),
    )
    op.create_index(
        "ix_manifests_repository_id_subject_digest", "manifests", ["repository_id", "subject", "digest"]
    )
    op.create_table(
        "manifest_blobs",
        sa.Column("manifest_id", Identity, nullable=False),
        sa.Column("repository_id", Identity, nullable=False),
        sa.Column("blob_id", Identity, nullable=False),
        sa.PrimaryKeyConstraint("manifest_id", "blob_id", name="pk_manifest_blobs"),
        _reference("manifest_blobs", "manifest_id", "manifests", "CASCADE"),
        sa.ForeignKeyConstraint(
            ["repository_id", "blob_id"],
            ["repository_blobs.repository_id", "repository_blobs.blob_id"],
            name="fk_manifest_blobs_repository_id_blob_id",
            ondelete="RESTRICT",
        ),
    )
    op.create_index("ix_manifest_blobs_repository_id_blob_id", "manifest_blobs", ["repository_id", "blob_id"])
    op.create_table(
        "manifest_children",
        sa.Column("manifest_id", Identity, nullable=False),
        sa.Column("child_digest", by_byte(255), nullable=False),
        sa.PrimaryKeyConstraint("manifest_id", "child_digest", name="pk_manifest_children"),
        _reference("manifest_children", "manifest_id", "manifests", "CASCADE"),
    )
    op.create_index("ix_manifest_children_child_digest", "manifest_children", ["child_digest"])


def _create_tags() -> None:
    op.create_table(
        "tags",
        sa.Column("repository_id", Identity, nullable=False),
        sa.Column("name", by_byte(128), nullable=False),
        sa.Column("manifest_id", Identity, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "name", name="pk_tags"),
        _reference("tags", "repository_id", "repositories", "RESTRICT"),
        _reference("tags", "manifest_id", "manifests", "RESTRICT"),
    )
    op.create_index("ix_tags_manifest_id", "tags", ["manifest_id"])
    op.create_table(
        "tag_history",
        sa.Column("id", Identity, nullable=False),
        sa.Column("repository_id", Identity, nullable=False),
        sa.Column("name", by_byte(128), nullable=False),
        sa.Column("digest", by_byte(255), comment="null: the tag was deleted"),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("by", sa.String(255)),
        sa.PrimaryKeyConstraint("id", name="pk_tag_history"),
        _reference("tag_history", "repository_id", "repositories", "RESTRICT"),
        comment="append-only",
    )
    op.create_index("ix_tag_history_repository_id_name_at", "tag_history", ["repository_id", "name", "at"])


def _reference(table: str, column: str, target: str, on_delete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{target}.id"], name=f"fk_{table}_{column}", ondelete=on_delete
    )
