"""An exception as plain data: what was raised, and on which line of the student's own code."""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable
from types import TracebackType
from typing import Any

_CUT = 600


def raised_as_data(error: BaseException, code: Callable[..., Any]) -> dict[str, Any]:
    """{"type", "message", "line", "source", "cell", "where", "stub"}.

    `where` is "student" when a line of theirs was running, "call" when calling their code failed before its
    first line (wrong arguments), "probe" otherwise. `stub` is set for the NotImplementedError that a stub
    raises: "empty", or "begun" when code was written around it.
    """
    data: dict[str, Any] = {"type": type(error).__name__[:80], "message": _message(error)}
    own = _namespace(code)
    mine = _last_line(error.__traceback__, own)
    if mine is None:
        data["where"] = "call" if isinstance(error, TypeError) and _called_directly(error, code) else "probe"
        return data
    frame, line, last = mine
    filename = frame.f_code.co_filename
    source = linecache.getline(filename, line).strip()[:200]
    data |= {"where": "student", "line": line, "source": source, "cell": _cell(filename)}
    if isinstance(error, NotImplementedError) and last and (not source or "NotImplementedError" in source):
        data["stub"] = "begun" if _has_code_of_its_own(frame.f_code, filename) else "empty"
    return data


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException:
        return "(its message cannot be read)"
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= _CUT else text[:_CUT] + " …"


def _namespace(code: Callable[..., Any]) -> dict[str, Any] | None:
    """The globals the student's code runs in: those of the notebook."""
    try:
        code = inspect.unwrap(code)
    except Exception:
        return None
    own = getattr(code, "__globals__", None)
    if own is None and isinstance(code, type):
        for member in vars(code).values():
            member = getattr(member, "__func__", member)
            if isinstance(own := getattr(member, "__globals__", None), dict):
                break
    return own if isinstance(own, dict) else None


def _last_line(trace: TracebackType | None, own: dict[str, Any] | None) -> tuple[Any, int, bool] | None:
    """The deepest frame that runs in `own`, its line, and whether it is the last frame of all."""
    found = None
    while trace is not None:
        if own is not None and trace.tb_frame.f_globals is own:
            found = (trace.tb_frame, trace.tb_lineno, trace.tb_next is None)
        trace = trace.tb_next
    return found


def _called_directly(error: BaseException, code: Callable[..., Any]) -> bool:
    """Did the call itself fail ("missing 1 required positional argument")?"""
    name = getattr(code, "__name__", "")
    message = _message(error)
    return bool(name) and f"{name}(" in message.replace("__init__(", f"{name}(") and "argument" in message


def _cell(filename: str) -> str:
    """ "In[5]" for the file name IPython gave a cell; "" for anything else."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    number = getattr(getattr(shell, "compile", None), "_filename_map", {}).get(filename)
    return f"In[{number}]" if isinstance(number, int) else ""


def _has_code_of_its_own(code: Any, filename: str) -> bool:
    """Is there more in this function than a docstring and `raise NotImplementedError`?"""
    try:
        linecache.checkcache(filename)
        tree = ast.parse(
            textwrap.dedent(
                "".join(inspect.getblock(linecache.getlines(filename)[code.co_firstlineno - 1 :]))
            )
        )
    except Exception:
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == code.co_name:
            body = [
                step
                for step in node.body
                if not (isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant))
            ]
            return len(body) > 1
    return False
