"""Normalisation layers with memory: which statistics they use, and how to keep those still.

BatchNorm (Ioffe & Szegedy 2015) has two kinds of state. Its weight and bias are parameters and obey
`requires_grad`. Its running mean and variance are *buffers*: every forward pass in training mode moves them,
whatever `requires_grad` says. "Holding" such a layer keeps it in evaluation mode, so that it uses the running
statistics and leaves them alone, even when a parent is put in training mode.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

BatchNormMode = Literal["batch", "running"]
_RELEASED_MODE = "_mode_when_released"


def _stay_in_eval(module: nn.Module, mode: bool = True) -> nn.Module:
    """What `.train(mode)` does on a held layer: remember the wish, stay in evaluation mode."""
    module.__dict__[_RELEASED_MODE] = mode
    module.training = False
    return module


def tracks_statistics(module: nn.Module) -> bool:
    """Whether the layer keeps running statistics (any Batch- or InstanceNorm with `track_running_stats`)."""
    return isinstance(module, _NormBase) and module.running_mean is not None


def is_held(module: nn.Module) -> bool:
    """Whether this very layer is held (see `hold_batchnorm`)."""
    return _RELEASED_MODE in module.__dict__


def hold_batchnorm(module: nn.Module) -> nn.Module:
    """Keep every BatchNorm layer inside `module` in evaluation mode; returns `module`.

    Held layers use their running statistics and do not move them, through any later `.train()` of a parent,
    through `copy.deepcopy` and pickling; `state_dict` is untouched. `release_batchnorm` takes it back.
    Layers without running statistics have nothing to hold: they use the batch in either mode.
    """
    for layer in module.modules():
        if tracks_statistics(layer) and not is_held(layer):
            layer.__dict__[_RELEASED_MODE] = layer.training
            # An instance attribute hides the method `train`, which parents call on their children and
            # `.eval()` goes through. A partial of a plain function is copied and pickled with the layer.
            layer.__dict__["train"] = functools.partial(_stay_in_eval, layer)
            layer.training = False
    return module


def release_batchnorm(module: nn.Module) -> nn.Module:
    """Undo `hold_batchnorm`: each layer goes back to the mode last asked for; returns `module`."""
    for layer in module.modules():
        if is_held(layer):
            del layer.__dict__["train"]
            layer.training = layer.__dict__.pop(_RELEASED_MODE)
    return module


def batchnorm_mode(module: nn.Module) -> BatchNormMode | None:
    """What one layer normalises with now: "batch" or "running" statistics; None if it is no such layer."""
    if not isinstance(module, _NormBase) or not (tracks_statistics(module) or _is_batchnorm(module)):
        return None
    return "running" if tracks_statistics(module) and not module.training else "batch"


def batchnorm_modes(model: nn.Module) -> dict[str, BatchNormMode]:
    """Name of every BatchNorm layer -> "batch" (statistics of the batch) or "running" (its memory).

    A layer with `track_running_stats=False` has no memory and reports "batch" in either mode.
    """
    modes = {name: batchnorm_mode(layer) for name, layer in model.named_modules()}
    return {name: mode for name, mode in modes.items() if mode is not None}


def _is_batchnorm(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


def training_modes(model: nn.Module) -> list[tuple[nn.Module, bool]]:
    """Each module of `model` with its training flag, for `restore_modes`."""
    return [(module, module.training) for module in model.modules()]


def restore_modes(modes: list[tuple[nn.Module, bool]]) -> None:
    """Give every module the training flag it had; layers held since then stay held."""
    for module, mode in modes:
        module.training = mode and not is_held(module)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[nn.Module]:
    """Inside the `with`, every module is in evaluation mode; afterwards each one's own mode is back."""
    modes = training_modes(model)
    try:
        for module, _ in modes:
            module.training = False
        yield model
    finally:
        restore_modes(modes)
