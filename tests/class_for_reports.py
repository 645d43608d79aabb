"""Classes that were never taught: records and gradebook rows made up for tests of the class report."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from tlkit.grading.records import Record, State
from tlkit.reporting.evidence import Evidence, Grade

NOW = datetime(2026, 11, 21, 18, 0, tzinfo=UTC)
EXERCISES = {  # exercise -> heading, points of its parts, known mistakes with their share among wrong answers
    "replace_head": (
        "Replace the head",
        {"The head has the right width.": 1, "The body keeps what it learned.": 1, "It starts anew.": 1},
        {"on_top_of_old_head": 5, "new_network": 3, "old_width": 1},
    ),
    "freeze_backbone": (
        "Freeze the body",
        {
            "The body gets no gradients.": 1,
            "BatchNorm's `running_mean` stays.": 2,
            "Images are judged alone.": 1,
        },
        {"requires_grad_only": 9, "eval_once": 4, "everything_and_drifting": 2, "head_too": 1},
    ),
    "extract_features": (
        "Extract the features",
        {"One row an image, in order.": 1, "The mode does not matter.": 1, "No graph hangs on them.": 1},
        {"shuffled": 4, "left_in_eval": 4, "last_batch_dropped": 2},
    ),
    "fit_linear_probe": (
        "Fit a linear probe",
        {"New points get the right class.": 1, "Units do not matter.": 1, "`l2` holds the weights back.": 1},
        {"not_standardised": 6, "number_as_target": 3, "random_start": 2},
    ),
    "predict_few_shot": (
        "Read digits from ten labels a class",
        {"Ten labels are enough for 84 % of new digits.": 2, "A pile of one digit is read as well.": 1},
        {"new_statistics": 3, "old_head": 2},
    ),
}
HARD = dict(zip(EXERCISES, (-1.6, 0.5, -0.7, -0.1, 0.2), strict=True))
HINTS = {
    "requires_grad_only": "You set `requires_grad = False` and left BatchNorm in `train()` mode: its "
    "statistics go on *drifting* with every batch, so the frozen network is another one after training.",
    "not_standardised": "Features of large scale drown the others: subtract the mean and divide by the "
    "standard deviation of the *training* rows first.",
}


def result(
    outcome: str, earned: list[float], worth: list[float], *mistakes: tuple[str, bool]
) -> dict[str, Any]:
    """One exercise of a record; mistakes are pairs of key and whether it is sure."""
    return {
        "outcome": outcome,
        "points": float(sum(earned)),
        "max_points": float(sum(worth)),
        "misconceptions": [
            {"key": key, "text": HINTS.get(key, f"The hint on `{key}`, *in words*."), "sure": sure}
            for key, sure in mistakes
        ],
        "parts": [
            {
                "title": f"part {n}",
                "state": "right" if got else "wrong",
                "earned": float(got),
                "points": float(most),
            }
            for n, (got, most) in enumerate(zip(earned, worth, strict=True), 1)
        ],
    }


def record(student: str, exercises: dict[str, Any], state: State = "graded", **more: Any) -> Record:
    """A record of version "v1"."""
    known: dict[str, Any] = {"digest": "d", "version": "v1", "seconds": 2.0, "peak_bytes": 50_000_000}
    return Record(
        student=student, state=state, exercises=exercises, **{**known, "isolation": "namespaces", **more}
    )


def scored(student: str, *points: float, most: float = 4.0, **more: Any) -> Record:
    """A record of exercises "e1", "e2" … with these points of `most` each."""
    exercises = {}
    for place, own in enumerate(points, 1):
        outcome = "right" if own == most else "wrong" if own == 0 else "partly_right"
        exercises[f"e{place}"] = result(outcome, [own], [most])
    return record(student, exercises, **more)


def evidence(*records: Record, **more: Any) -> Evidence:
    """Evidence of a lesson that is as it was when these were graded."""
    known: dict[str, Any] = {
        "version": "v1",
        "handed_in": [one.student for one in records],
        "roster": [one.student for one in records],
        "graded_at": {one.student: NOW for one in records},
    }
    return Evidence("01_feature_extraction", list(records), **{**known, **more})


def lecture(students: int = 64, waiting: float = 0.3, seed: int = 3) -> Evidence:
    """A class as it might be: abler and less able students, every state, late comers, written answers."""
    draw = random.Random(seed)
    records, grades, at = [], {}, {}
    for number in range(1, students + 1):
        student, able = f"s{number:03}", draw.gauss(0.6, 1.0)
        if number % 29 == 0:
            why = "there is no 01_feature_extraction.ipynb, only essay.docx: ask for the notebook"
            records.append(
                record(student, {}, "not gradable", remarks=[why], seconds=0.0, peak_bytes=0, isolation="")
            )
            continue
        exercises = {name: answer(draw, name, able) for name in EXERCISES}
        state: State = "graded"
        remarks = []
        if number % 17 == 0:
            exercises["predict_few_shot"] |= {
                "outcome": "unchecked",
                "points": 0.0,
                "misconceptions": [],
                "parts": [],
            }
            state, remarks = "partly graded", ['"test_predict_few_shot" earned nothing: it was not reached']
        elif number % 13 == 0:
            state = "graded with remarks"
            remarks = [
                "the notebook was renamed: lesson one (2).ipynb was graded",
                "a test cell was put back",
            ]
        seconds = 1.4 + draw.random() + (38.0 if number % 23 == 0 else 0.0)
        size = int(45e6 + 12e6 * draw.random())
        records.append(record(student, exercises, state, remarks=remarks, seconds=seconds, peak_bytes=size))
        written = min(4.0, max(0.0, round(2.4 + able + draw.gauss(0, 0.6))))
        late = draw.random() < waiting
        tests = records[-1].points
        grades[student] = Grade(tests + (0.0 if late else written), 20.0, tests, late)
        at[student] = NOW - timedelta(seconds=3.0 * (students - number))
    roster = [one.student for one in records] + ["s901", "s902"]
    return evidence(
        *records,
        title="Feature extraction",
        titles={name: heading for name, (heading, _, _) in EXERCISES.items()},
        grades=grades,
        graded_at=at,
        roster=roster,
        names={"s901": "Noether, Emmy", "s902": "Ibn al-Haytham", "s029": "Ada <i>Lovelace</i>"},
    )


def answer(draw: random.Random, name: str, able: float) -> dict[str, Any]:
    """One student's answer to one exercise of EXERCISES."""
    _, worth, mistakes = EXERCISES[name]
    luck = able - HARD[name] + draw.gauss(0, 0.8)
    parts = list(worth.values())
    if luck > 0:
        found = result("right", list(map(float, parts)), list(map(float, parts)))
    elif luck < -2.6:
        found = result("not_attempted", [0.0] * len(parts), list(map(float, parts)))
    elif draw.random() < 0.15:
        found = result("raised", [0.0] * len(parts), list(map(float, parts)))
    else:
        key = draw.choices(list(mistakes), list(mistakes.values()))[0]
        known = [(key, draw.random() < 0.85)] if draw.random() < 0.85 else []
        earned = [float(most) if draw.random() < 0.5 else 0.0 for most in parts]
        earned[draw.randrange(len(earned))] = 0.0
        found = result("partly_right" if any(earned) else "wrong", earned, list(map(float, parts)), *known)
    for part, title in zip(found["parts"], worth, strict=True):
        part["title"] = title
    return found
