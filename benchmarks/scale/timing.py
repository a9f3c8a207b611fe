"""How long each query takes on one index, and its plan there."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.client import BenchmarkError
from benchmarks.scale.databases import Database, Plan
from benchmarks.scale.queries import Query
from benchmarks.scale.sample import Sample

ROUNDS = 200
SECONDS = 1.5
DRAWS = 8
"""Of each query: so many runs, or as many as fit into the time, but five at least."""


@dataclass(frozen=True)
class Cost:
    """Seconds: the median and the 99th percentile."""

    median: float
    high: float


def costs(database: Database, sample: Sample, queries: Sequence[Query]) -> Mapping[str, Cost]:
    """What each query costs, by its label. Nothing is changed."""
    return {query.label: _cost(database, sample, query) for query in queries}


def _cost(database: Database, sample: Sample, query: Query) -> Cost:
    times: list[float] = []
    begin = time.perf_counter()
    warm = 10  # the driver prepares what it has run some times
    while len(times) < 5 + warm or (len(times) < ROUNDS + warm and time.perf_counter() - begin < SECONDS):
        with database.trying() as connection:
            key = query.draw(connection, sample)
            start = time.perf_counter()
            found = query.ask(connection, key)
            times.append(time.perf_counter() - start)
        if not found:
            raise BenchmarkError(f"{query.label}: nothing was found for {key}")
    counted = sorted(times[warm:])
    return Cost(median(counted), counted[math.ceil(len(counted) * 0.99) - 1])


def work(database: Database, sample: Sample, queries: Sequence[Query]) -> Mapping[str, int]:
    """The most work that each query was in a few runs, by its label: see Database.counting."""
    most: dict[str, int] = {}
    for query in queries:
        for _ in range(DRAWS):
            with database.trying() as connection:
                key = query.draw(connection, sample)
                with database.counting(connection) as count:
                    found = query.ask(connection, key)
            if not found:
                raise BenchmarkError(f"{query.label}: nothing was found for {key}")
            most[query.label] = max(count[0], most.get(query.label, 0))
    return most


def plans(database: Database, sample: Sample, query: Query) -> list[Plan]:
    """The plans of its statements, one for each form."""
    found: list[Plan] = []
    with database.trying() as connection:
        key = query.draw(connection, sample)
        with database.explaining(connection, found):
            query.ask(connection, key)
    return list({plan.lines: plan for plan in found if plan.lines}.values())
