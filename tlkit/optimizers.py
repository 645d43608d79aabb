"""Keeping an optimizer in step with what is frozen now, and with the learning rates wanted now."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import nn
from torch.optim import Optimizer

from tlkit.structure import block_parameters

BASE = "base_lr"  # key in an optimizer group: the rate before the schedule's factor


def sync_optimizer(optimizer: Optimizer, model: nn.Module, leave: Collection[nn.Parameter] = ()) -> None:
    """Make the next step of `optimizer` act on exactly the trainable parameters of `model`.

    A frozen parameter loses its gradient, so the optimizer skips it (no momentum, no weight decay), and its
    state: once unfrozen it starts afresh. A trainable one that no group holds joins at the optimizer's
    default rate, in a new group named after its block, except those in `leave`.
    """
    known = {p for group in optimizer.param_groups for p in group["params"]}
    for parameter in known:
        if not parameter.requires_grad:
            parameter.grad = None
            optimizer.state.pop(parameter, None)
    if all(p in known or p in leave or not p.requires_grad for p in model.parameters()):
        return
    for block, parameters in block_parameters(model).items():
        fresh = [p for p in parameters if p.requires_grad and p not in known and p not in leave]
        if fresh:
            optimizer.add_param_group({"params": fresh, "name": block})


def set_learning_rates(optimizer: Optimizer, rates: Mapping[str, float]) -> None:
    """Group name -> new learning rate, from the next step on; a schedule's factor applies on top.

    Raises ValueError when no group has that name (`tlkit.layers.parameter_groups` names groups by block).
    """
    groups = {group.get("name"): group for group in optimizer.param_groups}
    for name, rate in rates.items():
        if name not in groups:
            raise ValueError(f"the optimizer has no group {name!r}, but {', '.join(map(repr, groups))}")
        groups[name]["lr"] = groups[name][BASE] = rate


def scale_learning_rates(optimizer: Optimizer, factor: float) -> None:
    """Set each group's rate to `factor` times its base rate (the rate it had when first scaled)."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault(BASE, group["lr"]) * factor
