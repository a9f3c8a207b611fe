"""A process that pushes and writes the journal, to be killed on the way.

`python -m tests.faults.journaling DATA`. It may be run again and again: each step leaves alone what is done.
"""

import asyncio
import json
import sys
from pathlib import Path

from auth.actor import Actor
from registry.composition import Composition
from registry.config import Settings
from registry.gc import compaction
from registry.gc.journal import JOB
from registry.oci.digest import Digest
from registry.oci.name import RepositoryName, Tag
from registry.services.upload_sessions import Body
from tests.contract.sources import runs_of

APP = RepositoryName("acme/app")
CI = Actor("user:ci")


def settings(data: Path, storage: Path) -> Settings:
    given = {"auth": {"mode": "open"}, "storage": {"filesystem": {"root": str(storage)}}}
    return Settings(data=data, **given)  # type: ignore[arg-type]


def image(name: str) -> tuple[bytes, bytes]:
    """A config, and the manifest that has it twice."""
    config = json.dumps({"name": name}).encode()
    told = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": Digest.of(config),
        "size": len(config),
    }
    layer = {**told, "mediaType": "application/vnd.oci.image.layer.v1.tar"}
    media_type = "application/vnd.oci.image.manifest.v1+json"
    body = {"schemaVersion": 2, "mediaType": media_type, "config": told, "layers": [layer]}
    return config, json.dumps(body).encode()


async def push(services: Composition, name: str, *tags: str) -> None:
    config, manifest = image(name)
    await services.uploads.whole(APP, Digest.of(config), Body(runs_of(config)))
    for tag in tags:
        await services.manifests.put(APP, Tag(tag), manifest, None, CI)


async def write(services: Composition) -> None:
    async with services.jobs.hold(JOB) as job:
        await job.finish(await services.journal.run(job))


async def main(data: Path) -> None:
    compaction.MOST_OBJECTS = 1
    services = Composition(settings(data, data / "storage"))
    await push(services, "kept", "kept", "moved")
    await push(services, "doomed", "doomed")
    await write(services)
    await push(services, "late", "late", "moved")
    await services.manifests.delete(APP, Digest.of(image("doomed")[1]), CI)
    await write(services)
    await services.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
