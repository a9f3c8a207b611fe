import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci.strict_json import DEPTH_LIMIT, DIGITS_LIMIT, StrictJSONError, parse_object

MEBIBYTE = 1024 * 1024
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4), st.booleans())
def test_what_json_writes_is_read_the_same(document: dict[str, object], escaped: bool) -> None:
    assert parse_object(json.dumps(document, ensure_ascii=escaped).encode()) == document


@given(st.one_of(st.binary(), st.text('{}[]":,\\ud8da0e-+.\n ntf').map(str.encode)))
def test_any_bytes_are_an_object_as_json_reads_it_or_an_error(body: bytes) -> None:
    try:
        document = parse_object(body)
    except StrictJSONError:
        return  # any other exception fails the test
    assert document == json.loads(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b" ", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a":1', "not JSON"),
        (b'{"a":1}x', "not JSON: Extra data"),
        (b'{"a":1}{}', "not JSON: Extra data"),
        (b'{"a":1}\0', "not JSON: Extra data"),
        (b"{'a':1}", "not JSON"),
        (b'{"a":1,}', "not JSON"),
        (b'{"a":01}', "not JSON"),
        (b'{"a":+1}', "not JSON"),
        (b'{"a":"\n"}', "not JSON: Invalid control character"),
        (b'{"a":"\\x"}', "not JSON: Invalid \\escape"),
        (b'{"a":\xd9\xa1}', "not JSON"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"{}"', "must be a JSON object"),
        (b"2", "must be a JSON object"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ("{}".encode("utf-16"), "not UTF-8: bad byte at offset 0"),
        ("{}".encode("utf-16-le"), "not JSON"),
        ("{}".encode("utf-32-be"), "not JSON"),
        (b'{"a":"\xff"}', "not UTF-8: bad byte at offset 6"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a":"\xc0\xaf"}', "not UTF-8"),
        (b'{"a":1,"a":1}', "has the key 'a' twice"),
        (b'{"a":1,"\\u0061":2}', "has the key 'a' twice"),
        (b'{"x":[{"k":{},"l":0,"k":null}]}', "has the key 'k' twice"),
        (b'{"a":NaN}', "NaN is not a JSON value"),
        (b'{"a":Infinity}', "Infinity is not a JSON value"),
        (b'{"a":-Infinity}', "-Infinity is not a JSON value"),
        (b'{"a":1e999}', "out of range"),
        (b'{"a":-1e999}', "out of range"),
        (b'{"a":' + b"9" * 5000 + b"}", "has 5000 digits"),
        (b'{"a":-' + b"9" * 5000 + b"}", "digits"),
        (b'{"a":' + b"9" * 5000 + b".5}", "out of range"),
        (b'{"a":"\\ud800"}', "lone surrogate"),
        (b'{"a":"\\uDFFF"}', "lone surrogate"),
        (b'{"a":"\\udc00\\ud800"}', "lone surrogate"),
        (b'{"\\ud83d":1}', "lone surrogate"),
        (b'{"a":[["\\ud83d x"]]}', "lone surrogate"),
        (b'{"a":"\\\\\\ud800"}', "lone surrogate"),
    ],
)
def test_refused(body: bytes, message: str) -> None:
    with pytest.raises(StrictJSONError) as caught:
        parse_object(body)
    assert message in str(caught.value)
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b" \t\r\n{}\n", {}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a":"\\\\ud800"}', {"a": "\\ud800"}),
        ('{"ключ":"значение"}'.encode(), {"ключ": "значение"}),
        (b'{"a":"\\u0000\\"[[{"}', {"a": '\0"[[{'}),
        (b'{"a":{"k":1},"b":{"k":1}}', {"a": {"k": 1}, "b": {"k": 1}}),
        (b'{"a":1,"A":2}', {"a": 1, "A": 2}),
        (b'{"a":' + b"9" * DIGITS_LIMIT + b"}", {"a": 10**DIGITS_LIMIT - 1}),
        (b'{"a":-0.5e-3}', {"a": -0.0005}),
    ],
)
def test_accepted(body: bytes, document: object) -> None:
    assert parse_object(body) == document


def nested(depth: int) -> bytes:
    """An object of `depth` levels, arrays and objects in turn."""
    opening = b"".join((b'{"a":', b"[")[level % 2] for level in range(depth))
    closing = b"".join((b"}", b"]")[level % 2] for level in reversed(range(depth)))
    return opening + b"1" + closing


def test_the_depth_limit_is_exact() -> None:
    assert "a" in parse_object(nested(DEPTH_LIMIT))
    with pytest.raises(StrictJSONError, match="nested deeper than 100 levels"):
        parse_object(nested(DEPTH_LIMIT + 1))


def test_breadth_is_no_depth() -> None:
    assert len(parse_object(b'{"a":[' + b"{}," * 1000 + b'{}],"b":"' + b"[{" * 1000 + b'"}')) == 2
    assert len(parse_object(b'{"a":"' + b'\\"[' * 1000 + b'","b":"\\\\","c":"]"}')) == 3


@given(st.integers(DEPTH_LIMIT + 1, 3000), st.text(']}"\\[{', max_size=50))
def test_strings_do_not_hide_depth(depth: int, disguise: str) -> None:
    """Closing brackets in strings between the opening ones don't count."""
    level = b'[{"k":' + json.dumps(disguise).encode() + b',"v":'
    with pytest.raises(StrictJSONError, match="nested deeper"):
        parse_object(b'{"a":' + level * depth + b"1" + b"}]" * depth + b"}")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 100_000, id="arrays"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="closed arrays"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="objects"),
        pytest.param(b'{"a":[' + b'"]",[' * 100_000, id="arrays with a disguise"),
    ],
)
def test_a_depth_of_100_000(body: bytes) -> None:
    with pytest.raises(StrictJSONError, match="nested deeper"):
        parse_object(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 4 * MEBIBYTE, id="open arrays"),
        pytest.param(b'{"a":[' + b"{}," * MEBIBYTE + b"{}", id="objects"),
        pytest.param(b'{"a":"' + b'\\"' * 2 * MEBIBYTE, id="open string of escaped quotes"),
        pytest.param(b"{" * 101 + b'"' + b'\\"' * 2 * MEBIBYTE, id="the same below brackets"),
        pytest.param(b"{" * 101 + b'"' * 4 * MEBIBYTE, id="quotes"),
        pytest.param(b"{" * 101 + b"\\" * 4 * MEBIBYTE, id="backslashes"),
        pytest.param(b'{"a":' + b"9" * 4 * MEBIBYTE + b"}", id="an integer"),
        pytest.param(b'{"a":[' + b"9" * 4000 + (b"," + b"9" * 4000) * 1000 + b"]}", id="integers"),
        pytest.param(b'{"a":0.' + b"9" * 4 * MEBIBYTE + b"e999}", id="a fraction"),
        pytest.param(b'{"a":["' + b'\\ud800","' * 400_000 + b'"]}', id="surrogates"),
        pytest.param(b"{" + b'"a":1,' * 600_000 + b'"a":1}', id="equal keys"),
        pytest.param(b'{"a":[' + b"{},[]," * 700_000, id="truncated"),
    ],
)
def test_four_mebibytes_of_malice_take_bounded_time(body: bytes) -> None:
    started = time.thread_time()
    with pytest.raises(StrictJSONError):
        parse_object(body)
    assert time.thread_time() - started < 6
