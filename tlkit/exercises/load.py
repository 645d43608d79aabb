"""Read a lesson's probes.py and answers.py, and say what is wrong in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlkit.exercises.spec import (
    _RIGHT,
    _SLOT,
    Accepting,
    Alternative,
    Answers,
    Exercise,
    Misconception,
    Probe,
    Question,
    Spec,
    SpecError,
    _execute,
    digest,
)


def load_probes(folder: str | Path) -> Spec:
    """The exercises, probes and questions of the lesson in `folder`.

    SpecError where they contradict themselves.
    """
    folder = Path(folder)
    path = folder / "probes.py"
    declared = _execute(path, {}).__dict__.get(_SLOT, [])
    exercises: dict[str, Exercise] = {}
    questions: dict[str, Question] = {}
    probes: dict[str, list[Probe]] = {}
    for item in declared:
        if isinstance(item, Probe):
            probes.setdefault(item.exercise, []).append(item)
            continue
        if item.name in exercises or item.name in questions:
            raise SpecError(f'{path}: "{item.name}" is declared twice; names are unique.')
        if isinstance(item, Exercise):
            exercises[item.name] = item
        elif isinstance(item, Question):
            questions[item.name] = item
    for name in probes:
        if name not in exercises:
            raise SpecError(f'{path}: @probe("{name}") has no exercise("{name}", …) beside it.')
    for name, one in exercises.items():
        _check_exercise(path, one, probes.get(name, []))
    for name, asked in questions.items():
        _check_question(path, name, asked)
    parts = {name: tuple(probes[name]) for name in exercises}
    return Spec(folder, exercises, parts, questions, digest(path))


def _check_exercise(path: Path, one: Exercise, probes: list[Probe]) -> None:
    where = f'{path}: exercise "{one.name}"'
    if not one.name.isidentifier():
        raise SpecError(f"{where}: the name must be the name of the function, a Python identifier.")
    if not probes:
        raise SpecError(f'{where} has no probe; write @probe("{one.name}", points=…) below it.')
    if not 1 <= one.difficulty <= 5:
        raise SpecError(f"{where}: difficulty is {one.difficulty}; write 1 to 5.")
    if one.minutes <= 0 or one.seconds <= 0 or one.seeds < 1:
        raise SpecError(f"{where}: minutes, seconds and seeds must be positive.")
    if not one.hints or not one.why.strip():
        raise SpecError(f"{where}: needs at least one hint, and a sentence `why`.")
    titles = [probe.title for probe in probes]
    for probe in probes:
        if not probe.title:
            raise SpecError(f"{where}: a probe has no docstring; its first line is the title of the part.")
        if titles.count(probe.title) > 1:
            raise SpecError(f'{where}: two parts are titled "{probe.title}".')
        if not probe.points > 0:
            raise SpecError(f'{where}: part "{probe.title}" has {probe.points:g} points; write more than 0.')


def _check_question(path: Path, name: str, asked: Question) -> None:
    where = f'{path}: question "{name}"'
    if asked.answer not in asked.choices:
        raise SpecError(f'{where}: the answer "{asked.answer}" is none of the choices {list(asked.choices)}.')
    if len(asked.choices) < 2:
        raise SpecError(f"{where}: needs at least two choices.")
    for choice, explanation in asked.choices.items():
        if not explanation.strip():
            raise SpecError(f'{where}: choice "{choice}" has no explanation.')


def load_answers(folder: str | Path, right_namespace: Mapping[str, Any], spec: Spec) -> Answers:
    """The alternatives, misconceptions and rules in the lesson's answers.py (none of it: empty)."""
    path = Path(folder) / "answers.py"
    answers = Answers()
    if not path.is_file():
        return answers
    declared = _execute(path, {_RIGHT: dict(right_namespace)}).__dict__.get(_SLOT, [])
    keys: set[tuple[str, str]] = set()
    for item in declared:
        if not isinstance(item, Alternative | Misconception | Accepting):
            raise SpecError(f'{path}: "{getattr(item, "name", item)}" belongs in probes.py.')
        if item.exercise not in spec.exercises:
            raise SpecError(f'{path}: no exercise "{item.exercise}"; probes.py has {list(spec.exercises)}.')
        if isinstance(item, Alternative):
            answers.alternatives.append(item)
        elif isinstance(item, Accepting):
            answers.rules.append(item)
        else:
            if (item.exercise, item.key) in keys:
                raise SpecError(f'{path}: misconception "{item.key}" of {item.exercise} is declared twice.')
            if not item.hint.strip():
                raise SpecError(f'{path}: misconception "{item.key}" of {item.exercise} has no hint.')
            keys.add((item.exercise, item.key))
            answers.misconceptions.append(item)
    return answers
