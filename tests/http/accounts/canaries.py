"""Secrets that must never be found where they don't belong, and the places that are searched for them."""

import base64
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from sqlalchemy import select

from registry.index import open_index
from registry.index.tables import metadata, signing_keys
from registry.telemetry import JsonFormatter, TextFormatter
from tests.http.answers import Answer
from tests.http.blocking import blocking_calls_pass


def forms_of(secret: str) -> set[str]:
    """How a secret may be written: as it is, in Base64 after any name, percent-encoded, as JSON has it."""
    forms = {secret, quote(secret), quote(secret, safe=""), secret.replace("\n", "\\n")}
    for shift in range(3):  # whatever stands before it
        encoded = base64.b64encode(shift * b":" + secret.encode()).decode()
        forms.add(encoded[4 : len(encoded) // 4 * 4 - 4])
    if secret.count(".") == 2:
        forms.add(secret.rpartition(".")[2])  # the signature of a token makes it one
    return {form for form in forms if len(form) >= 8}


class Search:
    """What was said so far: to clients, to the log in both forms, and to the index."""

    def __init__(self, index_url: str) -> None:
        self._index_url = index_url
        self._answers: list[str] = []
        self._log = {"the log as text": io.StringIO(), "the log as JSON": io.StringIO()}

    def heard(self, answer: Answer) -> Answer:
        """Remember an answer that has no business to hold a secret."""
        fields = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self._answers.append(f"{fields}\n\n{answer.body.decode('utf-8', 'replace')}")
        return answer

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Write down all that is logged, from the level debug on."""
        root = logging.getLogger()
        before, handlers = root.level, []
        formatters = (TextFormatter(), JsonFormatter())
        for stream, formatter in zip(self._log.values(), formatters, strict=True):
            handler = logging.StreamHandler(stream)
            handler.setFormatter(formatter)
            root.addHandler(handler)
            handlers.append(handler)
        root.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            root.setLevel(before)
            for handler in handlers:
                root.removeHandler(handler)

    def places(self) -> dict[str, str]:
        """Everything, by the place where it stands."""
        logs = {place: stream.getvalue() for place, stream in self._log.items()}
        return {"answers": "\n".join(self._answers), **logs, **self._index()}

    def _index(self) -> dict[str, str]:
        """All rows of all tables. A private key is in its own column and nowhere else."""
        with blocking_calls_pass():
            index = open_index(self._index_url, pool_size=1)
            try:
                with index._engine.connect() as connection:
                    return {
                        f"the table {table.name}": "\n".join(
                            map(
                                repr,
                                connection.execute(
                                    select(*(c for c in table.c if c is not signing_keys.c.private_key))
                                ),
                            )
                        )
                        for table in metadata.sorted_tables
                    }
            finally:
                index.close()

    def finds(self, text: str) -> set[str]:
        """The places where a text stands, in any of its forms, in capitals or not."""
        places = {place: content.lower() for place, content in self.places().items()}
        forms = {form.lower() for form in forms_of(text)}
        return {place for form in forms for place, content in places.items() if form in content}
