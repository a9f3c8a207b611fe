"""`entrepot import`, `export` and `copy`: moving images between registries, image layouts and archives."""

import argparse
from functools import partial
from pathlib import Path

from auth.patterns import TagPattern
from registry.cli.client.arguments import Collect, checked
from registry.cli.commands import Commands, add_command
from registry.transfer.references import parse_reference

MOST_PARALLEL = 32

OURS = checked(partial(parse_reference, hosts=False))
ANY = checked(parse_reference)


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add the three."""
    bringing = add_command(
        commands, "import", _import, "push what an image layout or an archive of `docker save` holds"
    )
    bringing.add_argument("path", metavar="PATH", type=Path, help="a folder, a .tar or a .tar.gz")
    bringing.add_argument(
        "target", metavar="REPOSITORY[:TAG]", type=OURS, help="like acme/app:1.0; acme/** keeps all names"
    )
    _add_flags(bringing)
    taking = add_command(commands, "export", _export, "pull images into an image layout")
    taking.add_argument(
        "source", metavar="REPOSITORY[:TAG]", type=OURS, help="like acme/app:1.0 or acme/app@sha256:..."
    )
    taking.add_argument(
        "path", metavar="PATH", type=Path, help="a folder; or a file that ends with .tar, for `docker load`"
    )
    _add_flags(taking)
    help = "copy images from any registry to any other; names without a host are at --server"
    copying = add_command(commands, "copy", _copy, help)
    copying.add_argument(
        "source", metavar="SOURCE", type=ANY, help="like docker.io/alpine:3 or old.example.com/acme/**"
    )
    copying.add_argument("target", metavar="TARGET", type=ANY, help="like mirror/alpine:3 or acme/**")
    _add_flags(copying)
    copying.add_argument(
        "--plain-http",
        metavar="HOST",
        action=Collect,
        default=[],
        help="ask this host without encryption, may be repeated",
    )
    copying.add_argument("--ca-file", metavar="FILE", type=Path, help="certificates to trust as well, PEM")
    copying.add_argument(
        "--auth-file",
        metavar="FILE",
        type=Path,
        help="what `docker login` kept; by default where it keeps it",
    )


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", metavar="URL", help="the registry, after `entrepot login`")
    parser.add_argument(
        "--tags",
        metavar="PATTERN",
        type=checked(TagPattern.parse),
        action=Collect,
        default=[],
        help="all tags like this, as v* or *; may be repeated",
    )
    parser.add_argument(
        "--referrers", action="store_true", help="also what refers to the images: signatures, attestations"
    )
    parser.add_argument(
        "--platform", metavar="OS/ARCHITECTURE", help="of an index only the image for this, like linux/amd64"
    )
    parser.add_argument(
        "--parallel", metavar="N", type=_parallel, default=4, help="how many blobs at once, 4 by default"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="ask for the blobs of images that are there, too, and send what is missing",
    )
    parser.add_argument("--json", action="store_true", help="the report, for programs")


def _parallel(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_PARALLEL:
        raise argparse.ArgumentTypeError(f"should be a number from 1 to {MOST_PARALLEL}, and is {text!r}")
    return int(text)


def _import(parsed: argparse.Namespace) -> int:
    from registry.cli import transferring  # here, since HTTP takes a while to import

    return transferring.run(parsed, transferring.bring)


def _export(parsed: argparse.Namespace) -> int:
    from registry.cli import transferring

    return transferring.run(parsed, transferring.take)


def _copy(parsed: argparse.Namespace) -> int:
    from registry.cli import transferring

    return transferring.run(parsed, transferring.copy)
