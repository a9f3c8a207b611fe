"""Failpoints: named once each, and picky about what the environment asks for."""

import pytest

from storage_drivers import failpoints


def test_a_name_belongs_to_one_place() -> None:
    taken = failpoints.declared()[0] if failpoints.declared() else failpoints.declare("test.taken")
    with pytest.raises(ValueError, match="declared twice"):
        failpoints.declare(taken)


@pytest.mark.parametrize(("setting", "expected"), [("a.b", ("a.b", 1)), ("a.b:3", ("a.b", 3)), ("", ("", 1))])
def test_settings(setting: str, expected: tuple[str, int]) -> None:
    assert failpoints.parse(setting) == expected


@pytest.mark.parametrize("setting", ["a:", "a:0", "a:-1", "a:x", "a:1:2", "a:²"])
def test_settings_that_make_no_sense(setting: str) -> None:
    with pytest.raises(ValueError, match="which time"):
        failpoints.parse(setting)
