"""Users, robots and groups: their rows, pages of them, and what goes with one that is removed."""

import pytest
from sqlalchemy import func, select

from auth.principals import Kind, Principal
from auth.roles import Role
from registry.index import Connection, Index, credentials, grants, groups, principals, users
from registry.index.tables import credentials as credential_table
from registry.index.tables import grants as grant_table
from registry.index.tables import group_members, trust_rules
from registry.index.tables import users as user_table
from tests.unit.index import rows


async def test_a_user_is_found_as_it_was_entered(index: Index) -> None:
    def change(connection: Connection) -> int | None:
        return users.create(connection, "alice", "a hash", "local", "Alice of Acme", 7.5, "user:admin")

    id = await index.write(change)
    assert id is not None
    row = await index.read(lambda connection: users.find(connection, "alice"))

    principal = principals.PrincipalRow(id, Kind.USER, "alice", "Alice of Acme", False, 7.5, "user:admin")
    assert row == users.UserRow(principal, "a hash", "local", None, None, None)
    assert row.principal.disabled is False, "and not 0, which SQLite has for it"
    assert await index.read(lambda connection: users.get(connection, id)) == row
    assert await index.read(lambda connection: principals.get(connection, id)) == principal
    found = await index.read(lambda connection: principals.find(connection, Principal(Kind.USER, "alice")))
    assert found == principal


async def test_a_name_is_taken_within_its_kind(index: Index) -> None:
    def change(connection: Connection) -> tuple[int | None, ...]:
        first = users.create(connection, "ci", None, "ldap", "", 1.0, rows.BY)
        second = users.create(connection, "ci", "hash", "local", "", 2.0, rows.BY)
        robot = principals.create(connection, Kind.ROBOT, "ci", "", 1.0, rows.BY)
        group = principals.create(connection, Kind.GROUP, "ci", "", 1.0, rows.BY)
        again = principals.create(connection, Kind.GROUP, "ci", "", 1.0, rows.BY)
        assert users.get(connection, robot or 0) is None, "a robot is no user"
        return first, second, robot, group, again

    first, second, robot, group, again = await index.write(change)

    assert second is None
    assert again is None
    assert None not in (first, robot, group)
    assert len({first, robot, group}) == 3
    row = await index.read(lambda connection: users.find(connection, "ci"))
    assert row is not None
    assert (row.source, row.password_hash) == ("ldap", None), "the first one stays as it was"


async def test_an_id_is_never_given_twice(index: Index) -> None:
    """SQLite gives the highest free one unless told otherwise."""

    def change(connection: Connection) -> list[list[int]]:
        owner = rows.user(connection, "owner")
        given: list[list[int]] = []
        for _ in range(2):
            ids = [
                rows.robot(connection, "newest"),
                rows.grant(connection, owner, Role.READER, "**"),
                rows.credential(connection, owner, "newest"),
                rows.trust_rule(connection, "newest"),
            ]
            principals.remove(connection, ids[0])
            grants.remove(connection, ids[1])
            credentials.remove(connection, ids[2])
            connection.execute(trust_rules.delete().where(trust_rules.c.id == ids[3]))
            given.append(ids)
        return given

    first, second = await index.write(change)

    assert all(before < after for before, after in zip(first, second, strict=True))


async def test_all_of_a_principal_goes_with_it(index: Index) -> None:
    def change(connection: Connection) -> dict[str, int]:
        alice, bob = rows.user(connection, "alice"), rows.user(connection, "bob")
        team = rows.group(connection, "team")
        for id in (alice, bob):
            groups.add_member(connection, team, id)
            rows.grant(connection, id, Role.READER, "**")
            parent = rows.credential(connection, id, f"personal of {id}")
            rows.credential(connection, id, f"refresh of {id}", "refresh", parent_id=parent)
        assert principals.remove(connection, alice)
        assert not principals.remove(connection, alice), "it is gone"
        tables = (user_table, group_members, grant_table, credential_table)
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in tables
        }

    left = await index.write(change)

    assert left == {"users": 1, "group_members": 1, "grants": 1, "credentials": 2}


