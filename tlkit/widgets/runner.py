"""Training beside the page: in a background thread where somebody can click, in the foreground elsewhere.

A kernel handles clicks in its main thread. A training loop in that thread would let them wait until it is
done, so an interactive run has its own thread, and what the clicks ask takes effect between two steps.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import torch

from tlkit.training import History, Step, StopTraining, fit
from tlkit.widgets.interactive import front_end

State = Literal["idle", "running", "paused", "done", "stopped", "failed"]


def progress_in_words(step: Step | None, began: float) -> str:
    """How far a run is and how long it still takes; `began` is the time.monotonic() of its first step."""
    if step is None:
        return ""
    words = f"epoch {step.epoch + 1} · step {step.index + 1:,} of {step.total:,} · loss {step.loss:.3f}"
    if step.index:
        left = (time.monotonic() - began) / step.index * (step.total - step.index - 1)
        words += f" · about {left:.0f} s left" if left < 90 else f" · about {left / 60:.0f} min left"
    return words


class Runner:
    """One training run, which can be paused, resumed and stopped between its steps.

    `between` is called after each step and again and again while the run is paused; `changed` whenever
    `state` has changed. Both run in the training thread, or in the caller's.
    """

    def __init__(self, between: Callable[[Step], None], changed: Callable[[], None]) -> None:
        self.state: State = "idle"
        self.history: History | None = None
        self.error: BaseException | None = None
        self._between, self._changed = between, changed
        self._go = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        if self.history is not None:
            return repr(self.history)
        return f"Training ({self.state}); .wait() gives its History"

    @property
    def active(self) -> bool:
        return self.state in ("running", "paused")

    def start(self, model: Any, train: Any, **options: Any) -> None:
        """Begin `tlkit.training.fit(model, train, **options)`; returns at once if somebody can click."""
        self._go.set()
        options["on_step"] = [*options.get("on_step", ()), self._after]  # last: it applies what others asked
        self._set("running")
        if front_end():
            self._thread = threading.Thread(
                target=self._run_beside, args=(model, train, options), name="tlkit training", daemon=True
            )
            self._thread.start()
        else:
            self._run(model, train, options)
            self._raise()

    def _run_beside(self, model: Any, train: Any, options: dict[str, Any]) -> None:
        """In a second thread, where PyTorch has a second pool of threads: on two cores the two would wait."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1 if threads <= 2 else threads)
        try:
            self._run(model, train, options)
        finally:
            torch.set_num_threads(threads)

    def _run(self, model: Any, train: Any, options: dict[str, Any]) -> None:
        try:
            self.history = fit(model, train, **options)
        except BaseException as error:  # shown by the widget, raised again by wait()
            self.error = error
            self.history = getattr(error, "history", None)
            self._set("failed")
        else:
            self._set("stopped" if self.history.stopped else "done")

    def _after(self, step: Step) -> None:
        self._between(step)
        while not self._go.wait(0.02) and not self._stop.is_set():
            self._between(step)
        if self._stop.is_set():
            raise StopTraining

    def _set(self, state: State) -> None:
        with self._lock:
            self.state = state
        self._changed()

    def pause(self) -> None:
        """Hold the run after the present step."""
        with self._lock:  # the run may be ending just now
            if self.state != "running":
                return
            self._go.clear()
            self.state = "paused"
        self._changed()

    def resume(self) -> None:
        if self.state == "paused":
            self._set("running")
            self._go.set()

    def stop(self, timeout: float = 30.0) -> None:
        """End the run after the present step and wait until it has ended; what was learned stays."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def wait(self) -> History:
        """The `History` of the run, once it has ended. An error of the run is raised here."""
        if self.state == "idle":
            raise RuntimeError("no training was started: call .fit(...) first")
        if self.state == "paused":
            raise RuntimeError("training is paused, and clicks wait while a cell runs: press Resume first")
        if self._thread is not None:
            self._thread.join()
        self._raise()
        assert self.history is not None
        return self.history

    def _raise(self) -> None:
        if self.error is not None:
            raise self.error
