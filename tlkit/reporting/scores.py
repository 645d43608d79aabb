"""The scores of the class: points of the tests, and totals of the gradebook where nothing is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tlkit.grading.records import Record
from tlkit.reporting import measures
from tlkit.reporting.evidence import Grade
from tlkit.reporting.exercises import complete


@dataclass(frozen=True)
class Distribution:
    """Scores of `count` students out of `most` points."""

    most: float
    values: list[float]
    spread: measures.Spread
    bins: list[measures.Bin]

    @property
    def count(self) -> int:
        return len(self.values)


@dataclass
class Scores:
    """tests: points of the tests alone; totals: the gradebook's, of those for whom no points are missing.

    incomplete: students with an exercise that was not checked, whose points are a lower bound and left out of
    both. by_hand: {student: (by the tests, in the gradebook)} where an instructor changed a test's points.
    """

    tests: Distribution | None
    totals: Distribution | None
    waiting: int = 0
    in_gradebook: int = 0
    incomplete: list[str] = field(default_factory=list)
    by_hand: dict[str, tuple[float, float]] = field(default_factory=dict)


def describe(records: Sequence[Record], grades: Mapping[str, Grade]) -> Scores:
    """The scores of graded records."""
    whole = complete(records)
    names = {record.student for record in whole}
    most = max(
        (sum(float(one["max_points"]) for one in record.exercises.values()) for record in whole), default=0
    )
    entered = [grades[record.student] for record in records if record.student in grades]
    known = [grades[record.student] for record in whole if record.student in grades]
    finished = [grade for grade in known if not grade.waiting]
    written = any(grade.max_score > most + 1e-9 for grade in known)
    found = Scores(
        tests=_distribution([record.points for record in whole], most),
        totals=None,
        waiting=sum(grade.waiting for grade in entered),
        in_gradebook=len(entered),
        incomplete=[record.student for record in records if record.student not in names],
        by_hand={
            record.student: (record.points, grades[record.student].code_score)
            for record in records
            if record.student in grades and abs(record.points - grades[record.student].code_score) > 1e-6
        },
    )
    # With few graded by hand, totals would mostly be those of empty answers: more than half must be there.
    if finished and (written or found.by_hand) and len(finished) * 2 > len(known):
        found.totals = _distribution(
            [grade.score for grade in finished], max(grade.max_score for grade in finished)
        )
    return found


def _distribution(values: list[float], most: float) -> Distribution | None:
    five = measures.spread(values)
    return None if five is None else Distribution(most, values, five, measures.histogram(values, most))
