"""`tlkit grade` on whatever students hand in: states, scores and remarks of plain nbgrader, and some more."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from course_for_tests import environment, grades, nbgrader, sample_course
from submissions import Kit, hand_in, own_cell
from test_nbgrader_states import (
    FULL,
    LESSON,
    NAME,
    NOT_GRADABLE,
    NOTHING,
    Graded,
    hand_in_all,
    running,
)

from tlkit.build.notebooks import is_demo, read_notebook
from tlkit.grading.gradebook import AFTER, Course
from tlkit.grading.records import Records

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint('<b>hello</b>')"


def grade(root: Path, *arguments: str, expect: int | None = 0) -> str:
    """Run `tlkit grade` in the course's top folder; returns what it printed."""
    command = [sys.executable, "-m", "tlkit", "grade", LESSON, *arguments]
    run = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, timeout=600)
    output = run.stdout + run.stderr
    assert expect is None or run.returncode == expect, output[-6000:]
    return output


@dataclass
class Class(Graded):
    lesson: Any = None


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Class:
    """The thirty submissions of test_nbgrader_states and some worse ones, graded once by `tlkit grade`."""
    lesson = sample_course(tmp_path_factory, "graded")
    root, kit = lesson.root, Kit(lesson)
    hand_in_all(root, kit)
    hand_in(root, "plots", LESSON, own_cell(kit.notebook(kit.right), PLOT))
    hand_in(root, "huge", LESSON, b" " * 31_000_000)
    hand_in(root, "deep", LESSON, "[" * 500_000)
    hand_in(root, "swallows", LESSON, own_cell(kit.notebook(kit.right), SWALLOWS, before=NAME))
    linked = hand_in(root, "linked", LESSON, kit.notebook(kit.right))
    (linked / f"{LESSON}.ipynb").rename(root / "elsewhere.ipynb")
    (linked / f"{LESSON}.ipynb").symlink_to(root / "elsewhere.ipynb")
    os.mkfifo(hand_in(root, "pipe", LESSON, "", "note.txt") / f"{LESSON}.ipynb")
    nbgrader(root, "db", "student", "add", "absent", "--last-name", "O'Neil, Jr")
    log = grade(root, "--cell-seconds", "4", expect=1)
    log += nbgrader(root, "generate_feedback", LESSON)
    log += nbgrader(root, "export", "--to", "grades.csv")
    return Class(root, log, grades(root / "grades.csv"), lesson)


SWALLOWS = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass"
MORE_FULL = [*FULL, "plots"]
MORE_NOT_GRADABLE = [*NOT_GRADABLE, "huge", "deep", "linked", "pipe"]


@pytest.mark.parametrize("student", MORE_FULL)
def test_honest_right_work_gets_its_points(graded: Class, student: str) -> None:
    """A right answer earns its two points, whatever happened around or after it."""
    row = graded.rows[student]
    assert row["state"] in ("graded", "graded with remarks", "partly graded"), row
    assert float(row["score"]) == 2, row
    assert float(row["max_score"]) == 3


@pytest.mark.parametrize("student", [*NOTHING, "swallows"])
def test_wrong_work_gets_none(graded: Class, student: str) -> None:
    """A stub, a mistake, a tag, an edited test: each is graded, and earns nothing."""
    row = graded.rows[student]
    assert row["state"].startswith(("graded", "partly")), row
    assert float(row["score"]) == 0, row


@pytest.mark.parametrize("student", MORE_NOT_GRADABLE)
def test_what_cannot_be_graded_is_named_and_has_no_score(graded: Class, student: str) -> None:
    """The state and the reason stand in the exported row, and the score is empty: not a zero."""
    row = graded.rows[student]
    assert row["state"] == "not gradable"
    assert row["score"] == row["raw_score"] == ""
    assert row["remarks"]
    assert f"{student}: not gradable" in graded.log


