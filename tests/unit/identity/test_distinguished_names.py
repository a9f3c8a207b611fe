"""Names of a directory's entries, compared as the directory does (RFC 4514, RFC 4518)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.identity.distinguished_names import names_itself, normal_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("uid=alice,dc=acme", "UID=Alice, DC=Acme"),
        ("cn=a  b,dc=acme", "cn = a b ,dc=acme"),
        (r"cn=Smith\, John", r"cn=Smith\2C John"),
        (r"cn=Smith\, John", r"cn=smith\2c john"),
        (r"cn=\E2\82\ACuro", "cn=€uro"),
        (r"cn=a\\", r"cn=a\5C"),
        ("cn=a+ou=b,dc=acme", "ou=b+cn=a,dc=acme"),
        (r"cn=\ a\ ", "cn=a"),
        ("cn=x=y", r"cn=x\=y"),
    ],
)
def test_equal_names(one: str, other: str) -> None:
    assert normal_name(one) == normal_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("uid=alice,dc=acme", "cn=alice,dc=acme"),
        ("uid=alice,dc=acme", "uid=alice,dc=acme,dc=test"),
        (r"cn=a\,dc=acme", "cn=a,dc=acme"),
        (r"cn=a\\,dc=acme", r"cn=a\,dc=acme"),
        ("cn=a+ou=b", "cn=a,ou=b"),
        (r"cn=a\+ou=b", "cn=a+ou=b"),
        ("cn=ab", "cn=a b"),
    ],
)
def test_names_that_differ(one: str, other: str) -> None:
    assert normal_name(one) != normal_name(other)


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip))
def test_an_entry_is_named_by_its_own_value(value: str) -> None:
    escaped = "".join(f"\\{byte:02x}" for byte in value.encode())
    assert names_itself(f"cn={escaped},ou=people", "CN", value)
    assert not names_itself(f"cn={escaped}x,ou=people", "cn", value)


def test_only_the_first_part_names_the_entry() -> None:
    assert names_itself("cn=a+uid=b,uid=c", "uid", "B")
    assert not names_itself("cn=a+uid=b,uid=c", "uid", "c")
    assert not names_itself("", "uid", "")
