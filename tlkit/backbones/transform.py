"""What a backbone wants its images to look like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Transform:
    """Resize, crop and normalise images the way the backbone's pretraining did.

    Attributes:
        channels: 1 (grey) or 3 (colour).
        crop: side of the square given to the network, in pixels.
        resize: the shorter side is brought to this first; the square is cut from the middle.
        mean, std: of each channel, subtracted and divided by.
        interpolation: ``"bilinear"`` or ``"bicubic"``.
    """

    channels: int
    crop: int
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"

    def __call__(self, images: Tensor | Image) -> Tensor:
        """A Pillow image -> ``[C, crop, crop]``; floats ``[N, *, H, W]`` in [0, 1] -> ``[N, C, crop, crop]``.

        Grey images are repeated for a network that sees colour, colour ones averaged for one that does not.
        """
        x = images if isinstance(images, Tensor) else _from_pillow(images, self.channels)
        if x.ndim not in (3, 4) or not x.is_floating_point():
            raise ValueError(
                f"images must be a Pillow image or floats [N, C, H, W] in [0, 1], "
                f"found {str(x.dtype).removeprefix('torch.')} {list(x.shape)}"
            )
        if x.shape[-3] != self.channels:
            if x.shape[-3] not in (1, 3):
                raise ValueError(f"images have 1 or 3 channels (dimension -3), found shape {list(x.shape)}")
            x = x.mean(-3, keepdim=True)
            x = x.expand(*x.shape[:-3], self.channels, *x.shape[-2:])
        if min(x.shape[-2:]) != self.resize or x.shape[-2:] != (self.crop, self.crop):
            x = self._fit(x)
        mean, std = (torch.tensor(v, dtype=x.dtype, device=x.device) for v in (self.mean, self.std))
        return (x - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)

    def _fit(self, x: Tensor) -> Tensor:
        """Resize and crop; only this needs torchvision, which imports PyTorch's compiler (seconds)."""
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms import functional as TF

        if min(x.shape[-2:]) != self.resize:
            mode = InterpolationMode(self.interpolation)
            x = TF.resize(x, [self.resize], interpolation=mode, antialias=True).clamp(0, 1)
        return torch.as_tensor(TF.center_crop(x, [self.crop]))

    def at(self, side: int) -> Transform:
        """The same with images of ``side`` x ``side`` pixels: smaller is faster and sees less."""
        return replace(self, crop=side, resize=round(side * self.resize / self.crop))


def _from_pillow(picture: Image, channels: int) -> Tensor:
    pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"), dtype=np.float32) / 255
    return torch.from_numpy(pixels if channels == 3 else pixels[..., None]).permute(2, 0, 1)
