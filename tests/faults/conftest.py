"""Registries that a test may kill, and that are gone when it ends, however it ends."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.journal import audit
from tests.support.server import RunningRegistry, start_registry

Serve = Callable[..., RunningRegistry]
"""`start_registry`, with `data` a folder of the test's own unless another is given."""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    started: list[RunningRegistry] = []

    def start(data: Path | None = None, **options: object) -> RunningRegistry:
        running = start_registry(data or tmp_path / "data", **options)  # type: ignore[arg-type]
        started.append(running)
        return running

    yield start
    for running in started:
        running.kill()


@contextmanager
def serving(
    data: Path, *, workers: int = 1, settings: Mapping[str, str] | None = None
) -> Iterator[RunningRegistry]:
    """A registry for several tests, which must leave it whole; `settings` are of the environment."""
    running = start_registry(data, workers=workers, environment=settings)
    try:
        yield running
        ended_well(running)
    finally:
        running.kill()


def ended_well(running: RunningRegistry) -> None:
    """End a registry, and find neither an error in its log nor a row without bytes."""
    assert running.stop() == 0
    assert "Traceback" not in running.log
    audit(running.data)
