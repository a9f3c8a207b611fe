import hashlib
import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci.digest import ALGORITHMS, Digest, digest_from_hash, new_hash, parse_algorithm
from registry.oci.errors import DigestInvalid

SHA256_OF_ABC = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
SHA512_OF_NOTHING = (
    "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
    "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)


def test_known_answers() -> None:
    assert Digest.of(b"abc") == SHA256_OF_ABC
    assert Digest.of(b"", "sha512") == SHA512_OF_NOTHING


@pytest.mark.parametrize("text", [SHA256_OF_ABC, SHA512_OF_NOTHING])
def test_a_valid_digest_is_its_own_text(text: str) -> None:
    digest = Digest.parse(text)
    assert digest == text
    assert hash(digest) == hash(text)
    assert f"{digest.algorithm}:{digest.encoded}" == text
    assert len(digest.encoded) == ALGORITHMS[digest.algorithm]
    assert pickle.loads(pickle.dumps(digest)) == digest
    assert not hasattr(digest, "__dict__")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a digest"),
        ("latest", "is not a digest"),
        ("a" * 64, "is not a digest"),
        ("sha256:", "is not a digest"),
        (":" + "a" * 64, "is not a digest"),
        ("SHA256:" + "a" * 64, "is not a digest"),
        ("sha256::" + "a" * 64, "is not a digest"),
        ("sha256:" + "a" * 64 + "\n", "is not a digest"),
        (" sha256:" + "a" * 64, "is not a digest"),
        ("sha256:" + "a" * 63 + "\0", "is not a digest"),
        ("sha256:" + "а" * 64, "\\u0430"),  # Cyrillic
        ("sha256:" + "١" * 64, "is not a digest"),
        ("sha256:../../../etc/passwd", "is not a digest"),
        ("sha256:\udcff", "\\udcff"),
        ("sha256+b64u:" + "a" * 64, "'sha256+b64u' is not supported; use sha256 or sha512"),
        ("sha384:" + "a" * 96, "'sha384' is not supported; use sha256 or sha512"),
        ("md5:" + "a" * 32, "'md5' is not supported; use sha256 or sha512"),
        ("blake3:" + "a" * 64, "'blake3' is not supported; use sha256 or sha512"),
        ("sha256:baddigeststring", "has 64 hexadecimal digits, not 15"),
        ("sha256:" + "a" * 63, "has 64 hexadecimal digits, not 63"),
        ("sha256:" + "a" * 65, "has 64 hexadecimal digits, not 65"),
        ("sha512:" + "a" * 64, "has 128 hexadecimal digits, not 64"),
        ("sha256:" + "A" * 64, "in lower case"),
        ("sha256:" + "g" * 64, "0-9 and a-f only"),
        ("sha256:" + "=" * 64, "0-9 and a-f only"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(DigestInvalid) as caught:
        Digest.parse(text)
    assert message in caught.value.message
    assert caught.value.message.isascii()
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize("algorithm", ["", "md5", "SHA256", "sha256:", "sha3_256", "shake_128", "a" * 10_000])
def test_unsupported_algorithms(algorithm: str) -> None:
    for use in (parse_algorithm, new_hash, lambda name: Digest.of(b"", name)):
        with pytest.raises(DigestInvalid, match="use sha256 or sha512"):
            use(algorithm)


@given(st.lists(st.binary()), st.sampled_from(sorted(ALGORITHMS)))
def test_hashing_in_pieces_is_hashing_the_whole(pieces: list[bytes], algorithm: str) -> None:
    hash_object = new_hash(parse_algorithm(algorithm))
    for piece in pieces:
        hash_object.update(piece)
    digest = digest_from_hash(hash_object, algorithm)
    assert digest == Digest.of(b"".join(pieces), algorithm)
    assert digest.encoded == hashlib.new(algorithm, b"".join(pieces)).hexdigest()
    assert Digest.parse(digest) == digest


@given(st.one_of(st.text(), st.from_regex(r"\A(sha256|sha512|[a-z0-9+._-]*):[0-9a-zA-Z=_-]*\Z")))
def test_any_text_is_a_digest_or_an_error(text: str) -> None:
    algorithm, _, encoded = text.partition(":")
    valid = len(encoded) == ALGORITHMS.get(algorithm) and set(encoded) <= set("0123456789abcdef")
    if valid:
        assert Digest.parse(text) == text
    else:
        with pytest.raises(DigestInvalid):
            Digest.parse(text)


@given(
    st.sampled_from(sorted(ALGORITHMS)).flatmap(
        lambda name: st.text("0123456789abcdef", min_size=ALGORITHMS[name], max_size=ALGORITHMS[name]).map(
            f"{name}:".__add__
        )
    ),
    st.integers(0, 135),
    st.characters(),
)
def test_one_changed_character_is_seen(text: str, position: int, character: str) -> None:
    changed = text[:position] + character + text[position + 1 :]
    algorithm = text.partition(":")[0]
    encoded = changed.removeprefix(f"{algorithm}:")
    if (
        changed.startswith(f"{algorithm}:")
        and set(encoded) <= set("0123456789abcdef")
        and len(changed) == len(text)
    ):
        assert Digest.parse(changed) == changed
    else:
        with pytest.raises(DigestInvalid):
            Digest.parse(changed)


@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, "a+" * 500_000, "a+" * 500_000 + ":!", "a:" + "b" * 1_000_000 + "!"]
)
def test_time_is_linear(text: str) -> None:
    started = time.thread_time()
    with pytest.raises(DigestInvalid):
        Digest.parse(text)
    assert time.thread_time() - started < 3
