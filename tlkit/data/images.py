"""A labelled set of small images, and the few-shot draw of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """Labelled images, held in memory.

    Attributes:
        images: float32 ``[N, 1, 32, 32]`` in [0, 1]; ink is 1, paper is 0.
        labels: int64 ``[N]``, indices into ``classes``.
        classes: the name of each class.
        name: what the set is called in tables and figures.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        if self.images.ndim != 4:
            raise ValueError(f"images must be [N, C, H, W], found shape {list(self.images.shape)}")
        if self.labels.shape != (len(self.images),):
            raise ValueError(
                f"labels must be [{len(self.images)}], one an image, found shape {list(self.labels.shape)}"
            )
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise ValueError(
                f"labels must lie in 0..{len(self.classes) - 1} for {len(self.classes)} classes, "
                f"found {int(self.labels.min())}..{int(self.labels.max())}"
            )

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.images.shape[1:]))
        return f"<{self.name}: {len(self)} images of {shape}, {len(self.classes)} classes>"

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, index: Tensor | Sequence[int] | slice) -> Images:
        """The images at ``index`` (integers, a boolean mask, or a slice), in that order."""
        where = index if isinstance(index, slice | Tensor) else torch.as_tensor(index, dtype=torch.int64)
        return replace(self, images=self.images[where], labels=self.labels[where])

    def by_class(self) -> list[Tensor]:
        """One int64 tensor a class: where its images are."""
        return [(self.labels == c).nonzero().flatten() for c in range(len(self.classes))]

    def named(self, name: str) -> Images:
        """The same set under another name."""
        return replace(self, name=name)


def few_shot(data: Images, per_class: int, seed: int) -> Images:
    """Draw ``per_class`` images of every class at random, without replacement, grouped by class.

    The same seed gives the same draw; another seed gives another one. Accuracy with few labels depends
    much on *which* few, so report the mean and the spread over several seeds.

    Raises:
        ValueError: ``per_class`` is below 1, or a class has fewer images than that.
    """
    if per_class < 1:
        raise ValueError(f"per_class must be at least 1, found {per_class}")
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for name, where in zip(data.classes, data.by_class(), strict=True):
        if len(where) < per_class:
            raise ValueError(
                f"class {name!r} of {data.name} has {len(where)} images, {per_class} are wanted: "
                f"draw at most {min(len(w) for w in data.by_class())} a class"
            )
        chosen.append(where[torch.randperm(len(where), generator=generator)[:per_class]])
    return data.subset(torch.cat(chosen)).named(f"{data.name}, {per_class} a class")
