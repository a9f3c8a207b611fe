"""What the packages look like from outside: their size, their public names, what the wheel ships."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.tools import missing

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("registry", "storage_drivers", "auth")
LONGEST = 400
LICENCES = r"(Apache-2\.0|MIT|BSD-[23]-Clause|MPL-2\.0|LGPL-3\.0|PSF-2\.0|ISC)"

MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def project() -> dict[str, object]:
    table: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_too_long_and_each_says_its_subject(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST, "it has more than one subject: make it two files"
    assert ast.get_docstring(ast.parse(text)), "its first line should say what it is about"


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_names_what_is_public(name: str) -> None:
    package = importlib.import_module(name)
    public = package.__all__

    assert len(set(public)) == len(public)
    assert all(hasattr(package, entry) for entry in public)
    bound = {
        entry
        for entry, value in vars(package).items()
        if not entry.startswith("_") and not isinstance(value, ModuleType)
    }
    assert bound == set(public), "what the package binds is what it offers"
    assert (ROOT / name / "py.typed").exists()


def test_nothing_of_the_tests_is_named_like_a_package() -> None:
    named = [path for path in (ROOT / "tests").rglob("*") if path.stem in PACKAGES]
    assert named == []


def test_each_dependency_says_its_licence() -> None:
    facts = project()
    extras = facts["optional-dependencies"]
    assert isinstance(extras, dict)
    assert isinstance(facts["dependencies"], list)
    required = [*facts["dependencies"], *(entry for extra in extras.values() for entry in extra)]
    lines = (ROOT / "pyproject.toml").read_text().splitlines()

    assert required
    for requirement in required:
        stating = [line for line in lines if line.strip().startswith(f'"{requirement}"')]
        assert stating, requirement
        assert all(re.search(rf"#.*\b{LICENCES}", line) for line in stating), stating


def test_the_wheel_ships_the_three_packages_and_nothing_else(tmp_path: Path) -> None:
    """Built from a copy that has what a checkout has, so that too much is seen as well as too little."""
    wanted = re.search(r"setuptools>=(\d+)", (ROOT / "pyproject.toml").read_text())
    assert wanted
    try:
        enough = int(version("setuptools").split(".")[0]) >= int(wanted[1])
    except PackageNotFoundError:
        enough = False
    if not enough:
        missing(f"{wanted[0]} is not installed", f"python -m pip install '{wanted[0]}'")
    source = tmp_path / "source"
    source.mkdir()
    for folder in (*PACKAGES, "tests", "conformance", "benchmarks", "docs"):
        if (ROOT / folder).exists():
            shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)

    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index",
         "--disable-pip-version-check", "--wheel-dir", tmp_path, source],
        capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr

    (wheel,) = tmp_path.glob("*.whl")
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    ours = {str(path.relative_to(ROOT)) for path in MODULES}
    assert shipped == ours | {f"{package}/py.typed" for package in PACKAGES}
