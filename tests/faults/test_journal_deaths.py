"""The process that writes the journal dies by SIGKILL at every failpoint of it: what it wrote so far, and
what the next one writes, is enough to rebuild the index."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import registry.gc.journal
from registry.composition import Composition
from registry.gc.rebuild import Rebuild
from registry.gc.rebuild_gate import JOB
from registry.index.migrations import upgrade
from registry.oci.errors import ManifestUnknown
from registry.oci.name import Tag
from storage_drivers import failpoints
from tests.faults.collecting import release_jobs
from tests.faults.journaling import APP, image, settings
from tests.support.server import ROOT

PLACES = [place for place in failpoints.declared() if place.startswith("journal.")]
assert registry.gc.journal  # imported for what it declares


def work(data: Path, failpoint: str) -> int:
    """Push and write the journal, in a process that dies at a failpoint; its exit code."""
    command = [sys.executable, "-W", "error", "-m", "tests.faults.journaling", str(data)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, failpoints.VARIABLE: failpoint},
        start_new_session=True,  # a failpoint kills the whole group
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode


@pytest.mark.parametrize("place", PLACES)
async def test_the_index_can_be_rebuilt(tmp_path: Path, place: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    upgrade(f"sqlite:///{data / 'index.sqlite'}")
    assert work(data, place) == -signal.SIGKILL, "nothing comes to this failpoint"
    release_jobs(data)
    assert work(data, "") == 0

    (tmp_path / "new").mkdir()
    upgrade(f"sqlite:///{tmp_path / 'new' / 'index.sqlite'}")
    services = Composition(settings(tmp_path / "new", data / "storage"))
    async with services.jobs.hold(JOB) as job:
        report = await Rebuild(services.index, services.driver, window_seconds=0).run(job)
        await job.finish(report)
    assert report["all_right"], report
    for tag, name in (("kept", "kept"), ("moved", "late"), ("late", "late")):
        row = await services.manifests.find(APP, Tag(tag))
        assert await services.manifests.body(APP, row) == image(name)[1]
    with pytest.raises(ManifestUnknown):
        await services.manifests.find(APP, Tag("doomed"))
    await services.close()
