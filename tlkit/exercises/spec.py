"""What a lesson says about its exercises: probes.py (released) and answers.py (kept by instructors).

Both files are ordinary Python. The decorators here write what they are given into the globals of the file
that calls them; `load_probes` and `load_answers` execute a file and read it back. There is no registry: two
lessons loaded in one process know nothing of each other.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

_SLOT = "__tlkit_declared__"
_RIGHT = "__tlkit_right__"
_Code = TypeVar("_Code", bound=Callable[..., Any])


class SpecError(ValueError):
    """A lesson's probes.py or answers.py contradicts itself; the message says where and what to write."""


@dataclass(frozen=True)
class Exercise:
    """One function or class that students write.

    difficulty: 1 to 5. minutes: expected working time. why: one sentence shown after success. hints: from
    gentle to concrete. seconds: time limit of one check. seeds: how many cases are drawn (fewer for slow
    ones).
    """

    name: str
    difficulty: int
    minutes: int
    why: str
    hints: tuple[str, ...]
    seconds: float = 20.0
    seeds: int = 3


@dataclass(frozen=True)
class Probe:
    """One part of an exercise: `measure(code, rng)` returns {label: value}; its points are all or nothing."""

    exercise: str
    title: str
    detail: str
    points: float
    measure: Callable[..., Mapping[str, Any]]


@dataclass(frozen=True)
class Question:
    """A predict-first question: every choice carries its explanation; it is not graded."""

    name: str
    prompt: str
    choices: Mapping[str, str]
    answer: str


@dataclass(frozen=True)
class Spec:
    """All of one lesson's probes.py; `folder` is where it was read, `digest` names its exact text."""

    folder: Path
    exercises: Mapping[str, Exercise]
    probes: Mapping[str, tuple[Probe, ...]]
    questions: Mapping[str, Question]
    digest: str

    def points(self, name: str) -> float:
        """Points of one exercise: the sum over its parts."""
        return sum(probe.points for probe in self.probes[name])

    @property
    def total(self) -> float:
        """Points of the whole lesson, without the written questions."""
        return sum(self.points(name) for name in self.exercises)


@dataclass(frozen=True)
class Alternative:
    """Different correct code that must be accepted."""

    exercise: str
    title: str
    code: Callable[..., Any]


@dataclass(frozen=True)
class Misconception:
    """Plausible wrong code and the hint a good teacher would give; `key` is its short stable name."""

    exercise: str
    key: str
    hint: str
    code: Callable[..., Any]


@dataclass(frozen=True)
class Accepting:
    """One call of `accept`: how the values of a label (None: of the whole exercise) are judged."""

    exercise: str
    label: str | None
    rule: Mapping[str, Any]


@dataclass
class Answers:
    """All of one lesson's answers.py."""

    alternatives: list[Alternative] = field(default_factory=list)
    misconceptions: list[Misconception] = field(default_factory=list)
    rules: list[Accepting] = field(default_factory=list)


def _declared(depth: int = 2) -> list[Any]:
    """The list in the globals of the file that called the function that called this one."""
    declared: list[Any] = sys._getframe(depth).f_globals.setdefault(_SLOT, [])
    return declared


def exercise(
    name: str,
    *,
    difficulty: int,
    minutes: int,
    why: str,
    hints: Sequence[str],
    seconds: float = 20.0,
    seeds: int = 3,
) -> None:
    """Declare an exercise in probes.py; its parts follow as `@probe(name, points=…)`."""
    if isinstance(hints, str):
        raise SpecError(f'exercise "{name}": hints is one string; write a tuple: hints=("first", "second").')
    _declared().append(Exercise(name, difficulty, minutes, why, tuple(hints), float(seconds), seeds))


def probe(name: str, *, points: float) -> Callable[[_Code], _Code]:
    """Declare one part of exercise `name`; the first line of the docstring is its title."""
    declared = _declared()

    def declare(measure: _Code) -> _Code:
        title, _, detail = (inspect.getdoc(measure) or "").partition("\n")
        declared.append(Probe(name, title.strip(), detail.strip(), float(points), measure))
        return measure

    return declare


def question(name: str, *, prompt: str, choices: Mapping[str, str], answer: str) -> None:
    """Declare a predict-first question in probes.py: {choice: explanation} and the choice that is right."""
    _declared().append(Question(name, prompt, dict(choices), answer))


def alternative(name: str, title: str) -> Callable[[_Code], _Code]:
    """Declare, in answers.py, other correct code for exercise `name`.

    `title` says in which way it differs.
    """
    declared = _declared()

    def declare(code: _Code) -> _Code:
        declared.append(Alternative(name, title, code))
        return code

    return declare


def misconception(name: str, key: str, *, hint: str) -> Callable[[_Code], _Code]:
    """Declare, in answers.py, plausible wrong code for exercise `name` and the hint that answers it."""
    declared = _declared()

    def declare(code: _Code) -> _Code:
        declared.append(Misconception(name, key, hint, code))
        return code

    return declare


def accept(
    name: str,
    label: str | None = None,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    dtype: str | None = None,
    agreement_with: str | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    context: bool | None = None,
    clue: bool | None = None,
) -> None:
    """Say, in answers.py, how the values of exercise `name` are judged (of one label, or of all of them).

    Args:
        rtol, atol: closeness of floats, |found - expected| <= atol + rtol·|expected| (1e-4 and 1e-5).
        dtype: "exact" tells float32 from float64; the default "kind" tells float, int and bool apart.
        agreement_with, at_least: the value must equal that of another label in at least this share of its
            elements; the other label is then context and not judged itself.
        at_least, at_most: alone, bounds on a number.
        context: True shows a value to the rules of other labels without judging it.
        clue: True tells misconceptions apart by this value without judging it. Beside a clue that differs,
            any wrong predictions count as those of the misconception: no two trainings predict alike.
    """
    given = {
        "rtol": rtol,
        "atol": atol,
        "dtype": dtype,
        "agreement_with": agreement_with,
        "at_least": at_least,
        "at_most": at_most,
        "context": context,
        "clue": clue,
    }
    _declared().append(
        Accepting(name, label, {key: value for key, value in given.items() if value is not None})
    )


def right(name: str) -> Any:
    """In answers.py: the course's right answer of an exercise, taken from the lesson's solution cells."""
    namespace = sys._getframe(1).f_globals.get(_RIGHT, {})
    if name not in namespace:
        raise SpecError(
            f'right("{name}"): no solution cell defines {name}; known: {", ".join(namespace) or "none"}.'
        )
    return namespace[name]


def _execute(path: Path, inject: Mapping[str, Any]) -> ModuleType:
    """Run a file as a module of its own, not entered in sys.modules."""
    if not path.is_file():
        raise SpecError(f"{path.name} is missing in {path.parent}.")
    source = path.read_text(encoding="utf-8")
    module = ModuleType(f"tlkit_lesson_{path.stem}")
    module.__file__ = str(path)
    module.__dict__.update(inject)
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


def digest(path: Path) -> str:
    """A short name for the text of a file, the same whatever its line endings."""
    text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    return hashlib.sha256(text.encode()).hexdigest()[:16]
