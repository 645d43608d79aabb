"""Values become observations: plain JSON data that two processes can exchange and compare without trust.

An observation is one of
  null, true, 3, 1.5, "text"                       Python scalars (integers of at most 1,000 digits)
  {"float": "nan" | "inf" | "-inf"}                floats that JSON cannot write
  {"complex": [1.0, 2.0]}
  [ … ] · {"tuple": [ … ]} · {"set": [ … ]} · {"dict": [[key, value], …]}
  {"array": "tensor" | "numpy", "dtype", "shape", "device", "data": flat list | null, "why": only beside null}
  {"object": "name of its type"}                   anything else, and whatever could not be read

Nothing here calls a method that the value itself may have redefined (`__eq__`, `__array__`, `__repr__`, …).
untrusted.py reads observations back that come from a process nobody trusts.
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
MAX_DIGITS = 1_000
NONFINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
FLOATS = {"float16", "bfloat16", "float32", "float64"}
COMPLEX = {"complex32", "complex64", "complex128"}
_DTYPES = (
    FLOATS | COMPLEX | {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
)

Observation = Any  # JSON data as above; a recursive type would say no more to a reader


class ObservationError(ValueError):
    """A value cannot be observed, or data claiming to be an observation is not one."""


class Budget:
    """Counts values, so that a thousand small arrays are as bounded as one large one."""

    def __init__(self) -> None:
        self.left = MAX_VALUES

    def take(self, count: int) -> bool:
        """Is there room for `count` more values? If so they are counted."""
        if count > self.left:
            return False
        self.left -= count
        return True


def observe_all(values: Mapping[str, Any]) -> dict[str, Observation]:
    """What a probe returned, {label: value}, as observations.

    ObservationError if it is not such a mapping.
    """
    if not isinstance(values, Mapping) or not values:
        raise ObservationError(f"a probe returns {{label: value}}, at least one; found {type_name(values)}.")
    if not all(type(label) is str and 0 < len(label) <= 200 for label in values):
        raise ObservationError("labels are strings of 1 to 200 characters.")
    budget = Budget()
    return {label: _observe(value, budget, 0) for label, value in values.items()}


def observe(value: Any) -> Observation:
    """One value as an observation. Never raises: what cannot be read is {"object": type name}."""
    return _observe(value, Budget(), 0)


def type_name(value: Any) -> str:
    """The name of a value's type, asked of `type` itself and not of the value."""
    try:
        return str(type.__dict__["__name__"].__get__(type(value)))[:80]
    except Exception:
        return "object"


def _observe(value: Any, budget: Budget, depth: int) -> Observation:
    try:
        return _observe_unsafe(value, budget, depth)
    except Exception:  # a hostile or broken object: its type is all that can be said
        return {"object": type_name(value)}


def _observe_unsafe(value: Any, budget: Budget, depth: int) -> Observation:
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
        return number if number.bit_length() < 3 * MAX_DIGITS else {"object": "int (too large to look at)"}
    if issubclass(kind, float):
        return _number(float.__add__(value, 0.0))
    if issubclass(kind, complex):
        return {"complex": [_number(value.real), _number(value.imag)]}
    if issubclass(kind, str):
        return plain_text(str.__str__(value)[:MAX_TEXT])
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


def plain_text(text: str) -> str:
    """Without lone surrogates, which cannot be written to a file."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _number(value: float) -> Observation:
    if math.isfinite(value):
        return value
    return {"float": "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}


def _observe_array(value: Any, kind: type, budget: Budget) -> Observation | None:
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


def _observe_tensor(torch: Any, value: Any, budget: Budget) -> Observation:
    tensor = value.detach()
    if type(tensor) is not torch.Tensor:
        tensor = tensor.as_subclass(torch.Tensor)
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


def _with_data(about: dict[str, Any], array: Any, budget: Budget) -> Observation:
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
    return [NONFINITE[item] if type(item) is str else item for item in data]
