"""Groups, grants and trust rules: who gets which role, by itself or through a group."""

from auth.grants import Grant
from auth.patterns import RepositoryPattern
from auth.principals import Kind, Principal
from auth.roles import Role
from registry.index import Connection, Index, access, grants, groups, principals, trust_rules
from tests.unit.index import rows


async def test_grants_come_from_the_principal_and_its_groups(index: Index) -> None:
    def change(connection: Connection) -> None:
        alice, bob = rows.user(connection, "alice"), rows.user(connection, "bob")
        team, idle, foreign = (rows.group(connection, name) for name in ("team", "idle", "foreign"))
        groups.add_member(connection, team, alice)
        groups.add_member(connection, idle, alice)
        groups.add_member(connection, foreign, bob)
        own = rows.grant(connection, alice, Role.READER, "**")
        by_team = rows.grant(connection, team, Role.WRITER, "acme/**")
        rows.grant(connection, foreign, Role.ADMINISTRATOR, "**")

        given, names = grants.of_identity(connection, alice)

        assert given == [
            Grant(own, "user:alice", Role.READER, RepositoryPattern("**")),
            Grant(by_team, "group:team", Role.WRITER, RepositoryPattern("acme/**")),
        ]
        assert isinstance(given[0].role, Role), "and not its text"
        assert names == ["idle", "team"], "a group without grants is one of them"
        assert grants.of_identity(connection, team) == ([given[1]], ["team"])
        assert grants.of_identity(connection, 12345) == ([], [])

    await index.write(change)


async def test_a_disabled_group_gives_nothing(index: Index) -> None:
    def change(connection: Connection) -> None:
        alice, team = rows.user(connection, "alice"), rows.group(connection, "team")
        groups.add_member(connection, team, alice)
        rows.grant(connection, team, Role.WRITER, "acme/**")
        principals.set_disabled(connection, team, True)
        assert grants.of_identity(connection, alice) == ([], [])
        assert [row.name for row in groups.groups_of(connection, alice)] == ["team"]
        principals.set_disabled(connection, team, False)
        given, names = grants.of_identity(connection, alice)
        assert [grant.source for grant in given] == ["group:team"]
        assert names == ["team"]

    await index.write(change)


async def test_a_group_in_a_group_gives_nothing(index: Index) -> None:
    def change(connection: Connection) -> None:
        alice = rows.user(connection, "alice")
        inner, outer = rows.group(connection, "inner"), rows.group(connection, "outer")
        groups.add_member(connection, inner, alice)
        groups.add_member(connection, outer, inner)
        rows.grant(connection, outer, Role.ADMINISTRATOR, "**")
        assert grants.of_identity(connection, alice) == ([], ["inner"])

    await index.write(change)


async def test_members_of_a_group(index: Index) -> None:
    def change(connection: Connection) -> None:
        team = rows.group(connection, "team")
        for name in ("bob", "alice"):
            assert groups.add_member(connection, team, rows.user(connection, name))
        robot = rows.robot(connection, "zoe")
        assert groups.add_member(connection, team, robot)
        assert not groups.add_member(connection, team, robot), "it is one already"
        listed = groups.members(connection, team)
        assert [(row.kind, row.name) for row in listed] == [
            (Kind.ROBOT, "zoe"),
            (Kind.USER, "alice"),
            (Kind.USER, "bob"),
        ]
        assert groups.remove_member(connection, team, robot)
        assert not groups.remove_member(connection, team, robot)
        assert len(groups.members(connection, team)) == 2

    await index.write(change)


async def test_the_directory_says_who_is_in_which_group(index: Index) -> None:
    def change(connection: Connection) -> None:
        alice = rows.user(connection, "alice", source="ldap")
        for name in ("ours", "both", "staff", "admins"):
            rows.group(connection, name)
        rows.robot(connection, "robots")

        def ours(name: str) -> int:
            row = principals.find(connection, Principal(Kind.GROUP, name))
            assert row is not None
            return row.id

        def of_alice() -> list[str]:
            return [row.name for row in groups.groups_of(connection, alice)]

        groups.add_member(connection, ours("ours"), alice)
        assert groups.replace_directory_groups(connection, alice, ["staff", "both", "nowhere", "robots"])
        assert of_alice() == ["both", "ours", "staff"], "unknown groups are not created"
        before = access.epoch(connection)
        assert not groups.replace_directory_groups(connection, alice, ["both", "staff"])
        assert not groups.replace_directory_groups(connection, alice, ("staff", "staff", "both"))
        assert access.epoch(connection) == before, "it is said at each sign-in, and changes nothing"

        assert groups.add_member(connection, ours("both"), alice), "now we say so too"
        assert groups.replace_directory_groups(connection, alice, ["admins"])
        assert of_alice() == ["admins", "both", "ours"]
        assert groups.replace_directory_groups(connection, alice, [])
        assert of_alice() == ["both", "ours"]
        assert not groups.replace_directory_groups(connection, alice, ["ours"]), "ours stays ours"
        groups.remove_member(connection, ours("ours"), alice)
        assert groups.replace_directory_groups(connection, alice, ["ours"])
        assert of_alice() == ["both", "ours"]

    await index.write(change)


