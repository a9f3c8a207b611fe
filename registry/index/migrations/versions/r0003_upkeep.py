"""What collection, retention, undo, scrub and journal need. What is there counts as not looked at yet."""

import sqlalchemy as sa
from alembic import op

from registry.index.migrations import quota_triggers

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Identity = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def by_byte(length: int) -> sa.String:
    """Text that sorts by byte on every database."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    _mark_what_to_look_at()
    _create_removed()
    _create_rules()
    _create_journal()
    _count_for_quotas()
    op.create_table(
        "jobs",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("holder", sa.String(36), comment="the process that does it now"),
        sa.Column("fence", sa.BigInteger, nullable=False, comment="one more for each holder"),
        sa.Column("held_until", sa.Double, nullable=False),
        sa.Column("state", sa.Text, comment="where it goes on, a JSON object"),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("report", sa.Text, comment="of the last one that finished, a JSON object"),
        sa.PrimaryKeyConstraint("name", name="pk_jobs"),
        comment="work in the background, done by one process at a time",
    )


def _mark_what_to_look_at() -> None:
    op.add_column("discarded", sa.Column("size", sa.BigInteger, comment="in bytes; null: not known"))
    op.add_column(
        "blobs",
        sa.Column(
            "examine_at",
            sa.Double,
            server_default="0",
            comment="may be garbage from then on; null: is needed",
        ),
    )
    op.add_column(
        "blobs",
        sa.Column(
            "quarantined_at", sa.Double, comment="its bytes were found wrong or missing; a push heals it"
        ),
    )
    op.add_column(
        "repository_blobs",
        sa.Column(
            "examine_at",
            sa.Double,
            server_default="0",
            comment="may be needless from then on; null: is needed",
        ),
    )
    op.add_column(
        "manifests", sa.Column("missing_recorded", sa.Boolean, nullable=False, server_default=sa.false())
    )
    for table in ("repositories", "manifests", "tag_history"):
        op.add_column(
            table,
            sa.Column(
                "journaled",
                sa.Boolean,
                nullable=False,
                server_default=sa.false(),
                comment="is in the storage, too",
            ),
        )
    op.drop_index("ix_repository_blobs_blob_id", "repository_blobs")
    op.create_index(
        "ix_repository_blobs_blob_id_repository_id", "repository_blobs", ["blob_id", "repository_id"]
    )
    op.drop_index("ix_manifests_repository_id_subject_digest", "manifests")
    of_referrers = sa.text("subject IS NOT NULL")
    op.create_index(
        "ix_manifests_repository_id_subject_digest",
        "manifests",
        ["repository_id", "subject", "digest"],
        sqlite_where=of_referrers,
        postgresql_where=of_referrers,
    )
    _index_where("blobs", "examine_at", "examine_at", "examine_at IS NOT NULL")
    _index_where("blobs", "quarantined_at", "quarantined_at", "quarantined_at IS NOT NULL")
    _index_where("repository_blobs", "examine_at", "examine_at", "examine_at IS NOT NULL")
    _index_where("manifests", "missing_recorded", "id", "NOT missing_recorded")
    _index_where("repositories", "journaled", "id", "NOT journaled")
    _index_where("manifests", "journaled", "id", "NOT journaled")
    _index_where("tag_history", "journaled", "id", "NOT journaled")
    op.create_table(
        "missing_blobs",
        sa.Column("manifest_id", Identity, nullable=False),
        sa.Column("repository_id", Identity, nullable=False),
        sa.Column("digest", by_byte(255), nullable=False),
        sa.PrimaryKeyConstraint("manifest_id", "digest", name="pk_missing_blobs"),
        _reference("missing_blobs", "manifest_id", "manifests.id", "CASCADE"),
        comment="what a sparse manifest cites and nobody had pushed: kept, should it come",
    )
    op.create_index("ix_missing_blobs_repository_id_digest", "missing_blobs", ["repository_id", "digest"])


def _create_removed() -> None:
    op.create_table(
        "removed_repositories",
        sa.Column("uid", sa.String(16), nullable=False),
        sa.Column("name", by_byte(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("public", sa.Boolean, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("immutable_tags", sa.Text, nullable=False, comment="patterns, a JSON array"),
        sa.Column("updated_at", sa.Double),
        sa.Column("removed_at", sa.Double, nullable=False),
        sa.Column("removed_by", sa.String(255)),
        sa.Column(
            "ending",
            sa.Boolean,
            nullable=False,
            server_default=sa.false(),
            comment="too late to restore it",
        ),
        sa.PrimaryKeyConstraint("uid", name="pk_removed_repositories"),
    )
    op.create_index("ix_removed_repositories_name", "removed_repositories", ["name"])
    op.create_index("ix_removed_repositories_removed_at", "removed_repositories", ["removed_at"])
    op.create_table(
        "removed_tag_history",
        sa.Column("id", Identity, nullable=False),
        sa.Column("repository_uid", sa.String(16), nullable=False),
        sa.Column("name", by_byte(128), nullable=False),
        sa.Column("digest", by_byte(255)),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("by", sa.String(255)),
        sa.PrimaryKeyConstraint("id", name="pk_removed_tag_history"),
        _reference("removed_tag_history", "repository_uid", "removed_repositories.uid", "CASCADE"),
        comment="the history of the tags of removed repositories, in the order of ids",
    )
    op.create_index("ix_removed_tag_history_repository_uid", "removed_tag_history", ["repository_uid"])
    op.create_table(
        "removed_tags",
        sa.Column("repository_uid", sa.String(16), nullable=False),
        sa.Column("name", by_byte(128), nullable=False),
        sa.Column("digest", by_byte(255), nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("repository_uid", "name", name="pk_removed_tags"),
        _reference("removed_tags", "repository_uid", "removed_repositories.uid", "CASCADE"),
        comment="the tags of removed repositories",
    )
    op.create_table(
        "removed_manifests",
        sa.Column("id", Identity, nullable=False),
        sa.Column("repository_uid", sa.String(16), nullable=False),
        sa.Column("repository", by_byte(255), nullable=False),
        sa.Column("digest", by_byte(255), nullable=False),
        sa.Column("media_type", sa.String(255), nullable=False),
        sa.Column("artifact_type", sa.Text),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("subject", by_byte(255)),
        sa.Column("annotations", sa.Text),
        sa.Column("pushed_by", sa.String(255)),
        sa.Column("pushed_at", sa.Double, nullable=False),
        sa.Column("pulled_at", sa.Double),
        sa.Column("removed_at", sa.Double, nullable=False),
        sa.Column("removed_by", sa.String(255)),
        sa.PrimaryKeyConstraint("id", name="pk_removed_manifests"),
        sa.UniqueConstraint("repository_uid", "digest", name="uq_removed_manifests_repository_uid_digest"),
        comment="deleted, and can be restored for a while",
    )
    op.create_index("ix_removed_manifests_removed_at", "removed_manifests", ["removed_at"])
    op.create_index(
        "ix_removed_manifests_repository_removed_at", "removed_manifests", ["repository", "removed_at"]
    )
    op.create_index(
        "ix_removed_manifests_repository_uid_subject", "removed_manifests", ["repository_uid", "subject"]
    )
    op.create_table(
        "removed_manifest_blobs",
        sa.Column("removed_manifest_id", Identity, nullable=False),
        sa.Column("repository_uid", sa.String(16), nullable=False),
        sa.Column("blob_id", Identity, nullable=False),
        sa.PrimaryKeyConstraint("removed_manifest_id", "blob_id", name="pk_removed_manifest_blobs"),
        _reference("removed_manifest_blobs", "removed_manifest_id", "removed_manifests.id", "CASCADE"),
        _reference("removed_manifest_blobs", "blob_id", "blobs.id", "RESTRICT"),
    )
    op.create_index("ix_removed_manifest_blobs_blob_id", "removed_manifest_blobs", ["blob_id"])
    op.create_index(
        "ix_removed_manifest_blobs_repository_uid_blob_id",
        "removed_manifest_blobs",
        ["repository_uid", "blob_id"],
    )
    op.create_table(
        "removed_manifest_children",
        sa.Column("removed_manifest_id", Identity, nullable=False),
        sa.Column("child_digest", by_byte(255), nullable=False),
        sa.PrimaryKeyConstraint("removed_manifest_id", "child_digest", name="pk_removed_manifest_children"),
        _reference("removed_manifest_children", "removed_manifest_id", "removed_manifests.id", "CASCADE"),
    )
    op.create_index("ix_repositories_uid", "repositories", ["uid"])


def _create_rules() -> None:
    op.create_table(
        "retention_rules",
        sa.Column("id", Identity, nullable=False),
        sa.Column("name", by_byte(100), nullable=False),
        sa.Column("repositories", by_byte(255), nullable=False, comment="a pattern"),
        sa.Column(
            "tags", sa.Text, nullable=False, comment="patterns of those it decides about, a JSON array"
        ),
        sa.Column("keep_last", sa.Integer, comment="so many tags of a repository"),
        sa.Column("keep_last_by", sa.String(16), nullable=False, comment="pushed or pulled"),
        sa.Column("keep_tags", sa.Text, nullable=False, comment="patterns, a JSON array"),
        sa.Column("keep_pushed_seconds", sa.Double),
        sa.Column("keep_pulled_seconds", sa.Double),
        sa.Column("untagged_seconds", sa.Double, comment="null: manifests without a tag are kept"),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_retention_rules"),
        sa.UniqueConstraint("name", name="uq_retention_rules_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "digests_in_use",
        sa.Column("repository", by_byte(255), nullable=False),
        sa.Column("digest", by_byte(255), nullable=False),
        sa.Column("reporter", by_byte(100), nullable=False),
        sa.Column("reported_by", by_byte(512), nullable=False),
        sa.Column("reported_at", sa.Double, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("repository", "digest", "reporter", "reported_by", name="pk_digests_in_use"),
        comment="what a cluster runs, as it says",
    )
    op.create_index("ix_digests_in_use_until", "digests_in_use", ["until"])
    op.create_index("ix_digests_in_use_reporter_reported_by", "digests_in_use", ["reporter", "reported_by"])


def _create_journal() -> None:
    op.create_table(
        "index_identity",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_index_identity"),
        comment="at most one row: by this name what the index writes into the storage is known",
    )
    op.create_table(
        "index_copies",
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False, comment="journal or backup"),
        sa.Column("since", sa.Double, nullable=False, comment="of the first batch that is in it"),
        sa.Column("until", sa.Double, nullable=False, comment="of the last one"),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("lines", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("location", name="pk_index_copies"),
        comment="objects in the storage that are no blobs: they hold rows of the index",
    )
    op.create_index("ix_index_copies_kind_until", "index_copies", ["kind", "until"])
    op.create_table(
        "removals_to_journal",
        sa.Column("id", Identity, nullable=False),
        sa.Column("repository_uid", sa.String(16), nullable=False),
        sa.Column("digest", by_byte(255), comment="of a manifest; null: the whole repository"),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("by", sa.String(255)),
        sa.PrimaryKeyConstraint("id", name="pk_removals_to_journal"),
        comment="deletions that are not in the storage yet",
    )


def _count_for_quotas() -> None:
    op.add_column(
        "quotas",
        sa.Column(
            "used",
            sa.BigInteger,
            nullable=False,
            server_default="0",
            comment="bytes below the prefix, kept by triggers",
        ),
    )
    connection = op.get_bind()
    for statement in quota_triggers.statements(connection.dialect.name):
        connection.exec_driver_sql(statement)


def _index_where(table: str, name: str, column: str, condition: str) -> None:
    where = sa.text(condition)
    op.create_index(f"ix_{table}_{name}", table, [column], sqlite_where=where, postgresql_where=where)


def _reference(table: str, column: str, target: str, on_delete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}", ondelete=on_delete)
