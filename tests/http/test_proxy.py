"""Behind a reverse proxy: `Forwarded`, X-Forwarded-*, path prefixes, relative and absolute locations."""

from typing import Any

import pytest

from tests.http.client import Client
from tests.http.content import EMPTY_CONFIG, digest_of, image, push_blob, push_manifest
from tests.http.serving import Registries

TRUSTED = {"trusted_proxies": ["127.0.0.0/8"]}
ABSOLUTE = {"relative_locations": False}


async def location(client: Client, headers: dict[str, str] | None = None, prefix: str = "") -> str:
    """The Location of a new session, without the session's id."""
    answer = await client.post(f"{prefix}/v2/a/b/blobs/uploads/", headers=headers or {})
    assert answer.status == 202
    found = answer.headers["Location"]
    assert found.rpartition("/")[2]
    return found.rpartition("/")[0].removesuffix("/v2/a/b/blobs/uploads")


FORWARDED = {
    "proto and host": ({"Forwarded": "for=192.0.2.9;proto=https;host=r.example"}, "https://r.example"),
    "quoted, of odd case": ({"Forwarded": 'For="[2001:db8::1]:47";PROTO=HTTPS;Host="r.example:8443"'},
    "https://r.example:8443"),
    "several proxies": ({"Forwarded": "proto=https;host=outer.example, proto=http;host=inner"},
    "https://outer.example"),
    "host only": ({"Forwarded": "host=r.example"}, "http://r.example"),
    "X-": ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "r.example"}, "https://r.example"),
    "X- of several proxies": (
        {"X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "outer.example, inner"},
        "https://outer.example",
    ),
    "Forwarded wins": ({"Forwarded": "proto=https;host=f.example", "X-Forwarded-Host": "x.example"},
    "https://f.example"),
    "a prefix": (
        {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "r.example", "X-Forwarded-Prefix": "/registry/"},
        "https://r.example/registry",
    ),
    "an IPv6 host": ({"Forwarded": 'proto=https;host="[2001:db8::1]:5000"'}, "https://[2001:db8::1]:5000"),
    "nothing": ({}, "http://own"),
    "a bad proto": ({"X-Forwarded-Proto": "javascript", "X-Forwarded-Host": "r.example"}, "http://r.example"),
    "a bad host": ({"Forwarded": 'proto=https;host="evil/path?x"'}, "https://own"),
    "a host with a space": ({"X-Forwarded-Host": "r.example evil"}, "http://own"),
    "a bad prefix": ({"X-Forwarded-Prefix": "//evil.example/"}, "http://own"),
    "a prefix that climbs": ({"X-Forwarded-Prefix": "/a/../b?c"}, "http://own"),
    "nonsense": ({"Forwarded": ';;==,"'}, "http://own"),
}  # fmt: skip


async def test_a_trusted_proxy_is_believed(registries: Registries) -> None:
    client = await registries.start(server={**TRUSTED, **ABSOLUTE})

    for what, (headers, base) in FORWARDED.items():
        assert await location(client, {"Host": "own", **headers}) == base, what


async def test_nobody_else_is_believed(registries: Registries) -> None:
    for trusted in ([], ["192.0.2.0/24", "::1"]):
        client = await registries.start(server={"trusted_proxies": trusted, **ABSOLUTE})
        for what, (headers, _) in FORWARDED.items():
            assert await location(client, {"Host": "own", **headers}) == "http://own", what


async def test_locations_are_paths_unless_whole_urls_are_asked_for(registries: Registries) -> None:
    client = await registries.start(server=TRUSTED)

    for headers, base in FORWARDED.values():
        prefix = "/registry" if base.endswith("/registry") else ""
        assert await location(client, {"Host": "own", **headers}) == prefix


async def test_an_external_url_comes_first(registries: Registries) -> None:
    url = "https://registry.example.com:8443"
    client = await registries.start(server={**TRUSTED, **ABSOLUTE, "external_url": url})

    for headers in ({}, {"Forwarded": "proto=http;host=other"}):
        assert await location(client, headers) == url


@pytest.mark.parametrize("relative", [True, False], ids=["relative", "absolute"])
async def test_every_location_carries_the_prefix(registries: Registries, relative: bool) -> None:
    """Locations lead back to the registry through the proxy; links stay paths, as crane needs them."""
    server: dict[str, Any] = {"path_prefix": "/registry", "relative_locations": relative}
    client = await registries.start(server=server)
    base = "/registry" if relative else f"http://127.0.0.1:{client.port}/registry"
    digest = digest_of(EMPTY_CONFIG)
    await push_blob(client, EMPTY_CONFIG, "a/b")
    for name in ("c", "d"):
        await push_blob(client, EMPTY_CONFIG, name)
    await push_manifest(client, "v1", image(), "a/b")

    for path, expected in {
        f"/v2/a/b/blobs/uploads/?digest={digest}": f"{base}/v2/a/b/blobs/{digest}",
        f"/v2/e/blobs/uploads/?mount={digest}&from=c": f"{base}/v2/e/blobs/{digest}",
    }.items():
        answer = await client.post(path, EMPTY_CONFIG if "?digest" in path else None)
        assert (answer.status, answer.headers["Location"]) == (201, expected)
    pushed = await push_manifest(client, "v2", image(), "a/b")
    assert pushed.headers["Location"] == f"{base}/v2/a/b/manifests/v2"
    tags = await client.get("/registry/v2/a/b/tags/list?n=1")
    assert tags.headers["Link"] == '</registry/v2/a/b/tags/list?last=v1&n=1>; rel="next"'
    catalog = await client.get("/registry/v2/_catalog?n=1")
    assert catalog.headers["Link"] == '</registry/v2/_catalog?last=a%2Fb&n=1>; rel="next"'


async def test_a_prefix_may_stay_in_the_path_or_be_cut_off(registries: Registries) -> None:
    client = await registries.start(server={"path_prefix": "/registry"})

    for prefix in ("", "/registry"):
        assert (await client.get(f"{prefix}/v2/")).status == 200
        session = (await client.post(f"{prefix}/v2/a/blobs/uploads/")).headers["Location"]
        assert session.startswith("/registry/v2/a/blobs/uploads/")
        closed = await client.put(f"{session}?digest={digest_of(b'x')}", b"x")
        assert closed.status == 201
        assert (await client.get(closed.headers["Location"])).body == b"x"
    for path in ("/registryx/v2/", "/other/v2/", "/registry/registry/v2/", "/registry"):
        assert (await client.get(path)).status == 404, path


async def test_the_client_behind_trusted_proxies_is_found(
    registries: Registries, caplog: pytest.LogCaptureFixture
) -> None:
    """The last address that is no trusted proxy's: those before it could have been made up."""
    client = await registries.start(server={"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]})
    told = {
        "192.0.2.7": {"X-Forwarded-For": "6.6.6.6, 192.0.2.7, 10.0.0.3"},
        "192.0.2.8": {"Forwarded": 'for=6.6.6.6, for="192.0.2.8:4711", for=10.0.0.1'},
        "2001:db8::1": {"Forwarded": 'for="[2001:db8::1]:47"'},
    }

    for address, headers in told.items():
        caplog.clear()
        await client.get("/v2/", headers)
        lines = [record.getMessage() for record in caplog.records if record.name == "entrepot.access"]
        assert [line.split()[0] for line in lines] == [address]
