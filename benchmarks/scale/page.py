"""docs/scale.md: the parts between its marks are written here, the rest by hand."""

import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.scale.databases import Plan
from benchmarks.scale.load import CLIENTS, MIX, Throughput
from benchmarks.scale.queries import Query
from benchmarks.scale.timing import Cost
from benchmarks.scale.week import Organisation, demand, growth
from tests.support.server import ROOT

PAGE = ROOT / "docs" / "scale.md"


@dataclass
class Measured:
    """One index on one database: the number of blobs that it was filled by, and all that was found there."""

    database: str
    blobs: int
    rows: Mapping[str, int]
    bytes_of: Mapping[str, tuple[int, int]]
    costs: Mapping[str, Cost]
    work: Mapping[str, int]
    plans: Mapping[str, Sequence[Plan]] = field(default_factory=dict)


def costs(measured: Sequence[Measured], queries: Sequence[Query]) -> str:
    """The table of costs: a row for each query, a column for each index, and how the work grows."""
    databases = list(dict.fromkeys(one.database for one in measured))
    head = ["ms: median / p99"]
    for database in databases:
        own = [one for one in measured if one.database == database]
        head += [f"{database} {one.blobs:,}" for one in own] + [f"{database}: work"]
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    for query in queries:
        cells = [query.label]
        for database in databases:
            own = [one for one in measured if one.database == database]
            cells += [_cost(one.costs[query.label]) for one in own]
            cells.append(f"{own[0].work[query.label]:,} → {own[-1].work[query.label]:,}")
        lines.append(_line(cells))
    growing = [f"- *{query.label}*: {query.grows}." for query in queries if query.grows]
    return "\n".join([_circumstances(), "", *lines, "", "What grows, and with what:", "", *growing])


def plans(measured: Sequence[Measured], queries: Sequence[Query]) -> str:
    """The plans in the largest index of each database."""
    largest = {one.database: one for one in measured}
    parts = []
    for query in queries:
        parts.append(f"### {query.label[0].upper()}{query.label[1:]}\n")
        for database, one in largest.items():
            blocks = ["\n".join(plan.lines) for plan in one.plans[query.label]]
            text = "\n\n".join(blocks) or "nothing is searched"
            parts.append(f"{database}:\n\n```text\n{text}\n```\n")
    return "\n".join(parts).rstrip()


def tables(measured: Sequence[Measured]) -> str:
    """Rows and bytes of each table of the largest index."""
    largest = {one.database: one for one in measured}
    head = ["table", "rows"]
    for database in largest:
        head += [f"{database}: bytes a row", "of them indexes", "MB"]
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    rows = next(iter(largest.values())).rows
    total = dict.fromkeys(largest, 0)
    for table, count in sorted(rows.items(), key=lambda item: -item[1]):
        cells = [f"`{table}`", f"{count:,}"]
        for database, one in largest.items():
            heap, indexes = one.bytes_of[table]
            total[database] += heap + indexes
            cells += [f"{(heap + indexes) / count:,.0f}", f"{indexes / count:,.0f}"]
            cells.append(f"{(heap + indexes) / 1e6:,.1f}")
        lines.append(_line(cells))
    sums = [cell for database in largest for cell in ("", "", f"{total[database] / 1e6:,.0f}")]
    return "\n".join([*lines, _line(["all", f"{sum(rows.values()):,}", *sums])])


def week(measured: Sequence[Measured], organisation: Organisation) -> str:
    """What a week adds, and what is there after a year."""
    one = [each for each in measured if each.database == "PostgreSQL"][-1]
    head = ["table", "rows a week", "go again", "rows after a year", "MB after a year", "what limits it"]
    lines = [_line(head), _line(["---", "---:", "---:", "---:", "---:", "---"])]
    total = 0.0
    for entry in growth(organisation, one.rows, one.bytes_of):
        total += entry.bytes
        cells = [f"{entry.added:,.0f}", f"{entry.removed:,.0f}", f"{entry.after_a_year:,.0f}"]
        lines.append(_line([f"`{entry.table}`", *cells, f"{entry.bytes / 1e6:,.0f}", entry.limit]))
    lines += [_line(["all", "", "", "", f"{total / 1e6:,.0f}", ""]), ""]
    lines += [_line(["asked for", "per s, on average", "per s, in the busiest hour"])]
    lines += [_line(["---", "---:", "---:"])]
    blobs_of_push = one.rows["blobs"] / one.rows["tag_history"]
    for asked in demand(organisation, blobs_of_push):
        lines.append(_line([asked.what, f"{asked.average:,.2f}", f"{asked.busiest:,.1f}"]))
    return "\n".join(lines)


def load(outcomes: Mapping[str, Sequence[tuple[int, Throughput]]], seconds: float) -> str:
    """Throughput on the small and the large index of each database."""
    lines = [f"{CLIENTS} clients, {', '.join(f'{share} % {kind}' for kind, share in MIX.items())}; "]
    lines[0] += f"{seconds:g} s for each index.\n"
    lines += [_line(["database", "blobs", *(f"{kind} per s" for kind in MIX), "all per s", "CPU ms each"])]
    lines += [_line(["---", *["---:"] * (len(MIX) + 3)])]
    for database, runs in outcomes.items():
        for blobs, outcome in runs:
            kinds = [f"{outcome.per_second(kind):,.1f}" for kind in MIX]
            cells = [database, f"{blobs:,}", *kinds, f"{outcome.per_second():,.1f}"]
            lines.append(_line([*cells, f"{outcome.cpu_each * 1e3:.2f}"]))
        small, large = runs[0][1], runs[-1][1]
        ratios = [f"{large.per_second(kind) / small.per_second(kind):.2f}" for kind in MIX]
        whole = f"{large.per_second() / small.per_second():.2f}"
        lines.append(
            _line([f"{database}, ratio", "", *ratios, whole, f"{large.cpu_each / small.cpu_each:.2f}"])
        )
    return "\n".join(lines)


def write(parts: Mapping[str, str], page: Path = PAGE) -> None:
    """Put each part between its marks, and leave the rest of the page as it is."""
    text = page.read_text()
    for name, part in parts.items():
        begin, end = f"<!-- {name} begins -->", f"<!-- {name} ends -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{page.name} lacks the marks {begin} and {end}")
        text = f"{before}{begin}\n\n{part}\n\n{end}{after}"
    page.write_text(text)


def _circumstances() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    processor = found[1] if found else platform.machine()
    return (
        f"{len(os.sched_getaffinity(0))} cores ({processor}), Linux {platform.release()}, "
        f"Python {platform.python_version()}."
    )


def _cost(cost: Cost) -> str:
    return f"{_milliseconds(cost.median)} / {_milliseconds(cost.high)}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}" if seconds < 0.1 else f"{seconds * 1e3:,.0f}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