async def test_a_grant_may_be_added_again(index: Index) -> None:
    def change(connection: Connection) -> None:
        alice = rows.user(connection, "alice")
        first = rows.grant(connection, alice, Role.WRITER, "acme/**")
        before = access.epoch(connection)
        assert rows.grant(connection, alice, Role.WRITER, "acme/**") == first
        assert access.epoch(connection) == before
        other = rows.grant(connection, alice, Role.READER, "acme/**")
        assert other != first
        expected = grants.GrantRow(
            first, Kind.USER, "alice", Role.WRITER, RepositoryPattern("acme/**"), 1.0, rows.BY
        )
        assert grants.get(connection, first) == expected
        assert [row.id for row in grants.page(connection, None, 10)] == [first, other]
        assert grants.remove(connection, first)
        assert not grants.remove(connection, first)
        assert grants.get(connection, first) is None

    await index.write(change)


async def test_pages_of_grants(index: Index) -> None:
    def change(connection: Connection) -> None:
        alice, bob = rows.user(connection, "alice"), rows.user(connection, "bob")
        patterns = ("acme/app", "acme/**", "acme-2/app", "other/**", "**")
        to_alice = {name: rows.grant(connection, alice, Role.READER, name) for name in patterns}
        to_bob = rows.grant(connection, bob, Role.READER, "acme/app")
        everyone = [*to_alice.values(), to_bob]

        def ids(*given: object, **filters: object) -> list[int]:
            return [row.id for row in grants.page(connection, *given, **filters)]  # type: ignore[arg-type]

        assert ids(None, 100) == everyone
        assert ids(None, 2) == everyone[:2]
        assert ids(everyone[1], 100) == everyone[2:]
        assert ids(None, 100, bob) == [to_bob]
        assert ids(None, 100, prefix="acme/") == [to_alice["acme/app"], to_alice["acme/**"], to_bob]
        assert ids(None, 100, alice, "acme/") == [to_alice["acme/app"], to_alice["acme/**"]]

    await index.write(change)


async def test_a_trust_rule_is_found_as_it_was_entered(index: Index) -> None:
    claims = {"repository": "acme/app", "ref": "refs/heads/*"}
    keys = {"keys": [{"kty": "EC", "kid": "one"}]}

    def change(connection: Connection) -> None:
        pattern = RepositoryPattern("acme/**")
        values = ("gh", "https://ci.example", "entrepot", claims, Role.WRITER, pattern, keys, 3.0, rows.BY)
        id = trust_rules.create(connection, *values)
        assert id is not None
        assert trust_rules.create(connection, *values) is None, "the name is taken"
        expected = trust_rules.TrustRuleRow(
            id,
            "gh",
            "https://ci.example",
            "entrepot",
            claims,
            Role.WRITER,
            pattern,
            keys,
            False,
            3.0,
            rows.BY,
        )
        assert trust_rules.find(connection, "gh") == expected
        assert trust_rules.of_issuer(connection, "https://ci.example") == [expected]
        assert trust_rules.get_many(connection, [id, id + 1]) == [expected]
        assert trust_rules.find(connection, "gl") is None

    await index.write(change)


async def test_rules_of_an_issuer(index: Index) -> None:
    def change(connection: Connection) -> None:
        first = rows.trust_rule(connection, "b", "https://one")
        second = rows.trust_rule(connection, "a", "https://one")
        third = rows.trust_rule(connection, "c", "https://two")
        assert [row.id for row in trust_rules.of_issuer(connection, "https://one")] == [first, second]
        assert trust_rules.of_issuer(connection, "https://ONE") == []
        assert trust_rules.issuers(connection) == ["https://one", "https://two"]
        assert [row.name for row in trust_rules.page(connection, None, 2)] == ["a", "b"]
        assert [row.name for row in trust_rules.page(connection, "a", 9)] == ["b", "c"]
        assert [row.name for row in trust_rules.page(connection, None, 9, "C")] == ["c"]

        assert trust_rules.set_disabled(connection, third, True)
        assert not trust_rules.set_disabled(connection, third, True)
        assert trust_rules.issuers(connection) == ["https://one"]
        (row,) = trust_rules.get_many(connection, [third])
        assert row.disabled is True
        assert row.keys is None
        assert trust_rules.remove(connection, third)
        assert not trust_rules.remove(connection, third)
        assert trust_rules.get_many(connection, [third]) == []
        assert trust_rules.get_many(connection, []) == []

    await index.write(change)
