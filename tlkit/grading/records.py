"""What became of every submission: one small file a student, whole or not there, from which a run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tlkit.exercises.judge import Verdict
from tlkit.grading.files import read_json, write_json

FOLDER = ".tlkit-grading"
State = Literal["graded", "graded with remarks", "partly graded", "not gradable"]


@dataclass
class Record:
    """The outcome of one submission.

    digest: the exact notebook that was graded; version: the lesson, secret and grader it was graded with.
    exercises: {name: {"outcome", "points", "max_points", "misconceptions": [{"key", "hint", "sure"}]}}.
    """

    student: str
    digest: str
    version: str
    state: State
    remarks: list[str] = field(default_factory=list)
    exercises: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    peak_bytes: int = 0
    isolation: str = ""

    @property
    def points(self) -> float:
        return sum(float(one["points"]) for one in self.exercises.values())


def exercises_of(verdicts: Mapping[str, Verdict]) -> dict[str, dict[str, Any]]:
    """The part of the verdicts that a report needs."""
    return {
        name: {
            "outcome": verdict.outcome,
            "points": verdict.points,
            "max_points": verdict.max_points,
            "misconceptions": [asdict(hint) for hint in verdict.misconceptions],
            "parts": [
                {"title": part.title, "state": part.state, "earned": part.earned, "points": part.points}
                for part in verdict.parts
            ],
        }
        for name, verdict in verdicts.items()
    }


class Records:
    """The records of one lesson, in a folder that git ignores."""

    def __init__(self, root: Path, lesson: str) -> None:
        self.folder = root / FOLDER / lesson

    def _path(self, student: str) -> Path:
        return self.folder / "records" / f"{student}.json"

    def get(self, student: str) -> Record | None:
        """The student's record; None where there is none that can be read."""
        found = read_json(self._path(student))
        try:
            return Record(**found)
        except TypeError:
            return None

    def put(self, record: Record) -> None:
        write_json(self._path(record.student), asdict(record))

    def all(self) -> list[Record]:
        """All records, by student."""
        folder = self.folder / "records"
        names = sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []
        return [record for record in map(self.get, names) if record is not None]