@pytest.mark.parametrize(
    ("student", "remark"),
    [
        ("renamed", 'the notebook was called "My homework (final).ipynb"'),
        ("no-test", f'the test cell "test_{NAME}" was missing and was put back'),
        ("duplicated", f'"{NAME}" was there 2 times: the last one worked on counts'),
        ("pasted", f'"{NAME}" had lost its mark and was recognised'),
        ("retyped", f'"{NAME}" was a raw cell: taken as code'),
        ("endless", "a cell ran out of time: while True: pass"),
        ("swallows", "the submission ran out of time and was stopped"),
        ("dies-early", "ended the Python process: cells after that were not run"),
        ("two-renamed", "two notebooks could be meant, one.ipynb and two.ipynb"),
        ("broken", "the file cannot be read as a notebook (its JSON is damaged)"),
        ("huge", "has 31 MB, at most 30 are read"),
        ("deep", "nested too deeply"),
        ("linked", "there is no 00_sample.ipynb"),
        ("only-text", "there is no 00_sample.ipynb, only answer.txt"),
        ("extra-files", "other files were handed in and ignored: answers.py, data"),
    ],
)
def test_the_exported_row_says_what_was_put_right(graded: Class, student: str, remark: str) -> None:
    """Remarks stand in the CSV."""
    assert remark in graded.rows[student]["remarks"], graded.rows[student]


def test_states_tell_everything_apart(graded: Class) -> None:
    """Nobody is missing; handed in nothing, graded, with remarks, in part, and not gradable differ."""
    states = {student: row["state"] for student, row in graded.rows.items()}
    assert set(states) == {*MORE_FULL, "swallows", *NOTHING, *MORE_NOT_GRADABLE, "absent"}
    assert states["absent"] == "not submitted"
    assert states["right"] == states["untouched"] == states["raises"] == states["silent"] == "graded"
    assert states["renamed"] == "graded with remarks"
    assert states["dies-early"] == states["swallows"] == "partly graded"


def test_only_an_answered_written_question_waits_for_a_person(graded: Class) -> None:
    """As with nbgrader: an empty answer earns 0 without a person."""
    waiting = {student for student, row in graded.rows.items() if row["needs_manual_grade"] == "True"}
    assert waiting == {"written", "script"}


def test_demo_cells_do_not_run_unless_an_answer_builds_on_them(graded: Class) -> None:
    """Experiments cost no time when grading; an answer that uses a name of theirs still works."""
    ran = [cell.execution_count for cell in graded.notebook("right").cells if is_demo(cell)]
    assert ran
    assert set(ran) == {None}
    assert any(
        cell.execution_count for cell in graded.notebook("uses-demo").cells if "torch.randn" in cell.source
    )


