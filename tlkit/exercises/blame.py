"""An exception as plain data: what was raised, and on which line of the student's own code."""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable
from types import CodeType, FrameType, TracebackType
from typing import Any

from tlkit.exercises.advice import advise
from tlkit.exercises.observe import plain_text

_CUT = 600


def raised_as_data(error: BaseException, code: Callable[..., Any]) -> dict[str, Any]:
    """{"type", "message", "where"} and, where they are known, {"line", "source", "cell", "advice", "stub"}.

    `where` is "student" when a line of theirs was running, "call" when their code was called with arguments
    it does not take, "probe" otherwise. `stub` marks the NotImplementedError that a stub raises: "empty", or
    "begun" when code was written around it.
    """
    message = _message(error)
    data: dict[str, Any] = {"type": type(error).__name__[:80], "message": message}
    own = namespace_of(code)
    mine = _last_line(error.__traceback__, own)
    if mine is None:
        called = isinstance(error, TypeError) and "argument" in message and _names(code, message)
        return (
            data | {"where": "call"}
            if called
            else data | {"where": "probe", "advice": advise(error, message)}
        )
    frame, line, last = mine
    filename = frame.f_code.co_filename
    source = plain_text(linecache.getline(filename, line).strip()[:200])
    data |= {"where": "student", "line": line, "source": source, "cell": _cell(filename)}
    data["advice"] = advise(error, message, own, frame.f_code)
    if isinstance(error, NotImplementedError) and last and (not source or "NotImplementedError" in source):
        data["stub"] = "begun" if _has_code_of_its_own(frame.f_code) else "empty"
    return data


def _message(error: BaseException) -> str:
    try:
        text = plain_text(str(error))
    except BaseException:
        return "(its message cannot be read)"
    return text if len(text) <= _CUT else text[:_CUT] + " …"


def namespace_of(code: Any) -> dict[str, Any] | None:
    """The globals that a function, or the methods of a class or of an object, run in."""
    try:
        code = inspect.unwrap(code)
        own = getattr(code, "__globals__", None)
        if own is None:
            kind = code if isinstance(code, type) else type(code)
            members = [getattr(member, "__func__", member) for member in vars(kind).values()]
            own = next((m.__globals__ for m in members if hasattr(m, "__globals__")), None)
    except Exception:  # an object that raises whatever it is asked
        return None
    return own if isinstance(own, dict) else None


def _last_line(trace: TracebackType | None, own: dict[str, Any] | None) -> tuple[FrameType, int, bool] | None:
    """The deepest frame that runs in `own`, its line, and whether it is the last frame of all."""
    found = None
    while trace is not None:
        if own is not None and trace.tb_frame.f_globals is own:
            found = (trace.tb_frame, trace.tb_lineno or 0, trace.tb_next is None)
        trace = trace.tb_next
    return found


def _names(code: Any, message: str) -> bool:
    """Does a TypeError speak of `code` itself ("f() missing 1 required positional argument")?"""
    name = getattr(code, "__name__", "")
    return isinstance(name, str) and bool(name) and name in message.partition("(")[0].split(".")


def _cell(filename: str) -> str:
    """ "In[5]" for the file name IPython gave a cell; "" for anything else."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    number = getattr(getattr(shell, "compile", None), "_filename_map", {}).get(filename)
    return f"In[{number}]" if isinstance(number, int) else ""


def _has_code_of_its_own(code: CodeType) -> bool:
    """Is there more in this function than a docstring and `raise NotImplementedError`?"""
    try:
        lines, _ = inspect.getsourcelines(code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError, IndexError, TypeError):
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == code.co_name:
            return sum(not _is_text(step) for step in node.body) > 1
    return False


def _is_text(step: ast.stmt) -> bool:
    return isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant)
