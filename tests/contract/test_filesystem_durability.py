"""What the filesystem driver acknowledged outlives a kill at any step and, as its syncs show, a power cut."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from storage_drivers import NotFound, Upload, failpoints
from storage_drivers.filesystem import FilesystemDriver
from tests.contract import pushing
from tests.contract.sources import get, locations, runs_of
from tests.support.tools import tool

PROGRAM = Path(pushing.__file__)
WHOLE = pushing.FIRST + pushing.SECOND
PLACES = [place for place in failpoints.declared() if place.startswith("filesystem.")]


def run_program(
    root: Path, environment: dict[str, str], prefix: Sequence[str] = ()
) -> tuple[int, list[list[Any]]]:
    """Its exit code (minus the signal, if killed) and what it said."""
    done = subprocess.run(
        [*prefix, sys.executable, str(PROGRAM), str(root)],
        env={**os.environ, "PYTHONPATH": str(PROGRAM.parents[2]), **environment},
        stdout=subprocess.PIPE,
        start_new_session=True,
        timeout=60,
        check=False,
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


async def check_what_was_said(driver: FilesystemDriver, said: list[list[Any]]) -> None:
    """Everything acknowledged is there, and the rest can be done again."""
    facts = {what: rest for what, *rest in said}
    objects = set()
    if "appended" in facts:
        offset, state = facts["appended"]
        upload = await driver.append(Upload(offset, state), runs_of(WHOLE[offset:]))
        location = await driver.commit(upload, pushing.DIGEST)
        assert await get(driver, location) == WHOLE
        objects.add(location)
    if "committed" in facts:
        assert facts["committed"] == [location]
    if "empty" in facts and "deleted" not in facts:
        assert await get(driver, facts["empty"][0]) == b""
        objects.add(facts["empty"][0])
    if "cleared" in facts:
        with pytest.raises(NotFound):
            await driver.stat(facts["empty"][0])
    if "stored" in facts:
        old = facts["stored"][0]
        if "committed" not in facts:
            assert await get(driver, old) == pushing.OLD
        if "deleted" in facts:
            with pytest.raises(NotFound):
                await driver.stat(old)
        await driver.delete(old)
        assert objects <= await locations(driver)
        assert old not in await locations(driver)


@pytest.mark.parametrize("place", PLACES)
async def test_a_kill_loses_nothing_acknowledged(tmp_path: Path, place: str) -> None:
    for hit in itertools.count(1):
        root = tmp_path / str(hit)
        code, said = run_program(root, {failpoints.VARIABLE: f"{place}:{hit}"})
        driver = FilesystemDriver.from_settings({"root": str(root)})
        await check_what_was_said(driver, said)
        await driver.aclose()
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert hit > 1, "the program never came to this failpoint"


def test_there_are_failpoints_in_every_operation() -> None:
    assert {place.split(".")[1] for place in PLACES} == {"append", "commit", "delete"}


class Ledger:
    """What a power cut could still take, told from the system calls of a process."""

    _CALL = re.compile(r"^\d+\s+(\w+)\((.*)$")
    _DESCRIPTOR = re.compile(r"^(\d+)<([^>]*)>")
    _PATH = re.compile(r'"([^"]*)"')

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._unsynced: set[str] = set()
        self.at_answers: list[set[str]] = []
        self.needless: list[str] = []

    def read(self, line: str) -> None:
        if (call := self._CALL.match(line)) is None:
            return
        name, arguments = call.groups()
        descriptor = self._DESCRIPTOR.match(arguments)
        paths = [path for path in self._PATH.findall(arguments) if path.startswith(self._root)]
        match name:
            case "write" if descriptor and descriptor[1] == "1":
                self.at_answers.append(set(self._unsynced))
            case "pwritev" | "pwritev2" | "ftruncate" if descriptor:
                self._unsynced.add(descriptor[2])
            case "fsync" if descriptor:
                if descriptor[2] not in self._unsynced:
                    self.needless.append(descriptor[2])
                self._unsynced.discard(descriptor[2])
            case "rename":
                if paths[0] in self._unsynced:
                    self._unsynced.symmetric_difference_update(paths)
                self._unsynced.update(map(os.path.dirname, paths))
            case "openat" if "O_CREAT" in arguments and paths:
                self._unsynced.update((paths[0], os.path.dirname(paths[0])))
            case "mkdir" | "unlink" if paths:
                self._unsynced.add(os.path.dirname(paths[0]))


def test_nothing_is_unsynced_when_it_is_acknowledged(tmp_path: Path) -> None:
    root, trace = tmp_path / "deep" / "store", tmp_path / "trace"
    calls = "trace=openat,write,pwritev,pwritev2,ftruncate,fsync,rename,mkdir,unlink"
    strace = [tool("strace", "apt-get install strace"), "-f", "-y", "-o", str(trace), "-e", calls]
    code, said = run_program(root, {}, strace)
    assert code == 0
    answers = ["stored", "empty", "appended", "appended", "committed", "deleted", "cleared"]
    assert [what for what, *_ in said] == answers
    ledger = Ledger(tmp_path / "deep")
    for line in trace.read_text().splitlines():
        ledger.read(line)
    assert ledger.at_answers == [set()] * len(said)
    assert ledger.needless == []
