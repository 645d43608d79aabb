"""Values become observations: plain JSON data that two processes can exchange and compare without trust.

An observation is one of
  null, true, 3, 1.5, "text"                       Python scalars (integers of at most 1,000 digits)
  {"float": "nan" | "inf" | "-inf"}                floats that JSON cannot write
  {"complex": [1.0, 2.0]}
  [ … ] · {"tuple": [ … ]} · {"set": [ … ]} · {"dict": [[key, value], …]}
  {"array": "tensor" | "numpy", "dtype", "shape", "device", "data": flat list | null, "why": only beside null}
  {"object": "name of its type"}                   anything else, and whatever could not be read

Nothing here calls a method that the value itself may have redefined (`__eq__`, `__array__`, `__repr__`, …).
`parse` reads observations that come from an untrusted process: sizes, depth and types are checked.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

MAX_VALUES = 20_000  # numbers in one set of observations
MAX_DEPTH = 12
MAX_TEXT = 10_000  # characters of one string
MAX_RANK = 16  # dimensions of an array
MAX_BYTES = 4_000_000  # of one set of observations as JSON
_MAX_DIGITS = 1_000
_NONFINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_FLOATS = {"float16", "bfloat16", "float32", "float64"}
_COMPLEX = {"complex32", "complex64", "complex128"}
_DTYPES = (
    _FLOATS | _COMPLEX | {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
)

Observation = Any  # JSON data as above; a recursive type would say no more to a reader


class ObservationError(ValueError):
    """A value cannot be observed, or data claiming to be an observation is not one."""


class _Budget:
    """Counts values, so that a thousand small arrays are as bounded as one large one."""

    def __init__(self) -> None:
        self.left = MAX_VALUES

    def take(self, count: int) -> bool:
        if count > self.left:
            return False
        self.left -= count
        return True


def observe_all(values: Mapping[str, Any]) -> dict[str, Observation]:
    """What a probe returned, {label: value}, as observations. ObservationError if it is not such a mapping."""
    if not isinstance(values, Mapping) or not values:
        raise ObservationError(f"a probe returns {{label: value}}, at least one; found {type_name(values)}.")
    if not all(type(label) is str and 0 < len(label) <= 200 for label in values):
        raise ObservationError("labels are strings of 1 to 200 characters.")
    budget = _Budget()
    return {label: _observe(value, budget, 0) for label, value in values.items()}


def observe(value: Any) -> Observation:
    """One value as an observation. Never raises: what cannot be read is {"object": type name}."""
    return _observe(value, _Budget(), 0)


def type_name(value: Any) -> str:
    """The name of a value's type, asked of `type` itself and not of the value."""
    try:
        return str(type.__dict__["__name__"].__get__(type(value)))[:80]
    except Exception:
        return "object"


def _observe(value: Any, budget: _Budget, depth: int) -> Observation:
    try:
        return _observe_unsafe(value, budget, depth)
    except Exception:  # a hostile or broken object: its type is all that can be said
        return {"object": type_name(value)}


def _observe_unsafe(value: Any, budget: _Budget, depth: int) -> Observation:
    kind = type(value)  # not isinstance: that asks value.__class__, which may lie
    if value is None or kind is bool:
        return value
    array = _observe_array(value, kind, budget)
    if array is not None:
        return array
    if not budget.take(1) or depth > MAX_DEPTH:
        return {"object": f"{type_name(value)} (too large to look at)"}
    if issubclass(kind, int):
        number = int.__add__(value, 0)
        return number if number.bit_length() < 3 * _MAX_DIGITS else {"object": "int (too large to look at)"}
    if issubclass(kind, float):
        return _number(float.__add__(value, 0.0))
    if issubclass(kind, complex):
        return {"complex": [_number(value.real), _number(value.imag)]}
    if issubclass(kind, str):
        return _plain_text(str.__str__(value)[:MAX_TEXT])
    below = depth + 1
    if issubclass(kind, list):
        return [_observe(item, budget, below) for item in _some(list.__iter__(value))]
    if issubclass(kind, tuple):
        return {"tuple": [_observe(item, budget, below) for item in _some(tuple.__iter__(value))]}
    if issubclass(kind, dict):
        pairs = _some(dict.items(value))
        return {"dict": [[_observe(k, budget, below), _observe(v, budget, below)] for k, v in pairs]}
    if issubclass(kind, set | frozenset):
        members = set.__iter__(value) if issubclass(kind, set) else frozenset.__iter__(value)
        items = [_observe(item, budget, below) for item in _some(members)]
        return {"set": sorted(items, key=lambda item: json.dumps(item, sort_keys=True))}
    return {"object": type_name(value)}


def _some(items: Iterable[Any]) -> Iterable[Any]:
    """At most as many items as could ever be observed."""
    for count, item in enumerate(items):
        if count >= MAX_VALUES:
            return
        yield item


