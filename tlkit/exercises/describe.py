"""Observations in words: what kind of thing one is, and a short text of its value."""

from __future__ import annotations

import math
from typing import Any

from tlkit.exercises.observe import Observation, numbers

MANY = 12  # values are shown up to this many


def family(value: Observation) -> str:
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
        inside = ", ".join(show(item) for item in items[:MANY]) + (", …" if len(items) > MANY else "")
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if isinstance(value, dict):
        if "array" in value:
            return _show_array(value)
        if "dict" in value:
            pairs = [f"{show(k)}: {show(v)}" for k, v in value["dict"][:6]]
            return "{" + ", ".join(pairs) + (", …" if len(value["dict"]) > 6 else "") + "}"
        return str(next(iter(value.values())))
    if isinstance(value, float):
        return number_text(value)
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _show_array(value: Any) -> str:
    if value["data"] is None or len(value["data"]) > MANY:
        return describe(value)
    flat = [number_text(number) for number in numbers(value["data"])]
    for size in reversed(value["shape"][1:]):
        if size:
            flat = ["[" + ", ".join(flat[i : i + size]) + "]" for i in range(0, len(flat), size)]
    return flat[0] if value["shape"] == [] else "[" + ", ".join(flat) + "]"


def number_text(number: float) -> str:
    if isinstance(number, bool | int):
        return str(number)
    return "NaN" if math.isnan(number) else f"{number:.5g}"
