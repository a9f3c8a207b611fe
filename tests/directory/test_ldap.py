"""`LdapDirectory` against a real slapd."""

import asyncio
import logging
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from auth.directory import Directory, DirectoryUnavailable, DirectoryUser
from registry.config.accounts import LdapSettings
from registry.identity.ldap import LdapDirectory
from tests.support.certificates import Authority
from tests.support.ldap_server import (
    GROUPS,
    PASSWORD,
    PEOPLE,
    REGISTRY,
    REGISTRY_PASSWORD,
    SUFFIX,
    LdapServer,
    ldap_server,
)
from tests.support.server import free_port
from tests.support.tools import tool

ALICE = f"uid=Alice,{PEOPLE}"
GROUPS_SETTINGS = {"group_base": GROUPS}

Open = Callable[..., Directory]


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., LdapDirectory]]:
    """Opens directories of any settings, and lets go of them with the test."""
    directories: list[LdapDirectory] = []

    def open_directory(**settings: Any) -> LdapDirectory:
        directories.append(LdapDirectory(LdapSettings(**settings)))
        return directories[-1]

    yield open_directory
    for directory in directories:
        await directory.aclose()


@pytest.fixture
def directory_of(slapd: LdapServer, opened: Callable[..., LdapDirectory]) -> Open:
    """A directory on the tests' slapd with settings changed."""

    def open_on_slapd(**changes: Any) -> Directory:
        settings: dict[str, Any] = {
            "url": slapd.url,
            "user_base": PEOPLE,
            "bind_dn": REGISTRY,
            "bind_password": REGISTRY_PASSWORD,
        }
        return opened(**{**settings, **changes})

    return open_on_slapd


async def test_the_right_password(directory_of: Open) -> None:
    assert await directory_of().sign_in("bob", PASSWORD) == DirectoryUser("bob", f"uid=bob,{PEOPLE}", ())


@pytest.mark.parametrize(
    "password", ["wrong", PASSWORD + " ", PASSWORD.upper(), "\N{SOFT HYPHEN}", "\udc80", " "]
)
async def test_a_wrong_password(directory_of: Open, password: str) -> None:
    assert await directory_of().sign_in("bob", password) is None


@pytest.mark.parametrize("password", ["", "\0", "\0" + PASSWORD, PASSWORD + "\0"])
async def test_an_empty_password_is_never_sent(directory_of: Open, password: str) -> None:
    """This slapd would take it, as the next test shows."""
    assert await directory_of().sign_in("bob", password) is None


def test_slapd_would_take_an_empty_password(slapd: LdapServer) -> None:
    """It binds as nobody then, and says that it went well."""
    command = [tool("ldapwhoami"), "-x", "-H", slapd.url, "-D", f"uid=bob,{PEOPLE}", "-w", ""]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "anonymous\n")


@pytest.mark.parametrize("name", ["mallory", "", "registry", "people", "\0", "bob\0", "\udc80", "bob\n"])
async def test_an_unknown_user(directory_of: Open, name: str) -> None:
    assert await directory_of().sign_in(name, PASSWORD) is None
    assert await directory_of().look_up(name) is None


@pytest.mark.parametrize(
    "name",
    ["*", "bo*", "*)(uid=*", "bob)(cn=*", "bob)", "(bob", "x)(|(uid=bob)", r"\2a", r"b\6fb", "bob,ou=people"],
)
async def test_a_name_is_no_filter(directory_of: Open, name: str) -> None:
    assert await directory_of().sign_in(name, PASSWORD) is None
    assert await directory_of(user_filter="(|(uid={name})(mail={name}))").look_up(name) is None


async def test_several_entries_are_nobody(directory_of: Open, caplog: pytest.LogCaptureFixture) -> None:
    assert await directory_of().sign_in("twin", PASSWORD) is None
    assert "finds several entries for 'twin'" in caplog.text


async def test_a_filter_may_tell_them_apart(directory_of: Open) -> None:
    directory = directory_of(user_filter="(&(uid={name})(cn=Twin Two))")
    found = await directory.sign_in("twin", PASSWORD)
    assert found == DirectoryUser("twin", f"cn=Twin Two,{PEOPLE}", ())


