"""Listing Tags (end-8a, end-8b)."""

import re

import pytest

from conformance.client import Response
from conformance.content import Json
from conformance.repository import Repository

pytestmark = pytest.mark.section("Listing Tags")

TAGS = ["B", "a", "c1", "C", "_x", "10", "2", "d.1", "d-1", "zz"]


def tagged(repository: Repository, tags: list[str] = TAGS) -> Repository:
    """The repository with one image under all these tags."""
    image = repository.push_image()
    for tag in tags:
        repository.push_manifest(image, tag)
    return repository


def document(response: Response) -> Json:
    assert response.status == 200
    parsed = response.json()
    assert isinstance(parsed, dict)
    return parsed


def listed(repository: Repository, **query: str) -> list[str]:
    tags = document(repository.get(repository.path("tags/list", **query)))["tags"]
    assert isinstance(tags, list)
    return tags


def next_page(response: Response) -> str | None:
    """The target of a Link with rel="next" (RFC 8288, which replaced RFC 5988)."""
    line = response.header("Link")
    if line is None:
        return None
    found = re.fullmatch(r'<([^>]+)>;\s*rel="?next"?', line)
    assert found, f"not a Link to the next page: {line}"
    return found[1]


@pytest.mark.must
def test_listing_tags__must_answer_200(repository: Repository) -> None:
    """GET of a repository's tags answers 200"""
    assert tagged(repository, ["a"]).get(repository.path("tags/list")).status == 200


@pytest.mark.must
def test_listing_tags__must_give_name_and_tags(repository: Repository) -> None:
    """The body is JSON with the name and all the tags"""
    answer = document(tagged(repository).get(repository.path("tags/list")))
    assert answer["name"] == repository.name
    assert isinstance(answer["tags"], list)
    assert sorted(answer["tags"]) == sorted(TAGS)


@pytest.mark.must
def test_listing_tags__must_sort(repository: Repository) -> None:
    """Tags stand in the order of bytes, or in that of letters without regard to case"""
    tags = listed(tagged(repository))
    assert sorted(tags) == sorted(TAGS)
    assert tags in (sorted(TAGS), sorted(TAGS, key=str.lower))


@pytest.mark.must
@pytest.mark.parametrize("n", [1, 3, 10, 50])
def test_listing_tags__must_give_n(repository: Repository, n: int) -> None:
    """With n it gives n tags from the beginning, or fewer when there are no more or a Link follows"""
    everything = listed(tagged(repository))
    response = repository.get(repository.path("tags/list", n=str(n)))
    tags = document(response)["tags"]
    assert isinstance(tags, list)
    assert tags == everything[: len(tags)]
    assert len(tags) <= n
    assert len(tags) == min(n, len(TAGS)) or response.header("Link")


@pytest.mark.must
def test_listing_tags__must_give_nothing_for_zero(repository: Repository) -> None:
    """n=0 gives an empty list and no Link"""
    response = tagged(repository).get(repository.path("tags/list", n="0"))
    assert (document(response)["tags"], response.header("Link")) == ([], None)


@pytest.mark.must
def test_listing_tags__must_begin_after_last(repository: Repository) -> None:
    """With last it begins after that tag, which is left out"""
    everything = listed(tagged(repository))
    assert listed(repository, last=everything[3]) == everything[4:]


@pytest.mark.must
def test_listing_tags__must_page(repository: Repository) -> None:
    """With n and last all tags come page by page, each once"""
    everything = listed(tagged(repository))
    pages: list[str] = []
    last = ""
    while len(pages) <= len(everything):
        page = listed(repository, n="3", **({"last": last} if last else {}))
        pages += page
        if len(page) < 3:
            break
        last = page[-1]
    assert pages == everything


@pytest.mark.must
def test_listing_tags__must_link_to_the_next_page(repository: Repository) -> None:
    """Link, if there is one, has rel="next" and leads through all tags, each once"""
    everything = listed(tagged(repository))
    response = repository.get(repository.path("tags/list", n="3"))
    if response.header("Link") is None:
        repository.optional("Link in lists of tags")
    pages: list[str] = []
    for _ in everything:
        tags = document(response)["tags"]
        assert isinstance(tags, list)
        pages += tags
        target = next_page(response)
        if target is None:
            break
        response = repository.get(target)
    assert pages == everything


@pytest.mark.expected
def test_listing_tags__expected_order_of_bytes(repository: Repository) -> None:
    """Tags stand in the order of their bytes"""
    assert listed(tagged(repository)) == sorted(TAGS)


@pytest.mark.expected
def test_listing_tags__expected_unknown_last(repository: Repository) -> None:
    """last need not exist"""
    tagged(repository)
    assert listed(repository, last="c") == [tag for tag in sorted(TAGS) if tag > "c"]
    assert listed(repository, last="zzz") == []


@pytest.mark.expected
@pytest.mark.parametrize("n", [9, 10, 11])
def test_listing_tags__expected_link_only_for_more(repository: Repository, n: int) -> None:
    """There is a Link only when there are more tags"""
    response = tagged(repository).get(repository.path("tags/list", n=str(n)))
    assert (response.header("Link") is not None) == (n < len(TAGS))


@pytest.mark.expected
def test_listing_tags__expected_relative_link(repository: Repository) -> None:
    """Link is an absolute path on this host: crane follows no other"""
    response = tagged(repository).get(repository.path("tags/list", n="3"))
    assert (next_page(response) or "").startswith("/v2/")


@pytest.mark.expected
@pytest.mark.parametrize("n", ["-1", "abc", "1.5", "1_000", "\u0661\u0662", "+1", " 1", ""])
def test_listing_tags__expected_400_for_no_number(repository: Repository, n: str) -> None:
    """n that is no number answers 400"""
    assert tagged(repository, ["a"]).get(repository.path("tags/list", n=n)).status == 400


@pytest.mark.expected
def test_listing_tags__expected_bound(repository: Repository) -> None:
    """A huge n answers 400, or what there is"""
    response = tagged(repository, ["a"]).get(repository.path("tags/list", n="1" + "0" * 30))
    assert response.status in (200, 400)
    if response.status == 200:
        assert document(response)["tags"] == ["a"]


@pytest.mark.expected
@pytest.mark.parametrize("why", ["pushed by digest", "the last tag deleted"])
def test_listing_tags__expected_no_null(repository: Repository, why: str) -> None:
    """A repository without tags answers 200 with an empty list, never null"""
    if why == "pushed by digest":
        repository.push_image()
    else:
        tagged(repository, ["a"])
        assert repository.delete(repository.manifest("a")).status == 202
    assert listed(repository) == []


@pytest.mark.expected
def test_listing_tags__expected_name_unknown(repository: Repository) -> None:
    """The tags of an unknown repository answer 404 NAME_UNKNOWN"""
    response = repository.get(repository.path("tags/list"))
    assert (response.status, response.error_codes) == (404, ["NAME_UNKNOWN"])
