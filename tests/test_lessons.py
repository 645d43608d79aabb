"""Every lesson in solutions/ and course/: built, and its exercises' promises kept."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import nbformat
import pytest
from course_for_tests import CHECKOUT, LESSONS, every_lesson

from tlkit.build import lesson as lesson_build
from tlkit.build.checks import check_unique
from tlkit.build.command import nbgrader_settings
from tlkit.build.compare import drift, strays
from tlkit.build.course import Lesson, course_secret
from tlkit.build.leaks import leaks
from tlkit.build.lesson import Built, build_lesson
from tlkit.build.notebooks import read_notebook
from tlkit.build.right import right_answers
from tlkit.build.text import expand
from tlkit.exercises import expected
from tlkit.exercises.contract import SECRET_SEEDS, assert_exercise_contract
from tlkit.exercises.expected import PUBLIC_SEEDS
from tlkit.exercises.load import load_probes
from tlkit.exercises.spec import Exercise, Misconception, Spec

THOROUGH = os.environ.get("TLKIT_THOROUGH") == "1"  # takes three minutes more a lesson
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


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
    settings = nbgrader_settings(CHECKOUT)

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
    assert strays(CHECKOUT, LESSONS) == []
    for lesson, notebook in notebooks.items():
        for other in LESSONS:
            if other != lesson:
                assert leaks(lesson, notebook, other.released, course_secret(CHECKOUT)) == []


def test_lessons_are_numbered_without_gaps_in_the_order_they_are_read() -> None:
    """00, 01, 02, …: the number in a lesson's name is its place."""
    assert [lesson.name[:2] for lesson in LESSONS] == [f"{number:02d}" for number in range(len(LESSONS))]


def test_every_lesson_is_released() -> None:
    """course/ holds a valid notebook for each lesson in solutions/."""
    for lesson in LESSONS:
        nbformat.validate(read_notebook(lesson.released / lesson.notebook.name))