def test_the_students_own_outputs_are_kept_as_text_and_pictures(graded: Class) -> None:
    """A plot is in the graded notebook as PNG, printed text as text; nothing else that a viewer would run."""
    outputs = [output for cell in graded.notebook("plots").cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("<b>hello</b>" in output.get("text", "") for output in outputs)
    assert "<b>hello</b>" not in graded.feedback("plots")
    shown = [output for cell in graded.notebook("script").cells for output in cell.get("outputs", [])]
    assert not any("application/javascript" in output.get("data", {}) for output in shown)


def test_feedback_shows_verdict_and_hint_but_no_hidden_case_and_no_script(graded: Class) -> None:
    """Students get their work, its verdict and hint; nothing of the hidden cases, nothing that runs."""
    assert "average over dim 0" in graded.feedback("rows")
    measured = Records(graded.root, LESSON).folder / "right"
    parts = json.loads(next(measured.glob(f"{NAME}-*.json")).read_text())
    for student in (*MORE_FULL, *NOTHING):
        page = graded.feedback(student)
        assert "HIDDEN TESTS" not in page
        assert "tlkit.exercises import" not in page
        for seed, labels in parts[0]["expected"].items():
            assert seed not in page
            for number in labels["the centred features"]["data"]:
                assert f"{abs(number):.4f}" not in page
    assert running(graded.feedback("script")) == []


def test_a_second_run_does_nothing_and_a_new_file_is_graded_alone(graded: Class) -> None:
    """Unchanged submissions are known by their content; a changed one is graded, and nothing else."""
    before = _scores(graded.root)
    log = grade(graded.root, "--cell-seconds", "4")
    assert "0 to grade, " in log
    assert _scores(graded.root) == before
    kit = Kit(graded.lesson)
    hand_in(graded.root, "broken", LESSON, kit.notebook(kit.right))
    assert "  broken: would be graded" in grade(graded.root, "--dry-run")
    assert "1 to grade" in grade(graded.root)
    nbgrader(graded.root, "export", "--to", "again.csv")
    again = grades(graded.root / "again.csv")
    assert (again["broken"]["state"], float(again["broken"]["score"])) == ("graded", 2)
    rest = {student: row for student, row in again.items() if student != "broken"}
    assert rest == {student: row for student, row in graded.rows.items() if student != "broken"}


def test_manual_points_stay_when_a_submission_is_graded_again(graded: Class) -> None:
    """Points of a person survive --regrade, as they survive nbgrader's autograding."""
    with sqlite3.connect(graded.root / "gradebook.db") as database:
        database.execute(
            "update grade set manual_score = 1, needs_manual_grade = 0 where id = ("
            "select grade.id from grade "
            "join submitted_notebook sn on sn.id = grade.notebook_id "
            "join submitted_assignment sa on sa.id = sn.assignment_id "
            "join base_cell c on c.id = grade.cell_id "
            f"where sa.student_id = 'written' and c.name = 'why_{NAME}')"
        )
    grade(graded.root, "--student", "written", "--regrade")
    nbgrader(graded.root, "export", "--to", "manual.csv")
    assert float(grades(graded.root / "manual.csv")["written"]["score"]) == 3


def test_bad_calls_say_what_to_do(graded: Class) -> None:
    """An unknown student, a lesson nobody handed in, a stale build: a sentence and exit code 2."""
    assert '"nobody" has handed in nothing' in grade(graded.root, "--student", "nobody", expect=2)
    text = graded.lesson.text.read_text()
    try:
        graded.lesson.text.write_text(text.replace("Look at the data", "Look"))
        assert "was edited after it was built: run `tlkit build 00_sample`" in grade(graded.root, expect=2)
    finally:
        graded.lesson.text.write_text(text)


def _scores(root: Path) -> list[Any]:
    with sqlite3.connect(root / "gradebook.db") as database:
        return sorted(database.execute("select id, auto_score, needs_manual_grade from grade").fetchall())


def test_a_submission_enters_the_gradebook_whole_or_not_at_all(
    graded: Class, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When something fails after scores were set, nothing of the submission is in the gradebook."""
    course = Course(graded.root)
    notebook = read_notebook(course.autograded("plots", graded.lesson) / f"{LESSON}.ipynb")
    handed_in = graded.root / "submitted" / "plots" / LESSON

    class Fails:
        """A last step of nbgrader's that goes wrong."""

        def __init__(self, config: Any) -> None:
            pass

        def preprocess(self, notebook: Any, about: Any) -> None:
            raise RuntimeError("too late")

    with monkeypatch.context() as patched:
        patched.setattr("tlkit.grading.gradebook.AFTER", (*AFTER, Fails))
        with pytest.raises(RuntimeError, match="too late"):
            course.save(notebook, graded.lesson, "newcomer", handed_in)
    with course.open() as gradebook:
        assert "newcomer" not in {student.id for student in gradebook.students}
    course.save(notebook, graded.lesson, "newcomer", handed_in)
    with course.open() as gradebook:
        assert gradebook.find_submission(LESSON, "newcomer").score == 2
