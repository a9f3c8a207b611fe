"""What the pages hold that can be checked: command lines, tables of settings, links."""

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from registry.cli.main import _parser

PROGRAM = "entrepot"

_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]\[]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`]+)`")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_BETWEEN_COMMANDS = set("|&;()<>")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*")


class Block(NamedTuple):
    """What stands between ``` and ```; `line` is where it begins."""

    language: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    """All fenced blocks."""
    return [
        Block(
            found[2],
            "\n".join(line.removeprefix(found[1]) for line in found[3].splitlines()),
            at(page, found),
        )
        for found in _FENCED.finditer(page)
    ]


def at(page: str, found: re.Match[str]) -> int:
    return page.count("\n", 0, found.start()) + 1


def prose(page: str) -> str:
    """The page without its fenced blocks; lines keep their numbers."""
    return _FENCED.sub(lambda found: "\n" * found[0].count("\n"), page)


def shell_lines(page: str) -> Iterator[tuple[int, str]]:
    """(line number, text) of what is indented as code, continued lines made one."""
    number, text = 0, ""
    for position, line in enumerate(prose(page).splitlines(), start=1):
        if not text and not line.startswith("    "):
            continue
        number = number if text else position
        text += line.strip()
        if text.endswith("\\"):
            text = text.removesuffix("\\")
            continue
        yield number, text
        text = ""


def commands(line: str) -> list[list[str]]:
    """The arguments of each call of our program in a line of a shell. Raises ValueError for an open quote."""
    if PROGRAM not in line:
        return []
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = []
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= _BETWEEN_COMMANDS:
            words.append(word)
            continue
        while words and _ASSIGNMENT.fullmatch(words[0]):
            words = words[1:]
        if words[:1] == [PROGRAM]:
            found.append(words[1:])
        words = []
    return found


def spans(page: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, arguments) of calls of our program that stand within the text."""
    text = "\n".join("" if line.startswith("    ") else line for line in prose(page).splitlines())
    for found in _SPAN.finditer(text):
        if found[1].split()[0] == PROGRAM:
            yield at(text, found), shlex.split(found[1])[1:]


def refusal(arguments: Sequence[str]) -> str | None:
    """Why the command line does not take these, None if it does."""
    said: list[str] = []

    class Said(Exception):
        pass

    def error(_parser: argparse.ArgumentParser, message: str) -> None:
        said.append(message)
        raise Said

    original = argparse.ArgumentParser.error
    argparse.ArgumentParser.error = error  # type: ignore[assignment,method-assign]
    try:
        _parser().parse_args(arguments)
    except Said:
        return said[0]
    except SystemExit:  # --help
        return None
    finally:
        argparse.ArgumentParser.error = original  # type: ignore[method-assign]
    return None


def every_command() -> dict[tuple[str, ...], argparse.ArgumentParser]:
    """All commands and groups of commands, by their words; by the first of the names of each group."""
    found: dict[tuple[str, ...], argparse.ArgumentParser] = {}

    def walk(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> None:
        found[words] = parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, inner in action.choices.items():
                    if inner not in found.values():
                        walk(inner, (*words, name))

    walk(_parser(), ())
    return found


def anchors(page: str) -> set[str]:
    """The names by which links reach the headings of a page, as GitHub makes them."""
    found: set[str] = set()
    for heading in _HEADING.findall(prose(page)):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def broken_links(path: Path) -> list[str]:
    """Links of a page to other pages, and within itself, that lead nowhere."""
    broken = []
    for target in _LINK.findall(prose(path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        if not page.exists() or (anchor and anchor not in anchors(page.read_text())):
            broken.append(target)
    return broken
