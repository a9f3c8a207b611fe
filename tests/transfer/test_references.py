"""How images and registries are named on the command line and in archives."""

import pytest

from registry.transfer.references import Reference, parse_reference, repository_of, tag_of


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("alpine", Reference(None, "alpine")),
        ("acme/app:1.0", Reference(None, "acme/app", "1.0")),
        ("docker.io/alpine:3", Reference("docker.io", "library/alpine", "3")),
        ("index.docker.io/acme/app", Reference("docker.io", "acme/app")),
        ("localhost/app", Reference("localhost", "app")),
        ("Host:5000/a/b:x", Reference("host:5000", "a/b", "x")),
        ("old.example.com/**", Reference("old.example.com", "**")),
        ("acme/**", Reference(None, "acme/**")),
    ],
)
def test_references(text: str, meant: Reference) -> None:
    assert parse_reference(text) == meant


@pytest.mark.parametrize(
    "text", ["", "Acme/app", "a/**:1", "acme**", "a:b:c/d e", "app@sha256:1", "app:", "a/../b"]
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_reference(text)


def test_names_in_archives() -> None:
    names = {"1.0": (None, "1.0"), "docker.io/acme/app:1.0": ("acme/app", "1.0"), "app:x": ("app", "x")}
    for name, meant in names.items():
        assert (repository_of(name), tag_of(name)) == meant
    assert tag_of("acme/app") is None
