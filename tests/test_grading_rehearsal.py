"""`tlkit grade` runs the lesson's own answers before a class, and says what would give everybody nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from course_for_tests import environment, nbgrader, sample_course
from submissions import Kit, hand_in

from tlkit.build.command import build
from tlkit.grading.records import Records

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LESSON = "00_sample"
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


def test_it_is_done_once_and_again_when_limits_change(root: Path) -> None:
    """The rehearsal costs one submission's time; other limits or other packages make another one."""
    assert FIRST not in grade(root, "--dry-run")
    assert FIRST in grade(root)
    assert FIRST not in grade(root, "--regrade")
    assert FIRST in grade(root, "--regrade", "--memory-gb", "2.5")
    assert [record.student for record in Records(root, LESSON).all()] == ["right"]


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


def test_a_limit_that_is_too_tight_is_named(root: Path) -> None:
    """Not even the lesson's own answers can be run in a hundredth of a second."""
    said = grade(root, "--total-seconds", "0.01", expect=2)
    assert "ran out of time" in said
    assert "See --total-seconds." in said
    assert Records(root, LESSON).all() == []
