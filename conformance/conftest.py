"""Options and fixtures of the suite, and the rules that each of its tests keeps."""

import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance import accounts
from conformance.authorization import Authorization
from conformance.client import Client
from conformance.repository import Repository
from conformance.results import LEVELS, Collector
from conformance.sections import SECTIONS
from tests.support.server import start_registry

REQUIREMENTS = Path(__file__).parent / "requirements"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    variables = {
        "--registry-url": "the registry to judge, http://host:port; by default an Entrepot of its own",
        "--registry-username": "sign in as",
        "--registry-password": "with this password",
        "--registry-accounts": "`yes`: the Entrepot of its own has accounts, and its administrator signs in",
        "--registry-namespace": "what repository names begin with (default: conformance)",
        "--results-file": "write the results to this file, as JSON",
    }
    for option, text in variables.items():
        variable = "CONFORMANCE_" + option.strip("-").replace("-", "_").upper()
        group.addoption(option, default=os.environ.get(variable) or None, help=f"{text} [{variable}]")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "section(title): the section of the specification that asks for this")
    config.addinivalue_line("markers", "must: demanded by the specification")
    config.addinivalue_line("markers", "should: recommended by the specification")
    config.addinivalue_line("markers", "expected: what clients need beyond the specification")
    file = config.getoption("--results-file")
    if file and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(Path(file)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(REQUIREMENTS) and isinstance(item, pytest.Function):
            item.user_properties += list(_description(item).items())


def _description(item: pytest.Function) -> dict[str, str]:
    """Section, level and requirement of a test. Refuses one that does not say them."""
    section = item.get_closest_marker("section")
    levels = [level for level in LEVELS if item.get_closest_marker(level)]
    if section is None or section.args[0] not in SECTIONS or len(levels) != 1 or not item.function.__doc__:
        raise pytest.UsageError(f"{item.nodeid} needs a section that is listed, one level and a docstring")
    slug = re.sub(r"[^a-z0-9]+", "_", section.args[0].lower())
    if item.path.stem != f"test_{slug}" or not item.originalname.startswith(f"test_{slug}__{levels[0]}_"):
        raise pytest.UsageError(f"{item.nodeid} is not named after its section and level")
    return {
        "section": section.args[0],
        "level": levels[0],
        "requirement": " ".join(item.function.__doc__.split()),
        "variant": item.name.removeprefix(item.originalname),
    }


@pytest.fixture(scope="session")
def own_settings(pytestconfig: pytest.Config) -> dict[str, str]:
    """The environment of every Entrepot that is started for this run."""
    return accounts.ENVIRONMENT if pytestconfig.getoption("--registry-accounts") else {}


@pytest.fixture(scope="session")
def own_registry(own_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an Entrepot started for this run."""
    running = start_registry(tmp_path_factory.mktemp("entrepot") / "data", environment=own_settings)
    yield running.url
    assert running.stop() == 0


def authorization(config: pytest.Config, url: str) -> Authorization | None:
    """Whoever signs in, if anybody does."""
    if config.getoption("--registry-accounts"):
        return Authorization(accounts.USERNAME, accounts.personal_token(url))
    username = config.getoption("--registry-username")
    return Authorization(username, config.getoption("--registry-password") or "") if username else None


@pytest.fixture(scope="session")
def client(request: pytest.FixtureRequest) -> Client:
    """Speaks to the registry under test."""
    url = request.config.getoption("--registry-url") or request.getfixturevalue("own_registry")
    return Client(url, authorization(request.config, url))


@pytest.fixture
def repository(client: Client, request: pytest.FixtureRequest) -> Repository:
    """A name that nothing was pushed to yet."""
    namespace = request.config.getoption("--registry-namespace") or "conformance"
    complete = not request.config.getoption("--registry-url")
    return Repository(client, f"{namespace}/{secrets.token_hex(6)}", complete)


@pytest.fixture(scope="session")
def undeletable_registry(
    pytestconfig: pytest.Config,
    own_settings: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The URL of an Entrepot where nothing can be deleted."""
    if pytestconfig.getoption("--registry-url"):
        pytest.skip("needs a registry of the suite's own, where deletion is switched off")
    kinds = ("TAGS", "MANIFESTS", "BLOBS")
    running = start_registry(
        tmp_path_factory.mktemp("undeletable") / "data",
        environment={**own_settings, **{f"ENTREPOT_DELETION__{kind}": "false" for kind in kinds}},
    )
    yield running.url
    assert running.stop() == 0


@pytest.fixture
def repository_without_deletion(pytestconfig: pytest.Config, undeletable_registry: str) -> Repository:
    client = Client(undeletable_registry, authorization(pytestconfig, undeletable_registry))
    return Repository(client, f"conformance/{secrets.token_hex(6)}", complete=True)
