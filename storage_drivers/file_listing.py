"""What lies in folders: the blocking half of the filesystem driver's listings."""

import os
import re
from collections.abc import Iterator

from storage_drivers.base import NotFound, Object
from storage_drivers.durable_files import GONE

_OBJECT = re.compile(r"[a-zA-Z0-9=_-]{2,200}\.[0-9a-f]{32}")


def object_folders(root: str) -> list[str]:
    """`blobs/<algorithm>/<two digits>`, all that exist below `root`."""
    folders = ["blobs"]
    for _ in range(2):
        folders = [
            f"{above}/{entry.name}"
            for above in folders
            if os.path.isdir(os.path.join(root, above))
            for entry in os.scandir(os.path.join(root, above))
            if entry.is_dir()
        ]
    return folders


def objects_in(root: str, folder: str) -> list[Object]:
    """The objects that the driver committed to one of these folders."""
    found = []
    with os.scandir(os.path.join(root, folder)) as entries:
        for entry in entries:
            if not _OBJECT.fullmatch(entry.name):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # deleted since the folder was listed
            found.append(Object(f"{folder}/{entry.name}", status.st_size, status.st_mtime))
    return found


def files_below(root: str, folder: str) -> Iterator[Object]:
    """Every file below `folder`, which is a path below `root`, by locations that are relative to `root`.

    What is deleted meanwhile is left out, and so is what is no plain file or folder. Raises NotFound for a
    folder that a link takes out of `root`, and OSError.
    """
    if os.path.commonpath((os.path.realpath(root), os.path.realpath(folder))) != os.path.realpath(root):
        raise NotFound(f"{os.path.relpath(folder, root)} is a link that leads out of the store")
    folders = [folder]
    while folders:
        above = folders.pop()
        try:
            entries = sorted(os.scandir(above), key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            if error.errno in GONE:
                continue
            raise
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield Object(os.path.relpath(entry.path, root), status.st_size, status.st_mtime)
