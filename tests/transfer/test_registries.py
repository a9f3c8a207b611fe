"""`entrepot copy`: from and to docker-registry and zot, behind passwords, and within one registry."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adoption.old_registry import OldRegistry
from tests.engines.images import make_image, make_index
from tests.engines.layouts import write_layout
from tests.engines.remote import Remote
from tests.transfer.conftest import Move, knows
from tests.transfer.registries import PASSWORD, USER, other_registry
from tests.transfer.test_layouts import add, referring
from tests.unit.cli.conftest import CommandLine


@pytest.fixture(scope="module", params=["docker-registry", "zot"])
def other(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldRegistry]:
    with other_registry(request.param, tmp_path_factory.mktemp("other") / "registry") as running:
        yield running


@pytest.fixture
def signed_in(other: OldRegistry, tmp_path: Path) -> tuple[str, ...]:
    """The flags by which `other` is reached."""
    file = knows(tmp_path / "auth.json", **{other.address: (USER, PASSWORD)})
    return ("--plain-http", other.address, "--auth-file", str(file))


def test_there_and_back(
    move: Move,
    remote: Remote,
    other: OldRegistry,
    signed_in: tuple[str, ...],
    repository: str,
    tmp_path: Path,
) -> None:
    """With referrers, of which docker-registry knows nothing: they are under the fallback tag there."""
    index = make_index()
    signature = referring(index.images[0].manifest, "application/x.signature")
    layout = write_layout(tmp_path / "in", v1=index, v2=make_image())
    add(layout, signature)
    move("import", layout, repository, "--referrers")

    there = f"{other.address}/{repository}"
    flags = ("--tags", "v*", "--referrers", *signed_in)
    sent = move("copy", repository, there, *flags)
    assert (sent["blobs_sent"], sent["manifests_sent"]) == (11, 5)
    assert other.content(repository, "v1") == index
    again = move("copy", repository, there, *flags)
    assert (again["blobs_sent"], again["bytes_sent"]) == (0, 0)

    back = f"{repository}/back"
    move("copy", f"{there}:v1", f"{back}:v3", "--referrers", *signed_in)
    assert remote.content(back, "v3") == index
    [referrer] = remote.referrers(back, index.images[0].digest)
    assert referrer["digest"] == signature.digest


def test_signatures_of_old_come_by_their_tags(
    move: Move, remote: Remote, other: OldRegistry, signed_in: tuple[str, ...], repository: str
) -> None:
    image, signature = make_image(), make_image()
    other.push(repository, image, "v1")
    tag = f"{image.digest.replace(':', '-')}.sig"
    other.push(repository, signature, tag)
    source = f"{other.address}/{repository}:v1"
    move("copy", source, f"{repository}/alone", *signed_in)
    assert remote.tags(f"{repository}/alone") == ["v1"]
    move("copy", source, f"{repository}/signed", "--referrers", *signed_in)
    assert remote.tags(f"{repository}/signed") == [tag, "v1"]
    assert remote.content(f"{repository}/signed", tag) == signature


def test_whole_repositories(
    move: Move, remote: Remote, other: OldRegistry, signed_in: tuple[str, ...], repository: str
) -> None:
    base = make_image()
    for name, tags in {"one": ("1.0", "1.1"), "group/two": ("edge",)}.items():
        other.push(f"{repository}/{name}", base, *tags)
    source = f"{other.address}/{repository}/**"
    report = move("copy", source, f"{repository}/moved/**", *signed_in)
    assert len(report["images"]) == 3
    assert (report["blobs_sent"], report["blobs_mounted"]) == (3, 3)
    assert remote.tags(f"{repository}/moved/one") == ["1.0", "1.1"]
    assert remote.content(f"{repository}/moved/group/two", "edge") == base
    some = move("copy", source, f"{repository}/some/**", "--tags", "1.*", *signed_in)
    assert [image["source"] for image in some["images"]] == [f"{repository}/one:1.0", f"{repository}/one:1.1"]


def test_who_is_not_let_in(there: CommandLine, other: OldRegistry, repository: str, tmp_path: Path) -> None:
    wrong = knows(tmp_path / "wrong.json", **{other.address: (USER, "guessed")})
    source = f"{other.address}/{repository}:1"
    for flags in (("--auth-file", str(wrong)), ()):
        said = there("copy", source, f"{repository}:1", "--plain-http", other.address, *flags)
        assert said.code == 1
        assert f"{other.address} answers 401" in said.out + said.err
        assert "guessed" not in said.out + said.err


def test_by_digest(
    move: Move, remote: Remote, other: OldRegistry, signed_in: tuple[str, ...], repository: str
) -> None:
    image = make_image()
    other.push(repository, image, "latest")
    source = f"{other.address}/{repository}@{image.digest}"
    assert move("copy", source, repository, *signed_in)["images"][0]["tags"] == []
    assert remote.content(repository, image.digest) == image
    move("copy", f"{other.address}/{repository}", f"{repository}:named", *signed_in)
    assert remote.tags(repository) == ["named"]


def test_within_one_registry_blobs_are_mounted(
    move: Move, remote: Remote, repository: str, tmp_path: Path
) -> None:
    index = make_index()
    move("import", write_layout(tmp_path / "in", multi=index), repository)
    report = move("copy", f"{repository}:multi", f"{repository}/production:1.0")
    assert (report["blobs_mounted"], report["blobs_sent"], report["bytes_sent"]) == (6, 0, 0)
    assert remote.content(f"{repository}/production", "1.0") == index


def test_what_can_not_be_copied(there: CommandLine, repository: str, server: object) -> None:
    where, there.where = there.where, []
    without_server = there("copy", f"{repository}:1", "elsewhere.example/app:1")
    assert without_server.code == 2
    assert "has no host" in without_server.err
    there.where = where
    for arguments, why in {
        (f"{repository}:1", f"{repository}:2"): "holds no manifest 1",
        (f"{repository}/**", f"{repository}/x"): "either both sides",
        (f"{repository}:1", f"{repository}:2", "--tags", "v*"): "no reference should name one",
        (f"{repository}", f"{repository}/x", "--tags", "v*"): "holds no repository",
        (f"{repository}", f"{repository}/x@sha256:{'0' * 64}"): "not to a digest",
    }.items():  # fmt: skip
        said = there("copy", *arguments)
        assert said.code in (1, 2)
        assert why in said.out + said.err
