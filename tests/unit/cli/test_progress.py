"""The lines that tell how far something is leave nothing behind on a terminal."""

import asyncio
import io
import re

import pytest

from registry.cli import progress


class Terminal(io.StringIO):
    """Knows the few orders that are used: start of line, next line, line above, clear the rest of it."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        lines, row, column = [""], 0, 0
        for order in re.findall(r"\x1b\[[AK]|\r|\n|[^\x1b\r\n]+", self.getvalue()):
            if order == "\x1b[A":
                row -= 1
                assert row >= 0
            elif order == "\x1b[K":
                lines[row] = lines[row][:column]
            elif order == "\r":
                column = 0
            elif order == "\n":
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            else:
                lines[row] = lines[row][:column] + order + lines[row][column + len(order) :]
                column += len(order)
        return lines


async def test_lines_that_become_more_and_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0)
    texts = [["all"], ["all", "one"], ["all", "one", "two " + "x" * 500], ["all", "two"], ["all"]]
    seen: list[list[str]] = []
    done = asyncio.Event()

    def said() -> str:
        if seen or terminal.getvalue():
            seen.append(terminal.screen())
        if len(seen) == len(texts):
            done.set()
        return "\n".join(texts[min(len(seen), len(texts) - 1)])

    async with progress.progress(said):
        await done.wait()
    shown = [[line for line in lines if line] for lines in seen]
    assert shown[:2] == [["all"], ["all", "one"]]
    assert [len(lines) for lines in shown] == [1, 2, 3, 2, 1]
    assert max(len(line) for line in shown[2]) < 500
    assert not any(terminal.screen())


async def test_programs_get_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    async with progress.progress(lambda: "something"):
        await asyncio.sleep(0)
    assert capsys.readouterr().err == ""
    assert progress.bar(1, 0) == ""
