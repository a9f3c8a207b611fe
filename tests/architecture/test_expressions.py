"""Regular expressions do not use what early releases of Python 3.11 get wrong.

There, a possessive or atomic group whose last try failed halfway does not give back what that took (CPython
issue 101955): `(?:/[a-z]++|/\\*)*+` takes `a/` for `a`. Debian 12 has such a release.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    path for name in ("registry", "storage_drivers", "auth") for path in (ROOT / name).rglob("*.py")
)

POSSESSIVE_GROUP = re.compile(r"(?<![\\(])\)(?:[*+?]|\{[0-9,]+\})\+|\(\?>")

HARMLESS = {
    # It can fail only where a try begins, or at the end of the text; plain groups would need memory for each
    # escape of a large body.
    "registry/oci/strict_json.py",
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_group_is_possessive(path: Path) -> None:
    found = POSSESSIVE_GROUP.findall(path.read_text())

    assert bool(found) == (str(path.relative_to(ROOT)) in HARMLESS), found


@pytest.mark.parametrize("text", ["(a|b)*+", "(?:a){2,}+", "(?>a|b)", "(a)?+", "(a)++"])
def test_a_possessive_group_is_found(text: str) -> None:
    assert POSSESSIVE_GROUP.search(text)


@pytest.mark.parametrize("text", ["(a|b)*", "[a-z]++", "f(x) + 1", r"\)*+", "(a)+"])
def test_nothing_else_is(text: str) -> None:
    assert not POSSESSIVE_GROUP.search(text)
