import hashlib

import pytest

from auth.jws import looks_like_jwt
from auth.secrets import SecretKind, hash_secret, kind_of, new_secret, redacted


@pytest.mark.parametrize("kind", SecretKind)
def test_a_secret_tells_its_kind_and_is_kept_as_its_hash(kind: SecretKind) -> None:
    secret = new_secret(kind)

    assert secret.text.startswith(f"entrepot_{kind}_")
    assert kind_of(secret.text) is kind
    assert secret.hash == hash_secret(secret.text) == hashlib.sha256(secret.text.encode()).hexdigest()
    assert not looks_like_jwt(secret.text)


def test_no_two_are_alike_and_none_is_printed() -> None:
    made = [new_secret(SecretKind.ROBOT) for _ in range(100)]
    assert len({secret.text for secret in made}) == 100
    assert made[0].text not in f"{made[0]!r} {made[0]}"


def test_what_is_no_secret() -> None:
    text = new_secret(SecretKind.ROBOT).text
    for other in (
        "",
        "secret",
        text[:-1],
        text + "A",
        text + "\n",
        " " + text,
        text.upper(),
        text.replace("robot", "user"),
        text[:-1] + "é",
        text[:-1] + "\ud800",
    ):
        assert kind_of(other) is None
        assert hash_secret(other) != hash_secret(text)


@pytest.mark.parametrize("kind", SecretKind)
def test_a_secret_within_a_text_is_not_repeated(kind: SecretKind) -> None:
    secret = new_secret(kind).text

    for text in (secret, f"GET /v2/{secret}/tags/list", f'{{"path": "/{secret}x"}}', 2 * f"{secret} "):
        assert secret not in redacted(text)
        assert f"entrepot_{kind}_..." in redacted(text), "what it was can still be seen"


def test_a_signed_token_within_a_text_loses_its_signature() -> None:
    assert redacted("a eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl b") == (
        "a eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0.... b"
    )


@pytest.mark.parametrize("text", ["", "acme/app", "entrepot_robot_short", "eyJ.a.b", "sha256:" + 64 * "0"])
def test_any_other_text_stays(text: str) -> None:
    assert redacted(text) == text
