"""A containerd of the tests' own, through ctr. A namespace is a store of its own."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.engines.clients import Client, environment
from tests.engines.daemons import daemon, needs_root
from tests.engines.images import Image, Index
from tests.engines.layouts import read_layout_archive, write_layout, write_layout_archive
from tests.support.tools import tool

# "isolated": a namespace sees only the content that it pulled itself, so a fresh one has to fetch everything.
CONFIGURATION = """
version = 2
root = {root}
state = {state}
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = {socket}
[plugins."io.containerd.metadata.v1.bolt"]
content_sharing_policy = "isolated"
"""


@contextmanager
def containerd(folder: Path) -> Iterator[Client]:
    """A containerd of the test's own, and the `ctr` that talks to it."""
    needs_root("containerd")
    program = tool("containerd")
    ctr = Client.found("ctr", folder / "home", ["--address", f"{folder}/socket"])
    places = {name: json.dumps(f"{folder}/{name}") for name in ("root", "state", "socket")}
    configuration = folder / "config.toml"
    configuration.write_text(CONFIGURATION.format_map(places))
    command = [program, "--config", str(configuration)]
    with daemon(
        command, environment(folder / "home"), folder / "log", lambda: ctr.run("version").returncode == 0
    ):
        yield ctr


def fresh(ctr: Client) -> Client:
    """The same daemon with an empty store."""
    return replace(ctr, options=[*ctr.options[:2], "--namespace", os.urandom(6).hex()])


def put_in(ctr: Client, folder: Path, name: str, content: Image | Index) -> None:
    """`content` as the image `name` in the store of the engine."""
    tag = name.rsplit(":", 1)[1]
    archive = write_layout_archive(folder / "in.tar", write_layout(folder / "in", **{tag: content}))
    ctr("images", "import", "--no-unpack", "--all-platforms", "--base-name", name.rsplit(":", 1)[0], archive)


def taken_out(ctr: Client, folder: Path, name: str) -> Image | Index:
    archive = folder / f"{os.urandom(4).hex()}.tar"
    ctr("images", "export", "--all-platforms", "--skip-manifest-json", archive, name)
    return read_layout_archive(archive)
