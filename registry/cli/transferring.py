"""What `entrepot import`, `export` and `copy` do."""

import argparse
import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from auth.patterns import TagPattern
from registry.cli.client import sign_ins
from registry.cli.client.http import server_url
from registry.cli.client.tables import plain
from registry.cli.commands import CommandError, UsageError
from registry.cli.progress import bar, progress
from registry.oci.sizes import said_size
from registry.transfer.client import Client
from registry.transfer.content import Source, Target
from registry.transfer.credentials import Credentials, from_engines
from registry.transfer.docker_archive import MANIFEST, DockerArchive
from registry.transfer.errors import TransferError
from registry.transfer.files import Archive, Folder
from registry.transfer.layout import INDEX, LayoutSource
from registry.transfer.layout_target import LayoutTarget
from registry.transfer.packing import pack
from registry.transfer.references import Reference, parse_reference, server_of
from registry.transfer.remote import RemoteSource
from registry.transfer.remote_target import RemoteTarget
from registry.transfer.report import Report
from registry.transfer.selection import from_archive, from_registry
from registry.transfer.sessions import Sessions, state_folder
from registry.transfer.transfer import Item, Options, Transfer

MOST_LISTED = 50
"""Images and problems that are shown to people; `--json` has all."""


class BrokenOff(CommandError):
    """By Ctrl-C; the exit code is what shells have for that."""

    code = 130


Work = Callable[[argparse.Namespace, Report], Awaitable[None]]


def run(parsed: argparse.Namespace, work: Work) -> int:
    """Do it, and tell of it; the exit code. Raises CommandError."""
    report = Report()
    problem: TransferError | None = None
    try:
        asyncio.run(_watched(work(parsed, report), report))
    except TransferError as error:
        problem = error
    except KeyboardInterrupt:
        raise BrokenOff("broken off; the same command goes on from here") from None
    if parsed.json:
        print(json.dumps(_document(report), indent=2, ensure_ascii=False))
    elif report.all_images:
        print("\n".join(_said(report)))
    if problem is not None:
        raise CommandError(plain(problem)) from problem
    return 1 if report.problems else 0


async def bring(parsed: argparse.Namespace, report: Report) -> None:
    """Import. Raises TransferError and CommandError."""
    to = parse_reference(parsed.target, hosts=False)
    if to.digest is not None:
        raise UsageError("an import goes to a repository or a tag, not to a digest")
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_client(parsed, None))
        source = await stack.enter_async_context(_archive(parsed.path))
        items = from_archive(source.images, to, _tags(parsed))
        await _move(parsed, report, source, RemoteTarget(client, Sessions(state_folder())), items)


async def take(parsed: argparse.Namespace, report: Report) -> None:
    """Export. Raises TransferError and CommandError."""
    wanted = parse_reference(parsed.source, hosts=False)
    path: Path = parsed.path
    packed = path.suffix == ".tar"
    async with _client(parsed, None) as client:
        source = RemoteSource(client)
        items = await from_registry(source, wanted, wanted, _tags(parsed))
        folder = path.with_name(f"{path.name}.partial") if packed else path
        target = LayoutTarget(folder, client.name, anew=packed)
        await _move(parsed, report, source, target, items)
    if packed and not report.problems:
        await pack(folder, target.names, path)
        await asyncio.to_thread(shutil.rmtree, folder)


async def copy(parsed: argparse.Namespace, report: Report) -> None:
    """Copy. Raises TransferError and CommandError."""
    wanted, to = parse_reference(parsed.source), parse_reference(parsed.target)
    if to.digest is not None:
        raise UsageError("a copy goes to a repository or a tag, not to a digest")
    async with AsyncExitStack() as stack:
        pulling = await stack.enter_async_context(_client(parsed, wanted))
        pushing = await stack.enter_async_context(_client(parsed, to))
        source = RemoteSource(pulling)
        items = await from_registry(source, wanted, to, _tags(parsed))
        same = pulling.server == pushing.server
        target = RemoteTarget(pushing, Sessions(state_folder()))
        await _move(parsed, report, source, target, items, same_registry=same)


async def _move(
    parsed: argparse.Namespace,
    report: Report,
    source: Source,
    target: Target,
    items: Sequence[Item],
    *,
    same_registry: bool = False,
) -> None:
    options = Options(parsed.parallel, parsed.referrers, parsed.platform, same_registry, parsed.check)
    await Transfer(source, target, report, options).run(items)


