"""`python -m benchmarks`: measure Entrepot and its peers side by side, and write tables into README.md."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks import report
from benchmarks.images import SmallImages
from benchmarks.lists import CatalogPages, TagPages
from benchmarks.measure import MIB, Goal, Measure, Settings, run, servers_present
from benchmarks.memory import UploadMemory
from benchmarks.memory_s3 import UploadMemoryOnS3
from benchmarks.on_s3 import ONE, PEER, THREE
from benchmarks.pulls import LargePull
from benchmarks.pushes import LargePush
from benchmarks.rates import CONNECTIONS, RequestRate
from benchmarks.redirects import Redirects
from benchmarks.servers import ACCOUNTS, SERVERS, is_own
from benchmarks.sign_ins import SignIns

QUICK = Settings(
    rounds=1,
    seconds=1.0,
    pull_bytes=64 * MIB,
    push_bytes=64 * MIB,
    parallel_push_bytes=16 * MIB,
    list_length=500,
    memory_seconds=8.0,
)


def _rate(
    label: str, method: str, kind: str, factor: float, *more: Goal
) -> Callable[[str, Settings], Measure]:
    goals = (Goal(factor, "docker-registry"), Goal(1.0, "zot"), *more)
    return lambda name, settings: RequestRate(name, label, method, kind, goals, settings.seconds)


ONE_MACHINE_PUSHES = (Goal(2.5, "docker-registry"), Goal(1.0, "zot"))
S3_PUSHES = (Goal(1.5, PEER, ONE), Goal(1.5, PEER, THREE))
S3_REDIRECTS = (Goal(5.0, PEER, ONE), Goal(5.0, PEER, THREE))


def _push(
    label: str, count: int, goals: tuple[Goal, ...] = ONE_MACHINE_PUSHES, *, chunked: bool = False
) -> Callable[[str, Settings], Measure]:
    def make(name: str, settings: Settings) -> Measure:
        size = settings.push_bytes if count == 1 else settings.parallel_push_bytes
        return LargePush(name, label.format(size // MIB), count, size, goals, chunked=chunked)

    return make


def _on_s3(make: Callable[[str, Settings], Measure]) -> Callable[[str, Settings], Measure]:
    """The same for the servers that keep their blobs in S3."""

    def made(name: str, settings: Settings) -> Measure:
        measure = make(name, settings)
        measure.on_s3 = True
        return measure

    return made


MEASURES: Mapping[str, Callable[[str, Settings], Measure]] = {
    "manifest-get": _rate(
        f"manifest GET by tag, {CONNECTIONS} connections",
        "GET",
        "manifest",
        10,
        Goal(8.0, "docker-registry", ACCOUNTS),
    ),
    "manifest-head": _rate("manifest HEAD by tag", "HEAD", "manifest", 10),
    "blob-head": _rate("blob HEAD", "HEAD", "blob", 8),
    "blob-get": _rate("4 KiB blob GET", "GET", "blob", 12),
    "pull-1": lambda _, settings: LargePull(1, settings.pull_bytes),
    "pull-8": lambda _, settings: LargePull(8, settings.pull_bytes),
    "push": _push("one {} MiB push", 1),
    "push-chunked": _push("one {} MiB push, chunked as docker's", 1, chunked=True),
    "push-8": _push("eight {} MiB pushes at once", 8),
    "images": lambda name, settings: SmallImages(name, settings.seconds),
    "sign-in": lambda _, settings: SignIns(settings.seconds),
    "memory": lambda _, settings: UploadMemory(
        settings.memory_uploads, settings.memory_upload_bytes, settings.memory_seconds
    ),
    "tags": lambda _, settings: TagPages(settings.list_length, settings.seconds / 5),
    "catalog": lambda _, settings: CatalogPages(settings.list_length, settings.seconds / 5),
    "s3-push": _on_s3(_push("one {} MiB push", 1, S3_PUSHES)),
    "s3-push-chunked": _on_s3(_push("one {} MiB push, chunked as docker's", 1, S3_PUSHES, chunked=True)),
    "s3-push-8": _on_s3(_push("eight {} MiB pushes at once", 8, S3_PUSHES)),
    "s3-images": _on_s3(lambda name, settings: SmallImages(name, settings.seconds)),
    "s3-redirect": lambda name, settings: Redirects(name, S3_REDIRECTS, settings.seconds),
    "s3-manifest-get": _on_s3(
        _rate(f"manifest GET by tag, {CONNECTIONS} connections", "GET", "manifest", 10)
    ),
    "s3-memory": lambda name, settings: UploadMemoryOnS3(
        name, settings.memory_uploads, settings.memory_upload_bytes, settings.memory_seconds
    ),
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = ", ".join(MEASURES)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=MEASURES, help=f"some measures of: {names}"
    )
    parser.add_argument("--servers", default=",".join(SERVERS), help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: to see that it works")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--seconds", type=float, metavar="S", help="of one timed run of a rate")
    parser.add_argument("--memory-uploads", type=int, metavar="N", help="how many run together")
    parser.add_argument("--memory-upload-mib", type=int, metavar="N", help="size of each of them")
    parser.add_argument("--memory-seconds", type=float, metavar="S", help="how long the uploads run together")
    parser.add_argument("--work-dir", type=Path, help="where the servers store; default: a temporary folder")
    parser.add_argument(
        "--write",
        action=argparse.BooleanOptionalAction,
        help="write what was measured into README.md; default: after a whole run of all measures and servers",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.servers.split(",")) - set(SERVERS):
        parser.error(f"unknown servers: {', '.join(sorted(unknown))}; there are: {', '.join(SERVERS)}")
    return arguments


def _settings(arguments: argparse.Namespace) -> Settings:
    settings = QUICK if arguments.quick else Settings()
    if arguments.rounds:
        settings = replace(settings, rounds=arguments.rounds)
    if arguments.seconds:
        settings = replace(settings, seconds=arguments.seconds)
    if arguments.memory_uploads:
        settings = replace(settings, memory_uploads=arguments.memory_uploads)
    if arguments.memory_upload_mib:
        settings = replace(settings, memory_upload_bytes=arguments.memory_upload_mib * MIB)
    if arguments.memory_seconds:
        settings = replace(settings, memory_seconds=arguments.memory_seconds)
    return settings


def main() -> int:
    """Returns 1 if Entrepot failed in a measure. What its peers can't do is told below the table."""
    arguments = _arguments()
    settings = _settings(arguments)
    present, missing = servers_present(arguments.servers.split(","))
    for server in missing:
        print(f"{server.name} is not installed and is left out: {server.install}", file=sys.stderr)
    if arguments.work_dir:
        tempfile.tempdir = str(arguments.work_dir)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        for name in arguments.only or MEASURES:
            measure = MEASURES[name](name, settings)
            try:
                outcomes.append(run(measure, present, settings.rounds, Path(folder)))
            finally:
                measure.close()
    parts = report.render(outcomes, present, missing, settings)
    print("\n\n".join(parts.values()))
    whole = not (arguments.only or arguments.quick or missing or len(present) < len(SERVERS))
    if whole if arguments.write is None else arguments.write:
        report.write(parts)
    return 1 if any(is_own(name) for outcome in outcomes for name in outcome.failures) else 0


if __name__ == "__main__":
    sys.exit(main())
