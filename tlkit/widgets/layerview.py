"""The live face of a LayerBoard: the drawn strip, and plain ipywidgets as controls."""

from __future__ import annotations

import html
import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from tlkit.widgets import layerfacts as facts
from tlkit.widgets.layerstrip import LayerStrip
from tlkit.widgets.runner import progress_in_words

if TYPE_CHECKING:
    from tlkit.widgets.layerboard import LayerBoard


class LayerView(w.VBox):  # type: ignore[misc]  # ipywidgets carries no types
    """Shows a board and passes on what is clicked. The board calls `update` when something is new."""

    def __init__(self, board: LayerBoard) -> None:
        self.board = board
        self._answers = 0
        self._showing = threading.RLock()  # a click's older news must not come after the training's
        self.strip = LayerStrip()
        self.strip.on_msg(self._asked)
        auto = w.Layout(width="auto")
        style = w.ButtonStyle()

        def button(label: str, icon: str, act: Callable[[], None], tip: str) -> Any:
            made = w.Button(description=label, icon=icon, tooltip=tip, layout=auto, style=style)
            made.on_click(lambda _: self._try(act))
            return made

        b = board
        edit = [
            button("Undo", "undo", b.undo, "Take back the last change (Ctrl+Z)"),
            button("Redo", "repeat", b.redo, "Do it again (Ctrl+Y)"),
            button(
                "Freeze all but the head", "snowflake-o", b.freeze_all_but_head, "Only the last block learns"
            ),
            button(
                "Unfreeze from here up", "fire", self._from_here, "The chosen block and all after it learn"
            ),
        ]
        self.pause = button("Pause", "pause", self._pause, "Hold the training, or go on with it")
        self.stop = button("Stop", "stop", b.stop, "End the training; what was learned stays")
        run = [
            self.pause,
            self.stop,
            button("Rewind weights", "fast-backward", b.rewind, "Back to the weights of the start"),
            button("Copy as PyTorch", "clipboard", self._copy, "The lines that do the same"),
        ]
        first = next(iter(board.rates.values()), 0.0)
        self.rate = w.FloatText(
            first, description="Learning rate", step=0.0001, layout=w.Layout(width="auto")
        )
        self.rate.style.description_width = "initial"
        self.rate.observe(self._rate_typed, "value")
        self.lines = w.Textarea(
            description="PyTorch", layout=w.Layout(width="100%", height="auto", display="none")
        )
        self.runs = w.HTML()
        flow = w.Layout(flex_flow="row wrap", align_items="center")
        super().__init__(
            [
                self.strip,
                w.HBox(edit + run + [self.rate], layout=flow),
                self.lines,
                self.runs,
            ]
        )
        self.strip.observe(self._moved, "here")
        self.rebuild()

    # ------------------------------------------------------------------ the board speaks
    def rebuild(self) -> None:
        """The layers themselves are others now."""
        blocks = facts.blocks_now(self.board.freezing, self.board.blocks)
        self.update()
        self.strip.layers = facts.layer_rows(blocks)
        self.strip.blocks = facts.block_rows(blocks, self.board.freezing.shapes)

    def update(self) -> None:
        """Show what is so now."""
        with self._showing:
            self._update()

    def _update(self) -> None:
        board = self.board
        blocks = facts.blocks_now(board.freezing, board.blocks)
        rows = [row for block in blocks for row in block.rows]
        asked = board.freezing.asked
        rates = facts.rates_in_words(board.freezing, board.rates, board.optimizer)
        self._answers += 1
        self.strip.state = {
            "answers": self._answers,  # so that every answer differs from the one before it
            "asked": [asked.learns.get(row.name) for row in rows],
            "learns": [row.trainable for row in rows],
            "batchnorm": [row.batchnorm or "" for row in rows],
            "held": [row.held for row in rows],
            "trap": [row.trap for row in rows],
            "holds": sum(row.held and row.trainable is False for row in rows),
            "rate": [rates.get(block.name, "") for block in blocks],
            "summary": facts.summary(blocks),
        }
        self.strip.status = board.note
        vitals = board.vitals
        if vitals.change:
            self.strip.live = {
                "step": board.step.index + 1 if board.step else 0,
                "words": progress_in_words(board.step, board.began) if board.runner.active else "",
                "gradient": [_number(vitals.gradient.get(block.name)) for block in blocks],
                "ghost": [_number(vitals.ghost.get(block.name)) for block in blocks],
                "change": [_number(vitals.change.get(block.name)) for block in blocks],
                "drift": [_number(vitals.drift.get(block.name)) for block in blocks],
            }
        elif self.strip.live:
            self.strip.live = {}
        active, paused = board.runner.active, board.runner.state == "paused"
        self.pause.disabled = self.stop.disabled = not active
        self.pause.description, self.pause.icon = ("Resume", "play") if paused else ("Pause", "pause")
        if self.lines.layout.display is None:
            self.lines.value = board.code()
        if board.runs:
            self.runs.value = _runs_table(board.runs)

    # ------------------------------------------------------------------ the page speaks
    def _asked(self, _: Any, message: dict[str, Any], __: Any) -> None:
        board, op = self.board, message.get("op")
        acts: dict[Any, Callable[[], None]] = {
            "set": lambda: board.ask(message["names"], bool(message["learns"])),
            "undo": board.undo,
            "redo": board.redo,
            "batchnorm": lambda: board.hold_batchnorm(bool(message["hold"])),
        }
        if op in acts:
            self._try(acts[op])

    def _try(self, act: Callable[[], None]) -> None:
        """An error in a click has no cell to appear in: the board says it."""
        try:
            act()
        except Exception as error:
            self.board.note = f"That did not work: {error}"
            self.update()

    def _from_here(self) -> None:
        here = self.strip.here or (self.board.blocks or [""])[-1]
        self.board.unfreeze_from(here)

    def _pause(self) -> None:
        (self.board.resume if self.board.runner.state == "paused" else self.board.pause)()

    def _copy(self) -> None:
        text = self.board.code()
        self.lines.value = text
        self.lines.rows = text.count("\n")
        self.lines.layout.display = None
        self.strip.send({"op": "copy", "text": text})

    def _block_here(self) -> str | None:
        here = self.strip.here
        found = [n for n in self.board.rates if n == here or (n and here.startswith(n + "."))]
        return found[0] if found else None

    def _moved(self, _: Any) -> None:
        block = self._block_here()
        if block is not None:
            self.rate.unobserve(self._rate_typed, "value")
            self.rate.description = f"Learning rate of {facts.block_labels(self.board.blocks)[block]}"
            self.rate.value = self.board.rates[block]
            self.rate.observe(self._rate_typed, "value")

    def _rate_typed(self, change: Any) -> None:
        block = self._block_here()
        self._try(lambda: self.board.set_lr(change["new"] if block is None else {block: change["new"]}))

    def close(self) -> None:
        for child in self.children:
            child.close()
        super().close()


def _number(value: float | None) -> float | None:
    """JSON has neither NaN nor infinity."""
    return value if value is not None and math.isfinite(value) else None


def _runs_table(runs: list[dict[str, Any]]) -> str:
    """The runs made with this board, to compare."""
    head = "".join(f"<th scope='col'>{html.escape(key)}</th>" for key in runs[0])
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in run.values()) + "</tr>"
        for run in runs
    )
    return f"<table class='tl-runs'><caption>Runs of this board</caption><tr>{head}</tr>{rows}</table>"
