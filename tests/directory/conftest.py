"""A directory for all tests that only read it."""

import warnings
from collections.abc import Iterator

import pytest

from tests.support.ldap_server import LdapServer, ldap_server

with warnings.catch_warnings():
    # ldap3 calls two things of pyasn1 by their former names when it is imported.
    warnings.filterwarnings("ignore", "(tagMap|typeMap) is deprecated", DeprecationWarning)
    import ldap3  # noqa: F401


@pytest.fixture(scope="session")
def slapd() -> Iterator[LdapServer]:
    with ldap_server() as server:
        yield server
