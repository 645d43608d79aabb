"""Compare what was observed with what a right answer gives, and say in one sentence how they differ.

Works on observations only (see observe.py): no torch, nothing of the student's is called.

What counts as equal, unless `accept(…)` says otherwise:
- floats within atol + rtol·|expected|; NaN equals NaN; integers, strings and bools exactly;
- any width of float stands for another (dtype="exact" forbids it), likewise of int; float, int and bool differ
  from each other in arrays;
- a single number may be a Python number or a 0-d tensor; shape [1] is not a single number; 3 and 3.0 are the
  same single number, True and 1 are not;
- tensor and NumPy array differ, a tensor on another device differs; list and tuple do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlkit.exercises.observe import Observation, numbers

DEFAULT_RULE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5, "dtype": "kind"}
_MANY = 12  # values are shown up to this many


@dataclass(frozen=True)
class Difference:
    """`text` may name expected values; `blind` names none, for feedback on secret cases."""

    text: str
    blind: str


def compare_all(
    expected: Mapping[str, Observation],
    found: Mapping[str, Observation],
    rules: Mapping[str, Mapping[str, Any]],
) -> dict[str, Difference | None]:
    """Judge every label of one case: {label: None where it holds, else the difference}; context is left out."""
    verdicts: dict[str, Difference | None] = {}
    for label, value in expected.items():
        rule = {**DEFAULT_RULE, **rules.get(label, {})}
        if rule.get("context"):
            continue
        if label not in found:
            verdicts[label] = _same("was not measured")
        elif "agreement_with" in rule:
            truth = expected.get(rule["agreement_with"])
            verdicts[label] = _compare_agreement(truth, value, found[label], rule)
        elif "at_least" in rule or "at_most" in rule:
            verdicts[label] = _compare_bounds(value, found[label], rule)
        else:
            verdicts[label] = compare(value, found[label], rule)
    return verdicts


def compare(
    expected: Observation, found: Observation, rule: Mapping[str, Any] | None = None
) -> Difference | None:
    """None where `found` counts as `expected`, else the sentence that says how it differs."""
    rule = {**DEFAULT_RULE, **(rule or {})}
    if found is None and expected is not None:
        return _same("is None: did you forget `return`?")
    if isinstance(found, dict) and "object" in found:
        return _same(f"expected {describe(expected)}, found an object of type {found['object']}")
    one, other = _single(expected), _single(found)
    if one is not None and other is not None:
        return _compare_single(one, other, expected, found, rule)
    if one is not None and _is_array(found):
        return _same(f"expected a single number, found {describe(found)}")
    if _is_array(expected):
        return _compare_arrays(expected, found, rule)
    if isinstance(expected, str) or expected is None:
        return None if type(found) is type(expected) and found == expected else _values(expected, found)
    return _compare_containers(expected, found, rule)


def _same(text: str) -> Difference:
    return Difference(text, text)


def _values(expected: Observation, found: Observation) -> Difference:
    if _family(expected) != _family(found):
        return Difference(
            f"expected {describe(expected)}, found {describe(found)}", f"found {describe(found)}"
        )
    return Difference(
        f"expected {show(expected)}, found {show(found)}",
        f"found {show(found)}, which is not what a right answer gives",
    )


def _is_array(value: Observation) -> bool:
    return isinstance(value, dict) and "array" in value


def _single(value: Observation) -> int | float | bool | None:
    """The number of a Python scalar or of a 0-d array with data; None for anything else."""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        if "float" in value:
            return numbers([value["float"]])[0]
        if (
            "array" in value
            and value["shape"] == []
            and value["data"] is not None
            and len(value["data"]) == 1
        ):
            return numbers(value["data"])[0]
    return None


def _compare_single(
    one: float, other: float, expected: Observation, found: Observation, rule: Mapping[str, Any]
) -> Difference | None:
    if isinstance(one, bool) != isinstance(other, bool):
        return _same(f"expected {describe(expected)}, found {describe(found)}")
    if (
        _is_array(expected)
        and _is_array(found)
        and (fault := _compare_kind(expected, found, rule, single=True))
    ):
        return fault
    if isinstance(one, float) or isinstance(other, float):
        equal = _close(_as_float(one), _as_float(other), rule)
    else:
        equal = one == other
    if equal:
        return None
    if isinstance(other, float) and not math.isfinite(other):
        return Difference(f"expected {show(expected)}, found {show(found)}", f"found {show(found)}")
    return _values(expected, found)


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _close(expected: float, found: float, rule: Mapping[str, Any]) -> bool:
    if math.isnan(expected) or math.isnan(found):
        return math.isnan(expected) and math.isnan(found)
    if math.isinf(expected) or math.isinf(found):
        return expected == found
    return bool(abs(found - expected) <= rule["atol"] + rule["rtol"] * abs(expected))


def _kind(dtype: str) -> str:
    for kind in ("float", "complex", "bool"):
        if kind in dtype:
            return kind
    return "int" if "int" in dtype else dtype


def _compare_kind(
    expected: Any, found: Any, rule: Mapping[str, Any], *, single: bool = False
) -> Difference | None:
    """Device and dtype of two arrays."""
    if expected["device"] != found["device"]:
        return _same(f"expected a tensor on {expected['device']}, found one on {found['device']}")
    want, have = expected["dtype"], found["dtype"]
    exact = rule["dtype"] == "exact"
    if want != have and (exact or (not single and _kind(want) != _kind(have))):
        return _same(f"expected {want}, found {have}")
    return None


def _compare_arrays(expected: Any, found: Observation, rule: Mapping[str, Any]) -> Difference | None:
    if not _is_array(found) or (expected["array"] != found["array"] and expected["shape"] != []):
        return _same(f"expected {describe(expected)}, found {describe(found)}")
    if expected["shape"] != found["shape"]:
        return Difference(
            f"expected shape {expected['shape']}, found {found['shape']}",
            f"has the wrong shape: found {found['shape']}",
        )
    if fault := _compare_kind(expected, found, rule):
        return fault
    if found["data"] is None or expected["data"] is None:
        return _same(f"cannot be compared: {found.get('why', 'no values')}")
    want, have = numbers(expected["data"]), numbers(found["data"])
    inexact = "float" in found["dtype"] or "complex" in found["dtype"]
    if inexact:
        bad = [i for i, (a, b) in enumerate(zip(want, have, strict=True)) if not _close(a, b, rule)]
    else:
        bad = [i for i, (a, b) in enumerate(zip(want, have, strict=True)) if a != b]
    if not bad:
        return None
    for word, test in (("NaN", math.isnan), ("infinity", math.isinf)):
        broken = sum(1 for i in bad if isinstance(have[i], float) and test(have[i]))
        if broken:
            return _same(f"found {word} in {broken:,} of {len(have):,} values")
    return _array_values(expected, found, want, have, bad)


def _array_values(
    expected: Any, found: Any, want: list[float], have: list[float], bad: list[int]
) -> Difference:
    share = f"{len(bad):,} of {len(have):,} values differ"
    if len(have) <= _MANY:
        return Difference(
            f"expected {show(expected)}, found {show(found)}",
            f"found {show(found)}: {share} from what a right answer gives",
        )
    worst = max(bad, key=lambda i: abs(want[i] - have[i]) if math.isfinite(want[i]) else 0.0)
    where = _position(worst, expected["shape"])
    return Difference(
        f"{share}; the furthest, at {where}: expected {_text(want[worst])}, found {_text(have[worst])}",
        f"{share} from what a right answer gives",
    )


def _position(flat: int, shape: list[int]) -> list[int]:
    index = []
    for size in reversed(shape):
        index.append(flat % size)
        flat //= size
    return index[::-1]


def _items(value: Observation) -> list[Any] | None:
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and "tuple" in value:
        items: list[Any] = value["tuple"]
        return items
    return None


def _compare_containers(
    expected: Observation, found: Observation, rule: Mapping[str, Any]
) -> Difference | None:
    want, have = _items(expected), _items(found)
    if want is not None and have is not None:
        if len(want) != len(have):
            lengths = f"expected {len(want)} items, found {len(have)}"
            return Difference(lengths, f"found {len(have)} items, not the right number")
        for index, (a, b) in enumerate(zip(want, have, strict=True)):
            if fault := compare(a, b, rule):
                return Difference(f"item {index}: {fault.text}", f"item {index}: {fault.blind}")
        return None
    if _family(expected) != _family(found):
        return _values(expected, found)
    if "dict" in expected:
        return _compare_dicts(expected["dict"], found["dict"], rule)
    if "complex" in expected:
        pairs = zip(expected["complex"], found["complex"], strict=True)
        return _values(expected, found) if any(compare(a, b, rule) for a, b in pairs) else None
    return None if expected == found else _values(expected, found)


def _compare_dicts(expected: list[Any], found: list[Any], rule: Mapping[str, Any]) -> Difference | None:
    """Keys in any order; scalars as keys."""
    want = {show(key): value for key, value in expected}
    have = {show(key): value for key, value in found}
    missing, extra = [k for k in want if k not in have], [k for k in have if k not in want]
    if missing or extra:
        parts = [f"without {_listing(missing)}"] * bool(missing) + [
            f"with {_listing(extra)} too many"
        ] * bool(extra)
        blind = f"found the keys {_listing(list(have))}, not those of a right answer"
        return Difference("found a dict " + " and ".join(parts), blind)
    for key in want:
        if fault := compare(want[key], have[key], rule):
            return Difference(f"at {key}: {fault.text}", f"at {key}: {fault.blind}")
    return None


def _listing(keys: list[str]) -> str:
    return ", ".join(keys[:6]) + (", …" if len(keys) > 6 else "")


def _flat(value: Observation) -> list[Any] | None:
    if _is_array(value):
        return value["data"] if value["data"] is None else numbers(value["data"])
    return _items(value)


def _compare_agreement(
    truth: Observation, expected: Observation, found: Observation, rule: Mapping[str, Any]
) -> Difference | None:
    """The share of elements equal to the truth (which comes from the right answer's run, never the student's)."""
    true, have = _flat(truth), _flat(found)
    if (
        found is None
        or true is None
        or have is None
        or (_is_array(found) and _is_array(expected) and found["shape"] != expected["shape"])
    ):
        return compare(expected, found, rule) or _same(f"found {describe(found)}")
    if len(true) != len(have):
        return Difference(f"expected {len(true)} values, found {len(have)}", f"found {len(have)} values")
    share = sum(a == b for a, b in zip(true, have, strict=True)) / max(1, len(true))
    if share >= rule["at_least"]:
        return None
    return _same(
        f"{share:.1%} agree with “{rule['agreement_with']}”; at least {rule['at_least']:.0%} are asked for"
    )


def _compare_bounds(expected: Observation, found: Observation, rule: Mapping[str, Any]) -> Difference | None:
    number = _single(found)
    if number is None or isinstance(number, bool):
        return compare(expected, found, rule) or _same(f"expected a single number, found {describe(found)}")
    low, high = rule.get("at_least", -math.inf), rule.get("at_most", math.inf)
    if low <= number <= high:
        return None
    bound = f"at least {_text(low)}" if number < low else f"at most {_text(high)}"
    return _same(f"found {_text(number)}; {bound} is asked for")


def _family(value: Observation) -> str:
    if value is None or isinstance(value, bool | str):
        return type(value).__name__
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list) or "tuple" in value:
        return "sequence"
    if "float" in value:
        return "number"
    if "array" in value:
        return "number" if value["shape"] == [] else "array"
    return str(next(iter(value)))


def describe(value: Observation) -> str:
    """What kind of thing an observation is: "a float32 tensor of shape [8, 5]"."""
    if value is None:
        return "None"
    if isinstance(value, bool | int | float | str):
        words = {bool: "a bool", int: "an integer", float: "a float", str: "a string"}
        return words[type(value)] + f" ({show(value)})"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if "array" in value:
        thing = "tensor" if value["array"] == "tensor" else "NumPy array"
        where = f" on {value['device']}" if value["device"] != "cpu" else ""
        return f"a {value['dtype']} {thing} of shape {value['shape']}{where}"
    tag, inside = next(iter(value.items()))
    if tag in ("tuple", "set", "dict"):
        return f"a {tag} of {len(inside)}"
    return f"a {tag}" if tag != "object" else f"an object of type {inside}"


def show(value: Observation) -> str:
    """A short text of the value itself."""
    if isinstance(value, list) or (isinstance(value, dict) and ("tuple" in value or "set" in value)):
        items = value if isinstance(value, list) else next(iter(value.values()))
        inside = ", ".join(show(item) for item in items[:_MANY]) + (", …" if len(items) > _MANY else "")
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if isinstance(value, dict):
        if "array" in value:
            return _show_array(value)
        if "dict" in value:
            pairs = [f"{show(k)}: {show(v)}" for k, v in value["dict"][:6]]
            return "{" + ", ".join(pairs) + (", …" if len(value["dict"]) > 6 else "") + "}"
        return str(next(iter(value.values())))
    if isinstance(value, float):
        return _text(value)
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _show_array(value: Any) -> str:
    if value["data"] is None or len(value["data"]) > _MANY:
        return describe(value)
    flat = [_text(number) for number in numbers(value["data"])]
    for size in reversed(value["shape"][1:]):
        if size:
            flat = ["[" + ", ".join(flat[i : i + size]) + "]" for i in range(0, len(flat), size)]
    return flat[0] if value["shape"] == [] else "[" + ", ".join(flat) + "]"


def _text(number: float) -> str:
    if isinstance(number, bool | int):
        return str(number)
    return "NaN" if math.isnan(number) else f"{number:.5g}"
