"""Inputs for probes: small, drawn from the probe's own generator, the same on every platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn


def tensor(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    """A float32 tensor of `shape`, standard normal values from `rng`."""
    import torch

    return torch.from_numpy(rng.standard_normal(shape).astype("float32"))


def gradient_at(leaf: torch.Tensor) -> torch.Tensor:
    """The gradient that arrived at `leaf`; zeros where none did, for that is how far a step would move it."""
    import torch

    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def fill(module: nn.Module, rng: np.random.Generator) -> nn.Module:
    """Set every parameter and buffer of `module` from `rng`, in place, and return it.

    Weights are normal, scaled by 1/√(values per output); biases small; BatchNorm scales and running variances
    lie in [0.5, 1.5] and running means are small, so that nothing is at the value a fresh layer would have.
    """
    import torch

    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            kind = name.rpartition(".")[2]
            if not value.is_floating_point():
                value.fill_(int(rng.integers(1, 50)))  # num_batches_tracked
            elif kind == "running_var" or (kind == "weight" and value.dim() == 1):
                value.copy_(torch.from_numpy(rng.uniform(0.5, 1.5, tuple(value.shape)).astype("float32")))
            else:
                scale = 0.1 if value.dim() < 2 else (value[0].numel()) ** -0.5
                value.copy_(tensor(rng, *value.shape) * scale)
    return module


def small_backbone(
    rng: np.random.Generator, *, channels: int = 1, width: int = 4, classes: int = 6
) -> nn.Module:
    """A pretrained backbone in miniature, every value from `rng`.

    Like `tlkit.Backbone`: `.body` (images [B, channels, H, W] -> features [B, 2·width], named blocks stem,
    stage1, pool, with BatchNorm), `.head` (Linear), `.feature_dim`, `.name`, `.classes`; forward =
    head(body(images)) [B, classes].
    """
    from collections import OrderedDict

    from torch import nn

    class SmallBackbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.feature_dim = 2 * width
            self.name = "small"
            self.classes = tuple(f"class {index}" for index in range(classes))
            stem = nn.Sequential(
                nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
            )
            stage1 = nn.Sequential(
                nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(2 * width),
                nn.ReLU(),
            )
            pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self.body = nn.Sequential(OrderedDict(stem=stem, stage1=stage1, pool=pool))
            self.head = nn.Linear(self.feature_dim, classes)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.body(images))
            return logits

    return fill(SmallBackbone(), rng).eval()
