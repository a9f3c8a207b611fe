"""The tags of a repository (distribution-spec, end-8)."""

import re

from tests.http.client import Client
from tests.http.content import (
    EMPTY_CONFIG,
    REPOSITORY,
    digest_of,
    image,
    push_blob,
    push_image,
    push_manifest,
)
from tests.http.serving import Registries

LIST = f"/v2/{REPOSITORY}/tags/list"
TAGS = ["1", "10", "2", "A", "Z", "_x", "a", "a-b", "a.b", "aa", "b"]
"""In byte order, which is neither the order of a dictionary nor that of numbers."""


async def push_tags(client: Client, tags: list[str]) -> None:
    await push_blob(client, EMPTY_CONFIG)
    digest = digest_of(image())
    for start in range(0, len(tags), 50):
        query = "&".join(f"tag={tag}" for tag in tags[start : start + 50])
        assert (await push_manifest(client, f"{digest}?{query}", image())).status == 201


async def test_all_tags_in_byte_order(client: Client) -> None:
    await push_tags(client, [*reversed(TAGS)])

    answer = await client.get(LIST)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {"name": REPOSITORY, "tags": TAGS}
    assert "Link" not in answer.headers


async def test_a_repository_without_tags_has_a_list_without_tags(client: Client) -> None:
    await push_image(client)

    assert (await client.get(LIST)).json == {"name": REPOSITORY, "tags": []}


async def test_an_unknown_repository(client: Client) -> None:
    assert (await client.get("/v2/nobody/knows/tags/list")).refusal == (404, "NAME_UNKNOWN")


def next_path(link: str) -> str:
    match = re.fullmatch(r'<(/[^<>\s"]+)>; rel="next"', link)
    assert match, link
    return match[1]


async def test_pages_are_linked_until_the_last(client: Client) -> None:
    await push_tags(client, TAGS)

    for size in (1, 3, len(TAGS) - 1):
        path, seen, pages = f"{LIST}?n={size}", [], 0
        while True:
            answer = await client.get(path)
            assert len(answer.json["tags"]) <= size
            seen += answer.json["tags"]
            pages += 1
            if "Link" not in answer.headers:
                break
            path = next_path(answer.headers["Link"])
        assert (seen, pages) == (TAGS, -(-len(TAGS) // size))


async def test_the_form_of_a_page(client: Client) -> None:
    await push_tags(client, ["a", "b", "c"])

    page = await client.get(f"{LIST}?n=2")

    assert page.json["tags"] == ["a", "b"]
    assert page.headers["Link"] == f'<{LIST}?last=b&n=2>; rel="next"'
    for query in ("?n=3", "?n=100", "?n=003", "?n=2&last=a", "?last=b"):
        assert "Link" not in (await client.get(LIST + query)).headers, query


async def test_last_is_exclusive_and_need_not_exist(client: Client) -> None:
    await push_tags(client, TAGS)

    for last, expected in {
        "": TAGS,
        "a": TAGS[7:],
        "a-a": TAGS[7:],
        "zzz": [],
        "0": TAGS,
        "%7F": [],
        "%00": TAGS,
        "a%00": TAGS[7:],
        "%F0%9F%98%80": [],
        "..%2F..": TAGS,
        "'%20OR%201=1": TAGS,
        "%25": TAGS,
        "b" * 5000: [],
    }.items():
        answer = await client.get(f"{LIST}?last={last}")
        assert (answer.status, answer.json["tags"]) == (200, expected), last
    assert (await client.get(f"{LIST}?n=2&last=A")).json["tags"] == ["Z", "_x"]


async def test_no_entries_asked_for(client: Client) -> None:
    await push_tags(client, TAGS)

    for query in ("?n=0", "?n=0&last=a", "?n=000"):
        answer = await client.get(LIST + query)
        assert (answer.status, answer.json["tags"]) == (200, []), query
        assert "Link" not in answer.headers


async def test_a_number_of_entries_that_is_none(client: Client) -> None:
    await push_tags(client, TAGS)

    for n in (
        "-1",
        "abc",
        "",
        "%D9%A1%D9%A2",
        "1_000",
        "1.0",
        "%2B1",
        "+1",
        "1e3",
        "0x10",
        "%201",
        "1%00",
        "1%0A",
        "1,2",
    ):
        for path in (LIST, "/v2/_catalog"):
            assert (await client.get(f"{path}?n={n}")).refusal == (400, "UNSUPPORTED"), (
                path,
                n,
            )
    assert (await client.get(f"{LIST}?n=1&n=2")).status == 400


async def test_a_number_of_entries_that_is_too_large_is_cut(registries: Registries) -> None:
    client = await registries.start(lists={"maximum": 5, "default": 5})
    await push_tags(client, TAGS)

    for query in ("", f"?n={10**30}", "?n=6", "?n=" + 5000 * "9"):
        answer = await client.get(LIST + query)
        assert answer.json["tags"] == TAGS[:5], query
        assert answer.headers["Link"] == f'<{LIST}?last={TAGS[4]}&n=5>; rel="next"'


async def test_a_deleted_tag_is_not_listed(client: Client) -> None:
    await push_tags(client, ["a", "b"])
    await client.delete(f"/v2/{REPOSITORY}/manifests/a")

    assert (await client.get(LIST)).json["tags"] == ["b"]
