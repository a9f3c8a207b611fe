"""How far a scrub has come and what it found: kept with its job, so that any process goes on with it."""

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

LISTED = 100
"""Findings that are kept with the report; there may be more."""


class Stage(StrEnum):
    """What is being looked at, in this order."""

    BLOBS = "blobs"
    COPIES = "copies"
    OBJECTS = "objects"
    MARKS = "marks"
    MANIFESTS = "manifests"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be. `kind`: a `registry.services.quarantine.Fault`; `unavailable`,
    of an object that could not be read now; `journal` or `backup`, of one that is wrong or gone; `unknown`,
    of one that no row knows; or `manifest`, of one whose bytes in the index are wrong. `size` is in bytes."""

    kind: str
    digest: str | None = None
    location: str | None = None
    size: int | None = None
    repository: str | None = None


@dataclass(slots=True)
class Progress:
    """Numbers of things looked at and found; those in bytes say so. `after` is the id of the last row of the
    stage that is done."""

    began: float
    total_blobs: int
    total_bytes: int
    stage: Stage = Stage.BLOBS
    after: int = 0
    blobs: int = 0
    bytes: int = 0
    quarantined: int = 0
    wrong: int = 0
    released: int = 0
    unavailable: int = 0
    copies: int = 0
    wrong_copies: int = 0
    objects: int = 0
    unknown: int = 0
    unknown_bytes: int = 0
    young: int = 0
    discarded: int = 0
    marked: int = 0
    manifests: int = 0
    wrong_manifests: int = 0
    refused: str | None = None
    found: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Progress":
        """What `state` told, perhaps that of another version: what is not known here is left out."""
        known = {one.name for one in fields(cls)}
        told = {name: value for name, value in state.items() if name in known}
        return cls(**{**told, "stage": Stage(state["stage"])})

    def state(self) -> dict[str, Any]:
        """A JSON object for `from_state`."""
        return asdict(self)

    def copy(self) -> "Progress":
        return copy.deepcopy(self)

    def next_stage(self) -> None:
        """Go on with the stage after this one, from its beginning."""
        stages = list(Stage)
        self.stage, self.after = stages[stages.index(self.stage) + 1], 0

    def note(self, finding: Finding) -> None:
        """Keep a finding, if there is room."""
        if len(self.found) < LISTED:
            told = asdict(finding)
            self.found.append({name: value for name, value in told.items() if value is not None})

    def report(self, now: float) -> dict[str, Any]:
        """What stays of a scrub that is done."""
        told = self.state()
        for name in ("stage", "after", "total_blobs", "total_bytes"):
            del told[name]
        return {**told, "seconds": round(now - self.began, 1), "all_right": self.all_right}

    @property
    def all_right(self) -> bool:
        """Whether there is nothing that somebody should look at."""
        found = (self.wrong, self.unavailable, self.wrong_copies, self.unknown, self.wrong_manifests)
        return not any(found)
