"""Layers seen and steered: freeze, unfreeze, a table of what a model is made of, optimizer groups by block.

Layers are named as PyTorch names them (`model.get_submodule(name)`); the model itself is "".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tlkit.batchnorm import (
    BatchNormMode,
    batchnorm_mode,
    batchnorm_modes,
    evaluation_mode,
    hold_batchnorm,
    is_held,
    release_batchnorm,
    tracks_statistics,
)
from tlkit.observe import capture, gradient_norms, snapshot, weight_change
from tlkit.structure import block_of, block_parameters, blocks

__all__ = [
    "Layer",
    "batchnorm_modes",
    "block_of",
    "block_parameters",
    "blocks",
    "capture",
    "format_layer_table",
    "freeze",
    "gradient_norms",
    "hold_batchnorm",
    "is_held",
    "layer_shapes",
    "layer_table",
    "parameter_groups",
    "release_batchnorm",
    "snapshot",
    "unfreeze",
    "weight_change",
]

Shape = tuple[int, ...]


def freeze(module: nn.Module, *, batchnorm: Literal["hold", "leave"] = "hold") -> nn.Module:
    """Stop `module` from learning; returns it. `unfreeze` takes it back.

    Every parameter gets `requires_grad=False`, and its old gradient is dropped so that no optimizer uses it.
    `batchnorm="hold"` also keeps the running statistics of BatchNorm layers still (see `hold_batchnorm`);
    `"leave"` touches only parameters: in training mode the statistics then drift, which is the classic trap.
    A parameter shared with a layer outside `module` is frozen there too: it is one tensor.
    """
    _check_choice("batchnorm", batchnorm, ("hold", "leave"))
    for parameter in module.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None
    if batchnorm == "hold":
        hold_batchnorm(module)
    return module


def unfreeze(module: nn.Module, *, batchnorm: Literal["release", "leave"] = "release") -> nn.Module:
    """Let `module` learn again; returns it. Held BatchNorm layers are released unless `batchnorm="leave"`."""
    _check_choice("batchnorm", batchnorm, ("release", "leave"))
    for parameter in module.parameters():
        if parameter.is_floating_point() or parameter.is_complex():  # integers (quantised) have no gradient
            parameter.requires_grad_(True)
    if batchnorm == "release":
        release_batchnorm(module)
    return module


def _check_choice(argument: str, found: str, choices: Sequence[str]) -> None:
    if found not in choices:
        raise ValueError(f"{argument}={found!r} is not known: use one of {', '.join(map(repr, choices))}")


@dataclass(frozen=True)
class Layer:
    """One row of `layer_table`: a module that owns parameters or buffers itself."""

    name: str  # path for `model.get_submodule`; "" is the model itself
    kind: str  # class name
    block: str  # path of the block it belongs to (see `tlkit.structure.blocks`)
    parameters: int  # numbers in the parameters it owns; shared ones count at their first owner only
    trainable_parameters: int  # how many of those have requires_grad
    trainable: bool | None  # does any parameter it uses learn? None: it has none
    shared_with: str | None  # first owner of a parameter it shares
    in_shape: Shape | None  # of the example, batch dimension included; None: not seen in the forward pass
    out_shape: Shape | None
    batchnorm: BatchNormMode | None  # statistics in use right now; None: no BatchNorm
    tracks: bool  # has running statistics, which move in training mode unless held
    held: bool  # running statistics are kept still (see `hold_batchnorm`)

    @property
    def trap(self) -> bool:
        """Frozen weights, moving statistics: BatchNorm that still changes when the model trains."""
        return self.tracks and not self.held and self.trainable is False


def layer_table(model: nn.Module, example: Any = None) -> list[Layer]:
    """One row for each layer that owns parameters or buffers, in the order of definition.

    `example` (a tensor, or a tuple or dict of forward's arguments) is run once in evaluation mode, without
    gradients, to learn the shapes; a layer called twice shows its first call. Nothing in the model changes.
    """
    shapes = layer_shapes(model, example) if example is not None else {}
    owner: dict[nn.Parameter, str] = {}
    rows, among = [], blocks(model)
    for name, module in model.named_modules():
        own = list(module.parameters(recurse=False))
        if not own and not any(True for _ in module.buffers(recurse=False)):
            continue
        shared = [owner[p] for p in own if p in owner]
        counted = [p for p in dict.fromkeys(own) if p not in owner]
        owner.update(dict.fromkeys(counted, name))
        seen = shapes.get(name, (None, None))
        rows.append(
            Layer(
                name=name,
                kind=type(module).__name__,
                block=block_of(model, name, among),
                parameters=sum(_size(p) for p in counted),
                trainable_parameters=sum(_size(p) for p in counted if p.requires_grad),
                trainable=any(p.requires_grad for p in own) if own else None,
                shared_with=shared[0] if shared else None,
                in_shape=seen[0],
                out_shape=seen[1],
                batchnorm=batchnorm_mode(module),
                tracks=tracks_statistics(module),
                held=is_held(module),
            )
        )
    return rows


def _size(parameter: nn.Parameter) -> int:
    return 0 if is_lazy(parameter) else parameter.numel()


def layer_shapes(model: nn.Module, example: Any) -> dict[str, tuple[Shape | None, Shape | None]]:
    """Name of every module that `example` passes through -> (shape in, shape out), blocks included.

    `example` as in `layer_table`; nothing in the model changes.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    found: dict[str, tuple[Shape | None, Shape | None]] = {}

    def look(name: str) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            found.setdefault(name, (_shape((*args, *kwargs.values())), _shape(output)))

        return hook

    handles = [m.register_forward_hook(look(n), with_kwargs=True) for n, m in model.named_modules()]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)  # the fused transformer kernel calls no submodule
        with evaluation_mode(model), torch.no_grad(), torch.random.fork_rng(devices=[]):
            if isinstance(example, Mapping):
                model(**{key: _to(value, device) for key, value in example.items()})
            elif isinstance(example, tuple):
                model(*(_to(value, device) for value in example))
            else:
                model(_to(example, device))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for handle in handles:
            handle.remove()
    return found


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value


