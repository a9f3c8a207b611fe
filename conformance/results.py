"""What a run found: one row for each requirement, kept as JSON and printed as a table."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from conformance.sections import SECTIONS

LEVELS = ("must", "should", "expected")
OUTCOMES = {"passed": "pass", "failed": "FAIL", "skipped": "skip"}


@dataclass(frozen=True)
class Result:
    """One requirement, or a variant of one: `[empty]`. `outcome` is pass, FAIL or skip, `reason` says why.

    `test` is the name of the function with its variant, unique in the suite.
    """

    section: str
    requirement: str
    level: str
    test: str
    outcome: str
    variant: str = ""
    reason: str = ""

    @property
    def title(self) -> str:
        return f"{self.requirement} {self.variant}".rstrip()


class Collector:
    """A pytest plugin that gathers results and writes them to a file at the end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._results: dict[str, Result] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        described = dict(report.user_properties)
        if "section" not in described or (report.when != "call" and report.passed):
            return
        self._results[report.nodeid] = Result(
            section=str(described["section"]),
            requirement=str(described["requirement"]),
            level=str(described["level"]),
            test=report.nodeid.partition("::")[2],
            outcome=OUTCOMES[report.outcome],
            variant=str(described["variant"]),
            reason=_reason(report),
        )

    def pytest_sessionfinish(self) -> None:
        ordered = sorted(self._results.values(), key=lambda result: SECTIONS.index(result.section))
        self._file.write_text(json.dumps([asdict(result) for result in ordered], indent=1))


def _reason(report: pytest.TestReport) -> str:
    """One line: the message of the assertion that failed, or why it was skipped."""
    if report.passed:
        return ""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    return str(text).strip().splitlines()[0].removeprefix("AssertionError: ")


def read_results(file: Path) -> list[Result]:
    return [Result(**row) for row in json.loads(file.read_text())]


def totals(results: Iterable[Result]) -> dict[str, tuple[int, int, int]]:
    """For each level: how many passed, failed, were skipped."""
    rows = list(results)
    counted = {}
    for level in LEVELS:
        outcomes = [row.outcome for row in rows if row.level == level]
        counted[level] = (outcomes.count("pass"), outcomes.count("FAIL"), outcomes.count("skip"))
    return counted


def text_table(results: list[Result]) -> str:
    """The results for a terminal, grouped by section, with the reason under each that did not pass."""
    width = max((len(row.title) for row in results), default=0)
    lines = []
    section = ""
    for row in results:
        if row.section != section:
            section = row.section
            lines += ["", section]
        lines.append(f"  {row.title:{width}}  {row.level.upper():8}  {row.outcome}")
        if row.reason:
            lines.append(f"      {row.reason}")
    lines.append("")
    for level, (passed, failed, skipped) in totals(results).items():
        lines.append(f"{level.upper():8}  {passed:3} passed  {failed:3} failed  {skipped:3} skipped")
    return "\n".join(lines)
