"""Every lesson in solutions/ and course/: executed from top to bottom, and its exercises' promises kept."""

from __future__ import annotations

import functools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.notebooknode import NotebookNode

from tlkit.build import lesson as lesson_build
from tlkit.build.checks import check_unique
from tlkit.build.command import nbgrader_settings
from tlkit.build.compare import drift, strays
from tlkit.build.course import Lesson, course_secret, find_lessons
from tlkit.build.leaks import leaks
from tlkit.build.lesson import Built, build_lesson
from tlkit.build.names import defined, needed
from tlkit.build.notebooks import HIDDEN, graded, nbgrader, read_notebook, tags
from tlkit.build.right import right_answers
from tlkit.build.text import expand
from tlkit.exercises import expected
from tlkit.exercises.contract import SECRET_SEEDS, assert_exercise_contract
from tlkit.exercises.expected import PUBLIC_SEEDS
from tlkit.exercises.load import load_probes
from tlkit.exercises.spec import Exercise, Misconception, Spec

ROOT = Path(__file__).resolve().parents[1]
LESSONS = find_lessons(ROOT)
THOROUGH = os.environ.get("TLKIT_THOROUGH") == "1"  # takes three minutes more a lesson
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def every_lesson(function: object) -> object:
    return pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)(function)


def executed(notebook: NotebookNode, lesson: Lesson, folder: Path) -> NotebookNode:
    """The notebook run in a copy of the released folder, as a student would run it, errors kept."""
    shutil.copytree(lesson.released, folder / lesson.name)
    for cell in notebook.cells:
        cell.metadata.tags = [tag for tag in tags(cell) if tag != "skip-execution"]
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(folder / lesson.name)}},
    )
    started = time.monotonic()
    client.execute()
    print(f"{lesson.name}: {time.monotonic() - started:.0f} s")
    return notebook


def errors(notebook: NotebookNode) -> list[tuple[NotebookNode, NotebookNode]]:
    """(cell, its error output) of every cell that raised."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [(cell, output) for cell in code for output in cell.outputs if output.output_type == "error"]


@every_lesson
def test_solution_notebook_runs_and_every_check_is_right(lesson: Lesson, tmp_path: Path) -> None:
    """With the course's answers no cell raises, and each exercise's check gives its full points."""
    notebook = expand(lesson, load_probes(lesson.folder))
    for cell in graded(notebook, "grade").values():
        cell.source = cell.source.split(HIDDEN)[0]
    notebook = executed(notebook, lesson, tmp_path)
    assert [(cell.source[:200], error.ename, error.evalue) for cell, error in errors(notebook)] == []
    for name, cell in graded(notebook, "grade").items():
        if cell.cell_type == "code":
            shown = [output for output in cell.outputs if output.output_type == "execute_result"]
            scores = [float(output.data["text/plain"]) for output in shown]
            assert scores == [nbgrader(cell)["points"]], (name, scores)


@every_lesson
def test_released_notebook_is_stopped_by_stubs_alone(lesson: Lesson, tmp_path: Path) -> None:
    """A student who only runs cells meets NotImplementedError that says what to do, and nothing else.

    A cell below may miss a name that a stopped cell would have defined; each check says "not attempted".
    """
    notebook = executed(read_notebook(lesson.released / lesson.notebook.name), lesson, tmp_path)
    lost: set[str] = set()
    for cell, error in errors(notebook):
        if error.ename == "NotImplementedError":
            assert "hint(" in error.evalue, error.evalue
        else:
            assert error.ename == "NameError", (cell.source[:200], error.ename, error.evalue)
            assert needed(cell.source) & lost, (cell.source[:200], error.evalue)
        lost |= defined(cell.source)
    for name, cell in graded(notebook, "grade").items():
        if cell.cell_type == "code":
            text = str([output.get("data", output) for output in cell.outputs])
            assert "execute_result" in str(cell.outputs), (name, text)
            assert "not attempted" in text.lower(), (name, text[:500])


@pytest.fixture(scope="module")
def module_monkeypatch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def sparing(deviations: Callable[..., Any]) -> Callable[..., Any]:
    """`deviations` that spares exercises that train their mistakes on hidden cases; public ones remain."""

    def measured(spec: Spec, one: Exercise, parts: Any, wrong: Misconception, seeds: Sequence[int]) -> Any:
        if one.seeds > 1 or seeds[0] in PUBLIC_SEEDS:
            return deviations(spec, one, parts, wrong, seeds)
        return {"0": {str(seed): {"raises": wrong.key} for seed in seeds}}  # told apart, and never met

    return measured


@pytest.fixture(scope="module")
def build_once(
    tmp_path_factory: pytest.TempPathFactory, module_monkeypatch: pytest.MonkeyPatch
) -> Callable[[Lesson], Built]:
    """A lesson built in a folder of its own, once for all tests of it: measuring takes a minute or two.

    Its hidden cases are the same in every clone, so that a failure can be repeated.
    """
    module_monkeypatch.setattr(lesson_build, "hidden_seeds", lambda *_: SECRET_SEEDS)
    if not THOROUGH:
        module_monkeypatch.setattr(expected, "deviations", sparing(expected.deviations))
    settings = nbgrader_settings(ROOT)

    @functools.cache
    def once(lesson: Lesson) -> Built:
        return build_lesson(lesson, tmp_path_factory.mktemp(lesson.name).resolve(), settings, lambda _: None)

    return once


@every_lesson
def test_course_is_what_solutions_builds(lesson: Lesson, build_once: Callable[[Lesson], Built]) -> None:
    """The committed lesson is exactly what `tlkit build` makes of its sources, and nothing in it leaks."""
    built = build_once(lesson)
    assert [*built.problems, *drift(built)] == []


@every_lesson
def test_exercises_keep_their_contract(lesson: Lesson, build_once: Callable[[Lesson], Built]) -> None:
    """Right answers and alternatives pass, each misconception gets its own hint, replays earn nothing."""
    built = build_once(lesson)
    files = (built.staged.expected, built.staged.secret)
    public, secret = (json.loads(path.read_text("utf-8")) for path in files)
    namespace = right_answers(lesson, built.notebook)
    assert assert_exercise_contract(lesson.folder, namespace, expected=(public, secret), thorough=THOROUGH)


def test_lessons_do_not_clash_or_give_each_other_away() -> None:
    """Names are unique over the course, no folder is left over, no lesson shows another one's answers."""
    notebooks = {lesson: expand(lesson, load_probes(lesson.folder)) for lesson in LESSONS}
    questions = {lesson.name: list(load_probes(lesson.folder).questions) for lesson in LESSONS}
    assert check_unique({lesson.name: notebook for lesson, notebook in notebooks.items()}, questions) == []
    assert strays(ROOT, LESSONS) == []
    for lesson, notebook in notebooks.items():
        for other in LESSONS:
            if other != lesson:
                assert leaks(lesson, notebook, other.released, course_secret(ROOT)) == []


def test_lessons_are_numbered_without_gaps_in_the_order_they_are_read() -> None:
    """00, 01, 02, …: the number in a lesson's name is its place."""
    assert [lesson.name[:2] for lesson in LESSONS] == [f"{number:02d}" for number in range(len(LESSONS))]


def test_every_lesson_is_released() -> None:
    """course/ holds a valid notebook for each lesson in solutions/."""
    for lesson in LESSONS:
        nbformat.validate(read_notebook(lesson.released / lesson.notebook.name))
