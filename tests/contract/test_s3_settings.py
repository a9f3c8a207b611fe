"""The settings of the S3 driver, and the page that explains them."""

import asyncio
import contextlib
import http.client
import logging
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from storage_drivers import SignedUrl, Unavailable
from storage_drivers.s3 import S3Driver
from storage_drivers.s3_settings import S3Settings
from tests.contract.sources import content_of, get, locations, put
from tests.support.certificates import Authority
from tests.support.s3_server import S3Server, running_s3_server

PAGE = Path(__file__).parents[2] / "docs" / "s3.md"


def test_the_page_has_each_setting() -> None:
    table = PAGE.read_text().partition("| key of `storage.s3` |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z_]+)`", " ".join(row.split("|")[1] for row in table.splitlines()[2:])))
    assert named | {"session_token"} == {field.name for field in fields(S3Settings)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "bucket"),
        ({"bucket": ""}, "bucket"),
        ({"bucket": 7}, "bucket should be text"),
        ({"bucket": "b", "no_such": 1}, "no_such"),
        ({"bucket": "b", "endpoint": "s3.example.com"}, "endpoint should be http"),
        ({"bucket": "b", "prefix": "/x"}, "prefix"),
        ({"bucket": "b", "access_key": "a"}, "secret_key belong together"),
        ({"bucket": "b", "session_token": "a"}, "session_token"),
        ({"bucket": "b", "sse": "rot13"}, "sse should be"),
        ({"bucket": "b", "sse_key": "k"}, "sse_key"),
        ({"bucket": "b", "redirect": "maybe"}, "redirect"),
        ({"bucket": "b", "redirect": ["10.0.0.0/33"]}, "redirect"),
        ({"bucket": "b", "part_bytes": 1000}, "part_bytes"),
        ({"bucket": "b", "part_bytes": "1e6"}, "part_bytes"),
        ({"bucket": "b", "memory_bytes": 8 << 20}, "memory_bytes"),
        ({"bucket": "b", "path_style": "perhaps"}, "path_style"),
        ({"bucket": "b", "attempts": 0}, "attempts"),
    ],
)
def test_a_wrong_setting_is_named(given: Mapping[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        S3Settings.parse(given)


def test_values_of_the_environment_are_text() -> None:
    given = {
        "bucket": "b",
        "path_style": "true",
        "attempts": "3",
        "redirect": "10.0.0.0/8, ::1",
        "endpoint": "",
    }
    settings = S3Settings.parse(given)
    assert (settings.path_style, settings.attempts) == (True, 3)
    assert [str(network) for network in settings.redirected_networks()] == ["10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("changes", "redirected"),
    [
        ({}, ""),
        ({"redirect": "on"}, "10.1.2.3 ::1 unknown"),
        ({"redirect": True}, "10.1.2.3 ::1 unknown"),
        ({"redirect": "off"}, ""),
        ({"redirect": ["10.0.0.0/8"]}, "10.1.2.3"),
        ({"endpoint_public": "https://s3.example.com"}, "10.1.2.3 ::1 unknown"),
    ],
)
async def test_who_is_sent_to_the_storage(
    s3_settings: Mapping[str, object], changes: Mapping[str, object], redirected: str
) -> None:
    """By default nobody, with a server of one's own: perhaps only the registry reaches it."""
    driver = S3Driver.from_settings({**s3_settings, **changes})
    location = await put(driver, b"somewhere")
    sent = [
        client
        for client in ("10.1.2.3", "::1", "unknown")
        if await driver.locate(location, client) is not None
    ]
    assert " ".join(sent) == redirected
    await driver.aclose()


async def test_a_signed_url_leads_to_the_object(
    s3_settings: Mapping[str, object], s3_server: S3Server
) -> None:
    """With ranges, as a download in browsers, for a while, and under the name that clients know."""
    port = s3_server.address.partition(":")[2]
    settings = {**s3_settings, "redirect": "on", "endpoint_public": f"http://localhost:{port}"}
    driver = S3Driver.from_settings(settings)
    content = content_of(100_000)
    location = await put(driver, content)

    found = await driver.locate(location, "10.0.0.1")

    assert isinstance(found, SignedUrl)
    assert await driver.locate(location, "10.0.0.2") == found, "it is good for others, too"
    parts = urlsplit(found.url)
    assert parts.netloc == f"localhost:{port}"
    assert parse_qs(parts.query)["X-Amz-Expires"] == ["1200"]
    connection = http.client.HTTPConnection("localhost", int(port), timeout=10)
    connection.request("GET", f"{parts.path}?{parts.query}", headers={"Range": "bytes=10-99"})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (206, content[10:100])
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment"
    connection.close()
    await driver.aclose()


async def test_several_registries_share_a_bucket(
    s3_settings: Mapping[str, object], s3_server: S3Server
) -> None:
    first, second = (S3Driver.from_settings({**s3_settings, "prefix": f"{name}/"}) for name in ("one", "two"))
    location = await put(first, b"ours")
    assert await get(first, location) == b"ours"
    assert await locations(first) == {location}
    assert await locations(second) == set()
    await first.aclose()
    await second.aclose()
    assert s3_server.keys(str(s3_settings["bucket"])) == {f"one/{location}"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bucket": "no-such-bucket"}, "there is no such bucket"),
        ({"access_key": "nobody"}, "the access key is unknown"),
        ({"secret_key": "wrong"}, "the secret key is wrong"),
    ],
)
async def test_a_wrong_bucket_or_key_is_told_at_the_start(
    s3_settings: Mapping[str, object], changes: Mapping[str, object], message: str
) -> None:
    driver = S3Driver.from_settings({**s3_settings, **changes})
    with pytest.raises(ValueError, match=message):
        await driver.check()
    with pytest.raises(Unavailable, match=message):
        await put(driver, b"nowhere")
    with pytest.raises(Unavailable, match=message):
        await get(driver, "blobs/none")
    await driver.aclose()


async def test_a_server_that_is_not_there(s3_settings: Mapping[str, object]) -> None:
    driver = S3Driver.from_settings({**s3_settings, "endpoint": "http://127.0.0.1:1", "attempts": 2})
    with pytest.raises(Unavailable):
        await driver.check()
    await driver.aclose()


async def test_a_server_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    """Over TLS bodies are signed as well: a damaged one is not stored."""
    authority = Authority(tmp_path)
    with running_s3_server(authority.issue("127.0.0.1")) as server:
        url = f"https://{server.address}"
        (server.folder / "kept").mkdir()
        settings = {**server.settings("kept", url), "ca_file": str(authority.ca_file)}
        driver = S3Driver.from_settings(settings)
        content = content_of(6 << 20)
        assert await get(driver, await put(driver, content)) == content
        assert await get(driver, await put(driver, b"small")) == b"small"

        events = driver._bucket.client.requests.meta.events
        events.register(
            "before-send.s3.PutObject", lambda request, **_: setattr(request, "body", b"AS IT WAS")
        )
        with pytest.raises(Unavailable, match="SHA256"):
            await put(driver, b"as it was")
        await driver.aclose()

        stranger = S3Driver.from_settings({**settings, "ca_file": "", "attempts": 1})
        with pytest.raises(Unavailable, match="certificate"):
            await stranger.check()
        await stranger.aclose()


def test_no_secret_is_logged(caplog: pytest.LogCaptureFixture, s3_settings: Mapping[str, object]) -> None:
    """Whatever the level: the libraries would tell signatures and session tokens."""
    caplog.set_level(logging.DEBUG)

    async def use() -> None:
        driver = S3Driver.from_settings({**s3_settings, "session_token": "canary-token", "attempts": 1})
        with contextlib.suppress(Unavailable):
            await put(driver, b"content")
        await driver.locate("blobs/any", "::1")
        await driver.aclose()

    asyncio.run(use())
    assert "canary-token" not in caplog.text
    assert "Signature" not in caplog.text


async def test_what_is_stored_is_encrypted_and_classed(s3_settings: Mapping[str, object]) -> None:
    """The headers that say so go with whatever begins an object; a segment stays in the usual class."""
    changes = {"sse": "aws:kms", "sse_key": "our-key", "storage_class": "STANDARD_IA"}
    driver = S3Driver.from_settings({**s3_settings, **changes, "part_bytes": 5 << 20})
    sent: dict[str, dict[str, str]] = {}

    def note(model: object, params: dict[str, dict[str, str]], **_: object) -> None:
        name = model.name  # type: ignore[attr-defined]
        sent[f"{name} {'staging' if 'staging' in str(params['url_path']) else 'blobs'}"] = params["headers"]

    driver._bucket.client.requests.meta.events.register("before-call.s3", note)
    bucket = driver._bucket
    await bucket.put("blobs/object", b"", lasting=True)
    await bucket.put("staging/segment", b"", lasting=False)
    await bucket.end("blobs/large", await bucket.create("blobs/large"))

    for operation in ("PutObject blobs", "CreateMultipartUpload blobs", "PutObject staging"):
        headers = sent[operation]
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "our-key"
        lasting = "staging" not in operation
        assert headers.get("x-amz-storage-class") == ("STANDARD_IA" if lasting else None)
    await driver.aclose()
