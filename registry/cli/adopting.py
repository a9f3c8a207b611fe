"""What `entrepot adopt` does: adopting with what the settings name, and telling of it."""

import time

from auth.patterns import RepositoryPattern
from registry.cli.client.tables import plain
from registry.cli.progress import bar, progress
from registry.cli.services import open_services, this_operator
from registry.config import Settings
from registry.oci.sizes import said_size
from registry.services.adoption.adoption import Adoption, Report, Terms

MOST_PROBLEMS = 50
"""Shown to people; `--json` has all."""


async def adopt(settings: Settings, wanted: RepositoryPattern, *, dry: bool) -> Report:
    """Adopt, and tell a terminal how far it is. Raises ConfigError and CommandError."""
    report = Report()
    begun = time.monotonic()

    def line() -> str:
        speed = report.bytes_read / (time.monotonic() - begun + 0.001)
        manifests = f"{report.manifests_done} of {report.all_manifests} manifests"
        read = f"{said_size(report.bytes_read)} read, {said_size(int(speed))}/s"
        return f"{bar(report.manifests_done, report.all_manifests)} {manifests}, {read}"

    terms = Terms(
        settings.manifests.sparse, settings.manifests.max_bytes, float(settings.blobs.lease_seconds)
    )
    async with open_services(settings) as services, progress(line):
        adoption = Adoption(services.index, services.audit, services.driver, terms)
        await adoption.run(wanted, this_operator(), report, dry=dry)
    return report


def said(report: Report, *, dry: bool) -> list[str]:
    """The report as people read it."""
    new = "would come" if dry else "came"
    lines = [
        f"repositories  {report.repositories}",
        f"manifests     {report.manifests_added} {new}, {report.manifests_known} were here"
        + (f", {report.deleted_here} were deleted here since" if report.deleted_here else ""),
        f"blobs         {report.blobs_added} {new}, {said_size(report.bytes_added)}"
        + ("" if dry else f"; {said_size(report.bytes_read)} were read and compared with their digests"),
        f"tags          {report.tags_added} {new}, {report.tags_moved} {'would move' if dry else 'moved'}, "
        f"{report.tags_unchanged} were here, {report.newer_here} are newer here and stay",
    ]
    if report.problems:
        lines.append(f"left out      {len(report.problems)}:")
        lines += [f"  {plain(what)}: {plain(why)}" for what, why in report.problems[:MOST_PROBLEMS]]
    if len(report.problems) > MOST_PROBLEMS:
        lines.append(f"  and {len(report.problems) - MOST_PROBLEMS} more: --json lists all")
    return lines
