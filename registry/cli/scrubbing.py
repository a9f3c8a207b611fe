"""What `entrepot scrub` does: scrubbing with what the settings name, and telling of it."""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from typing import Any

from registry.cli.client.tables import plain
from registry.cli.commands import CommandError
from registry.cli.progress import bar, progress
from registry.cli.services import open_services
from registry.config import Settings
from registry.gc.scrub import JOB, Scrub
from registry.gc.scrub_progress import Finding, Progress, Stage
from registry.oci.sizes import said_size

MOST_SHOWN = 50
"""Findings shown to people; `--list` writes all."""

SAID_STAGES = {
    Stage.COPIES: "reading backups and the journal",
    Stage.OBJECTS: "looking for objects that no row knows",
    Stage.MARKS: "looking for rows that nothing holds",
    Stage.MANIFESTS: "checking manifests",
}

SAID_KINDS = {
    "missing": "the object is missing",
    "size": "the object has another size",
    "digest": "the object has other bytes",
    "unreadable": "the object can't be read",
    "unavailable": "the object could not be read now",
    "journal": "this object of the journal is wrong or gone, so all is written again",
    "backup": "this backup is wrong or gone",
    "unknown": "no row knows this object",
    "manifest": "its bytes in the index are wrong",
}


class ScrubFailed(CommandError):
    """The scrub could not do its work, which is not the same as that it found something."""

    code = 2


def scrub(
    settings: Settings,
    bytes_per_second: int | None,
    file: str | None,
    *,
    quarantine_many: bool,
    discard_unknown: bool,
) -> dict[str, Any]:
    """Scrub to the end, and answer the report. `file`: where each finding goes as a JSON line.

    Raises ConfigError, and ScrubFailed when it could not be done, or another process does it.
    """
    try:
        with ExitStack() as stack:
            output = None if file is None else stack.enter_context(open(file, "a", encoding="utf-8"))

            def tell(finding: Finding) -> None:
                if output is not None:
                    output.write(json.dumps(said(asdict(finding))) + "\n")

            options = {"quarantine_many": quarantine_many, "discard_unknown": discard_unknown}
            return asyncio.run(_scrub(settings, bytes_per_second, tell, options))
    except OSError as error:
        raise ScrubFailed(f"{error.filename or file}: {error.strerror}") from error


async def _scrub(
    settings: Settings,
    bytes_per_second: int | None,
    tell: Callable[[Finding], object],
    options: Mapping[str, bool],
) -> dict[str, Any]:
    latest: Progress | None = None

    def watch(now: Progress) -> None:
        nonlocal latest
        latest = now

    speed = settings.scrub.bytes_per_second if bytes_per_second is None else bytes_per_second
    async with (
        open_services(settings, ScrubFailed) as services,
        progress(lambda: line(latest)),
        services.jobs.hold(JOB) as job,
    ):
        if job.state:
            print("entrepot: going on where the scrub before left off", file=sys.stderr)
        work = Scrub(
            services.index,
            services.driver,
            services.quarantine,
            bytes_per_second=speed,
            upload_seconds=settings.uploads.expire_seconds,
            found=tell,
            watch=watch,
            **options,
        )
        report = await work.run(job)
        await job.finish(report)
    return report


def line(now: Progress | None) -> str:
    """How far it is."""
    if now is None:
        return "scrubbing"
    if now.stage is not Stage.BLOBS:
        return SAID_STAGES.get(now.stage, "")
    done = f"{said_size(now.bytes)} of {said_size(now.total_bytes)}, {now.blobs} of {now.total_blobs} blobs"
    return f"{bar(min(now.bytes, now.total_bytes), now.total_bytes)} {done}, {now.wrong} wrong"


def said(finding: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in finding.items() if value is not None}


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """A report as people read it."""
    lines = [
        f"blobs      {report['blobs']} were read, {said_size(report['bytes'])}; "
        f"{report['wrong']} are missing or wrong"
        + (f", {report['quarantined']} of them newly" if report["quarantined"] else "")
        + (f"; {report['released']} are right again" if report["released"] else "")
        + (f"; {report['unavailable']} could not be read now" if report["unavailable"] else ""),
        f"objects    {report['objects']}; {report['unknown']} that no row knows, "
        f"{said_size(report['unknown_bytes'])}; {report['discarded']} were discarded"
        + (f"; {report['young']} young ones may belong to pushes" if report["young"] else ""),
        f"manifests  {report['manifests']}; {report['wrong_manifests']} are wrong",
        f"copies     {report['copies']} of the index, or of parts of it; {report['wrong_copies']} are wrong",
    ]
    if report["marked"]:
        lines.append(f"garbage    {report['marked']} rows that nothing holds were left to the collector")
    if report["refused"]:
        lines.append(report["refused"])
    lines += [f"  {finding_line(finding)}" for finding in report["found"][:MOST_SHOWN]]
    kinds = ("wrong", "unavailable", "wrong_copies", "unknown", "wrong_manifests")
    count = sum(report[kind] for kind in kinds)
    if count > MOST_SHOWN:
        lines.append(f"  and {count - MOST_SHOWN} more: --list FILE writes all")
    return lines


def finding_line(finding: Mapping[str, Any]) -> str:
    what = finding.get("digest") or finding.get("location") or ""
    where = f"{finding['repository']}@" if finding.get("repository") else ""
    return f"{plain(where)}{plain(what)}: {SAID_KINDS.get(finding['kind'], finding['kind'])}"


def status_lines(status: Mapping[str, Any]) -> list[str]:
    """What GET /scrub answers as people read it."""
    lines = []
    now = status["under_way"]
    if now is not None:
        state = "is running" if now["running"] else "was interrupted and will go on"
        lines.append(
            f"a scrub {state}: {now['stage']}, {now['blobs']} of {now['total_blobs']} blobs, "
            f"{said_size(now['bytes'])} of {said_size(now['total_bytes'])}"
        )
    if status["report"] is None:
        lines.append("no scrub has ended yet")
    else:
        ended = datetime.fromisoformat(status["ended_at"]).astimezone().strftime("%Y-%m-%d %H:%M")
        lines += [f"the last scrub ended {ended}:", *report_lines(status["report"])]
    if status["in_quarantine"]:
        lines.append(f"{status['in_quarantine']} blobs are in quarantine: entrepot scrub --quarantined")
    return lines
