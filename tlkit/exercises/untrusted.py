"""Read observations that come from a process running strangers' code: bytes in, checked plain data out.

Nothing is unpickled and nothing taken on trust: size, depth, number of values, types, shapes and dtypes are
checked against what observe.py can write. What passes can be handed to `judge`.
"""

from __future__ import annotations

import json
import math
from typing import Any

from tlkit.exercises.observe import (
    COMPLEX,
    FLOATS,
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_TEXT,
    MAX_VALUES,
    NONFINITE,
    Budget,
    Observation,
    ObservationError,
)

MAX_BYTES = 4_000_000  # of one set of observations
MAX_RANK = 16  # dimensions of an array


def parse(raw: bytes) -> dict[str, Observation]:
    """Read {label: observation} from the bytes of an untrusted process; ObservationError on anything else."""
    if len(raw) > MAX_BYTES:
        raise ObservationError(f"{len(raw):,} bytes of observations; at most {MAX_BYTES:,} are read.")
    try:
        found = json.loads(raw.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ObservationError(f"not readable as JSON: {str(error)[:200]}") from None
    return validate(found)


def validate(found: Any) -> dict[str, Observation]:
    """JSON data as {label: observation}, unchanged; ObservationError where it is something else."""
    if not isinstance(found, dict) or not 0 < len(found) <= 1_000:
        raise ObservationError("expected {label: observation}.")
    budget = Budget()
    for label, value in found.items():
        if not isinstance(label, str) or not 0 < len(label) <= 200:
            raise ObservationError("labels are strings of 1 to 200 characters.")
        _validate(value, budget, 0)
    return found


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _validate(value: Any, budget: Budget, depth: int) -> None:
    if depth > MAX_DEPTH + 1 or not budget.take(1):
        raise ObservationError(f"more than {MAX_VALUES:,} values, or nested deeper than {MAX_DEPTH}.")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        if value.bit_length() > 4 * MAX_DIGITS:
            raise ObservationError("an integer with too many digits.")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ObservationError("a float out of range.")
    elif isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ObservationError(f"a string of {len(value):,} characters.")
    elif isinstance(value, list):
        for item in value:
            _validate(item, budget, depth + 1)
    else:
        _validate_tagged(value, budget, depth)


def _validate_tagged(value: dict[str, Any], budget: Budget, depth: int) -> None:
    if "array" in value:
        return _validate_array(value, budget)
    if len(value) != 1:
        raise ObservationError(f"unknown observation with keys {sorted(value)[:8]}.")
    (tag, inside), *_ = value.items()
    if tag == "float":
        valid = isinstance(inside, str) and inside in NONFINITE
    elif tag == "object":
        valid = isinstance(inside, str) and len(inside) <= 200
    elif tag == "complex":
        valid = isinstance(inside, list) and len(inside) == 2
        valid = valid and all(type(n) is float or (isinstance(n, dict) and "float" in n) for n in inside)
    elif tag in ("tuple", "set"):
        valid = isinstance(inside, list)
    elif tag == "dict":
        valid = isinstance(inside, list) and all(isinstance(p, list) and len(p) == 2 for p in inside)
    else:
        valid = False
    if not valid:
        raise ObservationError(f'malformed observation "{str(tag)[:40]}".')
    if isinstance(inside, list):
        _validate(inside, budget, depth + 1)


def _validate_array(value: dict[str, Any], budget: Budget) -> None:
    data, shape, dtype = value.get("data"), value.get("shape"), value.get("dtype")
    extra = set(value) - {"array", "dtype", "shape", "device", "data", "why"}
    named = (value["array"], dtype, value.get("device"), value.get("why", ""))
    if extra or "data" not in value or not all(isinstance(text, str) and len(text) <= 200 for text in named):
        raise ObservationError("malformed array.")
    if value["array"] not in ("tensor", "numpy") or not isinstance(shape, list) or len(shape) > MAX_RANK:
        raise ObservationError("malformed array.")
    if not all(type(n) is int and 0 <= n < 2**63 for n in shape):
        raise ObservationError("the shape of an array is not a list of sizes.")
    if data is None:
        return
    count = math.prod(shape) * (2 if dtype in COMPLEX else 1)
    if not isinstance(data, list) or len(data) != count or not budget.take(count):
        raise ObservationError("an array whose values do not fill its shape.")
    inexact = dtype in FLOATS | COMPLEX or str(dtype).startswith("float8")
    for item in data:
        if inexact:
            fine = (type(item) is float and math.isfinite(item)) or (type(item) is str and item in NONFINITE)
        else:
            fine = type(item) is bool if dtype == "bool" else type(item) is int and -(2**63) <= item < 2**64
        if not fine:
            raise ObservationError(f"an array of {dtype} holds something else.")
