"""The promises every exercise keeps, tested: for the tests of lessons, and for whoever writes one.

`assert_exercise_contract(folder, namespace)` raises one AssertionError that lists every broken promise.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tlkit.exercises.expected import PUBLIC_SEEDS, build_expected, right_parts, unhurried
from tlkit.exercises.judge import Verdict, judge
from tlkit.exercises.load import load_answers, load_probes
from tlkit.exercises.measure import Measured, measure
from tlkit.exercises.observe import Observation, observe
from tlkit.exercises.spec import Exercise, Spec

MANY_SEEDS = tuple(range(1000, 1012))
SECRET_SEEDS = (770_001, 770_002, 770_003)  # stand in for an instructor's secret ones
CONSTANTS: tuple[Any, ...] = (0, 1, 0.0, 1.0, True, False, None, "", [], {}, (), [0])
_SALT = 7  # another state of the global random generators than the build's


def assert_exercise_contract(
    folder: str | Path,
    namespace: Mapping[str, Any],
    *,
    solution_text: str | None = None,
    expected: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None,
    thorough: bool = True,
) -> dict[str, dict[str, int]]:
    """Test every exercise of a lesson; `namespace` holds the right answers.

    Right answers are accepted on many seeds, alternatives accepted, misconceptions rejected with their own
    hint, stubs not attempted; public observations replayed on secret seeds, and constants, earn nothing;
    expected.json holds no line of a solution (`solution_text`, by default the source of each right answer).
    `expected` is what `tlkit build` measured on public and on secret seeds, if that was done already.
    `thorough=False` halves the seeds and spares exercises of one case, which train for seconds: answers to
    them are left to the build, which runs right and wrong ones in two random states.

    Returns {exercise: {"alternatives": n, "misconceptions": n, "parts": n}}.
    """
    spec = load_probes(folder)
    answers = load_answers(folder, namespace, spec)
    public, secret = expected or (
        build_expected(folder, namespace, seeds) for seeds in (PUBLIC_SEEDS, SECRET_SEEDS)
    )
    broken: list[str] = []
    counts = {}
    for name, one in spec.exercises.items():
        entries = {"public": public["exercises"][name], "secret": secret["exercises"][name]}
        if one.seeds == 1 and not thorough:
            asked = {}
        else:
            asked = entries
            seeds = MANY_SEEDS[: 2 if one.seeds == 1 else 12 if thorough else 6]
            many = right_parts(spec, one, answers, namespace[name], seeds)
            broken += accepts_right(spec, one, namespace[name], {**entries["public"], "parts": many})
        others = [other for other in answers.alternatives if other.exercise == name]
        for other in others:
            for kind, entry in asked.items():
                verdict = _verdict(spec, one, other.code, entry)
                if verdict.outcome != "right":
                    broken.append(
                        f'{name}: alternative "{other.title}" is not accepted ({kind}): {_why(verdict)}'
                    )
        wrongs = [wrong for wrong in answers.misconceptions if wrong.exercise == name]
        for wrong in wrongs:
            for kind, entry in asked.items():
                verdict = _verdict(spec, one, wrong.code, entry)
                seen = [hint.key for hint in verdict.misconceptions]
                if verdict.outcome == "right":
                    broken.append(f'{name}: misconception "{wrong.key}" is accepted ({kind})')
                elif seen[:1] != [wrong.key]:
                    broken.append(
                        f'{name}: misconception "{wrong.key}" is answered with the hints {seen} ({kind})'
                    )
        broken += stub_is_not_attempted(spec, one, entries["public"])
        broken += replay_earns_nothing(name, entries["public"], entries["secret"])
        broken += constants_earn_nothing(spec, one, entries["secret"])
        broken += holds_no_solution(name, entries["public"], solution_text or _source(namespace[name]))
        counts[name] = {
            "alternatives": len(others),
            "misconceptions": len(wrongs),
            "parts": len(spec.probes[name]),
        }
    assert not broken, f"{len(broken)} broken promises in {folder}:\n- " + "\n- ".join(broken)
    return counts


def _verdict(spec: Spec, one: Exercise, code: Any, entry: Mapping[str, Any]) -> Verdict:
    seeds = [int(seed) for seed in entry["parts"][0]["expected"]]
    return judge(one.name, entry, measure(unhurried(one), spec.probes[one.name], code, seeds, salt=_SALT))


def _why(verdict: Verdict) -> str:
    faults = [
        f"{label.text}: {label.sentence}"
        for part in verdict.parts
        for label in part.labels
        if not label.holds
    ]
    return "; ".join(faults or [json.dumps(part.trouble) for part in verdict.parts if part.trouble])[:400]


def accepts_right(spec: Spec, one: Exercise, code: Any, entry: Mapping[str, Any]) -> list[str]:
    """A right answer is right on every seed of `entry`, whatever the global random generators do."""
    verdict = _verdict(spec, one, code, entry)
    return (
        []
        if verdict.outcome == "right"
        else [f"{one.name}: the right answer is not accepted: {_why(verdict)}"]
    )


def stub_is_not_attempted(spec: Spec, one: Exercise, entry: Mapping[str, Any]) -> list[str]:
    """The untouched stub is reported as not attempted and earns nothing."""
    namespace: dict[str, Any] = {}
    stub = f"def {one.name}(*args, **kwargs):\n    raise NotImplementedError('write me')\n"
    if entry["kind"] == "class":
        stub = (
            "class Blank(type):\n"
            "    def __getattr__(cls, name):  # as autograd's `apply` is called\n"
            "        raise AttributeError(name) if name.startswith('__') else NotImplementedError\n"
            f"class {one.name}(metaclass=Blank):\n"
            "    def __init__(self, *args, **kwargs):\n        raise NotImplementedError"
        )
    exec(stub, namespace)
    verdict = _verdict(spec, one, namespace[one.name], entry)
    fine = verdict.outcome == "not_attempted" and verdict.points == 0
    return [] if fine else [f"{one.name}: the stub is reported as {verdict.outcome}"]


def replay_earns_nothing(name: str, public: Mapping[str, Any], secret: Mapping[str, Any]) -> list[str]:
    """What expected.json tells about public seeds is worth nothing on secret ones, in any part."""
    broken: dict[str, None] = {}
    for seed in public["parts"][0]["expected"]:
        replayed = [part["expected"][seed] for part in public["parts"]]
        for title in _earning(name, secret, replayed):
            broken[f'{name}: part "{title}" is earned by replaying public observations'] = None
    return list(broken)


def constants_earn_nothing(spec: Spec, one: Exercise, entry: Mapping[str, Any]) -> list[str]:
    """Neither constant observations nor functions that return a constant or their own input earn any part."""
    broken: dict[str, None] = {}
    for word, shaped in _constants():
        observed = []
        for part in entry["parts"]:
            case = next(iter(part["expected"].values()))
            observed.append({label: shaped(value) for label, value in case.items()})
        for title in _earning(one.name, entry, observed):
            broken[f'{one.name}: part "{title}" is earned by observing {word} everywhere'] = None
    echoes = {
        f"argument {i + 1}": (lambda *args, i=i, **_: args[i] if i < len(args) else None) for i in range(3)
    }
    functions = {repr(c): (lambda *_args, c=c, **_kwargs: c) for c in CONSTANTS}
    for word, function in {**functions, **echoes}.items():
        for part in _verdict(spec, one, function, entry).parts:
            if part.earned:
                broken[f'{one.name}: part "{part.title}" is earned by a function that returns {word}'] = None
    return list(broken)


def _constants() -> Iterator[tuple[str, Any]]:
    """(in words, a function from an expected observation to the constant that would replace it)."""
    for constant in CONSTANTS:
        yield repr(constant), lambda _value, c=constant: observe(c)
    for number in (0, 1):
        yield f"arrays of {number}", lambda value, n=number: _filled(value, n)


def _filled(value: Observation, number: int) -> Observation:
    if isinstance(value, dict) and "array" in value:
        kind = {"bool": bool}.get(value["dtype"], float if "float" in value["dtype"] else int)
        return {**value, "data": [kind(number)] * len(value["data"])}
    return number


def _earning(name: str, entry: Mapping[str, Any], observed: Sequence[Mapping[str, Observation]]) -> list[str]:
    """Titles of the parts earned by showing the same observations on every seed."""
    parts = [
        {seed: {"values": dict(values)} for seed in part["expected"]}
        for part, values in zip(entry["parts"], observed, strict=True)
    ]
    return [part.title for part in judge(name, entry, Measured(parts=parts)).parts if part.earned]


def _source(code: Any) -> str:
    """Source of a function, or of the methods of a class that was executed rather than imported."""
    if isinstance(code, type):
        return "\n".join(
            inspect.getsource(member) for member in vars(code).values() if inspect.isfunction(member)
        )
    return inspect.getsource(code)


def holds_no_solution(name: str, entry: Mapping[str, Any], source: str) -> list[str]:
    """No line of code of a solution stands in what students are given (hints may quote what they like)."""
    shown = {key: value for key, value in entry.items() if key not in ("hints", "signature")}
    shown["misconceptions"] = [{**wrong, "hint": ""} for wrong in entry["misconceptions"].values()]
    text = json.dumps(shown)
    lines = {line.strip() for line in source.splitlines()}
    code = [
        line
        for line in lines
        if len(line) >= 25 and any(sign in line for sign in "=()[]") and "def " not in line
    ]
    return [
        f"{name}: expected.json quotes the solution: {line}"
        for line in code
        if json.dumps(line)[1:-1] in text
    ]
