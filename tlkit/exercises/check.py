"""`check`, `grade`, `hint` and `quiz`: what students and test cells call."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tlkit.exercises import progress
from tlkit.exercises.find import find_code
from tlkit.exercises.judge import Verdict, judge
from tlkit.exercises.lesson import Lesson, LessonError, find_lesson, probes_match, read_expected
from tlkit.exercises.measure import measure
from tlkit.exercises.present import Result
from tlkit.exercises.show import Card, hint_card, problem_card, question_card

_UNSET: Any = object()


def check(name: str | Callable[..., Any], code: Any = _UNSET) -> Result:
    """Judge your own code for exercise `name` on public cases and say what holds, what differs and why.

    The function (or class) is taken from the notebook by its name; `check("name", other)` judges another one.
    Never raises, whatever the code does, except on an interrupt of your own. While nbgrader grades it does
    nothing: the hidden `grade` below it measures the same, and measuring twice takes twice as long.
    """
    if os.environ.get("NBGRADER_EXECUTION") == "autograde":
        return Result(_unchecked(str(name), "Not measured here: the hidden cases of the test cell count."))
    namespace = sys._getframe(1).f_globals
    if not isinstance(name, str):
        if not callable(name):
            return Result(
                _unchecked("check", 'check takes the name of an exercise in quotes: check("name").')
            )
        name, code = getattr(name, "__name__", "") or type(name).__name__, name
    try:
        lesson = find_lesson(name)
        if name not in lesson.expected["exercises"]:
            raise LessonError(f'"{name}" is a question, not an exercise: show it with quiz("{name}").')
        if not probes_match(lesson):
            raise LessonError(
                f"probes.py and expected.json in {lesson.folder} do not belong together. Get a fresh copy "
                f"of the "
                "lesson's folder (instructors: run `tlkit build`)."
            )
    except LessonError as error:
        return Result(_unchecked(name, str(error)))
    verdict = _judge(name, code, namespace, lesson, lesson.expected, blind=False)
    if verdict.outcome != "unchecked":
        progress.record_check(lesson.folder.parent, name, verdict.outcome, verdict.points, verdict.max_points)
    return Result(verdict)


def grade(name: str) -> Result:
    """Judge the notebook's own code on secret cases, for the hidden part of a test cell; shows no secret
    value.

    Reads solutions/<lesson>/secret.json of the course around the working folder. FileNotFoundError without
    it.
    """
    namespace = sys._getframe(1).f_globals
    lesson = _secret_lesson(name)
    return Result(_judge(name, _UNSET, namespace, lesson, lesson.expected, blind=True))


def _secret_lesson(name: str) -> Lesson:
    here = Path.cwd()
    for root in (here, *here.parents):
        if not (root / "nbgrader_config.py").is_file():
            continue
        for path in sorted(root.glob("solutions/*/secret.json")):
            content = read_expected(path)
            if name in content["exercises"]:
                lesson = Lesson(path.parent, content)
                if not probes_match(lesson):
                    raise FileNotFoundError(
                        f"{path} was made from another probes.py. Run `tlkit build` in {root}."
                    )
                return lesson
        raise FileNotFoundError(
            f'No solutions/*/secret.json under {root} has exercise "{name}". Run `tlkit build` there before '
            f"grading."
        )
    raise FileNotFoundError(
        f"No nbgrader_config.py in {here} or above it: grading runs inside the course's folder."
    )


def _unchecked(name: str, problem: str, max_points: float = 0.0) -> Verdict:
    return Verdict(name=name, outcome="unchecked", points=0.0, max_points=max_points, problem=problem)


def _judge(
    name: str,
    code: Any,
    namespace: Mapping[str, Any],
    lesson: Lesson,
    content: Mapping[str, Any],
    *,
    blind: bool,
) -> Verdict:
    entry = content["exercises"][name]
    found, problem = find_code(name, entry, namespace) if code is _UNSET else (code, "")
    if not problem:
        problem = unusable(name, entry, found, given=code is not _UNSET)
    if problem:
        return _unchecked(name, problem, float(entry["points"]))
    spec = lesson.spec()
    seeds = [int(seed) for seed in entry["parts"][0]["expected"]]
    measured = measure(spec.exercises[name], spec.probes[name], found, seeds)
    return judge(name, entry, measured, blind=blind)


def unusable(name: str, entry: Mapping[str, Any], code: Any, *, given: bool) -> str:
    """Why `code` cannot be what the exercise asks for, "" if it can."""
    from tlkit.exercises.observe import type_name

    wanted = "class" if entry["kind"] == "class" else "function"
    if not callable(code):
        what = f"a value of type {type_name(code)}"
        if given:
            return (
                f'check("{name}", …) takes the {wanted} itself, not its result ({what}): write '
                f'check("{name}", {name}).'
            )
        return (
            f"{name} is {what} in this notebook, not a {wanted}: the name was given another value. Run the "
            f"cell that "
            f"defines {name} again."
        )
    if isinstance(code, type) and wanted == "function":
        return f"{name} is a class; a function is asked for: def {entry['signature']}."
    if not isinstance(code, type) and wanted == "class" and type(code).__name__ == "function":
        return f"{name} is a function; a class is asked for: class {name}."
    return ""


def hint(name: str, *, reset: bool = False) -> Card:
    """Show the next hint of exercise `name`, from gentle to concrete; `reset=True` starts again."""
    try:
        lesson = find_lesson(name)
        hints = lesson.expected["exercises"][name]["hints"]
    except LessonError as error:
        return problem_card(name, str(error))
    except KeyError:
        return problem_card(name, f'"{name}" is a question: quiz("{name}") shows it.')
    course = lesson.folder.parent
    seen = 0 if reset else progress.hints_seen(course, name)
    shown = min(seen + 1, len(hints))
    progress.record_hints(course, name, shown)
    return hint_card(name, hints[:shown], len(hints))


def quiz(name: str) -> Any:
    """Show the predict-first question `name`; every choice has its explanation."""
    try:
        lesson = find_lesson(name)
        asked = lesson.spec().questions[name]
    except LessonError as error:
        return problem_card(name, str(error))
    except KeyError:
        return problem_card(name, f'"{name}" is an exercise: check("{name}") judges it.')
    return question_card(asked, lesson.folder.parent)
