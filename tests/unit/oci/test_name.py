import time
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci import name as name_module
from registry.oci.errors import NameInvalid, TagInvalid
from registry.oci.name import NAME_LIMIT, RepositoryName, Tag

LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"


def follows_grammar(text: str) -> bool:
    """The grammar once more, without a regular expression: cut out the runs between letters and digits."""
    for component in text.split("/"):
        if not component or component[0] not in LOWER or component[-1] not in LOWER:
            return False
        for between, run in groupby(component, key=lambda character: character not in LOWER):
            separator = "".join(run)
            if between and separator not in (".", "_", "__") and set(separator) != {"-"}:
                return False
    return len(text) <= 255


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "0",
        "library/alpine",
        "a/b/c/d/e/f",
        "a.b/c_d/e__f/g-h/i--j/k-----l",
        "blobs",
        "manifests/blobs/uploads",
        "v2/tags/list",
        "x/referrers",
        "a" * 255,
        "/".join("a" * 128),
        "127.0.0.1/x",
    ],
)
def test_valid_names(text: str) -> None:
    assert follows_grammar(text)
    assert RepositoryName.parse(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "A",
        "library/Alpine",
        "-a",
        "a-",
        "_catalog",
        "a/_oci/ext",
        ".a",
        "a.",
        "a..b",
        "a___b",
        "a._b",
        "a-_b",
        "a//b",
        "/a",
        "a/",
        "..",
        "a/../b",
        "a/./b",
        "%2e%2e%2f",
        "%252e",
        "a\\b",
        "a\0b",
        "a\nb",
        "a\n",
        "\na",
        "a b",
        "a:b",
        "a@b",
        "аlpine",  # Cyrillic a
        "a\u202eb",  # right-to-left override
        "a\u200fb",
        "a\udcffb",
        "١",
        "ß",
        "ſ",
        "a" * 256,
        "a/" * 4096 + "a",
    ],
)
def test_invalid_names(text: str) -> None:
    assert not follows_grammar(text)
    with pytest.raises(NameInvalid) as caught:
        RepositoryName.parse(text)
    assert caught.value.message.isascii()
    assert len(caught.value.message) < 1000


def test_the_messages_say_what_would_be_right() -> None:
    with pytest.raises(NameInvalid, match=r"at most 255 characters, this one has 300"):
        RepositoryName.parse("a" * 300)
    with pytest.raises(NameInvalid, match="lower-case"):
        RepositoryName.parse("Upper")
    with pytest.raises(TagInvalid, match="1 to 128"):
        Tag.parse("a" * 129)


@given(st.one_of(st.text(), st.text("ab0._-/"), st.text("ab0._-/A\n", max_size=300)))
def test_any_text_is_a_name_or_an_error(text: str) -> None:
    if follows_grammar(text):
        assert RepositoryName.parse(text) == text
    else:
        with pytest.raises(NameInvalid):
            RepositoryName.parse(text)


COMPONENT = st.tuples(
    st.text(LOWER, min_size=1, max_size=5),
    st.lists(
        st.tuples(
            st.sampled_from([".", "_", "__", "-", "--", "----"]), st.text(LOWER, min_size=1, max_size=5)
        ),
        max_size=3,
    ),
).map(lambda parts: parts[0] + "".join(separator + word for separator, word in parts[1]))


@given(st.lists(COMPONENT, min_size=1, max_size=8).map("/".join).filter(lambda text: len(text) <= NAME_LIMIT))
def test_what_the_grammar_makes_is_a_name(text: str) -> None:
    assert RepositoryName.parse(text) == text


@pytest.mark.parametrize(
    "text", ["latest", "v1.2.3", "_", "A", "0", "a" * 128, "sha256-" + "a" * 64 + ".sig", "1.0_b.2"]
)
def test_valid_tags(text: str) -> None:
    assert Tag.parse(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".a",
        "-a",
        "a" * 129,
        "a\n",
        "a b",
        "a+b",
        "a/b",
        "a:b",
        "a@b",
        "ä",
        "a\0",
        "a%2f",
        "\udcff",
        "١",
        "a" * 8192,
    ],
)
def test_invalid_tags(text: str) -> None:
    with pytest.raises(TagInvalid) as caught:
        Tag.parse(text)
    assert caught.value.message.isascii()
    assert len(caught.value.message) < 1000


@given(st.one_of(st.text(), st.text("aZ0_.-", max_size=140)))
def test_any_text_is_a_tag_or_an_error(text: str) -> None:
    characters = set(LOWER + LOWER.upper() + "_.-")
    valid = 1 <= len(text) <= 128 and set(text) <= characters and text[0] not in ".-"
    if valid:
        assert Tag.parse(text) == text
    else:
        with pytest.raises(TagInvalid):
            Tag.parse(text)


@pytest.mark.parametrize(
    "piece", ["a", "-", "_", "a-", "a.", "a__", "a/", "a-b/", "a--", "0a", "---a", "a/b.c__d-e"]
)
def test_time_is_linear(piece: str) -> None:
    """A pattern that backtracks would need the square of a million steps; the limit of 255 is left out."""
    text = "a" + piece * (1_000_000 // len(piece)) + "!"
    started = time.thread_time()
    assert name_module._NAME.fullmatch(text) is None
    assert name_module._TAG.fullmatch(text) is None
    assert time.thread_time() - started < 3
