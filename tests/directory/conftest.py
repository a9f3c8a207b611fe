"""A directory for all tests that only read it."""

from collections.abc import Iterator

import pytest

from tests.support.ldap_server import LdapServer, ldap_server


@pytest.fixture(scope="session")
def slapd() -> Iterator[LdapServer]:
    with ldap_server() as server:
        yield server
