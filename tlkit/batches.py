"""Training data in the forms the library takes: images with labels, a pair of tensors, a DataLoader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import DataLoader


@runtime_checkable
class Labelled(Protocol):
    """Anything with images [N, ...] and labels [N], such as `tlkit.data.Images`."""

    @property
    def images(self) -> Tensor: ...

    @property
    def labels(self) -> Tensor: ...


Data: TypeAlias = "Labelled | tuple[Any, Any] | DataLoader[Any]"


class Batches:
    """Iterates over `data` as pairs (x [B, ...], y [B, ...]); in a fresh order each time with a generator.

    A last batch of a single image joins the one before it, because BatchNorm cannot train on one image.
    A DataLoader keeps its own batches and order.
    """

    def __init__(self, data: Data, batch_size: int, generator: torch.Generator | None = None) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: a batch holds at least one image")
        self.size, self.generator = batch_size, generator
        self.loader: DataLoader[Any] | None = data if isinstance(data, DataLoader) else None
        self.x: Tensor | None = None
        self.y: Tensor | None = None
        if self.loader is None:
            self.x, self.y = _pair(data)

    def __len__(self) -> int:
        if self.loader is not None:
            return len(self.loader)
        assert self.x is not None
        return len(_starts(len(self.x), self.size))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self.loader is not None:
            for batch in self.loader:
                if not isinstance(batch, (tuple, list)) or len(batch) != 2:
                    raise TypeError(f"the DataLoader gives {type(batch).__name__}, expected pairs (x, y)")
                yield batch[0], batch[1]
            return
        assert self.x is not None
        assert self.y is not None
        count = len(self.x)
        order = torch.arange(count)
        if self.generator is not None:
            order = torch.randperm(count, generator=self.generator)
        starts = _starts(count, self.size)
        for start, end in zip(starts, [*starts[1:], count], strict=True):
            chosen = order[start:end].to(self.x.device)
            yield self.x[chosen], self.y[chosen.to(self.y.device)]


def _starts(count: int, size: int) -> list[int]:
    starts = list(range(0, count, size))
    return starts[:-1] if len(starts) > 1 and count - starts[-1] == 1 else starts


def _pair(data: Any) -> tuple[Tensor, Tensor]:
    if isinstance(data, (tuple, list)) and len(data) == 2:
        x, y = torch.as_tensor(data[0]), torch.as_tensor(data[1])
    elif isinstance(data, Labelled):
        x, y = torch.as_tensor(data.images), torch.as_tensor(data.labels)
    else:
        found = type(data).__name__
        raise TypeError(f"data is a {found}: expected Images, a pair of tensors (x, y), or a DataLoader")
    if len(x) != len(y):
        raise ValueError(f"{len(x)} images but {len(y)} labels: give one label for each image")
    if len(x) == 0:
        raise ValueError("there are no images in the data")
    return x, y