def _shape(value: Any) -> Shape | None:
    """Shape of the first tensor in `value`."""
    if isinstance(value, Tensor):
        return tuple(value.shape)
    inner = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, (Mapping, tuple, list)):
        return None
    return next((shape for shape in map(_shape, inner) if shape is not None), None)


def format_layer_table(rows: Sequence[Layer]) -> str:
    """The rows as aligned text, with totals in the last line."""
    head = ("layer", "kind", "parameters", "learns", "in", "out", "BatchNorm")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    pad = [str.rjust if title == "parameters" else str.ljust for title in head]
    text = ["  ".join(map(lambda put, cell, w: put(cell, w), pad, line, widths)) for line in lines]
    total, learning = sum(r.parameters for r in rows), sum(r.trainable_parameters for r in rows)
    summary = f"{total:,} parameters, {learning:,} of them trainable"
    return "\n".join([*(line.rstrip() for line in text), summary])


def _cells(row: Layer) -> tuple[str, ...]:
    learns = {None: "-", True: "yes", False: "no"}[row.trainable]
    if 0 < row.trainable_parameters < row.parameters:
        learns = "partly"
    count = f"{row.parameters:,}" if row.shared_with is None else f"{row.parameters:,} (shared)"
    mode = "" if row.batchnorm is None else row.batchnorm + (", held" if row.held else "")
    shapes = ["x".join(map(str, shape)) if shape else "" for shape in (row.in_shape, row.out_shape)]
    mode += " (drifts!)" if row.trap else ""
    return (row.name or "(model)", row.kind, count, learns, *shapes, mode)


def parameter_groups(
    model: nn.Module,
    lrs: float | Mapping[str, float],
    *,
    default: float | None = None,
    trainable_only: bool = False,
) -> list[dict[str, Any]]:
    """Optimizer groups, one a block: `{"name": block, "params": [...], "lr": lr}`, in the model's order.

    `lrs` maps blocks (see `blocks(model)`) to learning rates, or is one rate for all; blocks it does not name
    get `default`. Frozen parameters are included, so that they learn once unfrozen (an optimizer skips a
    parameter without gradient), unless `trainable_only`.
    Raises ValueError for a block that does not exist or has no rate.
    """
    members = block_parameters(model)
    rates = dict.fromkeys(members, lrs) if isinstance(lrs, (int, float)) else dict(lrs)
    unknown = [name for name in rates if name not in members]
    if unknown:
        raise ValueError(f"the model has no block {unknown[0]!r} with parameters, but {', '.join(members)}")
    missing = [name for name in members if name not in rates]
    if missing and default is None:
        raise ValueError(f"no learning rate for block {missing[0]!r}: name it in lrs, or give default=")
    groups = []
    for name, parameters in members.items():
        chosen = [p for p in parameters if p.requires_grad or not trainable_only]
        if chosen:
            groups.append({"name": name, "params": chosen, "lr": float(rates.get(name, default or 0.0))})
    return groups
