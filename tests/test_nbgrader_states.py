"""Plain nbgrader on whatever students hand in: every submission is graded fairly or named as not gradable."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from course_for_tests import grades, nbgrader, sample_course
from submissions import Kit, drop, hand_in, own_cell

from tlkit.build.notebooks import is_demo, new_node, read_notebook
from tlkit.build.notebooks import nbgrader as mark

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
NAME, LESSON = "center_sample", "00_sample"
LOUD = """import sys, threading, warnings

def center_sample(features):
    warnings.warn("this is honest work")
    print("so is this", file=sys.stderr)
    threading.Timer(0.05, lambda: print("a late word", file=sys.stderr)).start()
    return features - features.mean(dim=0)
"""
ROWS = "def center_sample(features):\n    return features - features.mean(dim=1, keepdim=True)\n"
RAISES = "def center_sample(features):\n    raise ValueError('I do not know')\n"
USES_DEMO = "def center_sample(x):\n    assert features.shape == (5, 2)\n    return x - x.mean(dim=0)\n"
SCRIPT = "<script>alert(1)</script> <img src=x onerror=alert(2)> [click](javascript:alert(3)) <b>bold</b>"
SHOWS_SCRIPT = (
    "from IPython.display import HTML, Javascript, display\n"
    f"display(HTML({SCRIPT!r}), Javascript('alert(4)'))"
)


@dataclass
class Graded:
    root: Path
    log: str
    rows: dict[str, dict[str, Any]]

    def log_of(self, student: str) -> str:
        return "\n".join(line for line in self.log.splitlines() if student in line)

    def notebook(self, student: str) -> Any:
        return read_notebook(self.root / "autograded" / student / LESSON / f"{LESSON}.ipynb")

    def feedback(self, student: str) -> str:
        return (self.root / "feedback" / student / LESSON / f"{LESSON}.html").read_text()


def hand_in_all(root: Path, kit: Kit) -> None:
    """One folder a student; the name of the student says what is in it."""

    def give(student: str, notebook: Any, name: str = "") -> Path:
        return hand_in(root, student, LESSON, notebook, name)

    right = kit.right
    give("right", kit.notebook(right))
    give("untouched", kit.notebook())
    give("rows", kit.notebook({NAME: ROWS}))
    give("raises", kit.notebook({NAME: RAISES}))
    give("loud", own_cell(kit.notebook({NAME: LOUD}), "import time, atexit\natexit.register(print, 'bye')"))
    give("stderr-in-cell", own_cell(kit.notebook(right), "1 / 0", before=NAME))
    give("endless", own_cell(kit.notebook(right), "while True: pass", before=NAME))
    give("dies-early", own_cell(kit.notebook(right), "import os; os._exit(1)", before=NAME))
    give("uses-demo", kit.notebook({NAME: USES_DEMO}))

    give("renamed", kit.notebook(right), "My homework (final).ipynb")
    give("two-renamed", kit.notebook(right), "one.ipynb")
    give("two-renamed", kit.notebook(), "two.ipynb")
    give("no-test", drop(kit.notebook(right), f"test_{NAME}"))
    give("no-answer", drop(kit.notebook(right), NAME))
    give("no-setup", drop(kit.notebook(right), f"{LESSON}_setup"))
    give("written", kit.notebook({**right, f"why_{NAME}": "Because of the batch."}))
    twice = kit.notebook(right)
    index = next(i for i, cell in enumerate(twice.cells) if mark(cell).get("grade_id") == NAME)
    twice.cells.insert(
        index + 1, kit.notebook().cells[index]
    )  # the untouched original, below the solved copy
    twice.cells.append(Kit.cell(kit.notebook(), f"test_{NAME}"))
    give("duplicated", twice)
    pasted = kit.notebook(right)
    for number, cell in enumerate(pasted.cells):
        cell.metadata, cell.id = new_node(), f"pasted-{number}"
    give("pasted", pasted)
    moved = kit.notebook(right)
    moved.cells = moved.cells[::-1]
    give("upside-down", moved)
    retyped = kit.notebook(right)
    Kit.cell(retyped, NAME).cell_type = "raw"
    for key in ("outputs", "execution_count"):
        Kit.cell(retyped, NAME).pop(key)
    give("retyped", retyped)

    skips = kit.notebook({NAME: ROWS})
    for cell in skips.cells:
        cell.metadata.tags = ["skip-execution", "tlkit-not-run"]
    give("skip-tags", skips)
    edited = kit.notebook({NAME: ROWS})
    Kit.cell(edited, f"test_{NAME}").source = "2"
    mark(Kit.cell(edited, f"test_{NAME}"))["points"] = 100
    give("edited-test", edited)
    give(
        "silent",
        kit.notebook({NAME: f"{ROWS}\nimport tlkit.exercises\ntlkit.exercises.grade = lambda name: None"}),
    )
    script = own_cell(kit.notebook({**right, f"why_{NAME}": SCRIPT}), SHOWS_SCRIPT)
    give("script", own_cell(script, SCRIPT, cell_type="markdown"))

    text = json.dumps(kit.notebook(right))
    give("broken", text[: len(text) // 2])
    give("empty", "")
    give("no-notebook", "[1, 2, 3]")
    give("binary", bytes(range(256)) * 20)
    give("other-lesson", own_cell(kit.notebook(), "").__class__(kit.notebook() | {"cells": []}))
    give("only-text", "see my mail", "answer.txt")
    extra = give("extra-files", kit.notebook(right))
    (extra / "probes.py").write_text("raise SystemExit('a changed copy')")
    (extra / "answers.py").write_text("print('mine')")
    (extra / "data").mkdir()
    (extra / "data" / "big.csv").write_text("1,2\n" * 1000)


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    """The sample lesson handed in by thirty students, autograded once, with feedback and export."""
    lesson = sample_course(tmp_path_factory, "states")
    root = lesson.root
    hand_in_all(root, Kit(lesson))
    nbgrader(root, "db", "student", "add", "absent", "--last-name", "O'Neil, Jr")
    log = nbgrader(root, "autograde", LESSON, "--Execute.timeout=8", expect=1)
    log += nbgrader(root, "generate_feedback", LESSON)
    log += nbgrader(root, "export", "--to", "grades.csv")
    return Graded(root, log, grades(root / "grades.csv"))


FULL = ["right", "loud", "stderr-in-cell", "endless", "uses-demo", "renamed", "no-test", "no-setup"]
FULL += ["written", "duplicated", "pasted", "upside-down", "retyped", "script", "extra-files"]
NOTHING = ["untouched", "rows", "raises", "no-answer", "skip-tags", "edited-test", "silent", "dies-early"]
NOT_GRADABLE = ["two-renamed", "broken", "empty", "no-notebook", "binary", "other-lesson", "only-text"]


@pytest.mark.parametrize("student", FULL)
def test_honest_right_work_gets_its_points(graded: Graded, student: str) -> None:
    """Whatever happened around it, a right answer earns the two points that the test gives."""
    row = graded.rows[student]
    assert row["state"] in ("graded", "graded with remarks"), row
    assert float(row["score"]) == 2, (row, graded.log_of(student))
    assert float(row["max_score"]) == 3


@pytest.mark.parametrize("student", NOTHING)
def test_wrong_work_gets_none(graded: Graded, student: str) -> None:
    """A stub, a mistake, a tag, an edited test, a silenced test: each is graded, and earns nothing."""
    row = graded.rows[student]
    assert row["state"].startswith(("graded", "partly")), row
    assert float(row["score"]) == 0, row


@pytest.mark.parametrize("student", NOT_GRADABLE)
def test_what_cannot_be_graded_is_named_and_has_no_score(graded: Graded, student: str) -> None:
    """The state and the reason stand in the exported row, and the score is empty: not a zero."""
    row = graded.rows[student]
    assert row["state"] == "not gradable"
    assert row["score"] == row["raw_score"] == ""
    assert row["remarks"]
    assert student in graded.log


@pytest.mark.parametrize(
    ("student", "remark"),
    [
        ("renamed", 'the notebook was called "My homework (final).ipynb"'),
        ("no-test", f'the test cell "test_{NAME}" was missing and was put back'),
        ("no-answer", f'the answer cell "{NAME}" was missing and was put back'),
        ("no-setup", f'the locked cell "{LESSON}_setup" was missing and was put back'),
        ("duplicated", f'"{NAME}" was there 2 times: the last one worked on counts'),
        ("pasted", f'"{NAME}" had lost its mark and was recognised'),
        ("upside-down", f'the test of "{NAME}" stood above its answer'),
        ("retyped", f'"{NAME}" was a raw cell: taken as code'),
        ("silent", f'"test_{NAME}" earned nothing: its test was not run to the end'),
        ("endless", "a cell ran out of time: while True: pass"),
        ("dies-early", "ended the Python process: cells after that were not run"),
        ("two-renamed", "two notebooks could be meant, one.ipynb and two.ipynb"),
        ("broken", "the file cannot be read as a notebook (its JSON is damaged): ask for the file again"),
        ("other-lesson", "none of the lesson's answer cells is in it"),
        ("only-text", "there is no 00_sample.ipynb, only answer.txt"),
    ],
)
def test_the_exported_row_says_what_was_put_right(graded: Graded, student: str, remark: str) -> None:
    """Remarks in the CSV, and in the log of autograding or exporting."""
    assert remark in graded.rows[student]["remarks"], graded.rows[student]
    assert graded.log_of(student)


def test_states_tell_everything_apart(graded: Graded) -> None:
    """Nobody is missing; handed in nothing, graded, with remarks, in part, and not gradable differ."""
    states = {student: row["state"] for student, row in graded.rows.items()}
    assert set(states) == {*FULL, *NOTHING, *NOT_GRADABLE, "absent"}
    assert states["absent"] == "not submitted"
    assert graded.rows["absent"]["score"] == ""
    assert graded.rows["absent"]["last_name"] == "O'Neil, Jr"
    assert states["right"] == states["untouched"] == states["raises"] == "graded"
    assert states["renamed"] == "graded with remarks"
    assert states["dies-early"] == states["silent"] == "partly graded"


def test_only_an_answered_written_question_waits_for_a_person(graded: Graded) -> None:
    """nbgrader's needs_manual_grade is exported; an empty answer earns 0 without a person."""
    waiting = {student for student, row in graded.rows.items() if row["needs_manual_grade"] == "True"}
    assert waiting == {"written", "script"}


