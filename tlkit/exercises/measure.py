"""Run an exercise's probes on some code and keep what happened as plain data.

A part runs in a thread of its own, so that code that never returns can be given up. Everything students' code
can do to the surroundings is bounded or undone: output, warnings, random state, exceptions of any kind.
"""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import functools
import io
import math
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

from tlkit.exercises.blame import raised_as_data
from tlkit.exercises.describe import describe
from tlkit.exercises.observe import observe, observe_all
from tlkit.exercises.spec import Exercise, Probe

KEEP_OUTPUT = 2_000  # characters of printed text that are kept
_PATIENCE = 2.0  # seconds an overdue thread gets to die

# What one part did on one seed, as JSON data, exactly one of
#   {"values": {label: observation}} · {"raised": {...}, see blame.py} · {"late": seconds} · {"skipped": why}
Outcome = dict[str, Any]


class TimeUp(BaseException):
    """Thrown into a thread whose time is up. Not an Exception: `except Exception` must not swallow it."""


@dataclass
class Measured:
    """`parts[i][str(seed)]` is the Outcome of part i on that seed; the rest was seen on the way."""

    parts: list[dict[str, Outcome]]
    printed: str = ""
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    abandoned: bool = False


def measure(
    exercise: Exercise,
    probes: Sequence[Probe],
    code: Callable[..., Any],
    seeds: Sequence[int],
    *,
    salt: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Measured:
    """Run every probe on every seed within `exercise.seconds`, told by `clock`.

    With `clock=time.process_time` these are seconds of processor time, so that "late" does not depend on what
    else the machine does; code that only sleeps is then given up after ten times as long.

    The generator a probe receives depends on the seed alone; torch's, NumPy's and Python's own generators are
    seeded with seed and `salt`, and put back afterwards. KeyboardInterrupt stops the run and is raised again.
    """
    started, began = time.monotonic(), clock()
    measured = Measured(parts=[])
    tail = _Tail()
    with _quiet(tail) as caught, _global_state_kept():
        for index, probe in enumerate(probes):
            left = max(0.0, exercise.seconds - (clock() - began))
            allowed = (
                left if index == len(probes) - 1 else left / 2
            )  # one endless part leaves time for others
            outcomes, alive = _run_part(probe, code, seeds, salt, allowed, clock)
            measured.parts.append(outcomes)
            measured.abandoned |= alive
        said = [f"{item.category.__name__}: {str(item.message)[:300]}" for item in caught[:100]]
    measured.printed = tail.text()
    measured.warnings = list(dict.fromkeys(said))[:5]
    measured.seconds = time.monotonic() - started
    return measured


def _run_part(
    probe: Probe,
    code: Callable[..., Any],
    seeds: Sequence[int],
    salt: int,
    allowed: float,
    clock: Callable[[], float],
) -> tuple[dict[str, Outcome], bool]:
    """One part in a thread of its own; returns the outcomes and whether the thread had to be abandoned."""
    outcomes: dict[str, Outcome] = {}
    done, cancelled = threading.Event(), threading.Event()
    threads = _torch_threads()

    def work() -> None:
        try:
            if threads:  # as the build and the grader do; and two pools of threads wait for each other
                sys.modules["torch"].set_num_threads(1)
            for seed in seeds:
                if cancelled.is_set():
                    break
                outcomes[str(seed)] = _run_once(probe, code, seed, salt)
        except BaseException:  # TimeUp between two seeds
            pass
        finally:
            done.set()

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), daemon=True, name="tlkit check")
    try:
        thread.start()
        finished = _wait(thread, done, allowed, clock)
    except KeyboardInterrupt:
        _stop(thread, done, cancelled)
        raise
    finally:
        if threads:
            sys.modules["torch"].set_num_threads(threads)
    alive = False if finished else not _stop(thread, done, cancelled)
    results = dict(outcomes)  # a copy: an abandoned thread may still write
    overdue = False
    for seed in seeds:
        if str(seed) not in results or "late" in results[str(seed)]:
            results[str(seed)] = {"skipped": "time was up"} if overdue else {"late": round(allowed, 1)}
            overdue = True
    return results, alive


