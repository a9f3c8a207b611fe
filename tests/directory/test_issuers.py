"""`IssuerKeys` against an issuer of the tests' own."""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from auth.federation import IssuerUnavailable, verify_identity_token
from auth.keys import PublicKey
from registry.identity import issuers
from registry.identity.documents import LARGEST, Documents
from registry.identity.issuers import IssuerKeys
from tests.support.certificates import Authority
from tests.support.issuer import DISCOVERY, KEYS, Issuer, issuer

MINUTE, HOUR = 60, 3600


class Clock:
    """Time that passes when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def running_gitlab() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


@pytest.fixture
def gitlab() -> Iterator[Issuer]:
    with issuer("ES256") as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def keys(clock: Clock) -> AsyncIterator[IssuerKeys]:
    source = IssuerKeys(clock)
    yield source
    await source.aclose()


def kids(found: tuple[PublicKey, ...]) -> list[str]:
    return [key.kid for key in found]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_a_token_is_verified_with_what_is_published(keys: IssuerKeys, algorithm: str) -> None:
    with issuer(algorithm) as gitlab:
        found = await keys.keys(gitlab.url, gitlab.key.kid)
        verified = verify_identity_token(gitlab.token(sub="somebody"), gitlab.url, ["entrepot"], found)
    assert verified.subject == "somebody"


async def test_keys_are_kept_for_ten_minutes(keys: IssuerKeys, gitlab: Issuer, clock: Clock) -> None:
    for _ in range(3):
        assert kids(await keys.keys(gitlab.url, gitlab.key.kid)) == [gitlab.key.kid]
        assert kids(await keys.keys(gitlab.url, None)) == [gitlab.key.kid]
    assert gitlab.requests == {DISCOVERY: 1, KEYS: 1}

    former = gitlab.key.kid
    gitlab.rotate()
    clock.now += 10 * MINUTE - 1
    assert kids(await keys.keys(gitlab.url, former)) == [former]
    clock.now += 1
    assert kids(await keys.keys(gitlab.url, former)) == [gitlab.key.kid]
    assert gitlab.requests == {DISCOVERY: 2, KEYS: 2}


async def test_a_jwks_without_discovery(keys: IssuerKeys, gitlab: Issuer) -> None:
    for _ in range(2):
        assert kids(await keys.fetch_jwks(gitlab.jwks_url)) == [gitlab.key.kid]
    gitlab.rotate(keep=True)
    assert gitlab.key.kid in kids(await keys.fetch_jwks(gitlab.jwks_url, gitlab.key.kid))
    assert gitlab.requests == {KEYS: 2}


async def test_an_issuer_whose_name_ends_with_a_slash(keys: IssuerKeys, gitlab: Issuer) -> None:
    gitlab.discovery["issuer"] = f"{gitlab.url}/"
    assert kids(await keys.keys(f"{gitlab.url}/", None)) == [gitlab.key.kid]
    with pytest.raises(IssuerUnavailable, match="the configuration of another issuer"):
        await keys.keys(gitlab.url, None)


async def test_an_unknown_key_id_asks_again_now_and_then(
    keys: IssuerKeys, gitlab: Issuer, clock: Clock
) -> None:
    await keys.keys(gitlab.url, None)
    gitlab.rotate()
    assert kids(await keys.keys(gitlab.url, gitlab.key.kid)) == [gitlab.key.kid]
    assert gitlab.requests[KEYS] == 2

    for number in range(5):
        assert kids(await keys.keys(gitlab.url, f"made up {number}")) == [gitlab.key.kid]
    clock.now += 29
    gitlab.rotate()
    assert gitlab.key.kid not in kids(await keys.keys(gitlab.url, gitlab.key.kid))
    assert gitlab.requests[KEYS] == 2

    clock.now += 1
    assert kids(await keys.keys(gitlab.url, gitlab.key.kid)) == [gitlab.key.kid]
    assert gitlab.requests[KEYS] == 3


async def test_one_fetch_for_all_who_wait(keys: IssuerKeys, gitlab: Issuer) -> None:
    gitlab.answering.clear()
    waiting = [asyncio.create_task(keys.keys(gitlab.url, gitlab.key.kid)) for _ in range(20)]
    assert await asyncio.to_thread(gitlab.asked.wait, 30)
    waiting[0].cancel()  # it began the fetch, and the others go on with it
    gitlab.answering.set()
    first, *others = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert [kids(found) for found in others if isinstance(found, tuple)] == [[gitlab.key.kid]] * 19
    assert gitlab.requests == {DISCOVERY: 1, KEYS: 1}


async def test_one_refetch_for_all_who_wait(keys: IssuerKeys, gitlab: Issuer) -> None:
    await keys.keys(gitlab.url, None)
    gitlab.rotate()
    answers = await asyncio.gather(*(keys.keys(gitlab.url, gitlab.key.kid) for _ in range(20)))
    assert {key.kid for found in answers for key in found} == {gitlab.key.kid}
    assert gitlab.requests == {DISCOVERY: 2, KEYS: 2}


async def test_an_outage_is_survived_for_a_day(
    keys: IssuerKeys, gitlab: Issuer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    known = await keys.keys(gitlab.url, None)
    gitlab.status = 500
    clock.now += 10 * MINUTE
    for _ in range(3):
        assert await keys.keys(gitlab.url, None) == known
    assert gitlab.requests[DISCOVERY] == 2
    (record,) = [record for record in caplog.records if record.name == "registry.identity.issuers"]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"{gitlab.url}{DISCOVERY} answers 500; going on with the keys fetched 10 minutes ago"
    )

    clock.now += 30
    assert await keys.keys(gitlab.url, "made up") == known
    assert gitlab.requests[DISCOVERY] == 3

    clock.now += 24 * HOUR - 10 * MINUTE - 30
    with pytest.raises(IssuerUnavailable, match="answers 500"):
        await keys.keys(gitlab.url, None)

    gitlab.status = 200
    gitlab.rotate()
    clock.now += 5
    assert kids(await keys.keys(gitlab.url, None)) == [gitlab.key.kid]


async def test_keys_that_were_withdrawn_are_gone(keys: IssuerKeys, gitlab: Issuer, clock: Clock) -> None:
    await keys.keys(gitlab.url, None)
    gitlab.body[KEYS] = b'{"keys": []}'
    clock.now += 10 * MINUTE
    assert await keys.keys(gitlab.url, None) == ()


async def test_an_issuer_that_never_answered_is_left_alone_for_a_moment(
    keys: IssuerKeys, gitlab: Issuer, clock: Clock
) -> None:
    gitlab.status = 503
    for _ in range(3):
        with pytest.raises(IssuerUnavailable, match="answers 503"):
            await keys.keys(gitlab.url, "any")
    assert gitlab.requests == {DISCOVERY: 1}

    gitlab.status = 200
    clock.now += 5
    assert kids(await keys.keys(gitlab.url, "any")) == [gitlab.key.kid]


async def test_issuers_are_independent(keys: IssuerKeys, running_gitlab: Issuer, gitlab: Issuer) -> None:
    gitlab.status = 500
    with pytest.raises(IssuerUnavailable):
        await keys.keys(gitlab.url, None)
    assert kids(await keys.keys(running_gitlab.url, None)) == [running_gitlab.key.kid]


async def test_so_many_issuers_and_no_more(
    keys: IssuerKeys, gitlab: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuers, "SOURCES", 2)
    for name in ("/a", "/b", "/a", "/c", "/a", "/b"):
        gitlab.body[name] = b'{"keys": []}'
        await keys.fetch_jwks(gitlab.url + name)
    assert gitlab.requests == {"/a": 1, "/b": 2, "/c": 1}


@pytest.mark.parametrize(
    ("discovery", "reason"),
    [
        ({"issuer": "https://gitlab.example.com"}, "another issuer: 'https://gitlab.example.com'"),
        ({"issuer": None}, "another issuer: none"),
        ({"issuer": ["a"]}, "another issuer: none"),
        ({"jwks_uri": None}, "has no jwks_uri"),
        ({"jwks_uri": 7}, "has no jwks_uri"),
        ({"jwks_uri": "/keys"}, "'/keys' is no URL to fetch from"),
        ({"jwks_uri": "file:///etc/passwd"}, "is no URL to fetch from"),
        ({"jwks_uri": "http://192.0.2.1/keys"}, "'http://192.0.2.1/keys' should be https://"),
        ({"jwks_uri": "http://localhost.example.com/keys"}, "should be https://"),
        ({"jwks_uri": "ftp://127.0.0.1/keys"}, "should be https://"),
        ({"jwks_uri": "https://user:secret@example.com/"}, "a URL on example.com holds a user name"),
    ],
)
async def test_a_configuration_that_does_not_count(
    keys: IssuerKeys, gitlab: Issuer, discovery: dict[str, object], reason: str
) -> None:
    gitlab.discovery.update(discovery)
    with pytest.raises(IssuerUnavailable) as caught:
        await keys.keys(gitlab.url, None)
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)
    assert gitlab.requests == {DISCOVERY: 1}


@pytest.mark.parametrize(
    "name",
    ["http://192.0.2.1", "http://example.com", "ldap://127.0.0.1", "issuer", "", "https://", "https://["],
)
async def test_who_is_not_asked_at_all(keys: IssuerKeys, name: str) -> None:
    for asked in (keys.keys(name, None), keys.fetch_jwks(name)):
        with pytest.raises(IssuerUnavailable, match=r"should be https://|is no URL"):
            await asked


async def test_from_https_to_http(keys: IssuerKeys, gitlab: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even on this machine: what an outside issuer names there is none of its business."""

    async def get(self: Documents, url: str) -> dict[str, object]:
        assert url == f"https://ci.example.com{DISCOVERY}"
        return {"issuer": "https://ci.example.com", "jwks_uri": gitlab.jwks_url}

    monkeypatch.setattr(Documents, "get", get)
    with pytest.raises(IssuerUnavailable, match=r"jwks_uri of https://ci\.example\.com should be https://"):
        await keys.keys("https://ci.example.com", None)