def test_demo_cells_do_not_run_unless_an_answer_builds_on_them(graded: Graded) -> None:
    """Experiments cost no time when grading; an answer that uses a name of theirs still works."""
    ran = [cell.execution_count for cell in graded.notebook("right").cells if is_demo(cell)]
    assert ran
    assert set(ran) == {None}
    assert any(
        cell.execution_count for cell in graded.notebook("uses-demo").cells if "torch.randn" in cell.source
    )


def test_noise_is_kept_as_a_note_and_costs_nothing(graded: Graded) -> None:
    """nbgrader zeroes a test cell with stderr in it; here it is shown as ordinary output."""
    test = Kit.cell(graded.notebook("loud"), f"test_{NAME}")
    assert not [output for output in test.outputs if output.get("name") == "stderr"]


def test_feedback_shows_verdict_and_hint_but_no_hidden_test_and_no_script(graded: Graded) -> None:
    """Students get back their work, its verdict and hint; nothing of the hidden half, nothing that runs."""
    rows = graded.feedback("rows")
    assert "average over dim 0" in rows
    secret = (graded.root / "solutions" / LESSON / "secret.json").read_text()
    values = json.loads(secret)["exercises"][NAME]["parts"][0]["expected"]
    for student in (*FULL, *NOTHING):
        page = graded.feedback(student)
        assert "HIDDEN TESTS" not in page
        assert "tlkit.exercises import" not in page
        for seed, labels in values.items():
            assert seed not in page
            for number in labels["the centred features"]["data"]:
                assert f"{abs(number):.4f}" not in page
    page = graded.feedback("script")
    assert page.count("<b>bold</b>") == 3  # the written answer, the student's Markdown and their HTML output
    assert running(page) == []


