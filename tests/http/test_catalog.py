"""The list of all repositories (`/v2/_catalog`)."""

from tests.http.client import Client
from tests.http.content import push_blob
from tests.http.serving import Registries
from tests.http.test_tags import next_path

NAMES = [
    "a",
    "a/b",
    "a/b/c",
    "a0",
    "blobs/manifests",
    "manifests",
    "tags/list",
    "uploads/blobs",
    "z-z",
    "z_z",
]


async def push_to(client: Client, names: list[str]) -> None:
    for name in names:
        await push_blob(client, name.encode(), name)


async def test_an_empty_registry(client: Client) -> None:
    answer = await client.get("/v2/_catalog")

    assert (answer.status, answer.json) == (200, {"repositories": []})
    assert answer.headers["Content-Type"] == "application/json"
    assert "Link" not in answer.headers


async def test_all_repositories_in_byte_order(client: Client) -> None:
    await push_to(client, [*reversed(NAMES)])

    assert (await client.get("/v2/_catalog")).json == {"repositories": NAMES}


async def test_pages(client: Client) -> None:
    await push_to(client, NAMES)
    path, seen = "/v2/_catalog?n=3", []
    while path:
        answer = await client.get(path)
        seen.append(answer.json["repositories"])
        path = next_path(answer.headers["Link"]) if "Link" in answer.headers else ""

    assert seen == [NAMES[start : start + 3] for start in range(0, len(NAMES), 3)]
    assert (await client.get("/v2/_catalog?n=0")).json == {"repositories": []}
    for last, expected in {
        "a/b": NAMES[2:],
        "a/bb": NAMES[3:],
        "zz": [],
        "%00": NAMES,
        "%ED%95%9C": [],
    }.items():
        assert (await client.get(f"/v2/_catalog?last={last}")).json == {"repositories": expected}, last


async def test_default_and_maximum_of_a_page(registries: Registries) -> None:
    client = await registries.start(lists={"default": 2, "maximum": 4})
    await push_to(client, NAMES)

    for query, size in {"": 2, "?n=3": 3, f"?n={10**30}": 4}.items():
        answer = await client.get(f"/v2/_catalog{query}")
        assert answer.json["repositories"] == NAMES[:size]
        assert answer.headers["Link"] == (
            f'</v2/_catalog?last={NAMES[size - 1].replace("/", "%2F")}&n={size}>; rel="next"'
        )


async def test_a_session_alone_makes_no_repository(client: Client) -> None:
    await client.post("/v2/unfinished/blobs/uploads/")

    assert (await client.get("/v2/_catalog")).json == {"repositories": []}


async def test_a_refused_push_makes_no_repository(client: Client) -> None:
    await client.post(f"/v2/refused/blobs/uploads/?digest=sha256:{64 * '0'}", b"x")
    await client.put("/v2/refused/manifests/latest", b"{}")

    assert (await client.get("/v2/_catalog")).json == {"repositories": []}
    assert (await client.get("/v2/refused/tags/list")).refusal == (404, "NAME_UNKNOWN")
