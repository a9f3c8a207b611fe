"""The import rules of pyproject.toml hold, and each of them would notice if it did not."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("registry", "storage_drivers", "auth")

VIOLATIONS = {
    "imports point one way": ("registry/oci/name.py", "import registry.services.blobs"),
    "storage_drivers and auth import nothing of registry": ("auth/__init__.py", "import registry.oci"),
    "storage_drivers and auth do not know each other": ("auth/__init__.py", "import storage_drivers"),
    "no HTTP below the api": ("registry/services/blobs.py", "import aiohttp"),
    "the api calls services": ("registry/api/ranges.py", "import registry.index.blobs"),
    "SQLAlchemy lives in the index only": ("registry/services/blobs.py", "import sqlalchemy"),
}


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
    assert [contract["name"].split(":")[0].split(",")[0] for contract in contracts] == list(VIOLATIONS)


@pytest.mark.parametrize("rule", VIOLATIONS)
def test_a_violation_is_found(rule: str, tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file, line = VIOLATIONS[rule]
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