def running(page: str) -> list[str]:
    """What a browser would run or fetch of a page's body: scripts, event attributes, links, images."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            found.extend([tag] if tag in ("script", "iframe", "object", "embed", "base", "form") else [])
            found.extend(f"{name}={value}" for name, value in attributes if name.startswith("on"))
            found.extend(str(value) for _, value in attributes if "javascript:" in str(value))
            found.extend(
                str(value) for name, value in attributes if name == "src" and str(value)[:5] != "data:"
            )

    Reader().feed(page.split("</head>")[1])
    return found


def test_grading_again_and_regrading_one_keep_the_rest(graded: Graded) -> None:
    """Already graded work is skipped; a corrected file of one student is graded alone."""
    folder = graded.root / "submitted" / "broken" / LESSON
    kit = Kit(new_lesson_of(graded.root))
    hand_in(graded.root, "broken", LESSON, kit.notebook(kit.right))
    log = nbgrader(graded.root, "autograde", LESSON, "--student", "broken")
    assert "Skipping" not in log
    nbgrader(graded.root, "export", "--to", "again.csv")
    again = grades(graded.root / "again.csv")
    assert again["broken"]["state"] == "graded"
    assert float(again["broken"]["score"]) == 2
    assert {k: v for k, v in again.items() if k != "broken"} == {
        k: v for k, v in graded.rows.items() if k != "broken"
    }
    assert folder.is_dir()


def new_lesson_of(root: Path) -> Any:
    from tlkit.build.course import find_lessons

    return find_lessons(root)[0]


def test_a_stale_build_stops_grading_before_it_starts(graded: Graded) -> None:
    """Missing or old hidden tests end in a message, not in a class of zeros."""
    lesson = new_lesson_of(graded.root)
    before = _scores(graded.root)
    text = lesson.text.read_text()
    try:
        lesson.text.write_text(text.replace("Look at the data", "Look"))
        log = nbgrader(graded.root, "autograde", LESSON, "--force", expect=1)
        assert (
            "Stopped: solutions/00_sample was edited after it was built: run `tlkit build 00_sample`" in log
        )
        log = nbgrader(graded.root, "generate_assignment", LESSON, "--force", expect=1)
        assert "Stopped: solutions/00_sample was edited" in log
    finally:
        lesson.text.write_text(text)
    hidden = lesson.secret.rename(lesson.secret.with_suffix(".away"))
    try:
        log = nbgrader(graded.root, "autograde", LESSON, "--force", expect=1)
        assert "secret.json is missing" in log
    finally:
        hidden.rename(lesson.secret)
    assert _scores(graded.root) == before


def _scores(root: Path) -> list[Any]:
    with sqlite3.connect(root / "gradebook.db") as database:
        return sorted(database.execute("select id, auto_score, needs_manual_grade from grade").fetchall())
