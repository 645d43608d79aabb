"""Lesson 01 from release to exported grades with plain nbgrader.

Every misconception and every alternative of the lesson is handed in by somebody: about 35 submissions.
Each starts PyTorch anew, so it takes a quarter of an hour and runs only with TLKIT_WHOLE_CLASS=1; what every
run of the tests does is in test_nbgrader_states.py: as many kinds of submissions of a smaller lesson.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from course_for_tests import copied_course, grades, nbgrader
from submissions import Kit, Wrong, drop, hand_in, own_cell

from tlkit.build.course import Lesson
from tlkit.build.names import needed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(os.environ.get("TLKIT_WHOLE_CLASS") != "1", reason="long: set TLKIT_WHOLE_CLASS=1"),
]


@dataclass
class Class:
    """A graded class: who handed in which wrong and other right answers, and what came back."""

    lesson: Lesson
    kit: Kit
    wrong: dict[str, list[Wrong]]
    other: dict[str, list[Wrong]]
    points: dict[str, dict[str, float]]
    rows: dict[str, dict[str, Any]]
    hidden: dict[str, Any]

    @property
    def full(self) -> dict[str, float]:
        return {name: entry["points"] for name, entry in self.hidden.items()}

    def feedback(self, student: str) -> str:
        name = self.lesson.name
        return (self.lesson.root / "feedback" / student / name / f"{name}.html").read_text()


def shared_out(kind: str, answers: list[Wrong], dependent: set[str]) -> dict[str, list[Wrong]]:
    """{student: answers}: one of each exercise a student, but those that call other exercises alone."""
    students: dict[str, list[Wrong]] = {}
    for name in dict.fromkeys(one.exercise for one in answers):
        mine = [one for one in answers if one.exercise == name]
        for number, one in enumerate(mine):
            student = f"{kind}-{name.replace('_', '-')}-{number}" if name in dependent else f"{kind}-{number}"
            students.setdefault(student, []).append(one)
    return students


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Class:
    """Every misconception, every alternative and the usual accidents, handed in, graded and exported."""
    lesson = copied_course(tmp_path_factory.mktemp("class") / "course", "01")
    root, name = lesson.root, lesson.name
    kit = Kit(lesson)
    dependent = {own for own in kit.right if needed(kit.right[own]) & (set(kit.right) - {own})}
    wrong = shared_out("wrong", kit.others("misconception"), dependent)
    other = shared_out("other", kit.others("alternative"), dependent)
    for student, answers in {**wrong, **other}.items():
        filled = {**kit.right, **{one.exercise: one.source for one in answers}}
        hand_in(root, student, name, kit.notebook(filled))
    half = dict(list(kit.right.items())[: len(kit.right) // 2])
    first = next(iter(kit.right))
    stub = kit.notebook()
    hand_in(root, "right", name, kit.notebook(kit.right))
    hand_in(root, "untouched", name, stub)
    hand_in(root, "half", name, kit.notebook(half))
    hand_in(
        root,
        "crash",
        name,
        own_cell(kit.notebook(kit.right), "raise RuntimeError('left over')", before=first),
    )
    raising = f"def {first}(*args, **kwargs):\n    raise KeyError('mine')"
    hand_in(root, "raises", name, kit.notebook({**kit.right, first: raising}))
    noise = (
        f"import sys, warnings\nwarnings.warn('honest')\nprint('noise', file=sys.stderr)\n{kit.right[first]}"
    )
    hand_in(root, "loud", name, kit.notebook({**kit.right, first: noise}))
    hand_in(root, "endless", name, own_cell(kit.notebook(kit.right), "while True: pass", before=first))
    hand_in(root, "no-test", name, drop(kit.notebook(kit.right), f"test_{first}"))
    hand_in(root, "renamed", name, kit.notebook(kit.right), "lesson one.ipynb")
    hand_in(root, "broken", name, json.dumps(kit.notebook(kit.right))[:-200])
    nbgrader(root, "generate_assignment", name, "--force")
    started = time.monotonic()
    nbgrader(root, "autograde", name, "--Execute.timeout=60", expect=1)
    count = len(list((root / "submitted").iterdir()))
    print(f"{(time.monotonic() - started) / count:.1f} s a submission, {count} submissions")
    nbgrader(root, "generate_feedback", name)
    nbgrader(root, "export", "--to", "grades.csv")
    hidden = json.loads(lesson.secret.read_text())["exercises"]
    rows = grades(root / "grades.csv")
    return Class(lesson, kit, wrong, other, points_by_exercise(root, name), rows, hidden)


def points_by_exercise(root: Path, lesson: str) -> dict[str, dict[str, float]]:
    """{student: {exercise: points}} from the gradebook."""
    from nbgrader.api import Gradebook

    points: dict[str, dict[str, float]] = {}
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as gradebook:
        for submission in gradebook.find_assignment(lesson).submissions:
            for grade in submission.notebooks[0].grades:
                if grade.name.startswith("test_"):
                    name = grade.name.removeprefix("test_")
                    points.setdefault(submission.student.id, {})[name] = grade.auto_score
    return points


def test_the_class_is_thirty_strong(course: Class) -> None:
    """About thirty submissions, every exercise with all its misconceptions among them."""
    assert len(course.rows) >= 24
    handed_in = {(one.exercise, one.key) for answers in course.wrong.values() for one in answers}
    assert handed_in == {
        (name, key) for name, entry in course.hidden.items() for key in entry["misconceptions"]
    }


def test_right_and_otherwise_right_answers_get_full_points(course: Class) -> None:
    """The course's answer, every alternative, and right answers beside a crash or in a renamed file."""
    for student in ("right", "crash", "renamed", "loud", "endless", "no-test", *course.other):
        assert course.points[student] == course.full, (student, course.points[student])
        assert float(course.rows[student]["raw_score"]) == sum(course.full.values())


