"""What people read: columns that line up, times, sizes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry.oci.sizes import said_size

Values = Mapping[str, Any]
"""What was said on the command line, by the names of the API's fields."""

Says = Callable[[Any, Values], str]
"""The text for an answer of the API: its document (None for no content), and what was asked."""

Column = tuple[str, str | Callable[[Any], object]]
"""A title, and the field of an entry or what is made of the whole entry."""

NOTHING = "-"
GAP = "  "


@dataclass(frozen=True, slots=True)
class Listing:
    """A table of the entries in the field `entries` of an answer; `nothing` is said when there are none.

    `cursor` is the parameter that takes `next` of the page before; it is empty for a list without pages.
    """

    entries: str
    nothing: str
    columns: Sequence[Column]
    cursor: str = "last"

    def __call__(self, document: Any, _values: Values) -> str:
        found = document[self.entries]
        return table(self.columns, found) if found else self.nothing


@dataclass(frozen=True, slots=True)
class Facts:
    """One thing, a line for each column. `at` is the field of the answer that holds it; None: it is all."""

    columns: Sequence[Column]
    at: str | None = None

    def __call__(self, document: Any, _values: Values) -> str:
        return facts(self.columns, document if self.at is None else document[self.at])


def sentence(text: str) -> Says:
    """A text in which `{name}` stands for what was said on the command line."""
    return lambda _document, values: text.format_map({name: plain(value) for name, value in values.items()})


def table(columns: Sequence[Column], entries: Iterable[Any]) -> str:
    """A line of titles, and a line for each entry."""
    rows = [[title for title, _ in columns]]
    rows += [[shown(cell(entry, source)) for _, source in columns] for entry in entries]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        GAP.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def facts(columns: Sequence[Column], entry: Any) -> str:
    """A line for each column: its title, and what it is."""
    width = max(len(title) for title, _ in columns)
    return "\n".join(
        f"{title.lower().ljust(width)}{GAP}{shown(cell(entry, source))}" for title, source in columns
    )


def cell(entry: Any, source: str | Callable[[Any], object]) -> object:
    return entry[source] if isinstance(source, str) else source(entry)


def shown(value: object) -> str:
    """A value as people read it."""
    if value is None or value in ("", []):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    return plain(value)


def plain(value: object) -> str:
    """A text on one line that does nothing to a terminal: clients chose some of what the audit holds."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def when(field: str, *, never: str = NOTHING, seconds: bool = False) -> Callable[[Any], str]:
    """Reads a time (RFC 3339) and writes it as the clock on the wall does."""
    form = "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"

    def read(entry: Any) -> str:
        text = entry[field]
        return never if text is None else datetime.fromisoformat(text).astimezone().strftime(form)

    return read


def size(field: str) -> Callable[[Any], str]:
    """Reads bytes and writes them as people say them."""
    return lambda entry: said_size(entry[field])


def state(entry: Any) -> str:
    """Whether somebody or something counts."""
    return "disabled" if entry["disabled"] else "enabled"


def limits(entry: Any) -> str:
    """What a token is limited to."""
    said = ["read-only"] if entry["read_only"] else []
    return ", ".join([*said, *entry["repositories"], *entry["addresses"]]) or NOTHING
