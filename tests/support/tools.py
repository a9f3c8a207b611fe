"""Outside programs that tests prove things with: found on the PATH, or skipped by name."""

import os
import shutil

import pytest

REQUIRED = os.environ.get("ENTREPOT_TEST_REQUIRE_TOOLS") == "1"
"""Set by `.ci/run`: there a missing tool is a failure and not a skip."""


def tool(name: str, install: str = "make tools") -> str:
    """The path of a program. Without it the test is skipped (in CI: fails), naming it and `install`."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if path is None:
        missing(f"{name} is not installed", install)
    return str(path)


def missing(what: str, install: str = "make tools") -> None:
    """Skip the running test (in CI: fail it), saying what is missing and the line that installs it."""
    message = f"{what}; to install it: {install}"
    if REQUIRED:
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
