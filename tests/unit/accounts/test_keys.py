import base64
import datetime
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from auth.keys import Algorithm, PublicKey, SigningKey, by_kid, jwks, parse_jwks, parse_pem_public

ALGORITHMS = ("ES256", "EdDSA")

# RFC 7638 section 3.1.
RSA_JWK = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWK"
    "RXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqz"
    "s8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_"
    "xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
RSA_THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"

# RFC 8037 appendix A.2 and A.3.
ED25519_JWK = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
ED25519_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def only(keys: tuple[PublicKey, ...]) -> PublicKey:
    (key,) = keys
    return key


def public_pem(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key: ec.EllipticCurvePrivateKey | RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def certificate(key: RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tokens.example")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(start).not_valid_after(start + datetime.timedelta(days=1))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_survives_pem(algorithm: str) -> None:
    key = SigningKey.generate(algorithm)
    assert key.algorithm == algorithm

    for text in (key.to_pem(), key.to_pem().encode()):
        again = SigningKey.from_pem(text)
        assert again.public.jwk() == key.public.jwk()
        assert again.to_pem() == key.to_pem()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_jwk_is_public_and_read_by_us(algorithm: str) -> None:
    key = SigningKey.generate(algorithm)
    jwk = key.public.jwk()

    members = {"kty", "crv", "x", "use", "alg", "kid"} | ({"y"} if algorithm == "ES256" else set())
    assert set(jwk) == members
    assert (jwk["use"], jwk["alg"], jwk["kid"]) == ("sig", algorithm, key.kid)
    document = json.loads(json.dumps(jwks([key.public])))
    read = only(parse_jwks(document))
    assert (read.kid, read.algorithm, read.key) == (key.kid, algorithm, key.public.key)


def test_a_key_tells_nothing_when_printed() -> None:
    key = SigningKey.generate("EdDSA")
    assert "PRIVATE" not in f"{key!r} {key.public!r} {vars(key)!r}"


def test_thumbprints_are_those_of_the_rfcs() -> None:
    assert RSA_THUMBPRINT in only(parse_jwks({"keys": [RSA_JWK]})).aliases
    assert only(parse_jwks({"keys": [ED25519_JWK]})).kid == ED25519_THUMBPRINT


def test_a_kid_of_its_own_goes_before_the_thumbprint() -> None:
    key = only(parse_jwks({"keys": [RSA_JWK]}))
    assert key.kid == "2011-04-29"
    assert set(by_kid([key])) == {"2011-04-29", *key.aliases}


def test_keys_of_ours_have_one_name() -> None:
    key = SigningKey.generate("ES256")
    assert set(by_kid([key.public])) == {key.kid}


def test_the_id_of_libtrust() -> None:
    """The value was made with openssl's DER form of that key and `openssl dgst -sha256 -binary |
    head -c 30 | base32`."""
    key = only(parse_jwks({"keys": [RSA_JWK]}))
    libtrust = [alias for alias in key.aliases if ":" in alias]
    assert libtrust == ["VUZD:EDHW:YWLN:RBFQ:KOA3:UVZ2:XKG5:2V2J:WTPI:6SRD:U6PZ:VCO5"]


def test_coordinates_with_leading_zeros_have_a_second_thumbprint() -> None:
    """About one key in 128 begins with a zero byte; this one was looked for."""
    private_key = next(
        key
        for key in (ec.derive_private_key(number, ec.SECP256R1()) for number in range(1, 2000))
        if key.public_key().public_numbers().x < 2**248
    )
    key = only(parse_pem_public(public_pem(private_key)))
    other = only(parse_pem_public(public_pem(ec.derive_private_key(1, ec.SECP256R1()))))
    assert SigningKey(private_key).kid == key.kid
    assert len(set(key.aliases)) == 3
    assert len(set(other.aliases)) == 2


def test_a_kid_goes_before_an_alias_and_the_first_before_the_last() -> None:
    first, second = SigningKey.generate("ES256").public, SigningKey.generate("EdDSA").public
    named = first._replace(kid="a", aliases=("b", "c"))
    other = second._replace(kid="b", aliases=("c",))
    assert by_kid([named, other]) == {"a": named, "b": other, "c": named}
    assert by_kid([named, other._replace(kid="a")])["a"] == named


@pytest.mark.parametrize("algorithm", ["RS256", "HS256", "none", "", "es256", "ES384"])
def test_tokens_are_signed_with_two_algorithms_only(algorithm: str) -> None:
    with pytest.raises(ValueError, match="ES256 or EdDSA"):
        SigningKey.generate(algorithm)


def test_what_is_no_key_to_sign_with(rsa_key: RSAPrivateKey) -> None:
    key = SigningKey.generate("ES256")
    locked = key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    other_curve = ec.generate_private_key(ec.SECP384R1())
    for text, message in (
        ("", "no private key in PEM form"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key in PEM form"),
        (public_pem(rsa_key), "no private key in PEM form"),
        (locked, "passphrase"),
        (private_pem(rsa_key), "P-256 .* or Ed25519"),
        (private_pem(other_curve), "P-256 .* or Ed25519"),
    ):
        with pytest.raises(ValueError, match=message):
            SigningKey.from_pem(text)


def test_pem_of_public_keys_and_certificates(rsa_key: RSAPrivateKey) -> None:
    elliptic, edwards = SigningKey.generate("ES256"), SigningKey.generate("EdDSA")
    text = "# our token server\n" + "\n".join(
        [public_pem(elliptic.private_key), certificate(rsa_key), public_pem(edwards.private_key)]
    )

    keys = parse_pem_public(text)

    assert [key.algorithm for key in keys] == [Algorithm.ES256, Algorithm.RS256, Algorithm.EDDSA]
    assert [key.kid for key in keys if key.algorithm != Algorithm.RS256] == [elliptic.kid, edwards.kid]
    assert parse_pem_public(text.replace("\n", "\r\n")) == keys


def test_what_is_no_file_of_public_keys(rsa_key: RSAPrivateKey) -> None:
    good = public_pem(rsa_key)
    small = public_pem(rsa.generate_private_key(65537, 1024))
    montgomery = x25519.X25519PrivateKey.generate().public_key()
    exchange = montgomery.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    for text, message in (
        ("", "no public key or certificate"),
        ("hello", "no public key or certificate"),
        (good + private_pem(rsa_key), "block 2 is a private key"),
        (good + broken, r"block 2 \(CERTIFICATE\) can't be read"),
        (good + small, "block 2 should hold a key of RSA with 2048"),
        (exchange, "block 1 should hold a key"),
    ):
        with pytest.raises(ValueError, match=message):
            parse_pem_public(text)


def test_a_private_key_in_a_key_set_is_read_as_its_public_half() -> None:
    key = SigningKey.generate("EdDSA")
    jwk = {**key.public.jwk(), "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}
    assert only(parse_jwks({"keys": [jwk]})).key == key.public.key


def test_what_is_left_out_of_a_key_set() -> None:
    good = SigningKey.generate("ES256").public.jwk()
    small = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    other_edwards = ed448.Ed448PrivateKey.generate().public_key().public_bytes_raw()
    left_out: list[object] = [
        {"kty": "oct", "k": "AAAA", "kid": "symmetric"},
        {**good, "use": "enc"},
        {**good, "key_ops": ["sign"]},
        {**good, "key_ops": "verify"},
        {**good, "alg": "ES384"},
        {**good, "alg": "HS256"},
        {**good, "alg": None},
        {**good, "crv": "P-384"},
        {**good, "crv": "secp256k1"},
        {**good, "x": good["y"], "y": good["x"]},
        {**good, "x": 1},
        {**good, "x": "é"},
        {**good, "x": ""},
        {**good, "kid": 1},
        {**good, "kty": ["EC"]},
        {name: value for name, value in good.items() if name != "y"},
        {**RSA_JWK, "alg": "PS256"},
        {**RSA_JWK, "n": ""},
        {**RSA_JWK, "e": "AA"},
        {**RSA_JWK, "n": "A" * 5000},
        {"kty": "RSA", "e": "AQAB", "n": uint(small.n)},
        {"kty": "OKP", "crv": "Ed448", "x": uint(int.from_bytes(other_edwards))},
        {**ED25519_JWK, "x": "AAAA"},
        {**ED25519_JWK, "crv": "X25519"},
        "key",
        None,
    ]
    assert [parse_jwks({"keys": [entry]}) for entry in left_out] == [()] * len(left_out)
    assert len(parse_jwks({"keys": [*left_out, good]})) == 1
    assert parse_jwks({"keys": []}) == ()


def uint(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize("document", [None, [], {}, {"keys": None}, {"keys": {}}, "keys"])
def test_what_is_no_key_set(document: object) -> None:
    with pytest.raises(ValueError, match="JWK Set"):
        parse_jwks(document)


MEMBERS = ("kty", "crv", "x", "y", "n", "e", "use", "alg", "kid", "key_ops")
VALUES = st.none() | st.integers() | st.text(max_size=50) | st.lists(st.text(max_size=6), max_size=2)


@given(
    st.sampled_from([RSA_JWK, ED25519_JWK, SigningKey.generate("ES256").public.jwk()]),
    st.dictionaries(st.sampled_from(MEMBERS), VALUES),
)
def test_no_key_set_is_too_strange(jwk: dict[str, object], changes: dict[str, object]) -> None:
    for key in parse_jwks({"keys": [{**jwk, **changes}]}):
        assert key.algorithm in Algorithm
        assert key.kid
