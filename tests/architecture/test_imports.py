"""The import rules of pyproject.toml hold, and each of them would notice if it did not."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("registry", "storage_drivers", "auth")

ONE_WAY = "imports point one way"
NOTHING_OF_REGISTRY = "storage_drivers and auth import nothing of registry"
STRANGERS = "storage_drivers and auth do not know each other"
NO_HTTP = "no HTTP below the api"
SERVICES_ONLY = "the api calls services"
SQL_IN_THE_INDEX = "SQLAlchemy lives in the index only"

VIOLATIONS = (
    (ONE_WAY, "registry/oci/name.py", "import registry.services.blobs"),
    (ONE_WAY, "registry/management/tried.py", "import registry.api.paths"),
    (ONE_WAY, "registry/services/tried.py", "import registry.gc.jobs"),
    (ONE_WAY, "registry/identity/tried.py", "import registry.config"),
    (ONE_WAY, "registry/identity/tried.py", "import registry.drivers"),
    (NOTHING_OF_REGISTRY, "auth/__init__.py", "import registry.oci"),
    (STRANGERS, "auth/__init__.py", "import storage_drivers"),
    (NO_HTTP, "registry/services/blobs.py", "import aiohttp"),
    (NO_HTTP, "registry/management/tried.py", "import aiohttp"),
    (NO_HTTP, "registry/gc/tried.py", "import aiohttp"),
    (SERVICES_ONLY, "registry/api/ranges.py", "import registry.index.blobs"),
    (SQL_IN_THE_INDEX, "registry/services/blobs.py", "import sqlalchemy"),
    (SQL_IN_THE_INDEX, "registry/management/tried.py", "import sqlalchemy"),
    (SQL_IN_THE_INDEX, "registry/gc/tried.py", "import sqlalchemy"),
    (SQL_IN_THE_INDEX, "registry/identity/tried.py", "import sqlalchemy"),
)
"""Rule, file, the line that breaks it there. A file or package that does not exist is made."""


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache", "--no-logo"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "500"},
    )


def test_the_rules_hold() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_has_a_violation_to_try() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert [contract["name"].split(":")[0].split(",")[0] for contract in contracts] == list(
        dict.fromkeys(rule for rule, _file, _line in VIOLATIONS)
    )


@pytest.mark.parametrize(("rule", "file", "line"), VIOLATIONS)
def test_a_violation_is_found(rule: str, file: str, line: str, tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).parent.joinpath("__init__.py").touch()
    with (tmp_path / file).open("a") as module:
        module.write(f"\n{line}\n")

    done = lint_imports(tmp_path)

    assert done.returncode == 1, done.stdout + done.stderr
    broken = [line for line in done.stdout.splitlines() if line.endswith(" BROKEN")]
    assert any(line.startswith(rule) for line in broken), done.stdout


def test_a_module_without_a_place_is_found(tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "registry" / "helpers.py").write_text('"""Nowhere."""\n')

    done = lint_imports(tmp_path)

    assert done.returncode == 1
    assert "helpers" in done.stdout
