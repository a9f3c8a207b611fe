"""Write README.md and official-summary.md anew: `python -m conformance.report`.

A column for Entrepot and one for every other registry whose program is on the PATH. What stands between the
markers in README.md is replaced; the rest of it is written by hand.
"""

import sys
from pathlib import Path

from conformance.__main__ import run_suite
from conformance.official import OfficialResults, run_official, sparse_entrepot
from conformance.peers import installed, running
from conformance.results import LEVELS, Result, totals

ENTREPOT = "Entrepot"
HERE = Path(__file__).parent
README = HERE / "README.md"
SUMMARY = HERE / "official-summary.md"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"

Columns = dict[str, list[Result]]


def row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def head(*cells: str) -> list[str]:
    return [row(list(cells)), row(["---"] * len(cells))]


def cell(results: list[Result]) -> str:
    """What a registry made of one requirement, over its variants."""
    outcomes = [result.outcome for result in results]
    if not outcomes:
        return ""
    judged = [outcome for outcome in outcomes if outcome != "skip"]
    if not judged:
        return "skip"
    passed = judged.count("pass")
    if passed == len(judged):
        return "pass"
    return "**FAIL**" if passed == 0 else f"**{passed} of {len(judged)}**"


def summary(columns: Columns) -> list[str]:
    lines = head("", *columns)
    counted = {title: totals(results) for title, results in columns.items()}
    for level in LEVELS:
        cells = [f"{level.upper()}"]
        for title in columns:
            passed, failed, skipped = counted[title][level]
            cells.append(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
        lines.append(row(cells))
    return lines


def details(columns: Columns) -> list[str]:
    """A table for each section, a row for each requirement."""
    lines: list[str] = []
    requirements: dict[str, dict[tuple[str, str], None]] = {}
    for results in columns.values():
        for result in results:
            requirements.setdefault(result.section, {})[result.requirement, result.level] = None
    for section, rows in requirements.items():
        lines += ["", f"### {section}", "", *head("requirement", "level", *columns)]
        for requirement, level in rows:
            cells = [
                cell(
                    [
                        r
                        for r in results
                        if (r.section, r.requirement, r.level) == (section, requirement, level)
                    ]
                )
                for results in columns.values()
            ]
            lines.append(row([requirement.replace("|", "\\|").replace("<", "&lt;"), level.upper(), *cells]))
    return lines


def official_table(columns: dict[str, OfficialResults]) -> list[str]:
    names = list(dict.fromkeys(name for results in columns.values() for name in results.rows))
    lines = head("", *columns)
    for name in names:
        statuses = [results.rows.get(name, "") for results in columns.values()]
        lines.append(row([name, *(status if status == "Pass" else f"**{status}**" for status in statuses)]))
    passed = [f"{len(r.rows) - len(r.failed_rows)} of {len(r.rows)}" for r in columns.values()]
    lines.append(row(["rows that pass", *passed]))
    single = [f"{r.tests - len(r.problems)} of {r.tests}" for r in columns.values()]
    lines.append(row(["single tests that pass", *single]))
    return lines


def main() -> int:
    """Run both suites against every registry, one after another."""
    ours: Columns = {ENTREPOT: run_suite(None)}
    with sparse_entrepot() as url:
        theirs = {ENTREPOT: run_official(url)}
    for peer in installed():
        print(f"{peer.title} ...", file=sys.stderr)
        with running(peer.program) as url:
            ours[peer.title] = run_suite(url)
        with running(peer.program) as url:
            theirs[peer.title] = run_official(url)
    before, _, rest = README.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{README} has no lines {BEGIN} and {END}")
    table = "\n".join(["", *summary(ours), *details(ours), ""])
    README.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")
    commit = theirs[ENTREPOT].commit[:12]
    text = [
        "# The official conformance suite",
        "",
        f"opencontainers/distribution-spec at {commit}, `OCI_VERSION=dev`, `OCI_DATA_SPARSE=true`, against",
        "registries with an empty store; Entrepot with `manifests.sparse` on. A row is as bad as its",
        "worst test, and a pass hides a skip, so the single tests are counted as well. Written by",
        "`python -m conformance.report`.",
        "",
        *official_table(theirs),
        "",
    ]
    SUMMARY.write_text("\n".join(text))
    return int(not theirs[ENTREPOT].passed or any(result.outcome == "FAIL" for result in ours[ENTREPOT]))


if __name__ == "__main__":
    sys.exit(main())
