"""How good is a model: accuracy and loss over all of a data set."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlkit.batches import Batches, Data
from tlkit.batchnorm import evaluation_mode
from tlkit.system import set_threads

Loss = Callable[[Tensor, Tensor], Tensor]


class Scores(NamedTuple):
    """Over all the data: accuracy in 0 … 1 (NaN where labels are not class numbers) and mean loss."""

    accuracy: float
    loss: float


def evaluate(model: nn.Module, data: Data, batch_size: int = 256, *, loss: Loss | None = None) -> Scores:
    """Accuracy and mean loss (default: cross-entropy) of `model` on `data`; evaluation mode, no gradient.

    `data`: `Images`, a pair (x [N, ...], y [N]) or a DataLoader. The model's training modes are restored.
    """
    set_threads()
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    scores = RunningScores()
    with evaluation_mode(model), torch.no_grad():
        for x, y in Batches(data, batch_size):
            outputs, y = model(x.to(device)), y.to(device)
            scores.add(float((loss or mean_cross_entropy)(outputs, y)), outputs, y)
    return Scores(scores.accuracy, scores.loss)


def mean_cross_entropy(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean over the batch of -log softmax(outputs [B, C])[y]; y is int64 [B], or probabilities [B, C].

    Raises ValueError where shapes or labels do not fit: what PyTorch says about these is hard to read.
    """
    if outputs.ndim != 2 or len(outputs) != len(y):
        raise ValueError(f"the model's outputs are {list(outputs.shape)}: expected [{len(y)}, classes]")
    if y.ndim == 1 and not y.is_floating_point():
        low, high, classes = int(y.min()), int(y.max()), outputs.shape[1]
        if low < 0 or high >= classes:
            raise ValueError(
                f"label {low if low < 0 else high} does not fit {classes} outputs: labels run from 0 to "
                f"{classes - 1}; give the model a head with as many outputs as there are classes"
            )
        y = y.long()
    elif y.shape != outputs.shape:
        found = f"{str(y.dtype).removeprefix('torch.')} {list(y.shape)}"
        raise ValueError(f"labels are {found}: expected int64 [{len(y)}], the class numbers")
    return F.cross_entropy(outputs, y)


class RunningScores:
    """Accuracy and loss summed over batches of unequal size."""

    def __init__(self) -> None:
        self._loss = 0.0
        self._count = self._right = self._judged = 0

    def add(self, loss: float, outputs: Tensor, y: Tensor) -> None:
        """Count a batch: its mean loss, outputs [B, C] and labels y."""
        self._loss += loss * len(y)
        self._count += len(y)
        if outputs.ndim == 2 and y.ndim == 1 and not y.is_floating_point():
            self._right += int((outputs.argmax(1) == y).sum())
            self._judged += len(y)

    @property
    def loss(self) -> float:
        return self._loss / self._count if self._count else math.nan

    @property
    def accuracy(self) -> float:
        return self._right / self._judged if self._judged else math.nan

    def store(self, losses: list[float], accuracies: list[float]) -> None:
        """Append the means; no accuracy where the labels are not class numbers."""
        losses.append(self.loss)
        if self._judged:
            accuracies.append(self.accuracy)