def _plain_text(text: str) -> str:
    """Without lone surrogates, which cannot be written to a file."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _number(value: float) -> Observation:
    if math.isfinite(value):
        return value
    return {"float": "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}


def _observe_array(value: Any, kind: type, budget: _Budget) -> Observation | None:
    """Tensors, arrays, NumPy scalars and torch's own small types; None for anything else."""
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None:
        if issubclass(kind, torch.Tensor):
            with torch._C.DisableTorchFunctionSubclass(), torch.no_grad():
                return _observe_tensor(torch, value, budget)
        if issubclass(kind, torch.dtype | torch.device | torch.layout | torch.memory_format):
            return str(value)
    if numpy is not None:
        if issubclass(kind, numpy.generic):
            return _observe(numpy.generic.item(value), budget, 0)
        if issubclass(kind, numpy.ndarray):
            plain = numpy.ndarray.view(value, numpy.ndarray)
            about = {
                "array": "numpy",
                "dtype": str(plain.dtype),
                "shape": [int(n) for n in plain.shape],
                "device": "cpu",
            }
            if about["dtype"] not in _DTYPES:
                return {**about, "data": None, "why": f"dtype {about['dtype']} holds no numbers"}
            return _with_data(about, plain, budget)
    return None


def _observe_tensor(torch: Any, value: Any, budget: _Budget) -> Observation:
    tensor = value.detach().as_subclass(torch.Tensor)
    about = {
        "array": "tensor",
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": [int(n) for n in tensor.shape],
        "device": tensor.device.type,
    }
    if tensor.device.type == "meta":
        return {**about, "data": None, "why": "a meta tensor holds no values"}
    if tensor.numel() > budget.left:
        return {**about, "data": None, "why": "too many values to compare"}
    if tensor.layout is not torch.strided or tensor.is_quantized:
        tensor = tensor.dequantize() if tensor.is_quantized else tensor.to_dense()
    if about["dtype"] not in _DTYPES:
        if not tensor.is_floating_point():
            return {**about, "data": None, "why": f"dtype {about['dtype']} cannot be compared"}
        tensor = tensor.float()
    tensor = tensor.resolve_conj().resolve_neg().cpu()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return _with_data(about, tensor.numpy(), budget)


def _with_data(about: dict[str, Any], array: Any, budget: _Budget) -> Observation:
    """Add the values: shortest decimal that reads back as the same number of that width."""
    if not budget.take(array.size):
        return {**about, "data": None, "why": "too many values to compare"}
    flat = array.reshape(-1)
    if flat.dtype.kind == "c":
        flat = flat.view(flat.real.dtype)
    if flat.dtype.kind == "f":
        data: list[Any] = [_short(number) for number in flat]
    else:
        data = flat.tolist()
    return {**about, "data": data}


def _short(number: Any) -> float | str:
    """A NumPy float as the shortest Python float that rounds to it; NaN and infinities as text."""
    value = float(str(number))
    return value if math.isfinite(value) else str(value)


def numbers(data: list[Any]) -> list[float]:
    """The flat data of an array observation as numbers, "nan" and "inf" read back."""
    return [_NONFINITE[item] if type(item) is str else item for item in data]


def parse(raw: bytes) -> dict[str, Observation]:
    """Read {label: observation} from the bytes of an untrusted process; ObservationError on anything else."""
    if len(raw) > MAX_BYTES:
        raise ObservationError(f"{len(raw):,} bytes of observations; at most {MAX_BYTES:,} are read.")
    try:
        found = json.loads(raw.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ObservationError(f"not readable as JSON: {str(error)[:200]}") from None
    if not isinstance(found, dict) or not 0 < len(found) <= 1_000:
        raise ObservationError("expected {label: observation}.")
    budget = _Budget()
    for label, value in found.items():
        if not 0 < len(label) <= 200:
            raise ObservationError("labels are strings of 1 to 200 characters.")
        _validate(value, budget, 0)
    return found


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _validate(value: Any, budget: _Budget, depth: int) -> None:
    if depth > MAX_DEPTH + 1 or not budget.take(1):
        raise ObservationError(f"more than {MAX_VALUES:,} values, or nested deeper than {MAX_DEPTH}.")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        if value.bit_length() > 4 * _MAX_DIGITS:
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


def _validate_tagged(value: dict[str, Any], budget: _Budget, depth: int) -> None:
    if "array" in value:
        return _validate_array(value, budget)
    if len(value) != 1:
        raise ObservationError(f"unknown observation with keys {sorted(value)[:8]}.")
    (tag, inside), *_ = value.items()
    if tag == "float":
        valid = isinstance(inside, str) and inside in _NONFINITE
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


def _validate_array(value: dict[str, Any], budget: _Budget) -> None:
    data, shape, dtype = value.get("data"), value.get("shape"), value.get("dtype")
    extra = set(value) - {"array", "dtype", "shape", "device", "data", "why"}
    named = (value["array"], dtype, value.get("device"), value.get("why", ""))
    if extra or not all(isinstance(text, str) and len(text) <= 200 for text in named):
        raise ObservationError("malformed array.")
    if value["array"] not in ("tensor", "numpy") or not isinstance(shape, list) or len(shape) > MAX_RANK:
        raise ObservationError("malformed array.")
    if not all(type(n) is int and 0 <= n < 2**63 for n in shape):
        raise ObservationError("the shape of an array is not a list of sizes.")
    if data is None:
        return
    count = math.prod(shape) * (2 if dtype in _COMPLEX else 1)
    if not isinstance(data, list) or len(data) != count or not budget.take(count):
        raise ObservationError("an array whose values do not fill its shape.")
    inexact = dtype in _FLOATS | _COMPLEX or str(dtype).startswith("float8")
    for item in data:
        if inexact:
            fine = (type(item) is float and math.isfinite(item)) or (type(item) is str and item in _NONFINITE)
        else:
            fine = type(item) is bool if dtype == "bool" else type(item) is int and -(2**63) <= item < 2**64
        if not fine:
            raise ObservationError(f"an array of {dtype} holds something else.")
