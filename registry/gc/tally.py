"""What a collection did so far: counts that go on where a process before left off, and its report."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

from registry.gc.jobs import Job
from registry.index import Connection
from registry.index.collection import Settled

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts. Bytes are taken with their blobs, and freed when they are deleted from the storage."""

    completed: int = 0
    """Manifests of the version before for which is noted now what they cite."""
    expired: int = 0
    """Deleted manifests and repositories that can't be restored any more."""
    uploads: int = 0
    """Upload sessions that nobody continued."""
    links: int = 0
    """Blobs taken out of a repository."""
    blobs: int = 0
    bytes: int = 0
    needed: int = 0
    """Links and blobs that were looked at and stay."""
    leased: int = 0
    """Those that stay for now, because somebody was promised them."""
    objects: int = 0
    """Objects deleted from the storage."""
    freed: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    """For each step."""

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "Tally":
        """What `asdict` gave; other versions may know other counts."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in state.items() if name in known})

    def plus(self, **counts: int) -> "Tally":
        """With so many more of some."""
        return replace(self, **{name: getattr(self, name) + count for name, count in counts.items()})

    def plus_links(self, settled: Settled) -> "Tally":
        """With a batch of links."""
        return self.plus(links=settled.taken, needed=settled.needed, leased=settled.leased)

    def plus_blobs(self, settled: Settled) -> "Tally":
        """With a batch of blobs."""
        return self.plus(
            blobs=settled.taken, bytes=settled.size, needed=settled.needed, leased=settled.leased
        )

    @property
    def changed(self) -> bool:
        """Whether anything went."""
        return any((self.expired, self.links, self.blobs, self.objects))

    def report(self, previous: Mapping[str, Any] | None) -> dict[str, Any]:
        """A JSON object: the counts, and `ever`, what all collections of this index took together."""
        before = ever(previous)
        return {
            **asdict(self),
            "ever": {"blobs": before["blobs"] + self.blobs, "bytes": before["bytes"] + self.bytes},
        }


def ever(report: Mapping[str, Any] | None) -> Mapping[str, int]:
    """What all collections took up to a report."""
    found: Mapping[str, int] = (report or {}).get("ever", {"blobs": 0, "bytes": 0})
    return found


class Run:
    """A collection under way. It looks at what is marked by `began`, and ends when `seconds` are over."""

    def __init__(self, job: Job, seconds: float | None) -> None:
        self.job = job
        self.tally = Tally.of_state(job.state)
        self.began = time.time()
        self._ends = None if seconds is None else time.monotonic() + seconds

    @property
    def is_late(self) -> bool:
        """Whether its time is over."""
        return self._ends is not None and time.monotonic() >= self._ends

    async def write(
        self, change: Callable[[Connection], Result], count: Callable[[Tally, Result], Tally]
    ) -> Result:
        """Make a change of the job, with its counts noted in the same transaction."""

        def counted(connection: Connection) -> tuple[Result, Tally]:
            result = change(connection)
            tally = count(self.tally, result)
            self.job.save(connection, asdict(tally))
            return result, tally

        result, self.tally = await self.job.write(counted)
        return result

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the seconds that the block takes to those of a step."""
        began = time.monotonic()
        try:
            yield
        finally:
            taken = self.tally.seconds.get(step, 0.0) + time.monotonic() - began
            self.tally = replace(self.tally, seconds={**self.tally.seconds, step: round(taken, 3)})
