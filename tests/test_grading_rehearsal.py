"""`tlkit grade` runs the lesson's own answers before a class, and says what would give everybody nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from course_for_tests import environment, nbgrader, sample_course
from submissions import Kit, hand_in

from tlkit.build.command import build
from tlkit.build.course import find_lessons
from tlkit.grading.gradebook import Course
from tlkit.grading.isolation.levels import best
from tlkit.grading.records import Records
from tlkit.grading.rehearsal import rehearsed
from tlkit.grading.run import Grading

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LESSON, NAME = "00_sample", "center_sample"
FIRST = "own answers are run first"


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with one right submission."""
    lesson = sample_course(tmp_path_factory, "rehearsed")
    kit = Kit(lesson)
    hand_in(lesson.root, "right", LESSON, kit.notebook(kit.right))
    return lesson.root


def grade(root: Path, *arguments: str, expect: int = 0) -> str:
    command = [sys.executable, "-m", "tlkit", "grade", LESSON, *arguments]
    run = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, timeout=300)
    output = run.stdout + run.stderr
    assert run.returncode == expect, output[-4000:]
    return output


def test_it_is_done_once_and_again_when_limits_or_packages_change(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rehearsal costs one submission's time; other limits or other packages ask for another one."""
    assert FIRST not in grade(root, "--dry-run")
    assert FIRST in grade(root)
    assert FIRST not in grade(root, "--regrade")
    assert FIRST in grade(root, "--regrade", "--memory-gb", "2.5")
    assert [record.student for record in Records(root, LESSON).all()] == ["right"]
    (lesson,) = find_lessons(root)
    grading = Grading(Course(root), lesson, isolation=best([root, Path.home()]).name)
    assert rehearsed(grading)
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"purelib": str(tmp_path)})
    assert not rehearsed(grading)


def test_a_package_that_workers_do_not_see_stops_the_run(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lesson builds with it, from PYTHONPATH; a class would get 0 points for right answers."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "only_here.py").write_text("LESS = 1\n")
    monkeypatch.setenv("PYTHONPATH", str(elsewhere))
    monkeypatch.syspath_prepend(str(elsewhere))
    text = root / "solutions" / LESSON / f"{LESSON}.py"
    lesson = text.read_text(encoding="utf-8")
    text.write_text(lesson.replace("import torch\n", "import torch\nimport only_here\n", 1), encoding="utf-8")
    assert build(root, [], check=False) == []
    nbgrader(root, "generate_assignment", LESSON, "--force")

    said = grade(root, expect=2)
    assert "was stopped by ModuleNotFoundError: No module named 'only_here'" in said
    assert "Workers see the packages installed in this environment" in said
    assert "Traceback" not in said
    assert Records(root, LESSON).all() == []
    assert not (root / "autograded").exists()

    assert "1 partly graded" in grade(root, "--no-rehearsal")


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("return features", "Every column is centred"),
        ("raise OSError('no such device')", "Every column is centred: OSError;"),
    ],
    ids=["wrong", "raises"],
)
def test_an_answer_that_is_right_only_outside_of_workers_stops_the_run(
    root: Path, there: str, said: str
) -> None:
    """A second set of cases does not help; the message names the exercise, its points and what is wrong."""
    text = root / "solutions" / LESSON / f"{LESSON}.py"
    begins = "    ### BEGIN SOLUTION\n"
    only_there = f"    import os\n    if os.environ.get('NBGRADER_EXECUTION'):\n        {there}\n"
    lesson = text.read_text(encoding="utf-8").replace(begins, begins + only_there, 1)
    text.write_text(lesson, encoding="utf-8")
    assert build(root, [], check=False) == []
    nbgrader(root, "generate_assignment", LESSON, "--force")
    found = grade(root, expect=2)
    assert f"{NAME} got 0 of" in found
    assert said in found
    assert Records(root, LESSON).all() == []


def test_a_limit_that_is_too_tight_is_named(root: Path) -> None:
    """Not even the lesson's own answers can be run in a hundredth of a second."""
    said = grade(root, "--total-seconds", "0.01", expect=2)
    assert "ran out of time" in said
    assert "See --total-seconds." in said
    assert Records(root, LESSON).all() == []
