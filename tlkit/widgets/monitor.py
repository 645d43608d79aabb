"""TrainingMonitor: loss and accuracy while a model trains, the time that is left, and a way to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets as t

from tlkit.training import History, Step, StopTraining
from tlkit.widgets.interactive import Interactive
from tlkit.widgets.notebook import on_cell_end
from tlkit.widgets.pixels import image_tag
from tlkit.widgets.runner import Runner, progress_in_words

_HERE = Path(__file__).parent
_POINTS = 240  # a loss curve has no more points than a page can show


class TrainingMonitor(Interactive):
    """Watches a training run.

        monitor = TrainingMonitor()
        monitor.fit(model, train, epochs=10, validation=validation)     # in the background
        monitor                                                          # curves and a Stop button

    Or as one `on_step` function of any `fit`: `fit(..., on_step=[monitor])`; a cell that trains in the
    foreground shows the curves as they grow, but hears of clicks only at its end.
    """

    def __init__(self) -> None:
        self.step: Step | None = None
        self.history: History | None = None
        self.runner = Runner(self, self._changed)
        self._began = self._shown = 0.0
        self._stop = False
        self._showing = threading.RLock()  # a click's older news must not come after the run's last
        on_cell_end(self, "refresh")

    def __call__(self, step: Step) -> None:
        """Take note of a step."""
        if self.history is not step.history:
            self._began, self._stop = time.monotonic(), False
        self.step, self.history = step, step.history
        if time.monotonic() - self._shown > 0.25:
            self.refresh()
        if self._stop:
            raise StopTraining

    def fit(self, model: Any, train: Any, **options: Any) -> Runner:
        """`tlkit.training.fit` in the background where somebody can click, else in the foreground."""
        if self.runner.active:
            raise RuntimeError("this monitor still watches a run: press Stop, or wait for it with .wait()")
        options.setdefault("progress", False)
        self.runner = Runner(self, self._changed)
        self.runner.start(model, train, **options)
        return self.runner

    def stop(self) -> None:
        """End the run after the present step; what was learned stays."""
        self._stop = True
        self.refresh()

    def wait(self) -> History:
        """The `History` of the run started by `fit`, once it has ended."""
        return self.runner.wait()

    def _changed(self) -> None:
        self.history = self.runner.history or self.history
        self.refresh()
        if not self.runner.active:
            self.refresh_still()

    # ------------------------------------------------------------------ showing
    def text(self) -> str:
        """Where the run is, its last loss and accuracies."""
        record, step = self.history, self.step
        if self.runner.error is not None:
            return f"Training failed: {self.runner.error}"
        if record is None or step is None:
            return "Getting ready to train." if self.runner.active else "No training has been watched yet."
        going = record.steps < step.total and record.stopped is None and record.seconds == 0.0
        if going:
            words = progress_in_words(step, self._began) + (" · stopping" if self._stop else "")
        else:
            words = (
                f"{'Stopped' if record.stopped else 'Done'} after {record.steps:,} of {step.total:,} steps"
            )
            words += f" · loss {record.step_loss[-1]:.3f}"
        for name, values in (
            ("training", record.train_accuracy),
            ("validation", record.validation_accuracy),
        ):
            if values:
                words += f" · {name} accuracy {values[-1]:.3f}"
        return words

    def still(self) -> str:
        if self.history is None or not self.history.steps:
            return f"<p>{self.text()}</p>"
        return f"<p>{self.text()}</p>{image_tag(self.history.plot().png(), self.text(), width=720)}"

    def live(self) -> Any:
        import ipywidgets as w

        self._curves = _Curves()
        stop = w.Button(description="Stop", icon="stop", tooltip="End the training; what was learned stays")
        stop.on_click(lambda _: self.stop())
        self.refresh(self._curves)
        return w.VBox([self._curves, stop])

    def refresh(self, curves: Any = None) -> None:
        """Show what is so now."""
        curves = curves or (self._curves if self._face is not None else None)
        if curves is None:
            return
        self._shown = time.monotonic()
        with self._showing:
            record = self.history
            ends = record.epoch_ends if record else []
            curves.data = {
                "words": self.text(),
                "total": self.step.total if self.step else 1,
                "loss": _thinned(record.step_loss) if record else [],
                "training": list(zip(ends, record.train_accuracy, strict=False)) if record else [],
                "validation": list(zip(ends, record.validation_accuracy, strict=False)) if record else [],
            }


class _Curves(anywidget.AnyWidget):
    _esm = _HERE / "curves.js"
    _css = _HERE / "curves.css"
    data = t.Dict().tag(sync=True)


def _thinned(values: Sequence[float]) -> list[tuple[int, float]]:
    """At most `_POINTS` points (step, mean of the values around it)."""
    values = list(values)  # it may grow meanwhile
    size = max(1, -(-len(values) // _POINTS))
    parts = [(i, values[i : i + size]) for i in range(0, len(values), size)]
    return [(i + len(part), sum(part) / len(part)) for i, part in parts]
