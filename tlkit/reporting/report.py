"""The whole report as data: which records it is about, and what they say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tlkit.grading.records import Record
from tlkit.reporting import exercises, measures, misconceptions, scores
from tlkit.reporting.evidence import Evidence

STATES = ("graded", "graded with remarks", "partly graded", "not gradable")
SLOWEST = 5


@dataclass(frozen=True)
class Cost:
    """Seconds or bytes of grading one submission: median, and the greatest with their students."""

    middle: float
    total: float
    greatest: list[tuple[str, float]]


@dataclass
class Report:
    """What the page and the table show.

    records: all of one version of the lesson; graded: those that could be graded: every number rests on
    them; older: students whose record is of another version, left out; outdated: the lesson has changed.
    """

    evidence: Evidence
    records: list[Record]
    graded: list[Record]
    older: list[str]
    outdated: bool
    states: dict[str, int]
    isolation: dict[str, int]
    first: datetime | None
    last: datetime | None
    made: datetime
    misconceptions: list[misconceptions.Misconception]
    scores: scores.Scores
    exercises: list[exercises.Exercise]
    seconds: Cost | None
    memory: Cost | None
    ungraded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def to_look_at(self) -> list[Record]:
        """Records in another state than "graded", the most urgent first."""
        rest = [record for record in self.records if record.state != "graded"]
        return sorted(rest, key=lambda record: (-STATES.index(record.state), record.student))


def make(evidence: Evidence, now: datetime | None = None) -> Report:
    """Reckon everything; `now` is the time that the report says it was made."""
    version = main_version(evidence)
    records = [record for record in evidence.records if record.version == version]
    graded = [record for record in records if record.state != "not gradable"]
    times = [evidence.graded_at[one.student] for one in records if one.student in evidence.graded_at]
    counts: Counter[str] = Counter(record.state for record in records)
    known = {record.student for record in evidence.records}
    return Report(
        evidence=evidence,
        records=records,
        graded=graded,
        older=[record.student for record in evidence.records if record.version != version],
        outdated=bool(evidence.version) and evidence.version != version,
        states={state: counts[state] for state in STATES},
        isolation=dict(Counter(record.isolation for record in graded if record.isolation).most_common()),
        first=min(times, default=None),
        last=max(times, default=None),
        made=now or datetime.now(UTC),
        misconceptions=misconceptions.count(graded),
        scores=scores.describe(graded, evidence.grades),
        exercises=exercises.describe(graded),
        seconds=_cost({record.student: record.seconds for record in graded}),
        memory=_cost({one.student: float(one.peak_bytes) for one in graded if one.peak_bytes}),
        ungraded=sorted(set(evidence.handed_in) - known),
        missing=sorted(set(evidence.roster) - set(evidence.handed_in) - known),
    )


def main_version(evidence: Evidence) -> str:
    """The version of the lesson that most records are of; of two equally frequent ones that of today.

    Points of two versions cannot be added up, so the report is about one; the rest is named.
    """
    counts = Counter(record.version for record in evidence.records)
    return max(counts, key=lambda one: (counts[one], one == evidence.version))


def _cost(values: dict[str, float]) -> Cost | None:
    five = measures.spread(list(values.values()))
    if five is None:
        return None
    ranked = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    return Cost(five.median, sum(values.values()), ranked[:SLOWEST])
