"""Accounts: principals and their rights, tokens and keys, the audit; settings of repositories."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Identity = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def by_byte(length: int) -> sa.String:
    """Text that sorts by byte on every database."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    _add_settings()
    _create_principals()
    _create_credentials()
    op.create_table(
        "quotas",
        sa.Column("prefix", by_byte(255), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("prefix", name="pk_quotas"),
    )
    _create_audit()


def _add_settings() -> None:
    """Each repository that is there gets a uid of its own, so the column can't be required from the start."""
    op.add_column(
        "repositories",
        sa.Column("uid", sa.String(16), comment="random: another one under the same name has another"),
    )
    op.add_column("repositories", sa.Column("public", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column(
        "repositories", sa.Column("description", sa.Text, nullable=False, server_default=sa.text("''"))
    )
    op.add_column(
        "repositories",
        sa.Column(
            "immutable_tags",
            sa.Text,
            nullable=False,
            server_default="[]",
            comment="patterns, a JSON array",
        ),
    )
    op.add_column(
        "repositories", sa.Column("updated_at", sa.Double, comment="when a setting was last changed")
    )
    repositories = sa.table("repositories", sa.column("id", Identity), sa.column("uid", sa.String))
    connection = op.get_bind()
    for (repository_id,) in connection.execute(sa.select(repositories.c.id)).all():
        connection.execute(
            sa.update(repositories).where(repositories.c.id == repository_id).values(uid=secrets.token_hex(8))
        )
    with op.batch_alter_table("repositories") as batch:
        batch.alter_column("uid", existing_type=sa.String(16), nullable=False)


def _create_principals() -> None:
    op.create_table(
        "principals",
        sa.Column("id", Identity, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False, comment="user, robot or group"),
        sa.Column("name", by_byte(100), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_principals"),
        sa.UniqueConstraint("kind", "name", name="uq_principals_kind_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "users",
        sa.Column("principal_id", Identity, nullable=False),
        sa.Column("password_hash", sa.Text, comment="null: no password of ours lets this user in"),
        sa.Column("password_set_at", sa.Double, comment="what was got with an older one does not count"),
        sa.Column("source", sa.String(16), nullable=False, comment="local or ldap"),
        sa.Column("signed_in_at", sa.Double),
        sa.Column("checked_at", sa.Double, comment="when the directory was last asked"),
        sa.PrimaryKeyConstraint("principal_id", name="pk_users"),
        _reference("users", "principal_id", "principals"),
        comment="what a user has beyond other principals",
    )
    op.create_table(
        "group_members",
        sa.Column("group_id", Identity, nullable=False),
        sa.Column("member_id", Identity, nullable=False),
        sa.Column("source", sa.String(16), nullable=False, comment="local or ldap: who says so"),
        sa.PrimaryKeyConstraint("group_id", "member_id", name="pk_group_members"),
        _reference("group_members", "group_id", "principals"),
        _reference("group_members", "member_id", "principals"),
    )
    op.create_index("ix_group_members_member_id", "group_members", ["member_id"])
    op.create_table(
        "grants",
        sa.Column("id", Identity, nullable=False),
        sa.Column("principal_id", Identity, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("pattern", by_byte(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_grants"),
        sa.UniqueConstraint("principal_id", "role", "pattern", name="uq_grants_principal_id_role_pattern"),
        _reference("grants", "principal_id", "principals"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "trust_rules",
        sa.Column("id", Identity, nullable=False),
        sa.Column("name", by_byte(100), nullable=False),
        sa.Column("issuer", by_byte(1024), nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("claims", sa.Text, nullable=False, comment="a JSON object"),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("pattern", by_byte(255), nullable=False),
        sa.Column("keys", sa.Text, comment="a JSON Web Key Set; null: the issuer is asked"),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_trust_rules"),
        sa.UniqueConstraint("name", name="uq_trust_rules_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_trust_rules_issuer", "trust_rules", ["issuer"])


def _create_credentials() -> None:
    op.create_table(
        "credentials",
        sa.Column("id", Identity, nullable=False),
        sa.Column("principal_id", Identity, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False, comment="refresh, personal or robot"),
        sa.Column("hash", by_byte(64), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("read_only", sa.Boolean, nullable=False),
        sa.Column(
            "repositories", sa.Text, nullable=False, comment="patterns, a JSON array; empty: not limited"
        ),
        sa.Column("addresses", sa.Text, nullable=False, comment="networks, a JSON array; empty: not limited"),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("used_at", sa.Double),
        sa.Column("parent_id", Identity, comment="by which a refresh token was got"),
        sa.PrimaryKeyConstraint("id", name="pk_credentials"),
        sa.UniqueConstraint("hash", name="uq_credentials_hash"),
        _reference("credentials", "principal_id", "principals"),
        _reference("credentials", "parent_id", "credentials"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_credentials_principal_id", "credentials", ["principal_id"])
    op.create_index("ix_credentials_parent_id", "credentials", ["parent_id"])
    op.create_table(
        "signing_keys",
        sa.Column("kid", by_byte(64), nullable=False),
        sa.Column("algorithm", sa.String(16), nullable=False),
        sa.Column("private_key", sa.Text, nullable=False, comment="PEM"),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("retired_at", sa.Double, comment="from then on it only verifies"),
        sa.PrimaryKeyConstraint("kid", name="pk_signing_keys"),
    )
    op.create_table(
        "access_epoch",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_access_epoch"),
        comment="one row: the number of changes of rights",
    )


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", Identity, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("actor", by_byte(512), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", by_byte(512)),
        sa.Column("result", sa.String(16), nullable=False, comment="allowed, refused or failed"),
        sa.Column("detail", sa.Text, comment="a JSON object"),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_actor_at", "audit", ["actor", "at"])
    op.create_index("ix_audit_target_at", "audit", ["target", "at"])
    op.create_table(
        "sign_in_failures",
        sa.Column("key", by_byte(255), nullable=False, comment="account:NAME or address:ADDRESS"),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("last_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_sign_in_failures"),
    )


def _reference(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{target}.id"], name=f"fk_{table}_{column}", ondelete="CASCADE"
    )
