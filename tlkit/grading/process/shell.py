"""An IPython shell without kernel, history and start-up files: runs cells and keeps what they show."""

from __future__ import annotations

import base64
import contextlib
import io
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any, cast

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

MOST_TEXT, MOST_PICTURE, MOST_OUTPUTS = 20_000, 2_000_000, 40  # of one cell

Output = dict[str, Any]


class CellTimeoutError(BaseException):
    """Raised in a cell whose time is up. Not an Exception: `except Exception` must not swallow it."""


class Kept:
    """What one cell showed: text and PNG pictures, cut to a size that can be looked at."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.left = MOST_TEXT

    def text(self, name: str, text: str) -> None:
        text = str(text)[: max(0, self.left)]
        self.left -= len(text)
        if not text:
            return
        if self.outputs and self.outputs[-1].get("stream") == name:
            self.outputs[-1]["text"] += text
        elif len(self.outputs) < MOST_OUTPUTS:
            self.outputs.append({"stream": name, "text": text})

    def shown(self, data: dict[str, Any], result: bool) -> None:
        picture = data.get("image/png")
        if isinstance(picture, bytes):
            picture = base64.b64encode(picture).decode("ascii")
        one: Output = {"result": result, "text": str(data.get("text/plain", ""))[: max(self.left, 200)]}
        self.left -= len(one["text"])
        if isinstance(picture, str) and len(picture) < MOST_PICTURE:
            one["png"] = picture
        if len(self.outputs) < MOST_OUTPUTS:
            self.outputs.append(one)


class _Publisher(DisplayPublisher):
    kept = Kept()

    def publish(
        self,
        data: Any,
        metadata: Any = None,
        source: Any = None,
        *,
        transient: Any = None,
        update: Any = False,
        **_rest: Any,
    ) -> None:
        _Publisher.kept.shown(dict(data), False)

    def clear_output(self, wait: bool = False) -> None:
        return None


class _Hook(DisplayHook):
    def write_output_prompt(self) -> None:
        return None

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        _Publisher.kept.shown(dict(format_dict), True)


class Shell(InteractiveShell):
    """What `get_ipython()` gives in a submission."""

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        """Nothing is printed: the error travels as data."""

    def enable_gui(self, gui: Any = None) -> None:
        return None


class _Stream(io.TextIOBase):
    encoding = "utf-8"

    def __init__(self, name: str) -> None:
        self.name = name

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        _Publisher.kept.text(self.name, text)
        return len(text)


def make_shell() -> Shell:
    """A shell that shows figures as PNG, as a notebook does."""
    import matplotlib_inline.backend_inline as inline
    from IPython.core.pylabtools import select_figure_formats

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "NoColor"
    config.InteractiveShell.xmode = "Plain"
    config.InteractiveShell.display_pub_class = _Publisher
    config.InteractiveShell.displayhook_class = _Hook
    shell: Any = Shell.instance(config=config)
    shell.display_pub_class, shell.displayhook_class = _Publisher, _Hook
    shell.init_display_pub()
    shell.init_displayhook()
    shell.display_trap.hook = shell.displayhook
    figures: Any = (select_figure_formats, inline.configure_inline_support)  # untyped in IPython
    figures[0](shell, {"png"})
    figures[1](shell, "inline")
    return cast(Shell, shell)


def run_cell(shell: Shell, source: str, seconds: float) -> tuple[list[Output], dict[str, str] | None]:
    """Run one cell; returns what it showed and, if it was stopped, the error as text."""
    _Publisher.kept = kept = Kept()
    error: BaseException | None
    try:
        with _time_limit(seconds), _streams():
            result = cast(Any, shell).run_cell(source, store_history=True, silent=False)
        before, error = result.error_before_exec, result.error_in_exec
        error = error if before is None else before
    except BaseException as raised:  # out of IPython itself: time was up while it showed an error, or a hook
        error = raised
    return kept.outputs, None if error is None else _as_text(shell, error)


def _as_text(shell: Shell, error: BaseException) -> dict[str, str]:
    try:
        message = str(error)[:2_000]
        trace = "\n".join(shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__))
    except BaseException:  # an exception that raises when it is shown
        message, trace = "", ""
    name = type(error).__name__[:80]
    return {"name": name, "message": message, "trace": (trace or f"{name}: {message}")[-MOST_TEXT:]}


@contextlib.contextmanager
def _streams() -> Iterator[None]:
    with contextlib.redirect_stdout(_Stream("stdout")), contextlib.redirect_stderr(_Stream("stderr")):
        yield


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 2.0)  # again, if the cell swallows it
        raise CellTimeoutError(f"the cell was stopped after {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
