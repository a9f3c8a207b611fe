import re
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.api.pagination import next_link, page_size
from registry.oci.errors import PaginationInvalid


@pytest.mark.parametrize(
    ("n", "size"),
    [
        (None, 100),
        ("0", 0),
        ("000", 0),
        ("1", 1),
        ("007", 7),
        ("999", 999),
        ("1000", 1000),
        ("1001", 1000),
        (str(2**63), 1000),
        (str(10**30), 1000),
        ("9" * 8000, 1000),
        ("0" * 8000 + "5", 5),
    ],
)
def test_page_sizes(n: str | None, size: int) -> None:
    assert page_size(n, default=100, maximum=1000) == size


def test_the_default_obeys_the_maximum() -> None:
    assert page_size(None, default=100, maximum=10) == 10


@pytest.mark.parametrize(
    "n",
    [
        "",
        " ",
        "-1",
        "-0",
        "+1",
        "abc",
        "١٢",
        "²",
        "1_000",
        "1.0",
        "1e3",
        "0x10",
        " 1",
        "1\n",
        "1\0",
        "\udcff",
        "NaN",
    ],
)
def test_what_is_no_number_is_refused(n: str) -> None:
    with pytest.raises(PaginationInvalid, match="n must be a number of entries") as caught:
        page_size(n, default=100, maximum=1000)
    assert caught.value.message.isascii()


@given(st.one_of(st.text(), st.text("0123456789"), st.integers().map(str)), st.integers(0, 10_000))
def test_any_n_is_a_size_or_an_error(n: str, maximum: int) -> None:
    if n and set(n) <= set("0123456789"):
        assert page_size(n, 100, maximum) == min(int(n), maximum)
    else:
        with pytest.raises(PaginationInvalid):
            page_size(n, 100, maximum)


def test_links_look_as_the_specification_has_them() -> None:
    assert next_link("/v2/x/tags/list", "b", 2) == '</v2/x/tags/list?last=b&n=2>; rel="next"'
    assert next_link("/v2/_catalog", "a/b", 1) == '</v2/_catalog?last=a%2Fb&n=1>; rel="next"'
    assert next_link("/registry/v2/x/referrers/sha256:ab", "c", 3, [("artifactType", "a/b+json")]) == (
        '</registry/v2/x/referrers/sha256:ab?last=c&n=3&artifactType=a%2Fb%2Bjson>; rel="next"'
    )


@given(
    st.text().map(lambda text: text.lstrip("/")),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(0, 10**9),
    st.lists(st.tuples(st.text(), st.text()).filter(all), max_size=3),
)
def test_a_link_is_a_plain_header_and_comes_back(
    path: str, last: str, n: int, extra: list[tuple[str, str]]
) -> None:
    link = next_link("/" + path, last, n, extra)
    match = re.fullmatch(r'<(/[!#-;=?-~]*)>; rel="next"', link)
    assert match is not None
    parts = urlsplit(match[1])
    assert parts.scheme == parts.netloc == parts.fragment == ""
    pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    assert pairs[:2] == [("last", last), ("n", str(n))]
    assert len(pairs) == 2 + len(extra)
    assert unquote(parts.path)


def test_a_lone_surrogate_does_no_harm() -> None:
    assert next_link("/v2/\udcff", "a", 1, [("x", "\udcff")]) == '</v2/%3F?last=a&n=1&x=%3F>; rel="next"'
