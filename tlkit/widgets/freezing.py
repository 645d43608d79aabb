"""What a board is asked to freeze, and what the model really has frozen: kept apart, with undo."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import nn

from tlkit.layers import Layer, hold_batchnorm, layer_shapes, layer_table, release_batchnorm

Policy = Literal["leave", "hold"]


@dataclass(frozen=True)
class Wish:
    """One state of freezing: layer -> learns?, BatchNorm layer -> held?, and what freezing does next."""

    learns: dict[str, bool]
    held: dict[str, bool]
    batchnorm: Policy


class Freezing:
    """Freezing of one model, layer by layer.

    `rows` is the truth, as `tlkit.layers.layer_table` tells it; `asked` is what somebody wants. `apply` makes
    the truth what was asked: at once, or between two training steps. `batchnorm` says whether freezing a
    layer also holds its running statistics ("hold") or leaves the trap open ("leave").
    All methods may be called from any thread.
    """

    def __init__(self, model: nn.Module, example: Any = None, batchnorm: Policy = "leave") -> None:
        if batchnorm not in ("leave", "hold"):
            raise ValueError(f"batchnorm={batchnorm!r} is not known: use 'leave' or 'hold'")
        self.model = model
        self._lock = threading.RLock()
        self.shapes = layer_shapes(model, example) if example is not None else {}
        self._read(self._look())
        self.asked = Wish(*self._truth(), batchnorm)
        self._past: list[Wish] = []
        self._future: list[Wish] = []

    # ------------------------------------------------------------------ the truth
    def _read(self, rows: list[Layer]) -> None:
        self.rows = rows
        self._modules = {row.name: self.model.get_submodule(row.name) for row in rows}
        users: dict[nn.Parameter, list[str]] = {}
        for name, module in self._modules.items():
            for parameter in module.parameters(recurse=False):
                users.setdefault(parameter, []).append(name)
        self._partners = {name: {name} for name in self._modules}
        for names in users.values():  # layers that share a tensor freeze together
            for name in names:
                self._partners[name].update(names)
        self.identity = [id(module) for module in self._modules.values()]

    def _look(self) -> list[Layer]:
        """The table anew, with the shapes learned at the beginning: they took a forward pass."""
        rows = []
        for row in layer_table(self.model):
            into, out = self.shapes.get(row.name, (None, None))
            rows.append(replace(row, in_shape=into, out_shape=out))
        return rows

    def _truth(self) -> tuple[dict[str, bool], dict[str, bool]]:
        learns = {row.name: bool(row.trainable) for row in self.rows if row.trainable is not None}
        return learns, {row.name: row.held for row in self.rows if row.tracks}

    @property
    def waiting(self) -> bool:
        """Is something asked that is not applied yet?"""
        with self._lock:
            return (self.asked.learns, self.asked.held) != self._truth()

    def reread(self) -> list[str]:
        """Look at the model again; returns the layers whose freezing somebody else has changed.

        What somebody else did becomes what is asked, and can be undone. Wishes not yet applied stay wishes.
        """
        with self._lock:
            was_learning, was_held = self._truth()
            self._read(self._look())
            learns, held = self._truth()
            changed = [n for n in learns if learns[n] != was_learning.get(n, learns[n])]
            changed += [n for n in held if held[n] != was_held.get(n, held[n]) and n not in changed]
            asked = Wish(
                {n: v if n in changed else self.asked.learns.get(n, v) for n, v in learns.items()},
                {n: v if n in changed else self.asked.held.get(n, v) for n, v in held.items()},
                self.asked.batchnorm,
            )
            if changed:
                self._remember()
            self.asked = asked
            return changed

    # ------------------------------------------------------------------ wishes
    def ask(self, names: Iterable[str], learns: bool) -> None:
        """Wish that these layers learn, or that they are frozen; those without parameters are passed over."""
        with self._lock:
            wanted = {p for name in names for p in self._partners[name] if p in self.asked.learns}
            now = {**self.asked.learns, **dict.fromkeys(wanted, learns)}
            hold = not learns and self.asked.batchnorm == "hold"
            held = {n: (hold if n in wanted else v) for n, v in self.asked.held.items()}
            self._wish(Wish(now, held, self.asked.batchnorm))

    def ask_exactly(self, learning: Iterable[str]) -> None:
        """Wish that these layers learn and all others are frozen."""
        with self._lock:
            keep = {p for name in learning for p in self._partners[name]}
            now = {name: name in keep for name in self.asked.learns}
            hold = self.asked.batchnorm == "hold"
            held = {
                n: v if n in now and now[n] == self.asked.learns[n] else hold and not now.get(n, True)
                for n, v in self.asked.held.items()
            }
            self._wish(Wish(now, held, self.asked.batchnorm))

    def ask_batchnorm(self, batchnorm: Policy) -> None:
        """Hold the statistics of all frozen BatchNorm layers, now and from now on; or let them move."""
        with self._lock:
            frozen = {n for n in self.asked.held if not self.asked.learns.get(n, True)}
            held = {n: batchnorm == "hold" if n in frozen else v for n, v in self.asked.held.items()}
            self._wish(Wish(self.asked.learns, held, batchnorm))

    def _wish(self, wish: Wish) -> None:
        if wish != self.asked:
            self._remember()
            self.asked = wish

    def _remember(self) -> None:
        self._past.append(self.asked)
        self._future.clear()

    @property
    def can_undo(self) -> bool:
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        return bool(self._future)

    def undo(self) -> None:
        """Back to what was asked before; nothing happens at the beginning."""
        self._travel(self._past, self._future)

    def redo(self) -> None:
        self._travel(self._future, self._past)

    def _travel(self, source: list[Wish], target: list[Wish]) -> None:
        with self._lock:
            if source:
                target.append(self.asked)
                back = source.pop()
                # layers that came or went since then keep their present state
                self.asked = Wish(
                    {n: back.learns.get(n, v) for n, v in self.asked.learns.items()},
                    {n: back.held.get(n, v) for n, v in self.asked.held.items()},
                    back.batchnorm,
                )

    # ------------------------------------------------------------------ making it so
    def apply(self) -> list[str]:
        """Make the model what was asked; returns the layers that changed.

        A frozen parameter loses its gradient at once; its optimizer state is dropped by `fit` before the next
        step (`tlkit.optimizers.sync_optimizer`).
        """
        with self._lock:
            learns, held = self._truth()
            changed = [n for n, on in self.asked.learns.items() if learns.get(n) != on]
            for name in changed:
                on = self.asked.learns[name]
                for parameter in self._modules[name].parameters(recurse=False):
                    if parameter.is_floating_point() or parameter.is_complex():
                        parameter.requires_grad_(on)
                    if not on:
                        parameter.grad = None
            for name, hold in self.asked.held.items():
                if held.get(name) != hold:
                    (hold_batchnorm if hold else release_batchnorm)(self._modules[name])
                    changed += [name] if name not in changed else []
            if changed:
                self.rows = self._look()
            return changed