def test_untouched_and_half_done_notebooks_get_what_they_deserve(course: Class) -> None:
    """No answer, no points; the exercises that were answered count in full."""
    assert course.points["untouched"] == dict.fromkeys(course.full, 0)
    done = list(course.kit.right)[: len(course.kit.right) // 2]
    for name, points in course.points["half"].items():
        if name in done:
            assert points == course.full[name]
        elif not needed(course.kit.right[name]) & set(course.full):
            assert points == 0


def test_each_misconception_loses_the_points_of_the_parts_it_gets_wrong(course: Class) -> None:
    """Partial credit by part; exercises answered right beside it keep their points."""
    for student, answers in course.wrong.items():
        expected = dict(course.full)
        for one in answers:
            entry = course.hidden[one.exercise]
            missed = {int(index) for index in entry["misconceptions"][one.key]["parts"]}
            left = [part["points"] for index, part in enumerate(entry["parts"]) if index not in missed]
            expected[one.exercise] = sum(left)
            assert expected[one.exercise] < course.full[one.exercise]
        changed = {one.exercise for one in answers}
        for name, points in course.points[student].items():
            if name in changed or not needed(course.kit.right[name]) & changed:
                assert points == expected[name], (student, name)


def test_an_exception_costs_one_exercise(course: Class) -> None:
    """Code that raises earns nothing; the other exercises that do not call it keep theirs."""
    first = next(iter(course.kit.right))
    assert course.points["raises"][first] == 0
    for name, points in course.points["raises"].items():
        if name != first and first not in needed(course.kit.right[name]):
            assert points == course.full[name]


def test_each_misconception_gets_its_hint_in_the_feedback(course: Class) -> None:
    """The page a student gets back says what the mistake is."""
    for student, answers in course.wrong.items():
        page = words(unescape(re.sub(r"<[^>]*>", "", course.feedback(student))))
        for one in answers:
            hint = words(course.hidden[one.exercise]["misconceptions"][one.key]["hint"])
            assert hint[:60] in page, (student, one.key)


def words(text: str) -> str:
    """Letters and digits alone: how a hint is set does not matter."""
    return re.sub(r"[^a-z0-9]+", "", text.lower())


def test_what_could_not_be_graded_is_named(course: Class) -> None:
    """The broken file has a state and a reason, and no score; the renamed one a remark."""
    assert course.rows["broken"]["state"] == "not gradable"
    assert course.rows["broken"]["score"] == ""
    assert "NotJSONError" in course.rows["broken"]["remarks"]
    assert 'called "lesson one.ipynb"' in course.rows["renamed"]["remarks"]
    assert {row["state"] for row in course.rows.values()} == {"graded", "graded with remarks", "not gradable"}


def test_no_hidden_case_is_in_any_feedback(course: Class) -> None:
    """Neither a seed nor hidden test text stands in what students get back."""
    seeds = {seed for entry in course.hidden.values() for part in entry["parts"] for seed in part["expected"]}
    for student in course.points:
        if student == "broken":
            continue
        page = course.feedback(student)
        assert "HIDDEN TESTS" not in page
        assert not any(seed in page for seed in seeds)