def _run_once(probe: Probe, code: Callable[..., Any], seed: int, salt: int) -> Outcome:
    import numpy as np

    returned: list[Any] = []
    watched = _watched(code, returned)
    _seed_everything(seed + 1_000_003 * salt)
    try:
        values = probe.measure(watched, np.random.default_rng(seed))
        return {"values": observe_all(values)}
    except TimeUp:
        return {"late": 0.0}
    except BaseException as error:
        raised = raised_as_data(error, code)
        if returned and raised["where"] == "probe":
            raised["returned"] = describe(observe(returned[-1]))  # the probe stumbled over what it was given
        return {"raised": raised}


def _watched(code: Any, returned: list[Any]) -> Any:
    """A function that notes in `returned` what `code` returned last; classes and objects stay as they are."""
    if not isinstance(code, FunctionType):
        return code

    @functools.wraps(code)
    def watched(*args: Any, **kwargs: Any) -> Any:
        value = code(*args, **kwargs)
        returned[:] = [value]
        return value

    return watched


def _wait(
    thread: threading.Thread, done: threading.Event, allowed: float, clock: Callable[[], float]
) -> bool:
    """Wait for the part to end; False when its time is up.

    By the wall's clock, a thread that did not get the processor on a busy machine is given up to three times
    as long. By any other clock the wall's is the second net, at ten times as long.
    """
    started, began = time.monotonic(), clock()
    while not done.wait(min(0.5, allowed)):
        waited = time.monotonic() - started
        if clock is time.monotonic:
            late = waited >= allowed and (waited >= 3 * allowed or _cpu_seconds(thread) >= allowed / 2)
        else:
            late = clock() - began >= allowed or waited >= 10 * allowed
        if late:
            return False
    return True


def _cpu_seconds(thread: threading.Thread) -> float:
    """Processor time a thread has used; infinite where the system does not tell."""
    try:
        return time.clock_gettime(time.pthread_getcpuclockid(thread.ident or 0))
    except (AttributeError, OSError):
        return math.inf


def _stop(thread: threading.Thread, done: threading.Event, cancelled: threading.Event) -> bool:
    """Throw TimeUp into the thread until it ends or patience does; True if it ended."""
    cancelled.set()  # ends a thread that has not begun yet, and keeps one from its next seed
    until = time.monotonic() + _PATIENCE
    while not done.wait(0.05) and time.monotonic() < until:
        if thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(TimeUp))
    return done.is_set() or not thread.is_alive()


def _torch_threads() -> int:
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch is not None else 0


def _seed_everything(seed: int) -> None:
    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@contextlib.contextmanager
def _global_state_kept() -> Iterator[None]:
    """Put back the random generators and torch's defaults, whatever the code did to them."""
    import numpy as np

    python, numpy_state = random.getstate(), np.random.get_state()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch_state, dtype, grad = torch.get_rng_state(), torch.get_default_dtype(), torch.is_grad_enabled()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)
        if torch is not None:
            torch.set_rng_state(torch_state)
            torch.set_default_dtype(dtype)
            torch.set_grad_enabled(grad)


class _Tail(io.TextIOBase):
    """Takes any amount of text and keeps its first KEEP_OUTPUT characters."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.count = 0

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.count < KEEP_OUTPUT:
            self.kept.append(str(text)[: KEEP_OUTPUT - self.count])
        self.count += len(text)
        return len(text)

    def text(self) -> str:
        more = self.count - KEEP_OUTPUT
        return "".join(self.kept) + (f"\n… and {more:,} more characters" if more > 0 else "")


@contextlib.contextmanager
def _quiet(tail: _Tail) -> Iterator[list[warnings.WarningMessage]]:
    """Capture what is printed and warned: nbgrader reads one word on stderr as a failed test."""
    with (
        contextlib.redirect_stdout(tail),
        contextlib.redirect_stderr(tail),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("default")
        yield caught
