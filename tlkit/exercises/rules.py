"""Judge all labels of one case, each by its own rule: closeness, agreement with another label, or bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tlkit.exercises.compare import (
    DEFAULT_RULE,
    Difference,
    compare,
    dtype_kind,
    is_array,
    items_of,
    plainly,
    single_number,
)
from tlkit.exercises.describe import describe, family, number_text
from tlkit.exercises.observe import Observation, numbers

CLOSENESS = ("rtol", "atol", "dtype")
SAME_PREDICTIONS = 0.95  # of two runs of the same misconception agree, on another machine


def is_judged(rules: Mapping[str, Mapping[str, Any]], label: str) -> bool:
    """Does the label decide on points, or does it only stand beside those that do?"""
    rule = rules.get(label, {})
    return not (rule.get("context") or rule.get("clue"))


def closeness(rules: Mapping[str, Mapping[str, Any]], label: str) -> dict[str, Any]:
    """The part of a label's rule that says when two values are the same."""
    return {key: value for key, value in rules.get(label, {}).items() if key in CLOSENESS}


def same_value(
    rules: Mapping[str, Mapping[str, Any]], label: str, known: Observation, found: Observation
) -> bool:
    """Is `found` the value `known` of a misconception? Predictions judged by agreement may differ in some."""
    if "agreement_with" in rules.get(label, {}):
        one, other = _flat(known), _flat(found)
        if one and other and len(one) == len(other):
            equal = sum(a == b for a, b in zip(one, other, strict=True))
            return bool(equal >= SAME_PREDICTIONS * len(one))
    return compare(known, found, closeness(rules, label)) is None


def random_value(value: Observation) -> Observation:
    """Stands for a misconception's value where that depends on chance: only its kind and shape are known."""
    if is_array(value):
        return {"any": [value["array"], dtype_kind(value["dtype"]), value["shape"], value["device"]]}
    return {"any": family(value)}


def is_random(value: Observation) -> bool:
    """Was this made by `random_value`?"""
    return isinstance(value, dict) and "any" in value


def compare_all(
    expected: Mapping[str, Observation],
    found: Mapping[str, Observation],
    rules: Mapping[str, Mapping[str, Any]],
) -> dict[str, Difference | None]:
    """Judge one case: {label: None where it holds, else the difference}; context and clues are left out."""
    verdicts: dict[str, Difference | None] = {}
    for label, value in expected.items():
        if not is_judged(rules, label):
            continue
        rule = {**DEFAULT_RULE, **rules.get(label, {})}
        if label not in found:
            verdicts[label] = plainly("was not measured")
        elif found[label] is None and value is not None:
            verdicts[label] = plainly("is None: did you forget `return`?")
        elif "agreement_with" in rule:
            truth = expected.get(rule["agreement_with"])
            verdicts[label] = _compare_agreement(truth, value, found[label], rule)
        elif "at_least" in rule or "at_most" in rule:
            verdicts[label] = _compare_bounds(value, found[label], rule)
        else:
            verdicts[label] = compare(value, found[label], rule)
    return verdicts


def _flat(value: Observation) -> list[Any] | None:
    if is_array(value):
        return value["data"] if value["data"] is None else numbers(value["data"])
    return items_of(value)


def _compare_agreement(
    truth: Observation, expected: Observation, found: Observation, rule: Mapping[str, Any]
) -> Difference | None:
    """The share of elements equal to the truth, which comes from the right answer's run."""
    true, have = _flat(truth), _flat(found)
    if (
        found is None
        or true is None
        or have is None
        or (is_array(found) and is_array(expected) and found["shape"] != expected["shape"])
    ):
        return compare(expected, found, rule) or plainly(f"found {describe(found)}")
    if len(true) != len(have):
        return Difference(f"expected {len(true)} values, found {len(have)}", f"found {len(have)} values")
    share = sum(a == b for a, b in zip(true, have, strict=True)) / max(1, len(true))
    if share >= rule["at_least"]:
        return None
    return plainly(
        f"{share:.1%} agree with “{rule['agreement_with']}”; at least {rule['at_least']:.0%} are asked for"
    )


def _compare_bounds(expected: Observation, found: Observation, rule: Mapping[str, Any]) -> Difference | None:
    number = single_number(found)
    if number is None or isinstance(number, bool):
        return compare(expected, found, rule) or plainly(f"expected a single number, found {describe(found)}")
    low, high = rule.get("at_least", -math.inf), rule.get("at_most", math.inf)
    if low <= number <= high:
        return None
    bound = f"at least {number_text(low)}" if number < low else f"at most {number_text(high)}"
    return plainly(f"found {number_text(number)}; {bound} is asked for")
