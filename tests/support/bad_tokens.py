"""Tokens that must count for nothing (HARDENING.md section 4), each one step away from a good one.

A maker takes the key that would sign a good token, its issuer, its audience and its claims:
`BAD_TOKENS["expired"](key, issuer, audience, claims)`. `good` makes the one that all of them spoil.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from auth.keys import Algorithm, SigningKey
from auth.tokens import Claims, sign

Maker = Callable[[SigningKey, str, str, Claims], str]
Object = dict[str, object]


def good(key: SigningKey, issuer: str, audience: str, claims: Claims) -> str:
    """What the makers make when they spoil nothing: put together by hand, and accepted."""
    return assemble(header_of(key), payload_of(key, issuer, audience, claims), key)


def header_of(key: SigningKey) -> Object:
    return {"alg": key.algorithm.value, "kid": key.kid, "typ": "JWT"}


def payload_of(key: SigningKey, issuer: str, audience: str, claims: Claims) -> Object:
    payload: Object = jwt.decode(sign(claims, key, issuer, audience), options={"verify_signature": False})
    return payload


def assemble(header: object, payload: object, key: SigningKey) -> str:
    """A token of any header and payload with the right signature."""
    return signed(json.dumps(header).encode(), json.dumps(payload).encode(), key)


def signed(header: bytes, payload: bytes, key: SigningKey) -> str:
    """The same for any bytes."""
    content = f"{base64url(header)}.{base64url(payload)}"
    return f"{content}.{base64url(signature_of(content, key))}"


def signature_of(content: str, key: SigningKey) -> bytes:
    signature: bytes = jwt.get_algorithm_by_name(key.algorithm).sign(content.encode(), key.private_key)
    return signature


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def with_header(**changes: object) -> Maker:
    """Signed rightly, with another header; a member that is `...` is left out."""

    def make(key: SigningKey, issuer: str, audience: str, claims: Claims) -> str:
        return assemble(changed(header_of(key), changes), payload_of(key, issuer, audience, claims), key)

    return make


def with_claims(**changes: object) -> Maker:
    """Signed rightly, with other claims; one that is `...` is left out."""

    def make(key: SigningKey, issuer: str, audience: str, claims: Claims) -> str:
        return assemble(header_of(key), changed(payload_of(key, issuer, audience, claims), changes), key)

    return make


def with_text(edit: Callable[[str], str]) -> Maker:
    """The good token, edited."""
    return lambda key, issuer, audience, claims: edit(good(key, issuer, audience, claims))


def with_signature(edit: Callable[[bytes], bytes]) -> Maker:
    """The good token with its signature edited."""

    def make(key: SigningKey, issuer: str, audience: str, claims: Claims) -> str:
        content, _, signature = good(key, issuer, audience, claims).rpartition(".")
        return f"{content}.{base64url(edit(base64.urlsafe_b64decode(signature + '==')))}"

    return make


def spelt_otherwise(token: str) -> str:
    """The same bytes in base64url: of the last character of 64 bytes only two bits count."""
    return token[:-1] + chr(ord(token[-1]) + 1)


def with_payload(edit: Callable[[bytes], bytes]) -> Maker:
    """Signed rightly, with other bytes for its claims."""

    def make(key: SigningKey, issuer: str, audience: str, claims: Claims) -> str:
        payload = json.dumps(payload_of(key, issuer, audience, claims)).encode()
        return signed(json.dumps(header_of(key)).encode(), edit(payload), key)

    return make


def changed(members: Mapping[str, object], changes: Mapping[str, object]) -> Object:
    return {name: value for name, value in {**members, **changes}.items() if value is not ...}


def symmetric(secret: Callable[[SigningKey], bytes]) -> Maker:
    """HS256, keyed with something that everybody knows."""

    def make(key: SigningKey, issuer: str, audience: str, claims: Claims) -> str:
        header = json.dumps({**header_of(key), "alg": "HS256"}).encode()
        payload = json.dumps(payload_of(key, issuer, audience, claims)).encode()
        content = f"{base64url(header)}.{base64url(payload)}"
        mac = hmac.new(secret(key), content.encode(), hashlib.sha256).digest()
        return f"{content}.{base64url(mac)}"

    return make


def public_pem(key: SigningKey) -> bytes:
    return key.public.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_der(key: SigningKey) -> bytes:
    return key.public.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def public_jwk(key: SigningKey) -> bytes:
    return json.dumps(key.public.jwk()).encode()


def by_a_stranger(**headers: object) -> Maker:
    """Signed with another key of the same kind, in the name of the known one."""

    def make(key: SigningKey, issuer: str, audience: str, claims: Claims) -> str:
        other = SigningKey.generate(key.algorithm)
        header = {**header_of(key), **headers}
        if "jwk" in headers:
            header["jwk"] = {**other.public.jwk(), "kid": key.kid}
        return assemble(header, payload_of(key, issuer, audience, claims), other)

    return make


def of_an_unknown_key(key: SigningKey, issuer: str, audience: str, claims: Claims) -> str:
    other = SigningKey.generate(key.algorithm)
    return sign(claims, other, issuer, audience)


def by_rsa(key: SigningKey, issuer: str, audience: str, claims: Claims) -> str:
    private_key = rsa.generate_private_key(65537, 2048)
    payload = payload_of(key, issuer, audience, claims)
    return jwt.encode(payload, private_key, "RS256", headers={"kid": key.kid})


def unsigned(algorithm: str) -> Maker:
    def make(key: SigningKey, issuer: str, audience: str, claims: Claims) -> str:
        header = {**header_of(key), "alg": algorithm}
        return assemble(header, payload_of(key, issuer, audience, claims), key).rpartition(".")[0] + "."

    return make


def in_der(key: SigningKey, issuer: str, audience: str, claims: Claims) -> str:
    """The right signature in another form: X.509's instead of JWS's."""
    content, _, signature = good(key, issuer, audience, claims).rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    r, s = (int.from_bytes(half) for half in (raw[:32], raw[32:]))
    return f"{content}.{base64url(encode_dss_signature(r, s))}"


def of_zeros(key: SigningKey, issuer: str, audience: str, claims: Claims) -> str:
    """r = s = 0, which some implementations took for right (CVE-2022-21449)."""
    return good(key, issuer, audience, claims).rpartition(".")[0] + "." + base64url(bytes(64))


def with_wider_access(key: SigningKey, issuer: str, audience: str, claims: Claims) -> str:
    """The claims of one token under the signature of another."""
    header, _, signature = good(key, issuer, audience, claims).split(".")
    payload = payload_of(key, issuer, audience, claims._replace(subject="user:admin"))
    return f"{header}.{base64url(json.dumps(payload).encode())}.{signature}"


def an_hour(ago: int) -> int:
    return int(time.time()) - 3600 * ago


def later(**hours_ahead: int) -> Maker:
    """Claims that are times, so many hours from the moment when the token is made."""
    return lambda *of: with_claims(**{name: an_hour(-ahead) for name, ahead in hours_ahead.items()})(*of)


def entry(**changes: object) -> Maker:
    """`access` with one entry, of which something is wrong."""
    right = {"type": "repository", "name": "acme/app", "actions": ["pull"]}
    return with_claims(access=[changed(right, changes)])


BAD_TOKENS: Mapping[str, Maker] = {
    # The algorithm.
    "alg none": unsigned("none"),
    "alg None": unsigned("None"),
    "alg none, signed": with_header(alg="none"),
    "no signature": with_text(lambda token: token.rpartition(".")[0] + "."),
    "HS256 keyed with the public key in PEM": symmetric(public_pem),
    "HS256 keyed with the public key in DER": symmetric(public_der),
    "HS256 keyed with the public JWK": symmetric(public_jwk),
    "HS256 keyed with nothing": symmetric(lambda key: b""),
    "an algorithm that is not on the list": with_header(alg="ES384"),
    "an algorithm that nobody knows": with_header(alg="entrepot"),
    "the algorithm in lower case": lambda key, *of: with_header(alg=key.algorithm.lower())(key, *of),
    "a list of algorithms": with_header(alg=[Algorithm.ES256, Algorithm.EDDSA]),
    "no algorithm": with_header(alg=...),
    "RS256 under a known kid": by_rsa,
    # The key.
    "a known kid with an embedded jwk": by_a_stranger(jwk=...),
    "an embedded jwk beside a right signature": with_header(jwk={}),
    "a foreign jku": by_a_stranger(jku="https://evil.example/keys"),
    "a foreign x5u": by_a_stranger(x5u="https://evil.example/chain.pem"),
    "a foreign x5c": by_a_stranger(x5c=["MIIB"]),
    "unknown crit": with_header(crit=["entrepot"], entrepot=True),
    "empty crit": with_header(crit=[]),
    "a stranger's signature under a known kid": by_a_stranger(),
    "an unknown kid": of_an_unknown_key,
    "no kid": with_header(kid=...),
    "kid that is a number": with_header(kid=1),
    "kid that is a path": with_header(kid="../../../dev/null"),
    "kid that is SQL": with_header(kid="x' OR '1'='1"),
    # The signature.
    "a signature of zeros": of_zeros,
    "a signature cut off": with_signature(lambda signature: signature[:-1]),
    "a signature of another token's length": with_signature(lambda signature: signature * 2),
    "the right signature, spelt otherwise": with_text(spelt_otherwise),
    "a signature with more behind": with_text(lambda token: token + "AAAA"),
    "claims under another token's signature": with_wider_access,
    # Who and for whom.
    "wrong audience": with_claims(aud="another"),
    "wrong audiences": with_claims(aud=["another", "third"]),
    "audience that is a number": with_claims(aud=1),
    "audience within a list within a list": lambda key, issuer, audience, claims: with_claims(
        aud=[[audience]]
    )(key, issuer, audience, claims),
    "no audience": with_claims(aud=...),
    "wrong issuer": with_claims(iss="https://evil.example"),
    "issuer that is a list": lambda key, issuer, audience, claims: with_claims(iss=[issuer])(
        key, issuer, audience, claims
    ),
    "no issuer": with_claims(iss=...),
    "subject that is a number": with_claims(sub=1),
    "subject with a new line": with_claims(sub="user:alice\nuser:admin"),
    "subject with half a character": with_claims(sub="user:\ud800"),
    # Times.
    "expired": later(exp=-1),
    "expired long ago": with_claims(exp=0),
    "nbf far ahead": later(nbf=1, exp=2),
    "nbf that is a string": with_claims(nbf="0"),
    "iat far ahead": later(iat=1, exp=2),
    "exp missing": with_claims(exp=...),
    "exp null": with_claims(exp=None),
    "exp that is a string": with_claims(exp="9999999999"),
    "exp that is true": with_claims(exp=True),
    "exp that is a list": with_claims(exp=[9999999999]),
    "exp that is negative": with_claims(exp=-1),
    "exp beyond all clocks": with_claims(exp=10**30),
    "exp NaN": with_claims(exp=float("nan")),
    "exp Infinity": with_claims(exp=float("inf")),
    "exp 1e999": with_payload(lambda payload: payload.replace(b'"exp": ', b'"exp": 1e999, "old": ')),
    # What it allows.
    "access that is an object": with_claims(access={"type": "repository", "name": "a", "actions": ["pull"]}),
    "access that is a string": with_claims(access="repository:acme/app:pull"),
    "access that is true": with_claims(access=True),
    "access of strings": with_claims(access=["repository:acme/app:pull"]),
    "access of lists": with_claims(access=[["repository", "acme/app", ["pull"]]]),
    "actions that are a string": entry(actions="pull"),
    "actions that are numbers": entry(actions=[1]),
    "actions missing": entry(actions=...),
    "a name that is a number": entry(name=1),
    "a name with NUL": entry(name="acme\0app"),
    "a type that is null": entry(type=None),
    "a uid that is a number": entry(uid=1),
    # What is ours alone.
    "no private claim": with_claims(entrepot=...),
    "a private claim that is a list": with_claims(entrepot=[]),
    "a principal that is a string": with_claims(entrepot={"principal": "1"}),
    "a principal that is true": with_claims(entrepot={"principal": True}),
    "a credential that is a fraction": with_claims(entrepot={"credential": 1.5}),
    "rules that are strings": with_claims(entrepot={"rules": ["1"]}),
    # Form.
    "nothing": with_text(lambda token: ""),
    "no token at all": with_text(lambda token: "entrepot"),
    "two parts": with_text(lambda token: token.rpartition(".")[0]),
    "four parts": with_text(lambda token: token + ".AAAA"),
    "five parts, as if encrypted": with_text(lambda token: token + ".AAAA.AAAA"),
    "padded": with_text(lambda token: token + "=="),
    "a new line behind": with_text(lambda token: token + "\n"),
    "a blank within": with_text(lambda token: token.replace(".", ". ", 1)),
    "a header that is a list": lambda key, *of: assemble([header_of(key)], payload_of(key, *of), key),
    "claims that are a list": with_payload(lambda payload: b"[" + payload + b"]"),
    "claims that are bad UTF-8": with_payload(lambda payload: payload[:-1] + b', "x": "\xff"}'),
    "claims in UTF-16": with_payload(lambda payload: payload.decode().encode("utf-16")),
    "claims that end early": with_payload(lambda payload: payload[:-1]),
    "doubled claims": with_payload(lambda payload: payload[:-1] + b', "sub": "user:admin"}'),
    "nested deeply": with_payload(lambda payload: b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "a number of 5,000 digits": with_payload(lambda payload: payload[:-1] + b', "x": ' + b"1" * 5000 + b"}"),
    "1 MiB of token": with_payload(lambda payload: payload[:-1] + b', "x": "' + b"x" * 2**20 + b'"}'),
    "1 MiB of dots": with_text(lambda token: "." * 2**20),
}
"""Name -> maker. Each is refused with 401 and a challenge."""

FOR_ES256: Mapping[str, Maker] = {"a signature in DER": in_der}
"""Those that only a key of this algorithm can make."""
