"""The misconceptions of the class: which, how many students, and who; what to teach again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tlkit.grading.records import Record


@dataclass
class Misconception:
    """One mistake in one exercise: who surely made it, and who perhaps did (not all its signs were there)."""

    exercise: str
    key: str
    hint: str
    sure: list[str] = field(default_factory=list)
    perhaps: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        """The key as words: "number_as_target" is "number as target"."""
        return self.key.replace("_", " ")


def count(records: Iterable[Record]) -> list[Misconception]:
    """All misconceptions of these records, the most frequent first.

    A student counts once for each. Those surely recognised come first; ties in the order of the lesson.
    """
    found: dict[tuple[str, str], Misconception] = {}
    order: dict[str, int] = {}
    for record in records:
        for exercise, result in record.exercises.items():
            order.setdefault(exercise, len(order))
            seen: dict[str, bool] = {}
            for hint in result["misconceptions"]:
                key = str(hint["key"])
                found.setdefault((exercise, key), Misconception(exercise, key, str(hint["text"])))
                seen[key] = seen.get(key, False) or bool(hint["sure"])
            for key, sure in seen.items():
                one = found[exercise, key]
                (one.sure if sure else one.perhaps).append(record.student)
    return sorted(
        found.values(), key=lambda one: (-len(one.sure), -len(one.perhaps), order[one.exercise], one.key)
    )
