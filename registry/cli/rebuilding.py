"""What `entrepot scrub --rebuild` does: an index from what the storage holds."""

from collections.abc import Mapping
from typing import Any

from registry.cli.client.tables import plain
from registry.cli.progress import progress
from registry.cli.scrubbing import MOST_SHOWN, ScrubFailed
from registry.cli.services import open_services
from registry.config import Settings
from registry.gc.rebuild import Rebuild, Rebuilt
from registry.gc.rebuild_gate import JOB
from registry.oci.sizes import said_size


async def rebuild(settings: Settings) -> dict[str, Any]:
    """Rebuild to the end, and answer the report. Raises ConfigError and ScrubFailed."""
    latest = Rebuilt()

    def watch(now: Rebuilt) -> None:
        nonlocal latest
        latest = now

    async with (
        open_services(settings, ScrubFailed) as services,
        progress(lambda: line(latest)),
        services.jobs.hold(JOB) as job,
    ):
        window_seconds = settings.undo.window_seconds
        work = Rebuild(services.index, services.driver, window_seconds=window_seconds, watch=watch)
        report = await work.run(job)
        await job.finish(report)
    return report


def line(now: Rebuilt) -> str:
    """How far it is."""
    if now.stage == "objects":
        return f"{now.objects} objects, {said_size(now.bytes)} read"
    return f"{now.manifests} manifests from {now.journal_objects} objects of the journal"


def rebuilt_lines(report: Mapping[str, Any]) -> list[str]:
    """A report as people read it."""
    lines = [
        f"objects       {report['objects']}, {said_size(report['bytes'])} were read",
        f"blobs         {report['blobs']} were entered"
        + (f"; {report['surplus']} objects have bytes that others have, too" if report["surplus"] else ""),
        f"journal       {report['journal_objects']} objects"
        + (f", {report['bad_journal_objects']} of them damaged" if report["bad_journal_objects"] else ""),
        f"repositories  {report['repositories']}",
        f"manifests     {report['manifests']} were entered, {report['removals']} deletions repeated",
        f"tags          {report['tags']}",
    ]
    if report["lost_count"]:
        lines.append(f"not brought back: {report['lost_count']}")
        lines += [f"  {plain(one['what'])}: {plain(one['reason'])}" for one in report["lost"][:MOST_SHOWN]]
    if report["lost_count"] > MOST_SHOWN:
        lines.append(f"  and {report['lost_count'] - MOST_SHOWN} more: --json lists some of them")
    return lines
