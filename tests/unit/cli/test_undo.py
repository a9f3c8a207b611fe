"""Undo by the command line, on the local index and on a running server alike."""

import base64
import json
import urllib.request
import uuid

import pytest

from registry.oci.media_types import OCI_INDEX
from tests.support.server import RunningRegistry
from tests.unit.cli.conftest import PASSWORD, CommandLine

INDEX = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}


@pytest.fixture
def repository() -> str:
    return f"undo-{uuid.uuid4().hex[:8]}/app"


def push(server: RunningRegistry, repository: str, number: int) -> str:
    """An index as `latest`; its digest."""
    request = urllib.request.Request(
        f"{server.url}/v2/{repository}/manifests/latest",
        json.dumps(INDEX | {"annotations": {"number": str(number)}}).encode(),
        {"Content-Type": OCI_INDEX, "Authorization": f"Basic {basic()}"},
        method="PUT",
    )
    with urllib.request.urlopen(request) as answer:
        return str(answer.headers["Docker-Content-Digest"])


def basic() -> str:
    return base64.b64encode(f"admin:{PASSWORD}".encode()).decode()


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()[1:]]


def test_a_tag_is_put_back(there: CommandLine, server: RunningRegistry, repository: str) -> None:
    first, second = (push(server, repository, number) for number in range(2))
    tagged = f"{repository}:latest"

    told = lines(there.done("tags", "history", tagged).out)
    assert [(row[1], row[2], row[3]) for row in told] == [
        (second, "user:admin", "yes"),
        (first, "user:admin", "yes"),
    ]
    said = there.done("tag", "restore", tagged, "--at", told[1][0]).out
    assert said == f"{tagged} points to {first} again\n"
    again = there.done("tags", "restore", tagged, "--at", told[1][0]).out
    assert again == f"{tagged} points to {first} already\n"
    early = there("tags", "restore", tagged, "--at", "2020-01-01")
    assert (early.code, early.err) == (
        1, f"entrepot: {repository} had no tag latest at 2020-01-01T00:00:00Z\n")  # fmt: skip


def test_a_manifest_and_a_repository_are_restored(
    there: CommandLine, server: RunningRegistry, repository: str
) -> None:
    digest = push(server, repository, 1)
    there.done("repository", "remove", repository, "--yes")
    push(server, repository, 2)

    rows = lines(there.done("repositories", "removed", "--search", repository).out)
    assert rows[0][0] == repository
    taken = there("repositories", "restore", repository)
    assert taken.code == 1
    assert "is there again" in taken.err
    other = f"{repository}-old"
    said = there.done("repositories", "restore", repository, "--uid", rows[0][1], "--as", other)
    assert said.out == f"the repository {other} was restored\n"
    request = urllib.request.Request(
        f"{server.url}/v2/{other}/manifests/{digest}",
        headers={"Authorization": f"Basic {basic()}"},
        method="DELETE",
    )
    urllib.request.urlopen(request).close()

    assert lines(there.done("tags", "history", f"{other}:latest").out)[1][3] == "until"
    restored = there.done("manifests", "restore", f"{other}@{digest}").out
    assert restored == f"{other}:latest points to {digest} again\nrestored {digest}\n"
    again = there.done("manifest", "restore", f"{other}@{digest}").out
    assert again == f"{other} holds {digest} already\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("tags", "history", "acme/app"),
        ("tags", "history", "localhost:5000/app"),
        ("tags", "restore", "acme/app:", "--at", "1h"),
        ("tags", "restore", "acme/app:latest"),
        ("tags", "restore", "acme/app:latest", "--at", "soon"),
        ("manifests", "restore", "acme/app:latest"),
    ],
)
def test_what_can_not_be_meant_is_refused(here: CommandLine, arguments: tuple[str, ...]) -> None:
    assert here(*arguments).code == 2


def test_nothing_to_restore(here: CommandLine) -> None:
    assert here.done("repositories", "removed").out == "no repository that you may restore was deleted\n"
    gone = here("repositories", "restore", "acme/app")
    assert (gone.code, gone.err) == (1, "entrepot: no deleted repository is called 'acme/app'\n")
