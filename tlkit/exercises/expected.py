"""Make expected.json: what a right answer measures and, where they deviate, what each misconception measures.

`build_expected` is what `tlkit build` calls, on public seeds for students and on secret seeds for grading. It
refuses exercises that could not be judged fairly: it is the first test of every lesson.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tlkit.exercises.compare import compare
from tlkit.exercises.deviations import OTHER_SALTS, check_distinct, deviations
from tlkit.exercises.load import load_answers, load_probes
from tlkit.exercises.measure import Measured, Outcome, measure
from tlkit.exercises.rules import compare_all, is_judged
from tlkit.exercises.spec import Answers, Exercise, Spec, SpecError

FORMAT = 1
PUBLIC_SEEDS = (11, 12, 13)
MAX_PART_BYTES = 60_000  # of one part on one seed


def build_expected(folder: str | Path, namespace: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
    """The content of a lesson's expected.json (public seeds) or secret.json (secret seeds).

    `namespace` holds the right answers by name: the globals after the lesson's setup and solution cells.
    SpecError says which exercise cannot be judged and what to change.
    """
    spec = load_probes(folder)
    answers = load_answers(folder, namespace, spec)
    _check_rules(spec, answers)
    return {
        "format": FORMAT,
        "lesson": Path(folder).resolve().name,
        "probes": spec.digest,
        "questions": list(spec.questions),
        "exercises": {
            name: _entry(spec, one, answers, namespace, seeds) for name, one in spec.exercises.items()
        },
    }


def write_expected(path: str | Path, expected: Mapping[str, Any]) -> None:
    """Write expected.json so that a change in one observation is a change in one line."""
    Path(path).write_text(_pretty(expected) + "\n", encoding="utf-8")


def same_expected(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Are two contents the same but for rounding, which differs between processors? For the drift check.

    Everything but observations must be equal; observations within the default closeness (see compare.py).
    """
    return _same(one, other)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping) and "array" not in one:
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and (one == other or compare(one, other, {"dtype": "exact"}) is None)


def _pretty(value: Any, indent: int = 0, key: str = "") -> str:
    """JSON with one line per observation."""
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or not value or len(flat) < 100 or "array" in value:
        return flat
    if isinstance(value, list) and not isinstance(value[0], dict):
        return flat
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        rows = [
            f"{pad}{json.dumps(k, ensure_ascii=False)}: {_pretty(v, indent + 1)}" for k, v in value.items()
        ]
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + _pretty(item, indent + 1) for item in value) + "\n" + " " * indent + "]"


def _check_rules(spec: Spec, answers: Answers) -> None:
    for one in answers.rules:
        if one.label is None and set(one.rule) - {"rtol", "atol", "dtype"}:
            raise SpecError(f'accept("{one.exercise}"): {sorted(one.rule)} needs a label.')
        if "agreement_with" in one.rule and "at_least" not in one.rule:
            raise SpecError(f'accept("{one.exercise}", "{one.label}"): agreement_with needs at_least.')


def _entry(
    spec: Spec, one: Exercise, answers: Answers, namespace: Mapping[str, Any], seeds: Sequence[int]
) -> dict[str, Any]:
    if one.name not in namespace:
        raise SpecError(f'exercise "{one.name}": no solution cell defines a function or class of that name.')
    code = namespace[one.name]
    cases = tuple(seeds)[: one.seeds]
    parts = right_parts(spec, one, answers, code, cases)
    known = {
        wrong.key: {"hint": wrong.hint, "parts": deviations(spec, one, parts, wrong, cases)}
        for wrong in answers.misconceptions
        if wrong.exercise == one.name
    }
    check_distinct(one, parts, known)
    return {
        "kind": "class" if isinstance(code, type) else "function",
        "signature": _signature(one.name, code),
        "difficulty": one.difficulty,
        "minutes": one.minutes,
        "seconds": one.seconds,
        "why": one.why,
        "hints": list(one.hints),
        "points": spec.points(one.name),
        "parts": parts,
        "misconceptions": known,
    }