async def test_a_group_goes_and_its_members_stay(index: Index) -> None:
    def change(connection: Connection) -> None:
        alice, team = rows.user(connection, "alice"), rows.group(connection, "team")
        groups.add_member(connection, team, alice)
        rows.grant(connection, team, Role.WRITER, "acme/**")
        principals.remove(connection, team)
        assert users.get(connection, alice) is not None
        assert grants.of_identity(connection, alice) == ([], [])

    await index.write(change)


async def test_pages_are_in_byte_order(index: Index) -> None:
    """Whatever the locale of the database says of - . _ and digits."""
    names = sorted(["a-b", "a.b", "a1", "aa", "a_b", "ab", "b", "a@b"], key=str.encode)

    def change(connection: Connection) -> None:
        for name in reversed(names):
            rows.user(connection, name)
            rows.robot(connection, f"r{name}")

        def walk(limit: int) -> list[str]:
            seen: list[str] = []
            while page := users.page(connection, seen[-1] if seen else None, limit):
                assert len(page) <= limit
                seen += [row.principal.name for row in page]
            return seen

        assert walk(3) == names
        assert walk(100) == names
        robots = principals.page(connection, Kind.ROBOT, "ra1", 2)
        assert [row.name for row in robots] == [f"r{name}" for name in names if name > "a1"][:2]
        assert principals.page(connection, Kind.GROUP, None, 10) == []

    await index.write(change)


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("li", ["alice", "oliver"]),
        ("LI", ["alice", "oliver"]),
        ("alice", ["alice"]),
        ("_", ["b_b"]),
        ("%", []),
        ("", ["alice", "b_b", "bxb", "oliver"]),
    ],
)
async def test_a_search_takes_every_character_as_it_is(
    index: Index, search: str, expected: list[str]
) -> None:
    def change(connection: Connection) -> None:
        for name in ("alice", "oliver", "b_b", "bxb"):
            rows.user(connection, name)
        found = users.page(connection, None, 10, search)
        assert [row.principal.name for row in found] == expected
        assert [row.name for row in principals.page(connection, Kind.USER, None, 10, search)] == expected

    await index.write(change)


async def test_what_is_changed_of_a_user(index: Index) -> None:
    def change(connection: Connection) -> None:
        id = rows.user(connection, "alice")
        assert principals.set_disabled(connection, id, True)
        assert not principals.set_disabled(connection, id, True), "it is so already"
        assert principals.describe(connection, id, "on leave")
        assert users.set_password(connection, id, "newer", 70.0)
        users.note_sign_in(connection, {id: 50.0})
        users.note_sign_in(connection, {id: 40.0})
        users.note_check(connection, id, 60.0)
        row = users.find(connection, "alice")
        assert row is not None
        assert (row.principal.disabled, row.principal.description) == (True, "on leave")
        assert row[1:] == ("newer", "local", 50.0, 60.0, 70.0), "an older sign-in does not undo a newer one"
        assert principals.set_disabled(connection, id, False)
        for changed in (
            principals.set_disabled(connection, id + 1, True),
            principals.describe(connection, id + 1, ""),
            users.set_password(connection, id + 1, "x", 70.0),
        ):
            assert not changed, "there is no such principal"

    await index.write(change)


async def test_a_hash_is_renewed_unless_the_password_was_changed(index: Index) -> None:
    def change(connection: Connection) -> None:
        id = rows.user(connection, "alice")
        users.renew_hash(connection, id, "hash of alice", "the same in argon2")
        users.renew_hash(connection, id, "hash of alice", "too late")
        row = users.get(connection, id)
        assert row is not None
        assert row.password_hash == "the same in argon2"

    await index.write(change)
