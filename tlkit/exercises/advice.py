"""The next step after an exception: one sentence for what students meet most."""

from __future__ import annotations

import builtins
import difflib
import re
from collections.abc import Mapping
from types import CodeType, ModuleType
from typing import Any

from tlkit.exercises.observe import type_name

# (what the message contains, the next step)
_MESSAGES = (
    (
        r"shapes? cannot be multiplied|size of tensor|must match|shape .* is invalid|sizes? mismatch",
        "Two shapes do not fit. Print the `.shape` of each tensor just before this line.",
    ),
    (
        r"does not require grad",
        "Nothing in this computation can learn: is every parameter frozen, or was the result detached or "
        "computed under torch.no_grad()?",
    ),
    (r"same device|on device", "Bring both to one device: other = other.to(x.device)."),
    (r"meta tensor", "A meta tensor has a shape but no values: create it on the device of the input."),
    (
        r"leaf Variable that requires grad",
        "This changes a tensor in place that is to get a gradient. Leave what you were given as it is and "
        "make a new tensor: y = x / 2, not x /= 2. A parameter is changed in place only inside "
        "`with torch.no_grad():`.",
    ),
    (r"on Tensor that requires grad", "Cut the graph first: x.detach()."),
    (
        r"same dtype|expected scalar type|Float but|Long but",
        "Two dtypes do not fit. Print the `.dtype` of each tensor just before this line; x.float() and "
        "x.long() convert.",
    ),
    (
        r"'NoneType' object",
        "Something here is None: often the result of a function without `return`, or of a method that works "
        "in place.",
    ),
    (
        r"'(float|int)' object has no attribute '(requires_grad|backward|grad|detach)'",
        "A plain number has no graph: keep the tensor, without .item() or float().",
    ),
    (
        r"implicitly created only for scalar outputs",
        "A loss is a single number: is a sum or a mean missing?",
    ),
    (
        r"save_for_backward can only save variables",
        "`save_for_backward` keeps tensors; a plain number is set on ctx itself: ctx.factor = factor.",
    ),
    (
        r"'History' object has no attribute",
        "`fit` trains the network you give it and returns a record of the training: go on with the network.",
    ),
    (
        r"(tuple|list) indices must be integers or slices, not str",
        "A list or tuple is asked by position; only a dict has names.",
    ),
    (r"out of range|out of bounds", "Print the length or `.shape` and the index just before this line."),
    (
        r"modified by an inplace operation",
        "An in-place change (+=, [...] = …, x.add_) destroyed a value that the backward pass needs: write "
        "y = x + … instead.",
    ),
)
_TYPES = {
    "RecursionError": "The function calls itself without end: which call should stop, and when?",
    "SystemExit": "exit() and sys.exit() end a program; a function ends with `return`.",
    "KeyboardInterrupt": "Your code raised this itself; a function ends with `return`.",
    "MemoryError": "This asked for more memory than there is: print the shapes before this line.",
    "IndentationError": "The lines of a block start at the same column.",
    "AssertionError": "Your own `assert` failed: print the values it compares.",
}
_COMMON = {"torch": ModuleType, "np": ModuleType, "nn": ModuleType, "F": ModuleType, "plt": ModuleType}


def advise(
    error: BaseException,
    message: str,
    own: Mapping[str, Any] | None = None,
    code: CodeType | None = None,
) -> list[str]:
    """Next steps after `error`, [] where nothing is sure.

    With `own` and `code` it was raised while `code` of the student's ran with the globals `own`; without, in
    a probe that went on with what the student returned.
    """
    steps = overwritten(own, code) if own is not None and code is not None else []
    if own is not None and isinstance(error, NameError):
        steps.append(_unknown_name(message, own))
    elif step := _TYPES.get(type(error).__name__):
        steps.append(step)
    else:
        steps += [step for pattern, step in _MESSAGES if re.search(pattern, message)][:1]
    return steps[:2]


def overwritten(own: Mapping[str, Any], code: CodeType) -> list[str]:
    """Names the code uses which the notebook has given another value: `list = [1, 2]`, `torch = 3`."""
    found = []
    for name in code.co_names:
        if name not in own:
            continue
        value = own[name]
        builtin = hasattr(builtins, name) and value is not getattr(builtins, name) and not callable(value)
        module = name in _COMMON and not isinstance(value, _COMMON[name]) and not callable(value)
        if builtin or module:
            cure = f"import {name} again" if module else f"run `del {name}`"
            found.append(
                f"In this notebook the name `{name}` was overwritten: it is now of type {type_name(value)}. "
                f"Rename that variable and {cure}."
            )
    return found


def _unknown_name(message: str, own: Mapping[str, Any]) -> str:
    match = re.search(r"'(\w+)'", message)
    name = match.group(1) if match else ""
    names = [key for key in own if not key.startswith("_")]
    if close := difflib.get_close_matches(name, names, n=1, cutoff=0.75):
        return f"Did you mean `{close[0]}`?"
    if name in _COMMON:
        return "The imports are in the first cell of the notebook: run it, then check again."
    return "Is the name spelled as where it was defined, and did the cell that defines it run?"