@pytest.mark.parametrize("path", [DISCOVERY, KEYS])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "it is not JSON"),
        (b"<html>", "it is not JSON"),
        (b"[]", "it must be a JSON object"),
        (b"\xff", "it is not UTF-8"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "it is nested deeper"),
        (b'{"a": "' + b" " * LARGEST + b'"}', f"is larger than {LARGEST} bytes"),
    ],
    ids=["empty", "HTML", "list", "binary", "deep", "large"],
)
async def test_a_body_that_can_not_be_read(
    keys: IssuerKeys, gitlab: Issuer, path: str, body: bytes, reason: str
) -> None:
    gitlab.body[path] = body
    with pytest.raises(IssuerUnavailable, match=reason) as caught:
        await keys.keys(gitlab.url, None)
    assert gitlab.url + path in str(caught.value)


async def test_the_largest_body(keys: IssuerKeys, gitlab: Issuer) -> None:
    document = b'{"keys": []}'
    gitlab.body[KEYS] = document + b" " * (LARGEST - len(document))
    assert await keys.keys(gitlab.url, None) == ()


@pytest.mark.parametrize("document", [b"{}", b'{"keys": {}}', b'{"keys": "RS256"}'])
async def test_no_jwk_set(keys: IssuerKeys, gitlab: Issuer, document: bytes) -> None:
    gitlab.body[KEYS] = document
    with pytest.raises(IssuerUnavailable, match=r"can't be used: a JWK Set"):
        await keys.keys(gitlab.url, None)


