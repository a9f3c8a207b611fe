"""Credentials, signing keys and failed sign-ins."""

import asyncio

from auth.principals import Kind, Principal
from auth.secrets import SecretKind
from auth.throttle import FORGET_SECONDS, Failures, after_failure
from registry.index import Connection, Index, credentials, principals, sign_in_failures, signing_keys
from tests.unit.index import rows


async def test_a_credential_is_found_by_its_hash_with_its_owner(index: Index) -> None:
    def change(connection: Connection) -> None:
        ci = rows.robot(connection, "ci")
        id = credentials.create(
            connection,
            principal_id=ci,
            kind=SecretKind.ROBOT,
            hash="0123",
            description="of the build",
            read_only=True,
            repositories=("acme/**", "acme/app"),
            addresses=("10.0.0.0/8",),
            created_at=5.0,
            expires_at=99.0,
            parent_id=None,
        )
        expected = credentials.CredentialRow(
            id=id,
            principal_id=ci,
            principal=Principal(Kind.ROBOT, "ci"),
            disabled=False,
            kind="robot",
            description="of the build",
            read_only=True,
            repositories=("acme/**", "acme/app"),
            addresses=("10.0.0.0/8",),
            created_at=5.0,
            expires_at=99.0,
            used_at=None,
            parent_id=None,
        )
        row = credentials.find_by_hash(connection, "0123")
        assert row == expected
        assert (row.disabled, row.read_only) == (False, True)
        assert isinstance(row.read_only, bool)
        assert credentials.get(connection, id) == expected
        assert credentials.of_principal(connection, ci) == [expected]
        assert credentials.find_by_hash(connection, "012") is None

        principals.set_disabled(connection, ci, True)
        assert credentials.find_by_hash(connection, "0123") == expected._replace(disabled=True)

    await index.write(change)


async def test_when_a_credential_was_last_used(index: Index) -> None:
    def change(connection: Connection) -> None:
        owner = rows.user(connection, "alice")
        first, second = (rows.credential(connection, owner, name) for name in ("first", "second"))
        credentials.note_used(connection, {second: 20.0, first: 10.0, 12345: 1.0})
        credentials.note_used(connection, {second: 15.0, first: 11.0})
        used = [row.used_at for row in credentials.of_principal(connection, owner)]
        assert used == [11.0, 20.0], "what was used later stays so, whoever writes last"

    await index.write(change)


async def test_what_was_got_by_a_credential_goes_with_it(index: Index) -> None:
    def change(connection: Connection) -> None:
        owner = rows.user(connection, "alice")
        parent = rows.credential(connection, owner, "parent")
        rows.credential(connection, owner, "child", "refresh", parent_id=parent)
        other = rows.credential(connection, owner, "other", "refresh")
        assert credentials.remove(connection, parent)
        assert not credentials.remove(connection, parent)
        assert [row.id for row in credentials.of_principal(connection, owner)] == [other]

    await index.write(change)


async def test_credentials_expire(index: Index) -> None:
    def change(connection: Connection) -> None:
        owner = rows.user(connection, "alice")
        for hash, expires_at in {"past": 9.0, "now": 10.0, "later": 11.0, "never": None}.items():
            rows.credential(connection, owner, hash, expires_at=expires_at)
        assert credentials.remove_expired(connection, 10.0) == 2
        assert credentials.remove_expired(connection, 10.0) == 0
        later, never = credentials.of_principal(connection, owner)
        assert (later.expires_at, never.expires_at) == (11.0, None)
        assert credentials.set_expiry(connection, never.id, 12.0)
        assert credentials.set_expiry(connection, later.id, None)
        assert not credentials.set_expiry(connection, 12345, None)
        assert credentials.remove_expired(connection, 100.0) == 1

    await index.write(change)


async def test_signing_keys_are_retired_and_dropped(index: Index) -> None:
    def change(connection: Connection) -> None:
        for kid, at in (("new", 20.0), ("old", 10.0)):
            signing_keys.add(connection, kid, "ES256", f"-----PEM of {kid}", at)
        assert signing_keys.all_keys(connection) == [
            signing_keys.SigningKeyRow("old", "ES256", "-----PEM of old", 10.0, None),
            signing_keys.SigningKeyRow("new", "ES256", "-----PEM of new", 20.0, None),
        ]
        assert "PEM" not in repr(signing_keys.all_keys(connection)), "a log would have it"
        assert signing_keys.retire(connection, "old", 30.0)
        assert not signing_keys.retire(connection, "old", 40.0), "it stays retired since when it was"
        assert signing_keys.remove_retired(connection, 30.0) == 0
        assert signing_keys.remove_retired(connection, 30.5) == 1
        assert signing_keys.remove(connection, "new")
        assert not signing_keys.remove(connection, "new")
        assert signing_keys.all_keys(connection) == []

    await index.write(change)


async def test_failures_are_counted_as_the_throttle_counts_them(index: Index) -> None:
    """Its own arithmetic, in SQL so that failures at the same time count each."""
    moments = [100.0, 101.0, 101.0, 101.0 + FORGET_SECONDS - 0.5, 3000.0, 3000.0 + FORGET_SECONDS, 3901.0]

    def change(connection: Connection) -> None:
        expected: Failures | None = None
        for now in moments:
            sign_in_failures.note(connection, "account:alice", now)
            expected = after_failure(expected, now)
            assert sign_in_failures.find(connection, ["account:alice"]) == {"account:alice": expected}
        assert expected == Failures(2, 3901.0)

    await index.write(change)


async def test_failures_are_found_and_forgotten_by_key(index: Index) -> None:
    def change(connection: Connection) -> None:
        for key, at in (("account:a", 10.0), ("address:10.0.0.1", 20.0), ("account:b", 30.0)):
            sign_in_failures.note(connection, key, at)
        keys = ["account:a", "address:10.0.0.1", "account:nobody"]
        assert sign_in_failures.find(connection, keys) == {
            "account:a": Failures(1, 10.0),
            "address:10.0.0.1": Failures(1, 20.0),
        }
        sign_in_failures.clear(connection, ["account:a", "account:nobody"])
        assert set(sign_in_failures.find(connection, keys)) == {"address:10.0.0.1"}
        assert sign_in_failures.remove_before(connection, 20.0) == 0
        assert sign_in_failures.remove_before(connection, 25.0) == 1
        assert set(sign_in_failures.find(connection, ["account:b", *keys])) == {"account:b"}
        assert sign_in_failures.find(connection, []) == {}

    await index.write(change)


async def test_failures_at_the_same_time_count_each(index: Index) -> None:
    def note(connection: Connection) -> None:
        sign_in_failures.note(connection, "account:alice", 5.0)

    await asyncio.gather(*(index.write(note) for _ in range(20)))

    found = await index.read(lambda connection: sign_in_failures.find(connection, ["account:alice"]))
    assert found == {"account:alice": Failures(20, 5.0)}