async def _watched(work: Awaitable[None], report: Report) -> None:
    begun = time.monotonic()

    def lines() -> str:
        speed = report.bytes_sent / (time.monotonic() - begun + 0.001)
        images = f"{len(report.images) + len(report.problems)} of {report.all_images} images"
        done = f"{said_size(report.bytes_done)} of {said_size(report.all_bytes)}, {said_size(int(speed))}/s"
        running = [
            f"{bar(done, size)} {digest[:19]} {said_size(size)}"
            for digest, (done, size) in report.running.items()
        ]
        return "\n".join([f"{bar(report.bytes_done, report.all_bytes)} {images}, {done}", *running])

    async with progress(lines):
        await work


def _client(parsed: argparse.Namespace, reference: Reference | None) -> Client:
    """For the host of a reference; without one, for the server. Raises CommandError and TransferError."""
    host = None if reference is None else reference.host
    if host is None:
        return _of_server(parsed, reference)
    plain_http = host in [name.lower() for name in parsed.plain_http]
    address = server_of(host, plain_http=plain_http)
    signed_in = sign_ins.find(address)
    trusted = None if parsed.ca_file is None else str(parsed.ca_file)
    if signed_in is not None:
        known = Credentials(signed_in.user, refresh_token=signed_in.refresh_token)
        return Client(address, known, ca_file=trusted or signed_in.ca_file)
    return Client(address, from_engines(host, parsed.auth_file), ca_file=trusted)


def _of_server(parsed: argparse.Namespace, reference: Reference | None) -> Client:
    if parsed.server is None:
        what = "" if reference is None else f"{reference} has no host: write one before it, or "
        raise UsageError(f"{what}say which registry: --server https://registry.example.com")
    address = server_url(parsed.server, insecure_http=True)
    signed_in = sign_ins.find(address)
    if signed_in is None:  # a registry may be open to all
        return Client(server_url(parsed.server))
    server_url(parsed.server, insecure_http=signed_in.insecure_http)
    known = Credentials(signed_in.user, refresh_token=signed_in.refresh_token)
    return Client(address, known, ca_file=signed_in.ca_file)


@asynccontextmanager
async def _archive(path: Path) -> AsyncIterator[LayoutSource | DockerArchive]:
    """Whatever lies there. Raises TransferError."""
    if await asyncio.to_thread(path.is_dir):
        yield await LayoutSource.read(Folder(path))
        return
    archive = await asyncio.to_thread(Archive, path)
    try:
        if archive.size(INDEX) is None and archive.size(MANIFEST) is None:
            raise TransferError(f"{path} holds neither an image layout nor what `docker save` writes")
        layout = archive.size(INDEX) is not None
        yield await (LayoutSource.read(archive) if layout else DockerArchive.read(archive))
    finally:
        archive.close()


def _tags(parsed: argparse.Namespace) -> list[TagPattern]:
    return [TagPattern.parse(text) for text in parsed.tags]


def _document(report: Report) -> dict[str, object]:
    sizes = {name: value for name, value in asdict(report).items() if isinstance(value, int)}
    hidden = {"all_bytes", "all_images", "_earlier"}
    return {
        "images": [copied._asdict() for copied in report.images],
        "problems": [problem._asdict() for problem in report.problems],
        **{name: value for name, value in sizes.items() if name not in hidden},
    }


def _said(report: Report) -> list[str]:
    """The report as people read it."""
    lines = [
        f"{plain(copied.repository)}{f':{tag}' if tag else ''}  {copied.digest}"
        for copied in report.images[:MOST_LISTED]
        for tag in copied.tags or ("",)
    ]
    if len(report.images) > MOST_LISTED:
        lines.append(f"and {len(report.images) - MOST_LISTED} images more")
    lines.append(
        f"{len(report.images)} of {report.all_images} images; {report.blobs_sent} blobs were moved "
        f"({said_size(report.bytes_sent)}), {report.blobs_present} were there, {report.blobs_mounted} mounted"
    )
    lines += [f"not moved: {plain(image)}: {plain(why)}" for image, why in report.problems[:MOST_LISTED]]
    if len(report.problems) > MOST_LISTED:
        lines.append(f"and {len(report.problems) - MOST_LISTED} more: --json lists all")
    return lines
