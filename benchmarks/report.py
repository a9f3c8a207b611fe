"""The tables: medians of all rounds, ratios of medians, goals, and what they were measured on."""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Goal, Outcome, Row, Settings
from benchmarks.servers import ACCOUNTS, OWN, SERVERS, Server, is_own

README = Path(__file__).with_name("README.md")
ONE_MACHINE, ON_S3 = "table", "table of several machines"
"""The parts of README.md that are written by a run: each lies between two marks with its name."""

WITH_ACCOUNTS = (
    "With accounts: every request to entrepot-accounts carries a Bearer token. The others have no accounts, "
    "except where a row says so."
)


def render(
    outcomes: Sequence[Outcome], present: Sequence[Server], missing: Sequence[Server], settings: Settings
) -> Mapping[str, str]:
    """The parts that were measured, in Markdown: machine and versions, the tables, and what failed."""
    parts = {}
    for part, on_s3 in ((ONE_MACHINE, False), (ON_S3, True)):
        measured = [outcome for outcome in outcomes if outcome.measure.on_s3 == on_s3]
        if measured:
            here = [server for server in present if server.on_s3 == on_s3]
            absent = [server for server in missing if server.on_s3 == on_s3]
            lines = _circumstances(here, absent, settings)
            lines += _on_s3(measured, here) if on_s3 else _one_machine(measured, here)
            parts[part] = "\n".join([*lines, *_failures(measured)])
    return parts


def _on_s3(outcomes: Sequence[Outcome], present: Sequence[Server]) -> list[str]:
    names = [server.name for server in present]
    return ["", *_table(outcomes, names, [name for name in names if is_own(name)])]


def _one_machine(outcomes: Sequence[Outcome], present: Sequence[Server]) -> list[str]:
    """Without accounts, and with them."""
    names = [server.name for server in present]
    plain = [outcome for outcome in outcomes if outcome.measure.variant(SERVERS[OWN])]
    guarded = [
        outcome
        for outcome in outcomes
        if outcome.measure.variant(SERVERS[ACCOUNTS]) and (ACCOUNTS in names or outcome not in plain)
    ]
    lines = []
    others = [name for name in names if name != ACCOUNTS]
    if plain and others:
        lines += ["", *_table(plain, others, [OWN])]
    if guarded:
        lines += ["", WITH_ACCOUNTS, ""]
        lines += _table(guarded, sorted(names, key=lambda name: name != ACCOUNTS), [ACCOUNTS])
    return lines


def _failures(outcomes: Sequence[Outcome]) -> list[str]:
    failures = [
        f"- {outcome.measure.name}: {server} failed: `{reason}`"
        for outcome in outcomes
        for server, reason in outcome.failures.items()
    ]
    return ["", *failures] if failures else []


def _table(outcomes: Sequence[Outcome], names: Sequence[str], owns: Sequence[str]) -> list[str]:
    """The figures of these servers, and how each of `owns` compares with the others."""
    pairs = [(own, peer) for own in owns for peer in names if peer not in owns]
    head = ["", "unit", *names, *(f"{own} / {peer}" for own, peer in pairs), "goal"]
    lines = [_line(head), _line(["---"] * 2 + ["---:"] * (len(head) - 3) + ["---"])]
    for outcome in outcomes:
        for row in outcome.measure.rows:
            figures = [_cell(outcome, row, name) for name in names]
            ratios = [_ratio(outcome, row, own, peer) for own, peer in pairs]
            goals = "; ".join(_goal(outcome, row, goal) for goal in row.goals if goal.server in owns)
            lines.append(_line([row.label, row.unit, *figures, *ratios, goals]))
    return lines


def write(parts: Mapping[str, str]) -> None:
    """Put the parts between their marks in README.md, and leave the rest as it is."""
    text = README.read_text()
    for part, content in parts.items():
        before, begin, rest = text.partition(f"<!-- {part} begins -->")
        _, end, after = rest.partition(f"<!-- {part} ends -->")
        if not begin or not end:
            raise ValueError(f"README.md lacks the marks of its {part}")
        text = f"{before}{begin}\n\n{content}\n\n{end}{after}"
    README.write_text(text)


def _circumstances(present: Sequence[Server], missing: Sequence[Server], settings: Settings) -> list[str]:
    cores = len(os.sched_getaffinity(0))
    versions = ", ".join(f"{server.name} {server.version()}" for server in present)
    lines = [
        f"{cores} cores ({_processor()}), Linux {platform.release()}, Python {platform.python_version()}; "
        f"medians of {settings.rounds} rounds, {settings.seconds:g} s for each rate.  ",
        f"Versions: {versions}.",
    ]
    if missing:
        lines.append(f"Not installed here: {', '.join(f'{one.name} ({one.install})' for one in missing)}.")
    return lines


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _cell(outcome: Outcome, row: Row, server: str) -> str:
    if server in outcome.failures:
        return "failed"
    figure = outcome.median(row, server)
    return "" if figure is None else _number(figure)


def _ratio(outcome: Outcome, row: Row, own: str, peer: str) -> str:
    figure, other = outcome.median(row, own), outcome.median(row, peer)
    return f"{figure / other:.3g}" if figure is not None and other else ""


def _goal(outcome: Outcome, row: Row, goal: Goal) -> str:
    """The goal in words, and whether it was reached, if both figures are there."""
    words = "at least" if row.higher_is_better else "at most"
    if SERVERS[goal.server].on_s3:  # a table with several of ours
        words = f"{goal.server} {words}"
    of_peer = f" x {goal.peer}" if goal.peer else f" {row.unit}"
    own = outcome.median(row, goal.server)
    other = outcome.median(row, goal.peer) if goal.peer else 1.0
    if own is None or other is None:
        return f"{words} {goal.limit:g}{of_peer}"
    limit = goal.limit * other
    reached = own >= limit if row.higher_is_better else own <= limit
    return f"{words} {goal.limit:g}{of_peer}: {'reached' if reached else '**missed**'}"


def _number(figure: float) -> str:
    """Three significant digits, thousands with commas."""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
