"""Every change of rights moves the epoch, in the transaction that makes it; nothing else does."""

import inspect
from collections.abc import Callable
from types import ModuleType

import pytest

from auth.patterns import RepositoryPattern
from auth.principals import Kind
from auth.roles import Role
from registry.index import (
    Connection,
    Index,
    access,
    audit,
    credentials,
    grants,
    groups,
    principals,
    quotas,
    repositories,
    sign_in_failures,
    signing_keys,
    trust_rules,
    users,
)
from tests.unit.index import rows

MODULES = (
    access,
    audit,
    credentials,
    grants,
    groups,
    principals,
    quotas,
    repositories,
    sign_in_failures,
    signing_keys,
    trust_rules,
    users,
)


class World:
    """One row of everything, for changes to be made to."""

    def __init__(self, connection: Connection) -> None:
        self.alice = rows.user(connection, "alice")
        self.robot = rows.robot(connection, "ci")
        self.team = rows.group(connection, "team")
        rows.group(connection, "staff")
        groups.add_member(connection, self.team, self.robot)
        self.grant = rows.grant(connection, self.team, Role.READER, "**")
        self.rule = rows.trust_rule(connection, "gh")
        self.credential = rows.credential(connection, self.alice, "hash", expires_at=100.0)
        signing_keys.add(connection, "old", "ES256", "PEM", 1.0)
        signing_keys.retire(connection, "old", 2.0)
        signing_keys.add(connection, "new", "ES256", "PEM", 3.0)
        self.repository = repositories.ensure(connection, "acme/app", 1.0)
        quotas.set(connection, "acme", 10, 1.0, rows.BY)


Change = Callable[[Connection, World], object]

PATTERN = RepositoryPattern("acme/**")

MOVING: dict[str, Change] = {
    "access.bump": lambda c, w: access.bump(c),
    "access.changed": lambda c, w: access.changed(c, 1),
    "credentials.remove": lambda c, w: credentials.remove(c, w.credential),
    "credentials.remove_expired": lambda c, w: credentials.remove_expired(c, 100.0),
    "credentials.remove_oldest": lambda c, w: credentials.remove_oldest(c, w.alice, "personal", 0),
    "credentials.set_expiry": lambda c, w: credentials.set_expiry(c, w.credential, 50.0),
    "grants.add": lambda c, w: grants.add(c, w.alice, Role.WRITER, PATTERN, 1.0, rows.BY),
    "grants.remove": lambda c, w: grants.remove(c, w.grant),
    "groups.add_member": lambda c, w: groups.add_member(c, w.team, w.alice),
    "groups.remove_member": lambda c, w: groups.remove_member(c, w.team, w.robot),
    "groups.replace_directory_groups": lambda c, w: groups.replace_directory_groups(c, w.alice, ["staff"]),
    "principals.create": lambda c, w: principals.create(c, Kind.ROBOT, "other", "", 1.0, rows.BY),
    "principals.remove": lambda c, w: principals.remove(c, w.alice),
    "principals.set_disabled": lambda c, w: principals.set_disabled(c, w.alice, True),
    "quotas.remove": lambda c, w: quotas.remove(c, "acme"),
    "quotas.set": lambda c, w: quotas.set(c, "acme", 20, 1.0, rows.BY),
    "repositories.configure": lambda c, w: repositories.configure(c, w.repository, {"public": True}),
    "repositories.remove": lambda c, w: repositories.remove(c, w.repository, rows.BY, 2.0),
    "signing_keys.add": lambda c, w: signing_keys.add(c, "newest", "ES256", "PEM", 1.0),
    "signing_keys.remove": lambda c, w: signing_keys.remove(c, "old"),
    "signing_keys.remove_retired": lambda c, w: signing_keys.remove_retired(c, 3.0),
    "signing_keys.retire": lambda c, w: signing_keys.retire(c, "new", 4.0),
    "trust_rules.create": lambda c, w: trust_rules.create(
        c, "gl", "https://gl", "entrepot", {"a": "b"}, Role.READER, PATTERN, None, 1.0, rows.BY
    ),
    "trust_rules.remove": lambda c, w: trust_rules.remove(c, w.rule),
    "trust_rules.set_disabled": lambda c, w: trust_rules.set_disabled(c, w.rule, True),
    "users.create": lambda c, w: users.create(c, "bob", None, "local", "", 1.0, rows.BY),
    "users.set_password": lambda c, w: users.set_password(c, w.alice, "newer", 1.0),
}
"""What alters rights."""

KEEPING: dict[str, Change] = {
    "audit.record": lambda c, w: audit.record(
        c, [audit.AuditRow(0, 1.0, "", rows.BY, "", "push", None, "allowed", {})]
    ),
    "audit.remove_before": lambda c, w: audit.remove_before(c, 1.0, 10),
    "credentials.create": lambda c, w: rows.credential(c, w.alice, "another"),
    "credentials.note_used": lambda c, w: credentials.note_used(c, {w.credential: 9.0}),
    "principals.describe": lambda c, w: principals.describe(c, w.alice, "new"),
    "repositories.ensure": lambda c, w: repositories.ensure(c, "acme/new", 1.0),
    "sign_in_failures.clear": lambda c, w: sign_in_failures.clear(c, ["account:alice"]),
    "sign_in_failures.note": lambda c, w: sign_in_failures.note(c, "account:alice", 1.0),
    "sign_in_failures.remove_before": lambda c, w: sign_in_failures.remove_before(c, 1.0),
    "users.note_check": lambda c, w: users.note_check(c, w.alice, 9.0),
    "users.note_sign_in": lambda c, w: users.note_sign_in(c, {w.alice: 9.0}),
    "users.renew_hash": lambda c, w: users.renew_hash(c, w.alice, "hash of alice", "better"),
}
"""What writes, and alters no rights."""

