"""Each exercise of the lesson: how hard it was, how it tells students apart, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tlkit.grading.records import Record
from tlkit.reporting import measures

OUTCOMES = ("right", "partly_right", "wrong", "raised", "not_attempted", "unchecked")


@dataclass(frozen=True)
class Part:
    """One part of an exercise: how many of those checked earned it."""

    title: str
    points: float
    earned: int
    checked: int


@dataclass(frozen=True)
class Exercise:
    """One exercise over all graded records.

    outcomes: {outcome: students}; checked: how many were checked at all: `mean` and `difficulty` rest on
    them; discrimination: over the `compared` students with every exercise checked, of whom `differing` have
    other points than most; unexplained: students whose answer is not right and fits no known misconception.
    """

    name: str
    max_points: float
    outcomes: dict[str, int]
    checked: int
    mean: float | None
    difficulty: float | None
    discrimination: float | None
    compared: int
    differing: int
    parts: list[Part]
    unexplained: list[str]


def names_of(records: Sequence[Record]) -> list[str]:
    """The lesson's exercises in its order."""
    return list(dict.fromkeys(name for record in records for name in record.exercises))


def complete(records: Sequence[Record]) -> list[Record]:
    """The records in which every exercise of the lesson was checked: only their totals can be compared."""
    names = names_of(records)
    return [
        record
        for record in records
        if names
        and all(record.exercises.get(name, {}).get("outcome", "unchecked") != "unchecked" for name in names)
    ]


def describe(records: Sequence[Record]) -> list[Exercise]:
    """All exercises of graded records, in the lesson's order."""
    whole = complete(records)
    totals = [record.points for record in whole]
    return [_describe(name, records, whole, totals) for name in names_of(records)]


def _describe(name: str, records: Sequence[Record], whole: Sequence[Record], totals: list[float]) -> Exercise:
    results = [(record.student, record.exercises[name]) for record in records if name in record.exercises]
    outcomes = dict.fromkeys(OUTCOMES, 0)
    for _, result in results:
        outcomes[result["outcome"]] += 1
    checked = [result for _, result in results if result["outcome"] != "unchecked"]
    points = [float(result["points"]) for result in checked]
    most = max(float(result["max_points"]) for _, result in results)
    own = [float(record.exercises[name]["points"]) for record in whole]
    parts: dict[str, list[float]] = {}
    worth: dict[str, float] = {}
    for result in checked:
        for part in result.get("parts", []):
            parts.setdefault(part["title"], []).append(float(part["earned"]))
            worth[part["title"]] = float(part["points"])
    return Exercise(
        name=name,
        max_points=most,
        outcomes=outcomes,
        checked=len(checked),
        mean=measures.mean(points),
        difficulty=measures.difficulty(points, most),
        discrimination=measures.discrimination(own, totals),
        compared=len(whole),
        differing=len(own) - max(Counter(own).values(), default=0),
        parts=[
            Part(title, worth[title], sum(value > 0 for value in earned), len(earned))
            for title, earned in parts.items()
        ],
        unexplained=[
            student
            for student, result in results
            if result["outcome"] in ("partly_right", "wrong", "raised") and not result["misconceptions"]
        ],
    )
