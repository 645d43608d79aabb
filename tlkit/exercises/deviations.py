"""What the known misconceptions measure, and whether they can be told from right and from each other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tlkit.exercises.judge import how_it_failed
from tlkit.exercises.measure import Outcome, measure
from tlkit.exercises.rules import compare_all, is_random, random_value, same_value
from tlkit.exercises.spec import Exercise, Misconception, Spec, SpecError

OTHER_SALTS = (1, 2)  # other states of torch's random generator: nothing judged may depend on it
PROCESSOR_SECONDS = 40.0  # what a misconception may use at most: some train, and two threads count twice


def deviations(
    spec: Spec, one: Exercise, parts: Sequence[Mapping[str, Any]], wrong: Misconception, seeds: Sequence[int]
) -> dict[str, dict[str, Any]]:
    """{part: {seed: {"labels": {label: value}} or {"raises": how}}} where the misconception deviates."""
    quick = replace(one, seconds=min(one.seconds, PROCESSOR_SECONDS))
    runs = [
        # processor time: on a busy machine one that trains must not be taken for one that never ends
        measure(quick, spec.probes[one.name], wrong.code, seeds, salt=salt, clock=time.process_time)
        for salt in (0, *OTHER_SALTS[: one.seeds])  # exercises of one case train for seconds: one is enough
    ]
    found: dict[str, dict[str, Any]] = {}
    for index, part in enumerate(parts):
        for seed, expected in part["expected"].items():
            outcomes = [run.parts[index][seed] for run in runs]
            deviation = _deviation(expected, outcomes, part["rules"])
            if deviation:
                found.setdefault(str(index), {})[seed] = deviation
    if not found:
        raise SpecError(
            f'misconception "{wrong.key}" of {one.name} measures what a right answer measures: no probe '
            "tells them apart. Add an observation that does, or drop it."
        )
    return found


def _deviation(
    expected: Mapping[str, Any], outcomes: Sequence[Outcome], rules: Mapping[str, Any]
) -> dict[str, Any] | None:
    first = outcomes[0]
    if "values" not in first:
        return {"raises": how_it_failed(first["raised"]) if "raised" in first else "TimeUp"}
    faults = compare_all(expected, first["values"], rules)
    labels: dict[str, Any] = {}
    for label, fault in faults.items():
        if fault is None or label not in first["values"]:
            continue
        value = first["values"][label]
        again = [same_value(rules, label, value, run.get("values", {}).get(label)) for run in outcomes[1:]]
        labels[label] = (
            value if all(again) else random_value(value)
        )  # random: that it deviates is all that can be known
    if labels and (clues := _clues(expected, first["values"], rules)):
        trained = {label for label in labels if "agreement_with" in rules.get(label, {})}
        return {"labels": labels | {label: random_value(first["values"][label]) for label in trained} | clues}
    return {"labels": labels} if labels else None


def _clues(
    expected: Mapping[str, Any], values: Mapping[str, Any], rules: Mapping[str, Any]
) -> dict[str, Any]:
    """The clues on which a misconception differs from a right answer."""
    there = [label for label, rule in rules.items() if rule.get("clue") and label in values]
    return {
        label: values[label]
        for label in there
        if not same_value(rules, label, expected[label], values[label])
    }


def check_distinct(one: Exercise, parts: Sequence[Mapping[str, Any]], known: Mapping[str, Any]) -> None:
    """Two misconceptions that measure the same cannot each get their own hint."""
    keys = list(known)
    for i, first in enumerate(keys):
        for second in keys[i + 1 :]:
            if _same_deviations(parts, known[first]["parts"], known[second]["parts"]):
                raise SpecError(
                    f'misconceptions "{first}" and "{second}" of {one.name} measure the same: a student '
                    "could not be given the right one of the two hints. Add an observation that tells them "
                    "apart, or merge them."
                )


def _same_deviations(
    parts: Sequence[Mapping[str, Any]], one: Mapping[str, Any], other: Mapping[str, Any]
) -> bool:
    if one.keys() != other.keys():
        return False
    for index, seeds in one.items():
        rules = parts[int(index)]["rules"]
        if seeds.keys() != other[index].keys():
            return False
        for seed, deviation in seeds.items():
            twin = other[index][seed]
            if deviation.get("raises") != twin.get("raises"):
                return False
            labels, twins = deviation.get("labels", {}), twin.get("labels", {})
            if labels.keys() != twins.keys():
                return False
            for label, value in labels.items():
                if is_random(value) != is_random(twins[label]):
                    return False
                if value != twins[label] and not same_value(rules, label, value, twins[label]):
                    return False
    return True