WITHOUT_EFFECT: dict[str, Change] = {
    "access.changed": lambda c, w: access.changed(c, 0),
    "credentials.remove": lambda c, w: credentials.remove(c, 12345),
    "credentials.remove_expired": lambda c, w: credentials.remove_expired(c, 1.0),
    "credentials.remove_oldest": lambda c, w: credentials.remove_oldest(c, w.alice, "personal", 100),
    "grants.add": lambda c, w: rows.grant(c, w.team, Role.READER, "**"),
    "grants.remove": lambda c, w: grants.remove(c, 12345),
    "groups.add_member": lambda c, w: groups.add_member(c, w.team, w.robot),
    "groups.remove_member": lambda c, w: groups.remove_member(c, w.team, w.alice),
    "groups.replace_directory_groups": lambda c, w: groups.replace_directory_groups(c, w.robot, []),
    "principals.create": lambda c, w: principals.create(c, Kind.ROBOT, "ci", "", 1.0, rows.BY),
    "principals.remove": lambda c, w: principals.remove(c, 12345),
    "principals.set_disabled": lambda c, w: principals.set_disabled(c, w.alice, False),
    "quotas.remove": lambda c, w: quotas.remove(c, "nobody"),
    "repositories.remove": lambda c, w: repositories.remove(c, 12345, rows.BY, 2.0),
    "signing_keys.remove_retired": lambda c, w: signing_keys.remove_retired(c, 1.0),
    "signing_keys.retire": lambda c, w: signing_keys.retire(c, "old", 9.0),
    "users.create": lambda c, w: users.create(c, "alice", None, "local", "", 1.0, rows.BY),
    "users.set_password": lambda c, w: users.set_password(c, w.robot, "a robot has none", 1.0),
}
"""What would alter rights, but finds nothing to do: directories say the same thing at every sign-in."""

READING = {
    *("access.epoch", "access.facts", "audit.page"),
    *("credentials.find_by_hash", "credentials.get", "credentials.of_principal"),
    *("grants.get", "grants.of_identity", "grants.page"),
    *("groups.groups_of", "groups.members"),
    *("principals.find", "principals.get", "principals.page"),
    *("quotas.lock_of_repositories", "quotas.lock_of_repository", "quotas.of_repository", "quotas.page"),
    *("repositories.counts", "repositories.details", "repositories.find", "repositories.lock"),
    "repositories.page_visible",
    *("sign_in_failures.find", "signing_keys.all_keys"),
    *("trust_rules.find", "trust_rules.get_many", "trust_rules.issuers"),
    *("trust_rules.of_issuer", "trust_rules.page"),
    *("users.find", "users.get", "users.page"),
}


def functions_of(module: ModuleType) -> set[str]:
    """Those that take a connection."""
    short = module.__name__.rpartition(".")[2]
    return {
        f"{short}.{name}"
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and next(iter(inspect.signature(value).parameters), None) == "connection"
    }


def test_every_function_has_its_place_here() -> None:
    """Whoever adds one has to say whether it alters rights."""
    written = set().union(*map(functions_of, MODULES))

    assert written == set(MOVING) | set(KEEPING) | READING
    assert len(written) == len(MOVING) + len(KEEPING) + len(READING)
    assert set(WITHOUT_EFFECT) <= set(MOVING)


async def difference(index: Index, change: Change) -> int:
    """By how much a change moves the epoch, as everybody sees it once it is committed."""
    world = await index.write(World)
    before = await index.read(access.epoch)
    await index.write(lambda connection: change(connection, world))
    return await index.read(access.epoch) - before


@pytest.mark.parametrize("name", MOVING)
async def test_a_change_of_rights_moves_the_epoch(index: Index, name: str) -> None:
    assert await difference(index, MOVING[name]) > 0


@pytest.mark.parametrize("name", KEEPING)
async def test_other_changes_keep_the_epoch(index: Index, name: str) -> None:
    assert await difference(index, KEEPING[name]) == 0


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
async def test_what_alters_nothing_keeps_the_epoch(index: Index, name: str) -> None:
    assert await difference(index, WITHOUT_EFFECT[name]) == 0


async def test_a_change_that_fails_moves_nothing(index: Index) -> None:
    world = await index.write(World)
    before = await index.read(access.epoch)

    def change(connection: Connection) -> None:
        principals.set_disabled(connection, world.alice, True)
        raise LookupError("not so")

    with pytest.raises(LookupError):
        await index.write(change)

    assert await index.read(access.epoch) == before > 0


async def test_a_new_index_has_an_epoch(index: Index) -> None:
    assert await index.read(access.epoch) == 0