@pytest.mark.parametrize("status", [201, 401, 404, 500])
async def test_any_status_but_200(keys: IssuerKeys, gitlab: Issuer, status: int) -> None:
    gitlab.status = status
    with pytest.raises(IssuerUnavailable, match=rf"/openid-configuration answers {status}$"):
        await keys.keys(gitlab.url, None)


async def test_no_redirect_is_followed(keys: IssuerKeys, gitlab: Issuer, running_gitlab: Issuer) -> None:
    before = running_gitlab.requests.total()
    gitlab.redirect = running_gitlab.url + DISCOVERY
    with pytest.raises(IssuerUnavailable, match="answers 302, and no redirect is followed"):
        await keys.keys(gitlab.url, None)
    assert running_gitlab.requests.total() == before


async def test_a_silent_issuer(keys: IssuerKeys, gitlab: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuers, "ANSWER_SECONDS", 0.2)
    gitlab.answering.clear()
    with pytest.raises(IssuerUnavailable, match=f"{gitlab.url} did not answer within 0.2 s"):
        await keys.keys(gitlab.url, None)


async def test_an_issuer_that_is_gone(keys: IssuerKeys) -> None:
    with issuer("ES256") as gone:
        pass
    with pytest.raises(IssuerUnavailable, match=rf"{gone.url}{DISCOVERY} can't be fetched: "):
        await keys.keys(gone.url, None)


async def test_no_cookies_and_no_credentials(
    keys: IssuerKeys, gitlab: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    await keys.keys(gitlab.url, None)
    await keys.keys(gitlab.url, "unknown")
    assert len(gitlab.headers) == 4
    assert not {"Cookie", "Authorization"} & {name.title() for sent in gitlab.headers for name in sent}


async def test_a_proxy_of_the_environment(keys: IssuerKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "inside.invalid")
        with pytest.raises(IssuerUnavailable, match="403"):
            await keys.keys("https://ci.invalid", None)
        with pytest.raises(IssuerUnavailable, match="can't be fetched"):
            await keys.keys("https://inside.invalid", None)
    assert asked == [b"CONNECT ci.invalid:443 HTTP/1.1\r\n"]


async def test_certificates_are_verified(keys: IssuerKeys, tmp_path: Path) -> None:
    """The system's count; SSL_CERT_FILE names others to a process when it starts."""
    authority = Authority(tmp_path)
    with issuer("ES256", authority.issue("127.0.0.1")) as gitlab:
        with pytest.raises(IssuerUnavailable, match="certificate verify failed"):
            await keys.keys(gitlab.url, None)
        assert not gitlab.requests

        code = (
            "import asyncio; from registry.identity.issuers import IssuerKeys\n"
            "async def main():\n"
            "    keys = IssuerKeys()\n"
            f"    print([key.kid for key in await keys.keys({gitlab.url!r}, None)])\n"
            "    await keys.aclose()\n"
            "asyncio.run(main())"
        )
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", code],
            env={**os.environ, "SSL_CERT_FILE": str(authority.ca_file)},
            capture_output=True,
            text=True,
        )
        assert done.stdout == f"[{gitlab.key.kid!r}]\n", done.stderr


async def test_closing_ends_what_is_being_fetched(gitlab: Issuer) -> None:
    keys = IssuerKeys()
    gitlab.answering.clear()
    waiting = asyncio.create_task(keys.keys(gitlab.url, None))
    assert await asyncio.to_thread(gitlab.asked.wait, 30)
    await keys.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