async def test_looking_up_needs_no_password(directory_of: Open) -> None:
    assert await directory_of(**GROUPS_SETTINGS).look_up("carol") == DirectoryUser(
        "carol", f"cn=Carol (Ops) *\\2C Dr.\\5C,{PEOPLE}", ("developers",)
    )


async def test_who_has_no_password_is_refused(directory_of: Open, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert await directory_of().sign_in("eve", PASSWORD) is None
    assert f"does not let 'uid=eve,{PEOPLE}' sign in" in caplog.text
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("name", ["alice", "Alice", "ALICE", " alice ", "A.Archer@acme.test"])
async def test_a_person_has_one_name(directory_of: Open, name: str) -> None:
    """Otherwise whoever is disabled would come back by another spelling."""
    directory = directory_of(user_filter="(|(uid={name})(mail={name}))")
    assert await directory.sign_in(name, PASSWORD) == DirectoryUser("alice", ALICE, ())


@pytest.mark.parametrize("name", ["bob", "robert"])
async def test_of_several_names_the_one_of_the_entry_counts(directory_of: Open, name: str) -> None:
    found = await directory_of().look_up(name)
    assert found is not None
    assert found.name == "bob"


@pytest.mark.parametrize("name", ["dan", "daniel", "odd name"])
async def test_without_a_name_of_his_own_nobody_signs_in(
    directory_of: Open, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert await directory_of().sign_in(name, PASSWORD) is None
    assert "can't sign in: uid of the entry should be one value" in caplog.text


async def test_a_filter_that_builds_upon_the_name(directory_of: Open) -> None:
    directory = directory_of(user_filter="(mail={name}@acme.test)")
    assert await directory.sign_in("A.Archer", PASSWORD) == DirectoryUser("a.archer", ALICE, ())


@pytest.mark.parametrize(
    ("changes", "groups"),
    [
        ({}, ("developers",)),
        ({"group_filter": "(memberUid={name})"}, ("wheel",)),
        ({"group_filter": "(|(member={dn})(memberUid={name}))"}, ("developers", "wheel")),
        ({"group_filter": "(member:distinguishedNameMatch:={dn})"}, ("developers",)),
        ({"group_mapping": {"DEVELOPERS": "dev", "release  managers": "rel"}}, ("dev", "rel")),
        ({"group_mapping": {f"CN=release managers, {GROUPS.upper()}": "rel"}}, ("rel",)),
        ({"group_mapping": {f"cn=\\64evelopers,{GROUPS}": "dev", "developers": "never"}}, ("dev",)),
        ({"group_mapping": {"developers": "dev", "Release Managers": "dev"}}, ("dev",)),
        ({"group_mapping": {"developers-too": "second-name-of-another", "wheel": "not-in-it"}}, ()),
        ({"group_base": None}, ()),
        ({"group_base": PEOPLE}, ()),
    ],
)
async def test_groups(directory_of: Open, changes: dict[str, Any], groups: tuple[str, ...]) -> None:
    found = await directory_of(**{**GROUPS_SETTINGS, **changes}).sign_in("alice", PASSWORD)
    assert found == DirectoryUser("alice", ALICE, groups)


async def test_anonymously(directory_of: Open) -> None:
    """Groups of this slapd are for the registry's own eyes."""
    directory = directory_of(bind_dn=None, bind_password=None, **GROUPS_SETTINGS)
    with pytest.raises(DirectoryUnavailable, match=f"search below {GROUPS} with noSuchObject"):
        await directory.look_up("alice")

    without_groups = directory_of(bind_dn=None, bind_password=None)
    assert await without_groups.sign_in("alice", PASSWORD) == DirectoryUser("alice", ALICE, ())


@pytest.mark.parametrize("tls", ["ldaps", "StartTLS"])
async def test_encrypted(slapd: LdapServer, directory_of: Open, tls: str) -> None:
    changes = {"url": slapd.tls_url} if tls == "ldaps" else {"start_tls": True}
    directory = directory_of(ca_file=slapd.ca_file, **changes, **GROUPS_SETTINGS)
    assert await directory.sign_in("alice", PASSWORD) == DirectoryUser("alice", ALICE, ("developers",))
    assert await directory.sign_in("alice", "wrong") is None


@pytest.mark.parametrize("tls", ["ldaps", "StartTLS"])
@pytest.mark.parametrize("trusted", ["another", "the system's"])
async def test_a_certificate_of_somebody_else(
    slapd: LdapServer, directory_of: Open, tls: str, trusted: str, tmp_path: Path
) -> None:
    changes = {"url": slapd.tls_url} if tls == "ldaps" else {"start_tls": True}
    ca_file = Authority(tmp_path, "Others").ca_file if trusted == "another" else None
    with pytest.raises(DirectoryUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await directory_of(ca_file=ca_file, **changes).sign_in("alice", PASSWORD)


async def test_a_certificate_for_another_address(slapd: LdapServer, directory_of: Open) -> None:
    directory = directory_of(url=slapd.misnamed_url, ca_file=slapd.ca_file)
    with pytest.raises(DirectoryUnavailable, match=r"not valid for '127\.0\.0\.2'"):
        await directory.sign_in("alice", PASSWORD)


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_useless_ca_file(opened: Open, tmp_path: Path, content: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    with pytest.raises(ValueError, match=r"ldap\.ca_file = .*ca\.pem can't be used"):
        opened(url="ldaps://127.0.0.1", user_base=PEOPLE, ca_file=ca_file)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bind_password": "no longer"}, "does not take ldap.bind_dn: invalidCredentials"),
        ({"bind_dn": f"cn=gone,{SUFFIX}"}, "does not take ldap.bind_dn: invalidCredentials"),
        ({"bind_dn": "no dn"}, "with invalidDNSyntax"),
        ({"user_base": f"ou=nowhere,{SUFFIX}"}, f"search below ou=nowhere,{SUFFIX} with noSuchObject"),
        ({"user_base": f"ou=elsewhere,{PEOPLE}"}, "with referral"),
        ({"user_filter": "(uid={name})(cn=*)"}, "missing boolean operator in filter"),
    ],
)
async def test_what_the_operator_has_to_mend(
    directory_of: Open, changes: dict[str, Any], reason: str
) -> None:
    for question in (lambda directory: directory.look_up("bob"), lambda d: d.sign_in("bob", PASSWORD)):
        with pytest.raises(DirectoryUnavailable) as caught:
            await question(directory_of(**changes))
        assert reason in str(caught.value)
        assert REGISTRY_PASSWORD not in str(caught.value)
        assert PASSWORD not in str(caught.value)


async def test_a_server_that_is_gone(opened: Open) -> None:
    with ldap_server() as server:
        directory = opened(url=server.url, user_base=PEOPLE)
        assert await directory.sign_in("bob", PASSWORD) is not None
        server.stop()
        with pytest.raises(DirectoryUnavailable, match="Connection refused"):
            await directory.sign_in("bob", PASSWORD)


async def test_a_name_that_does_not_resolve(opened: Open) -> None:
    directory = opened(url="ldaps://directory.invalid", user_base=PEOPLE)
    with pytest.raises(DirectoryUnavailable, match=r"^ldaps://directory\.invalid: "):
        await directory.look_up("bob")


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
async def test_a_server_that_is_silent(opened: Open, scheme: str) -> None:
    """It accepts connections, and that is all; more ask than there are threads."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        directory = opened(url=url, user_base=PEOPLE, timeout_seconds=0.2)
        questions: list[Awaitable[object]] = [directory.look_up("bob") for _ in range(20)]
        answers = await asyncio.gather(*questions, return_exceptions=True)
    assert {str(answer) for answer in answers} == {f"{url} did not answer within 0.2 s"}
    assert all(isinstance(answer, DirectoryUnavailable) for answer in answers)


async def test_a_server_that_hangs_up(opened: Open) -> None:
    """In the middle of its first answer."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"\x30\x0c\x02\x01")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", free_port())
    async with server:
        port = server.sockets[0].getsockname()[1]
        directory = opened(url=f"ldap://127.0.0.1:{port}", user_base=PEOPLE)
        with pytest.raises(DirectoryUnavailable):
            await directory.look_up("bob")


async def test_many_at_once(directory_of: Open) -> None:
    directory = directory_of(timeout_seconds=60, **GROUPS_SETTINGS)
    questions = [directory.sign_in("alice", PASSWORD if n % 2 else "wrong") for n in range(40)]
    answers = await asyncio.gather(*questions)
    alice = DirectoryUser("alice", ALICE, ("developers",))
    assert answers == [alice if n % 2 else None for n in range(40)]
