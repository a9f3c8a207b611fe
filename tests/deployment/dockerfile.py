"""A Dockerfile as a test looks at it, and what of a folder its builder gets to see."""

import json
import re
import shlex
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple


class Instruction(NamedTuple):
    """`keyword` in capitals; `text` is all that follows, on one line."""

    keyword: str
    text: str

    @property
    def words(self) -> list[str]:
        """Of the exec form, or as a shell would split it."""
        exec_form = re.search(r"\[.*\]$", self.text)
        if exec_form:
            found: list[str] = json.loads(exec_form[0])
            return found
        return shlex.split(self.text)


def instructions(path: Path) -> list[Instruction]:
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n", "", "\n".join(lines))
    return [
        Instruction(keyword.upper(), text.strip())
        for keyword, _, text in (line.partition(" ") for line in whole.splitlines() if line.strip())
    ]


def stages(path: Path) -> list[list[Instruction]]:
    """Each from its FROM on."""
    found: list[list[Instruction]] = []
    for instruction in instructions(path):
        if instruction.keyword == "FROM":
            found.append([])
        if found:
            found[-1].append(instruction)
    return found


def environment(stage: list[Instruction]) -> dict[str, str]:
    """What ENV sets."""
    return dict(
        word.split("=", 1)
        for instruction in stage
        if instruction.keyword == "ENV"
        for word in instruction.words
    )


def copied(stage: list[Instruction]) -> list[str]:
    """What COPY takes from the build's context."""
    return [
        word.rstrip("/")
        for instruction in stage
        if instruction.keyword == "COPY" and not instruction.text.startswith("--from")
        for word in instruction.words[:-1]
    ]


def is_sent(path: str, ignore_file: Path) -> bool:
    """Whether the builder gets to see a file, by .dockerignore: the last rule that matches counts."""
    sent = True
    for rule in ignore_file.read_text().splitlines():
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.removeprefix("!").removeprefix("**/")
        parts = path.split("/")
        ends = range(1, len(parts) + 1)
        starts = range(len(parts)) if "**/" in rule else (0,)
        names = ("/".join(parts[start:end]) for start in starts for end in ends)
        if any(fnmatchcase(name, pattern) and ("/" in pattern or "/" not in name) for name in names):
            sent = rule.startswith("!")
    return sent
