"""Compare what was observed with what a right answer gives, and say in one sentence how they differ.

Works on observations only (see observe.py): no torch, nothing of the student's is called.

What counts as equal, unless `accept(…)` says otherwise:
- floats within atol + rtol·|expected|; NaN equals NaN; integers, strings and bools exactly;
- any width of float stands for another (dtype="exact" forbids it), likewise of int; float, int and bool
  differ from each other in arrays;
- a single number may be a Python number or a 0-d tensor; shape [1] is not a single number; 3 and 3.0 are the
  same single number, True and 1 are not;
- tensor and NumPy array differ, a tensor on another device differs; list and tuple do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlkit.exercises.describe import MANY, describe, family, number_text, show
from tlkit.exercises.observe import Observation, numbers

DEFAULT_RULE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5, "dtype": "kind"}


@dataclass(frozen=True)
class Difference:
    """`text` may name expected values; `blind` names none, for feedback on secret cases."""

    text: str
    blind: str


def compare(
    expected: Observation, found: Observation, rule: Mapping[str, Any] | None = None
) -> Difference | None:
    """None where `found` counts as `expected`, else the sentence that says how it differs."""
    rule = {**DEFAULT_RULE, **(rule or {})}
    if found is None and expected is not None:
        return _kinds(expected, "None")
    if isinstance(found, dict) and "object" in found:
        return _kinds(expected, f"an object of type {found['object']}")
    one, other = single_number(expected), single_number(found)
    if one is not None and other is not None:
        return _compare_single(one, other, expected, found, rule)
    if one is not None and is_array(found):
        return plainly(f"expected a single number, found {describe(found)}")
    if is_array(expected):
        return _compare_arrays(expected, found, rule)
    if isinstance(expected, str) or expected is None:
        return None if type(found) is type(expected) and found == expected else _values(expected, found)
    return _compare_containers(expected, found, rule)


def plainly(text: str) -> Difference:
    """A difference that names no expected value."""
    return Difference(text, text)


def _values(expected: Observation, found: Observation) -> Difference:
    if family(expected) != family(found):
        return Difference(
            f"expected {describe(expected)}, found {describe(found)}", f"found {describe(found)}"
        )
    return Difference(
        f"expected {show(expected)}, found {show(found)}",
        f"found {show(found)}, which is not what a right answer gives",
    )


def _kinds(expected: Observation, found: str) -> Difference:
    """Two kinds of thing; `blind` leaves out the value, the length and the shape that were expected."""
    about = describe(expected)
    kind = about.split(" (")[0].split(" of ")[0]
    return Difference(f"expected {about}, found {found}", f"expected {kind}, found {found}")


def is_array(value: Observation) -> bool:
    """Is this the observation of a tensor or a NumPy array?"""
    return isinstance(value, dict) and "array" in value


def single_number(value: Observation) -> int | float | bool | None:
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
        return _kinds(expected, describe(found))
    if (
        is_array(expected)
        and is_array(found)
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


def dtype_kind(dtype: str) -> str:
    """float, int, bool or complex."""
    for kind in ("float", "complex", "bool"):
        if kind in dtype:
            return kind
    return "int" if "int" in dtype else dtype


def _compare_kind(
    expected: Any, found: Any, rule: Mapping[str, Any], *, single: bool = False
) -> Difference | None:
    """Device and dtype of two arrays."""
    if expected["device"] != found["device"]:
        return plainly(f"expected a tensor on {expected['device']}, found one on {found['device']}")
    want, have = expected["dtype"], found["dtype"]
    exact = rule["dtype"] == "exact"
    if want != have and (exact or (not single and dtype_kind(want) != dtype_kind(have))):
        return plainly(f"expected {want}, found {have}")
    return None


def _compare_arrays(expected: Any, found: Observation, rule: Mapping[str, Any]) -> Difference | None:
    if not is_array(found) or (expected["array"] != found["array"] and expected["shape"] != []):
        return _kinds(expected, describe(found))
    if expected["shape"] != found["shape"]:
        return Difference(
            f"expected shape {expected['shape']}, found {found['shape']}",
            f"has the wrong shape: found {found['shape']}",
        )
    if fault := _compare_kind(expected, found, rule):
        return fault
    if found["data"] is None or expected["data"] is None:
        return plainly(f"cannot be compared: {found.get('why', 'no values')}")
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
            return plainly(f"found {word} in {broken:,} of {len(have):,} values")
    return _array_values(expected, found, want, have, bad)


def _array_values(
    expected: Any, found: Any, want: list[float], have: list[float], bad: list[int]
) -> Difference:
    share = f"{len(bad):,} of {len(have):,} values differ"
    if len(have) <= MANY:
        return Difference(
            f"expected {show(expected)}, found {show(found)}",
            f"{share} from what a right answer gives",
        )
    worst = max(bad, key=lambda i: abs(want[i] - have[i]) if math.isfinite(want[i]) else 0.0)
    where = f"at {_position(worst, expected['shape'])}"
    furthest = f"expected {number_text(want[worst])}, found {number_text(have[worst])}"
    return Difference(
        f"{share}; the furthest, {where}: {furthest}",
        f"{share} from what a right answer gives",
    )


def _position(flat: int, shape: list[int]) -> list[int]:
    index = []
    for size in reversed(shape):
        index.append(flat % size)
        flat //= size
    return index[::-1]


def items_of(value: Observation) -> list[Any] | None:
    """The items of a list or tuple; None for anything else."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and "tuple" in value:
        items: list[Any] = value["tuple"]
        return items
    return None


def _compare_containers(
    expected: Observation, found: Observation, rule: Mapping[str, Any]
) -> Difference | None:
    want, have = items_of(expected), items_of(found)
    if want is not None and have is not None:
        if names_only(want) and names_only(have) and set(want) != set(have):
            return _names_apart("list", [show(name) for name in want], [show(name) for name in have])
        if len(want) != len(have):
            lengths = f"expected {_items(len(want))}, found {len(have)}"
            return Difference(lengths, f"found {_items(len(have))}, not the right number")
        for index, (a, b) in enumerate(zip(want, have, strict=True)):
            if fault := compare(a, b, rule):
                return Difference(f"item {index}: {fault.text}", f"item {index}: {fault.blind}")
        return None
    if family(expected) != family(found):
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
    if set(want) != set(have):
        return _names_apart("dict", list(want), list(have))
    for key in want:
        if fault := compare(want[key], have[key], rule):
            return Difference(f"at {key}: {fault.text}", f"at {key}: {fault.blind}")
    return None


def names_only(items: list[Any]) -> bool:
    """Are all of these strings?"""
    return all(isinstance(item, str) for item in items)


def _names_apart(kind: str, want: list[str], have: list[str]) -> Difference:
    """Keys of a dict or names in a list, of which some are missing or too many."""
    missing, extra = [k for k in want if k not in have], [k for k in have if k not in want]
    without = [f"without {_listing(missing)}"] if missing else []
    too_many = [f"with {_listing(extra)} too many"] if extra else []
    held = f"a {kind} of {_listing(have)}" if have else f"an empty {kind}"
    return Difference(
        f"found a {kind} {' and '.join(without + too_many)}", f"found {held}: not those of a right answer"
    )


def _items(count: int) -> str:
    return f"{count} item{'' if count == 1 else 's'}"


def _listing(keys: list[str]) -> str:
    return ", ".join(keys[:6]) + (f", … ({len(keys)} in all)" if len(keys) > 6 else "")
