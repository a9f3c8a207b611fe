"""How far a transfer is, and what it did."""

from dataclasses import dataclass, field
from typing import NamedTuple

from registry.oci.descriptor import Descriptor


class Problem(NamedTuple):
    """An image that was not moved, and why."""

    image: str
    reason: str


class Copied(NamedTuple):
    """An image that is at its target now. `tags` is empty for one that goes by its digest."""

    source: str
    repository: str
    tags: tuple[str, ...]
    digest: str


@dataclass
class Report:
    """Sizes are bytes. `running` has what is under way: by digest, bytes done and of how many."""

    images: list[Copied] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    manifests_sent: int = 0
    manifests_present: int = 0
    blobs_sent: int = 0
    blobs_present: int = 0
    blobs_mounted: int = 0
    bytes_sent: int = 0
    """What went over the wire or to the disk in this run; what an earlier run sent is not among it."""
    bytes_present: int = 0
    all_bytes: int = 0
    """Of all blobs that were met so far."""
    all_images: int = 0
    running: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def bytes_done(self) -> int:
        """Of `all_bytes`, what is at the target."""
        return self.bytes_present + self.bytes_sent + self._earlier

    _earlier: int = 0
    """What earlier runs sent, less what had to be sent anew."""

    def met(self, blob: Descriptor) -> None:
        """A blob is looked at."""
        self.all_bytes += blob.size

    def present(self, blob: Descriptor, *, mounted: bool = False) -> None:
        """It need not be moved."""
        self.bytes_present += blob.size
        if mounted:
            self.blobs_mounted += 1
        else:
            self.blobs_present += 1

    def moved(self, blob: Descriptor, done: int) -> None:
        """So much of it is at the target. What is there when that is told for the first time is no work of
        this run; it may also become less, when an upload begins anew."""
        before = self.running.get(blob.digest)
        if before is not None and done > before[0]:
            self.bytes_sent += done - before[0]
        else:
            self._earlier += done - (0 if before is None else before[0])
        self.running[blob.digest] = (done, blob.size)
