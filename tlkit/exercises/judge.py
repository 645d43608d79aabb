"""From what was measured to a verdict: five outcomes, points part by part, the misconception behind them.

Works on plain data only: an entry of expected.json (or of secret.json) and a Measured. Nothing here has seen
the student's code, so the same function serves the notebook and a grader that does not trust its workers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tlkit.exercises.compare import Difference
from tlkit.exercises.measure import Measured, Outcome
from tlkit.exercises.rules import compare_all, is_judged, is_random, random_value, same_value

PartState = Literal["right", "wrong", "raised", "late", "not_attempted"]
State = Literal["not_attempted", "raised", "partly_right", "wrong", "right", "unchecked"]


@dataclass(frozen=True)
class Label:
    """One observation over all cases: `sentence` says how it differs, "" where it holds."""

    text: str
    holds: bool
    sentence: str = ""


@dataclass(frozen=True)
class Part:
    """One probe: its points are earned when every label holds on every case."""

    title: str
    points: float
    earned: float
    state: PartState
    labels: tuple[Label, ...] = ()
    trouble: Mapping[str, Any] = field(default_factory=dict)  # the first Outcome without values


@dataclass(frozen=True)
class Hint:
    """A recognised misconception; `sure` is False when only some parts show it."""

    key: str
    text: str
    sure: bool = True


@dataclass(frozen=True)
class Verdict:
    """What `check` and `grade` found. `problem` says why nothing could be judged (outcome "unchecked")."""

    name: str
    outcome: State
    points: float
    max_points: float
    parts: tuple[Part, ...] = ()
    misconceptions: tuple[Hint, ...] = ()
    why: str = ""
    problem: str = ""
    printed: str = ""
    warnings: tuple[str, ...] = ()
    abandoned: bool = False
    begun: bool = False
    signature: str = ""


def judge(name: str, entry: Mapping[str, Any], measured: Measured, *, blind: bool = False) -> Verdict:
    """Compare a measurement with the entry of `name`; `blind` keeps expected values out of every sentence."""
    parts = []
    failing: set[Spot] = set()
    for index, (part, outcomes) in enumerate(zip(entry["parts"], measured.parts, strict=True)):
        judged, failed = _judge_part(part, outcomes, blind)
        parts.append(judged)
        failing |= {(index, seed, label) for seed, label in failed}
    states = [part.state for part in parts]
    earned = sum(part.earned for part in parts)
    if all(state == "right" for state in states):
        outcome: State = "right"
    elif "right" in states:
        outcome = "partly_right"
    elif all(state == "not_attempted" for state in states):
        outcome = "not_attempted"
    elif all(state in ("raised", "late", "not_attempted") for state in states):
        outcome = "raised"
    else:
        outcome = "wrong"
    hints = recognise(entry, measured, failing) if outcome not in ("right", "not_attempted") else ()
    return Verdict(
        name=name,
        outcome=outcome,
        points=earned,
        max_points=float(entry["points"]),
        parts=tuple(parts),
        misconceptions=hints,
        why=entry["why"],
        printed="" if blind else measured.printed,
        warnings=tuple(measured.warnings),
        abandoned=measured.abandoned,
        begun=any(part.trouble.get("raised", {}).get("stub") == "begun" for part in parts),
        signature=entry.get("signature", ""),
    )


Spot = tuple[int, str, str]  # part, seed, label


def _judge_part(
    part: Mapping[str, Any], outcomes: Mapping[str, Outcome], blind: bool
) -> tuple[Part, set[tuple[str, str]]]:
    rules = part.get("rules", {})
    wrong: dict[str, Difference] = {}
    judged: dict[str, None] = {}
    failed: set[tuple[str, str]] = set()
    trouble: dict[str, Any] | None = None
    for seed, expected in part["expected"].items():
        labels = [label for label in expected if is_judged(rules, label)]
        judged |= dict.fromkeys(labels)
        outcome = outcomes.get(seed, {"skipped": "not measured"})
        if "values" not in outcome:
            failed |= {(seed, label) for label in labels}
            if trouble is None:
                trouble = outcome
            continue
        for label, difference in compare_all(expected, outcome["values"], rules).items():
            if difference is not None:
                failed.add((seed, label))
                wrong.setdefault(label, difference)
    points = float(part["points"])
    if trouble is not None:
        about = _without_values(trouble) if blind else trouble
        return Part(part["title"], points, 0.0, _state(trouble), (), about), failed
    texts = {label: (fault.blind if blind else fault.text) for label, fault in wrong.items()}
    rows = tuple(Label(label, label not in texts, texts.get(label, "")) for label in judged)
    right = not wrong and bool(judged)
    return Part(part["title"], points, points if right else 0.0, "right" if right else "wrong", rows), failed


def _state(trouble: Outcome) -> PartState:
    """The state of a part that gave no values."""
    if "raised" not in trouble:
        return "late"
    if trouble["raised"].get("stub"):
        return "not_attempted"
    return "wrong" if "returned" in trouble["raised"] else "raised"


def _without_values(trouble: Outcome) -> Outcome:
    """The message of an exception the student raised may hold the inputs of a secret case."""
    raised = trouble.get("raised")
    if raised is None or not str(raised.get("source", "")).startswith(("raise", "assert")):
        return trouble
    return {"raised": {**raised, "message": ""}}


def recognise(entry: Mapping[str, Any], measured: Measured, failing: set[Spot]) -> tuple[Hint, ...]:
    """Up to two misconceptions that explain what fails, the one that explains most first.

    A misconception is recognised where the student shows its value on every label on which it deviates from
    right; it is suggested ("sure" False) where that holds for whole parts and all its other labels fail
    otherwise.
    """
    found: list[_Match] = []
    for key, known in entry.get("misconceptions", {}).items():
        shown, other, random = _shown(known, entry, measured, failing)
        apart = not {spot[0] for spot in shown} & {spot[0] for spot in other}
        if shown and (not other or (other <= failing and apart)):
            found.append(_Match(Hint(key, known["hint"], not other and shown != random), shown, random))
    chosen: list[Hint] = []
    explained: set[Spot] = set()
    while found and len(chosen) < 2:
        best = max(found, key=lambda match: match.rank(explained))
        if not best.shown - explained:
            break
        chosen.append(best.hint)
        explained |= best.shown
        found.remove(best)
    return tuple(chosen)


@dataclass(frozen=True)
class _Match:
    """A misconception the measurement agrees with; on the spots in `random` any wrong value agrees."""

    hint: Hint
    shown: set[Spot]
    random: set[Spot]

    def rank(self, explained: set[Spot]) -> tuple[bool, float]:
        new = self.shown - explained
        return self.hint.sure, len(new) - 0.5 * len(new & self.random)


def _shown(
    known: Mapping[str, Any], entry: Mapping[str, Any], measured: Measured, failing: set[Spot]
) -> tuple[set[Spot], set[Spot], set[Spot]]:
    """Where the student shows this misconception's value, where not, and where any wrong value counts."""
    shown: set[Spot] = set()
    other: set[Spot] = set()
    random: set[Spot] = set()
    for index, seeds in known["parts"].items():
        part, outcomes = entry["parts"][int(index)], measured.parts[int(index)]
        for seed, deviation in seeds.items():
            outcome = outcomes.get(seed, {})
            if "raises" in deviation:
                spots = {(int(index), seed, label) for label in part["expected"][seed]}
                same = "raised" in outcome and how_it_failed(outcome["raised"]) == deviation["raises"]
                (shown if same else other).update(spots & failing if same else spots)
                continue
            for label, value in deviation["labels"].items():
                spot = (int(index), seed, label)
                counts = spot in failing or bool(part.get("rules", {}).get(label, {}).get("clue"))
                (shown if counts and _same_value(part, label, value, outcome) else other).add(spot)
                if is_random(value):
                    random.add(spot)
    return shown, other, shown & random


def how_it_failed(raised: Mapping[str, Any]) -> str:
    """An exception as a misconception is known by: type, message without its numbers, what was returned.

    The type alone would not do: a RuntimeError may be anything.
    """
    after = f" after {raised['returned']}" if "returned" in raised else ""
    return re.sub(r"\d+", "#", f"{raised['type']}{after}: {raised['message']}")[:120]


def _same_value(part: Mapping[str, Any], label: str, value: Any, outcome: Outcome) -> bool:
    if "values" not in outcome or label not in outcome["values"]:
        return False
    if is_random(value):
        return bool(value == random_value(outcome["values"][label]))
    return same_value(part.get("rules", {}), label, value, outcome["values"][label])
