"""What a LayerBoard says of a model, as plain data: per layer, per block, in total."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch.optim import Optimizer

from tlkit.layers import Layer, block_parameters
from tlkit.widgets.freezing import Freezing

Verdict = Literal["on", "part", "off"]
Shapes = Mapping[str, tuple[tuple[int, ...] | None, tuple[int, ...] | None]]
WORDS: dict[str | None, str] = {
    "on": "learns",
    "part": "partly frozen",
    "off": "frozen",
    None: "no parameters",
}
ICONS: dict[str | None, str] = {"on": "♨", "part": "◐", "off": "❄", None: "·"}


@dataclass(frozen=True)
class Block:
    """One block as it is now."""

    name: str
    label: str
    rows: tuple[Layer, ...]
    verdict: Verdict | None  # do its layers learn? None: it has no parameters

    @property
    def count(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def learning(self) -> int:
        return sum(row.trainable_parameters for row in self.rows)

    @property
    def trapped(self) -> int:
        """BatchNorm layers with frozen weights whose statistics still move in training."""
        return sum(row.trap for row in self.rows)

    @property
    def batchnorm(self) -> str:
        """In words: which statistics its BatchNorm layers use; "" without any."""
        modes = sorted({row.batchnorm for row in self.rows if row.batchnorm})
        if not modes:
            return ""
        held = " (held)" if any(row.held for row in self.rows) else ""
        return f"BatchNorm: {' and '.join(modes)} statistics{held}" + (" ⚠ not held" if self.trapped else "")


def blocks_now(freezing: Freezing, names: Sequence[str]) -> list[Block]:
    """The blocks of a model with what is true of them now, empty ones left out."""
    labels, found = block_labels(names), []
    for name in names:
        rows = tuple(row for row in freezing.rows if row.block == name)
        known = [bool(row.trainable) for row in rows if row.trainable is not None]
        verdict: Verdict | None = None
        if known:
            verdict = "on" if all(known) else "part" if any(known) else "off"
        if rows:
            found.append(Block(name, labels[name], rows, verdict))
    return found


def block_labels(names: Sequence[str]) -> dict[str, str]:
    """Block -> short name: the last part of its path, or the last two if that is a number or not unique."""
    last = [name.rpartition(".")[2] for name in names]
    labels = {}
    for name, end in zip(names, last, strict=True):
        plain = not end.isdigit() and last.count(end) == 1
        labels[name] = (end if plain else ".".join(name.split(".")[-2:])) or "(model)"
    return labels


def summary(blocks: Sequence[Block]) -> str:
    """What is applied, in one sentence."""
    total, learning = sum(b.count for b in blocks), sum(b.learning for b in blocks)
    if not total:
        return "This model has no parameters."
    some = [b for b in blocks if b.verdict]
    count = sum(b.verdict != "off" for b in some)
    share = 100 * learning / total
    return (
        f"{learning:,} of {total:,} parameters learn ({share:.3g} %), "
        f"in {count} of {len(some)} block{'s' if len(some) != 1 else ''}."
    )


def rates_in_words(
    freezing: Freezing, rates: Mapping[str, float], optimizer: Optimizer | None
) -> dict[str, str]:
    """Block -> learning rate of its group: the optimizer's while one is at work, else the one it will get."""
    if optimizer is None:
        return {name: f"{rate:g}" for name, rate in rates.items()}
    rate_of = {p: float(group["lr"]) for group in optimizer.param_groups for p in group["params"]}
    words = {}
    for name, parameters in block_parameters(freezing.model).items():
        found = sorted({rate_of[p] for p in parameters if p in rate_of})
        words[name] = (
            " to ".join(f"{rate:.3g}" for rate in (found[:1] + found[1:][-1:])) or "not in the optimizer"
        )
    return words


def layer_rows(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """What the page needs of each layer, once."""
    return [
        {
            "name": row.name,
            "label": _leaf_label(row),
            "kind": row.kind,
            "block": number,
            "count": row.parameters,
            "into": row.in_shape,
            "out": row.out_shape,
            "shared": row.shared_with or "",
        }
        for number, block in enumerate(blocks)
        for row in block.rows
    ]


def block_rows(blocks: Sequence[Block], shapes: Shapes) -> list[dict[str, Any]]:
    """What the page needs of each block, once."""
    return [
        {"name": b.name, "label": b.label, "count": b.count, "shapes": shapes.get(b.name, (None, None))}
        for b in blocks
    ]


def _leaf_label(row: Layer) -> str:
    inside = row.name.removeprefix(row.block).lstrip(".") if row.block else row.name
    return inside or row.kind
