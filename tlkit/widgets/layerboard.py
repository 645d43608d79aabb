"""LayerBoard: a model's layers as blocks that one click freezes, also while the model trains."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from tlkit.batches import Batches
from tlkit.layers import block_parameters, blocks, snapshot
from tlkit.training import History, Step, set_learning_rates
from tlkit.widgets import layerstill
from tlkit.widgets.code import pytorch_code
from tlkit.widgets.freezing import Freezing, Policy
from tlkit.widgets.interactive import Interactive
from tlkit.widgets.layerfacts import block_labels
from tlkit.widgets.notebook import on_cell_end, take_over, variable_of
from tlkit.widgets.runner import Runner
from tlkit.widgets.vitals import Vitals

_BOARDS: weakref.WeakKeyDictionary[nn.Module, weakref.WeakSet[LayerBoard]] = weakref.WeakKeyDictionary()
# Measuring changes a model for a moment (its mode, its hooks). Nobody may look at it then.
_LOCKS: weakref.WeakKeyDictionary[nn.Module, threading.RLock] = weakref.WeakKeyDictionary()


class LayerBoard(Interactive):
    """The layers of a model as blocks: cold and striped when frozen, warm when they learn.

    A click (or `freeze`, `unfreeze`) asks for a change; the board shows it as done only when the model has
    it. `fit` trains in the background while the board answers; a change made then takes effect before the
    next step. `rewind` goes back to the weights of the time the board was made.

    Args:
        model: any `nn.Module`. Its blocks are those of `tlkit.layers.blocks`.
        example: a batch [N, ...] (or a tuple or dict of forward's arguments); gives the shapes. A tensor of
            at least 8 inputs also gives the drift of the features while training.
        lr: learning rate of every block, until `set_lr` or `fit(lr=...)` says otherwise.
        batchnorm: "leave": freezing a block lets its BatchNorm statistics move in training, which is the
            classic trap, and the board warns of it. "hold": they are held, as `tlkit.layers.freeze` does.

    Raises:
        TypeError: `model` is no `nn.Module`. ValueError: its parameters have no shape yet (lazy layers), or
            no values (the meta device).
    """

    def __init__(
        self, model: nn.Module, example: Any = None, *, lr: float = 1e-3, batchnorm: Policy = "leave"
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"LayerBoard shows a torch.nn.Module, not a {type(model).__name__}")
        lazy = [name for name, p in model.named_parameters() if is_lazy(p)]
        if lazy:
            raise ValueError(f"parameter {lazy[0]!r} has no shape yet: run the model on one batch first")
        empty = [name for name, p in model.named_parameters() if p.is_meta]
        if empty:
            raise ValueError(f"parameter {empty[0]!r} has no values: bring the model to a real device first")
        self.model, self.example = model, example
        self.variable = variable_of(model)
        self._lock = _LOCKS.setdefault(model, threading.RLock())
        with self._lock:
            self.freezing = Freezing(model, _few(example), batchnorm)
            self.rates: dict[str, float] = dict.fromkeys(block_parameters(model), lr)
            self.start = _same_start(model) or {name: value.cpu() for name, value in snapshot(model).items()}
        self.vitals = Vitals(model, self.start, example if isinstance(example, Tensor) else None)
        self.runner = Runner(self._between, self._on_run)
        self.optimizer: Optimizer | None = None
        self.step: Step | None = None
        self.began = 0.0  # when the first step of the run was done
        self.runs: list[dict[str, Any]] = []
        self.note = "Click a block to freeze or unfreeze it. Shift-click: everything in between."
        self._options: dict[str, Any] = {}
        _BOARDS.setdefault(model, weakref.WeakSet()).add(self)
        take_over(self)
        on_cell_end(self, "_look_again")

    # ------------------------------------------------------------------ asking
    @property
    def blocks(self) -> list[str]:
        """Names of the blocks."""
        return blocks(self.model)

    def freeze(self, *names: str) -> None:
        """Freeze blocks or layers by name."""
        self._ask(lambda: self.freezing.ask(self._layers(names), False))

    def unfreeze(self, *names: str) -> None:
        """Let blocks or layers by name learn."""
        self._ask(lambda: self.freezing.ask(self._layers(names), True))

    def ask(self, layers: Iterable[str], learns: bool) -> None:
        """Freeze exactly these layers, or let them learn: what a click on the page asks."""
        self._ask(lambda: self.freezing.ask(list(layers), learns))

    def freeze_all_but_head(self) -> None:
        """Only the last block learns: feature extraction."""
        head = list(block_parameters(self.model))[-1:]
        self._ask(lambda: self.freezing.ask_exactly(self._layers(head)))

    def unfreeze_from(self, name: str) -> None:
        """Let a block or layer and everything after it, up to the output, learn."""
        rows = [row.name for row in self.freezing.rows]
        first = rows.index(self._layers([name])[0])
        self._ask(lambda: self.freezing.ask(rows[first:], True))

    def hold_batchnorm(self, hold: bool = True) -> None:
        """Hold the running statistics of frozen BatchNorm layers, from now on; or let them move again."""
        self._ask(lambda: self.freezing.ask_batchnorm("hold" if hold else "leave"))

    def undo(self) -> None:
        """Take back the last change of freezing."""
        self._ask(self.freezing.undo, "" if self.freezing.can_undo else "There is nothing to undo.")

    def redo(self) -> None:
        """Do again what was undone."""
        self._ask(self.freezing.redo, "" if self.freezing.can_redo else "There is nothing to redo.")

    def set_lr(self, rates: float | Mapping[str, float]) -> None:
        """Learning rate of all blocks, or block -> rate; in a running training from the next step on."""
        new = dict.fromkeys(self.rates, float(rates)) if isinstance(rates, (int, float)) else dict(rates)
        unknown = [name for name in new if name not in self.rates]
        if unknown:
            raise ValueError(f"there is no block {unknown[0]!r}: the blocks are {', '.join(self.rates)}")
        wrong = [(name, rate) for name, rate in new.items() if not rate >= 0]
        if wrong:
            raise ValueError(f"learning rate {wrong[0][1]} of {wrong[0][0]!r}: a rate is not negative")
        self.rates.update(new)
        if self.runner.active and self.optimizer is not None:
            named = {group.get("name") for group in self.optimizer.param_groups}
            set_learning_rates(self.optimizer, {name: rate for name, rate in new.items() if name in named})
        self._show()

    def _layers(self, names: Iterable[str]) -> list[str]:
        """Names of blocks, modules or layers -> the layers in them."""
        labels = {label: name for name, label in block_labels(self.blocks).items()}
        found: list[str] = []
        for given in names:
            name = given if given in dict(self.model.named_modules()) else labels.get(given, given)
            inside = [r.name for r in self.freezing.rows if r.name == name or r.name.startswith(name + ".")]
            inside = inside or [r.name for r in self.freezing.rows if r.block == name]
            if not inside:
                raise ValueError(f"there is no layer {given!r}: the blocks are {', '.join(self.blocks)}")
            found += inside
        return found

    def _ask(self, wish: Any, note: str = "") -> None:
        self.note = note
        self.refresh(quiet=True)
        wish()
        self._settle()

    # ------------------------------------------------------------------ making it so
    def _settle(self) -> None:
        """Apply what is asked: now, or, where a board trains this model, before its next step."""
        if not any(board.runner.active for board in self._siblings()):
            self._apply()
        self._show()

    def _apply(self) -> None:
        with self._lock:
            changed = self.freezing.apply()
        if changed:
            for board in self._siblings():
                if board is not self:
                    board.refresh(quiet=True)

    def _siblings(self) -> list[LayerBoard]:
        """All boards on this model, this one included."""
        return list(_BOARDS.get(self.model, ()))

    def refresh(self, *, quiet: bool = False) -> None:
        """Look at the model again: it may have been changed by code, or by another board."""
        with self._lock:
            before = self.freezing.identity
            changed = self.freezing.reread()
            if self.freezing.identity != before:
                self._adopt()
            elif changed and not quiet:
                where = ", ".join(changed[:3]) + (" …" if len(changed) > 3 else "")
                self.note = f"Changed outside of the board: {where}. Undo takes it back."
        self._show()

    def _adopt(self) -> None:
        """Parts of the model were exchanged: go on with the new ones."""
        fresh = snapshot(self.model)
        new = {
            name: value.cpu()
            for name, value in fresh.items()
            if name not in self.start or self.start[name].shape != value.shape
        }
        self.start = {name: self.start.get(name, value) for name, value in fresh.items()} | new
        rate = next(iter(self.rates.values()), 1e-3)
        self.rates = {name: self.rates.get(name, rate) for name in block_parameters(self.model)}
        self.vitals = Vitals(self.model, self.start, self.vitals.example)
        self.note = "Part of the model was exchanged; rewinding goes back to what it is now."
        if self._face is not None:
            self._face.rebuild()

    def _look_again(self) -> None:
        """After every cell: has code changed the model, or put another one in its place?"""
        if self.runner.active:
            return
        self.refresh()
        if self.variable and variable_of(self.model) != self.variable:
            self.note = (
                f"{self.variable} now is another model; this board still shows the former one. "
                f"Make a new board: LayerBoard({self.variable})."
            )
            self._show()

    # ------------------------------------------------------------------ training
    def fit(self, train: Any, *, lr: float | Mapping[str, float] | None = None, **options: Any) -> Runner:
        """Train the model by `tlkit.training.fit`, in the background where somebody can click.

        Takes the arguments of `fit`; learning rates are the board's (`set_lr`) unless `lr` or an optimizer of
        your own is given. Run unwatched, it returns when training is done. Either way `wait()`, of the board
        or of what this returns, gives the `History`.
        """
        if self.runner.active:
            raise RuntimeError("this board is still training: press Stop, or wait for it with .wait()")
        if any(board.runner.active for board in self._siblings()):
            raise RuntimeError(
                "another board is still training this model: press Stop there, or wait for it with .wait()"
            )
        if lr is not None:
            self.set_lr(lr)
        self.refresh(quiet=True)
        if self.vitals.example is None and not isinstance(self.example, (tuple, dict)):
            self.vitals.example = _first_batch(train)
        with self._lock:
            self.vitals.look_at_start()
        if not isinstance(options.get("optimizer"), Optimizer):
            options["lr"] = self.rates
        self._options = {
            key: options[key] for key in ("optimizer", "weight_decay", "momentum") if key in options
        }
        self.step, self.optimizer = None, None
        options.setdefault("progress", False)
        self.runner = Runner(self._between, self._on_run)
        self.runner.start(self.model, train, **options)
        return self.runner

    def _between(self, step: Step) -> None:
        """After each step, in the training thread: measure, then do what was asked meanwhile."""
        if self.step is None:
            self.began = time.monotonic()
            self.note = "Training. What you change takes effect before the next step."
        self.step, self.optimizer = step, step.optimizer
        with self._lock:
            fresh = self.vitals.measure() if self.runner.state == "running" else False
        for board in self._siblings():
            if board.freezing.waiting:
                board._apply()
                board._show()
        if fresh:
            self._show()

    def _on_run(self) -> None:
        """The state of the run has changed."""
        if not self.runner.active:
            self.optimizer = None
        if self.runner.state in ("done", "stopped", "failed") and self.step is not None:
            with self._lock:
                self.vitals.measure(everything=True)
                self.freezing.reread()
            self.runs.append(layerstill.run_facts(self))
            if self.freezing.waiting:
                self._apply()
        self.note = layerstill.run_note(self)
        self._show()
        if not self.runner.active:
            self.refresh_still()

    def pause(self) -> None:
        """Hold the training after the present step; freezing goes on working."""
        self.runner.pause()

    def resume(self) -> None:
        """Go on with a paused training."""
        self.runner.resume()

    def stop(self) -> None:
        """End the training after the present step; what was learned stays."""
        self.runner.stop()

    def wait(self) -> History:
        """The `History` of the run started by `fit`, once it has ended."""
        return self.runner.wait()

    def rewind(self) -> None:
        """Back to the weights and statistics that the model had when the board was made; freezing stays."""
        if self.runner.active:
            self.stop()
        self.model.load_state_dict(self.start)
        self.vitals = Vitals(self.model, self.start, self.vitals.example)
        self.step = self.optimizer = None
        self.note = "Back at the weights of the start; what is frozen stays frozen."
        self._show()
        self.refresh_still()

    # ------------------------------------------------------------------ showing
    def code(self) -> str:
        """Plain PyTorch lines that reproduce this freezing and these learning rates."""
        return pytorch_code(self.model, self.rates, name=self.variable or "model", **self._options)

    def snapshot(self, path: str | Path | None = None) -> layerstill.Snapshot:
        """The board as a PNG with a text: for notebooks read without a kernel. `path` also writes the PNG."""
        self.refresh(quiet=True)
        return layerstill.snapshot(self, path)

    def text(self) -> str:
        return layerstill.text(self)

    def still(self) -> str:
        return layerstill.still(self)

    def live(self) -> Any:
        from tlkit.widgets.layerview import LayerView  # ipywidgets only where somebody looks

        return LayerView(self)

    def _show(self) -> None:
        if self._face is not None:
            self._face.update()

    def close(self) -> None:
        """Stop training and take the board off the page."""
        self.stop()
        for boards in _BOARDS.values():
            boards.discard(self)
        if self._face is not None:
            self._face.close()
            self._face = None


def _few(example: Any) -> Any:
    """One or two rows are enough to learn shapes."""
    return example[:2] if isinstance(example, Tensor) and example.ndim > 0 else example


def _first_batch(train: Any) -> Tensor | None:
    x, _ = next(iter(Batches(train, 64)))
    return x if isinstance(x, Tensor) else None


def _same_start(model: nn.Module) -> dict[str, Tensor] | None:
    """The start of another board on this model, where the weights are still the same: one copy is enough."""
    now = model.state_dict()
    for board in _BOARDS.get(model, ()):
        start = board.start
        if start.keys() == now.keys() and all(
            start[n].shape == v.shape and not v.is_meta and bool((start[n] == v.cpu()).all())
            for n, v in now.items()
        ):
            return start
    return None
