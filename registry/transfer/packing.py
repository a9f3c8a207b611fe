"""An image layout as one tar file, which engines load."""

import asyncio
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from registry.oci.digest import Digest
from registry.oci.media_types import IMAGE_TYPES
from registry.transfer.errors import TransferError
from registry.transfer.layout import IMAGE_NAME, INDEX, blob_name
from registry.transfer.layout_target import listed, sync


async def pack(folder: Path, names: Iterable[str], file: Path) -> None:
    """Write these files of a layout into a tar file, which appears in one step. Raises TransferError.

    `manifest.json` is added, by which every version of `docker load` and `podman load` finds the images that
    are not indexes. The same layout always gives the same bytes.
    """
    temporary = file.with_name(f"{file.name}.writing")
    try:
        with temporary.open("wb") as output:
            with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
                if images := _docker_manifest(folder):
                    added = json.dumps(images).encode()
                    entry = tarfile.TarInfo("manifest.json")
                    entry.size = len(added)
                    archive.addfile(entry, io.BytesIO(added))
                for name in sorted(names):
                    await asyncio.to_thread(_add, archive, folder / name, name)
            await asyncio.to_thread(sync, output)
        temporary.replace(file)
    except OSError as error:
        raise TransferError(f"{file} can't be written: {error.strerror}") from error


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = path.stat().st_size
    with path.open("rb") as file:
        archive.addfile(entry, file)


def _docker_manifest(folder: Path) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for entry in listed(folder / INDEX):
        name = (entry.get("annotations") or {}).get(IMAGE_NAME)
        if entry["mediaType"] not in IMAGE_TYPES or name is None:
            continue
        manifest = json.loads((folder / blob_name(Digest.parse(entry["digest"]))).read_bytes())
        if not str(manifest["config"]["mediaType"]).endswith(("image.config.v1+json", "image.v1+json")):
            continue  # a chart or a signature is nothing that an engine could load
        paths = [
            blob_name(Digest.parse(part["digest"])) for part in (manifest["config"], *manifest["layers"])
        ]
        image = found.setdefault(entry["digest"], {"Config": paths[0], "RepoTags": [], "Layers": paths[1:]})
        image["RepoTags"].append(name)
    return list(found.values())