def right_parts(
    spec: Spec, one: Exercise, answers: Answers, code: Callable[..., Any], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """The "parts" of an entry: what the right answer measures on these seeds, and how it is to be judged."""
    right = run_right(spec, one, code, seeds)
    parts: list[dict[str, Any]] = []
    for probe, outcomes in zip(spec.probes[one.name], right.parts, strict=True):
        rules = rules_for(answers, one.name, outcomes)
        expected = {seed: outcome["values"] for seed, outcome in outcomes.items()}
        _check_part(one, probe.title, expected, rules)
        part = {"title": probe.title, "detail": probe.detail, "points": probe.points, "rules": rules}
        parts.append({**part, "expected": expected})
    unknown = {a.label for a in answers.rules if a.exercise == one.name and a.label} - {
        label for part in parts for case in part["expected"].values() for label in case
    }
    if unknown:
        raise SpecError(f'accept("{one.name}", "{unknown.pop()}"): no probe of this exercise has that label.')
    for salt in OTHER_SALTS[: one.seeds]:
        _check_stable(one, parts, run_right(spec, one, code, seeds, salt))
    return parts


def _signature(name: str, code: Callable[..., Any]) -> str:
    """Names and defaults, without annotations: what a caller must pass."""
    try:
        signature = inspect.signature(code)
    except (TypeError, ValueError):
        return name
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return name + str(inspect.Signature(bare))


def unhurried(one: Exercise) -> Exercise:
    """The exercise with a time limit that a busy machine keeps, for runs whose code is known to end."""
    return replace(one, seconds=10 * one.seconds)


def run_right(
    spec: Spec, one: Exercise, code: Callable[..., Any], seeds: Sequence[int], salt: int = 0
) -> Measured:
    """Measure a right answer; SpecError where it raises or takes too long."""
    measured = measure(unhurried(one), spec.probes[one.name], code, seeds, salt=salt)
    for probe, outcomes in zip(spec.probes[one.name], measured.parts, strict=True):
        for seed, outcome in outcomes.items():
            if "values" not in outcome:
                raise SpecError(
                    f'exercise "{one.name}", part "{probe.title}", seed {seed}: the right answer gives no '
                    f"values: {outcome}"
                )
    return measured


def rules_for(answers: Answers, name: str, outcomes: Mapping[str, Outcome]) -> dict[str, dict[str, Any]]:
    """{label: rule} of one part: the exercise's defaults, then what is said of the label itself."""
    labels = list(dict.fromkeys(label for outcome in outcomes.values() for label in outcome["values"]))
    rules: dict[str, dict[str, Any]] = {label: {} for label in labels}
    said = [one for one in answers.rules if one.exercise == name]
    for one in sorted(said, key=lambda one: one.label is not None):
        for label in labels if one.label is None else [one.label] if one.label in rules else []:
            rules[label] |= one.rule
            if truth := one.rule.get("agreement_with"):
                if truth not in rules:
                    raise SpecError(f'accept("{name}", "{label}"): no label "{truth}" in the same part.')
                rules[truth] |= {"context": True}
    return {label: rule for label, rule in rules.items() if rule}


def _check_part(one: Exercise, title: str, expected: Mapping[str, Any], rules: Mapping[str, Any]) -> None:
    where = f'exercise "{one.name}", part "{title}"'
    labels = [set(case) for case in expected.values()]
    if any(case != labels[0] for case in labels):
        raise SpecError(f"{where}: the labels must be the same on every seed.")
    if not any(is_judged(rules, label) for label in labels[0]):
        raise SpecError(f"{where}: nothing is judged, every label is context or a clue.")
    size = max(len(json.dumps(case)) for case in expected.values())
    if size > MAX_PART_BYTES:
        raise SpecError(
            f"{where}: {size:,} bytes of observations a seed; at most {MAX_PART_BYTES:,}: observe less."
        )
    if '{"object"' in json.dumps(expected) or '"data": null' in json.dumps(expected):
        raise SpecError(
            f"{where}: observes something that is not plain data; return numbers, text or small arrays."
        )


def _check_stable(one: Exercise, parts: Sequence[Mapping[str, Any]], again: Measured) -> None:
    for part, outcomes in zip(parts, again.parts, strict=True):
        for seed, expected in part["expected"].items():
            for label, fault in compare_all(expected, outcomes[seed]["values"], part["rules"]).items():
                if fault is not None:
                    raise SpecError(
                        f'exercise "{one.name}", part "{part["title"]}", "{label}" depends on the global '
                        f"random state: "
                        f"{fault.text}. Another right answer would draw other numbers; observe something it "
                        f"cannot change."
                    )
