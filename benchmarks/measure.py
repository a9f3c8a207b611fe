"""What a measure is, and the rounds in which servers take turns at it."""

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.client import BenchmarkError
from benchmarks.servers import ACCOUNTS, OWN, SERVERS, RunningServer, Server, running

MIB = 1024 * 1024


@dataclass(frozen=True)
class Goal:
    """What Entrepot is to reach in a row: `limit` times the figure of `peer`, or `limit` as it is.

    `server` tells whether that is meant with accounts or without.
    """

    limit: float
    peer: str | None = None
    server: str = OWN


@dataclass(frozen=True)
class Row:
    """One line of the table, one figure for each server."""

    label: str
    unit: str
    higher_is_better: bool = True
    goals: tuple[Goal, ...] = ()


@dataclass(frozen=True)
class Settings:
    """How much is measured. `seconds` is the length of one timed run of a rate, sizes are in bytes."""

    rounds: int = 5
    seconds: float = 5.0
    pull_bytes: int = 256 * MIB
    push_bytes: int = 256 * MIB
    parallel_push_bytes: int = 64 * MIB
    list_length: int = 10_000
    memory_uploads: int = 100
    memory_upload_bytes: int = 1024 * MIB
    memory_seconds: float = 20.0


class Measure(ABC):
    """One thing that is measured, in one or more rows."""

    name: str
    rows: tuple[Row, ...]
    registries_only = True
    """False for reads, which nginx can do as well."""
    with_accounts = False
    """Whether Entrepot does it with accounts as well."""
    on_s3 = False
    """Whether it is of those servers that keep their blobs in S3."""
    repeated = True
    """False if one round is enough, because what is measured is not a time."""

    def variant(self, server: Server) -> Server | None:
        """The server as it takes part, None if it does not."""
        if server.on_s3 != self.on_s3:
            return None
        if server.name == ACCOUNTS:
            return server if self.with_accounts else None
        return server if server.registry or not self.registries_only else None

    @abstractmethod
    def prepare(self, server: RunningServer) -> None:
        """Fill the server, check that it answers rightly, and warm it up. Not timed."""

    @abstractmethod
    def run(self, server: RunningServer) -> Mapping[Row, float]:
        """One round: a figure for each row."""

    def close(self) -> None:  # noqa: B027 - most measures hold nothing
        """Let go of what the measure holds."""


@dataclass
class Outcome:
    """The figures of a measure: one for each row, server and round, and why a server has none."""

    measure: Measure
    figures: dict[tuple[Row, str], list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def median(self, row: Row, server: str) -> float | None:
        """The middle one of the rounds."""
        figures = self.figures.get((row, server))
        return median(figures) if figures and server not in self.failures else None


def run(measure: Measure, servers: Sequence[Server], rounds: int, work_folder: Path) -> Outcome:
    """Start the servers, and let them take turns: A B C D, A B C D, ... One works at a time.

    A server that answers wrongly is left out from then on, and the outcome says why.
    """
    taking_part = [variant for server in servers if (variant := measure.variant(server)) is not None]
    outcome = Outcome(measure)
    with running(taking_part, work_folder) as started:
        for round_number in range(1 + (rounds if measure.repeated else 1)):
            for server in started:
                if server.name in outcome.failures:
                    continue
                os.sync()  # so that the disk does not work for the one before
                try:
                    if round_number == 0:
                        measure.prepare(server)
                        continue
                    figures = measure.run(server)
                except (BenchmarkError, OSError) as error:
                    outcome.failures[server.name] = str(error)
                    _tell(f"{measure.name} {server.name} failed: {error}")
                    continue
                for row, figure in figures.items():
                    outcome.figures.setdefault((row, server.name), []).append(figure)
                    _tell(f"{measure.name} {round_number} {server.name}: {row.label} {figure:.4g} {row.unit}")
    return outcome


def servers_present(names: Sequence[str]) -> tuple[list[Server], list[Server]]:
    """The servers of these names whose programs are here, and those that are missing."""
    chosen = [SERVERS[name] for name in names]
    return [one for one in chosen if one.path()], [one for one in chosen if not one.path()]


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
