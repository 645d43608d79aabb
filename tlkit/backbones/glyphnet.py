"""glyphnet: a small residual network for glyphs, pretrained on printed letters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 64, 128)


class Residual(nn.Module):
    """Two 3x3 convolutions and a way around them (He et al. 2016)."""

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.way: nn.Module = nn.Identity()
        if stride != 1 or inside != outside:
            around = nn.Conv2d(inside, outside, 1, stride, bias=False)
            self.way = nn.Sequential(around, nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.way(x))


class GlyphBody(nn.Module):
    """Images ``[B, 1, 32, 32]`` -> features ``[B, D]``.

    ``stem`` halves the image to 16x16, ``stage1`` stays there, ``stage2`` works at 8x8, ``stage3`` at 4x4,
    ``pool`` averages each quarter of what is left.
    """

    def __init__(self, widths: tuple[int, int, int] = WIDTHS, grid: int = 2) -> None:
        super().__init__()
        a, b, c = widths
        self.stem = nn.Sequential(nn.Conv2d(1, a, 5, 2, 2, bias=False), nn.BatchNorm2d(a), nn.ReLU())
        self.stage1 = nn.Sequential(Residual(a, a))
        self.stage2 = nn.Sequential(Residual(a, b, 2), Residual(b, b))
        self.stage3 = nn.Sequential(Residual(b, c, 2), Residual(c, c))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(grid), nn.Flatten())
        self.feature_dim = c * grid * grid

    def forward(self, images: Tensor) -> Tensor:
        x: Tensor = self.stem(images)  # [B, a, 16, 16]
        x = self.stage1(x)
        x = self.stage2(x)  # [B, b, 8, 8]
        x = self.stage3(x)  # [B, c, 4, 4]
        return torch.as_tensor(self.pool(x))  # [B, c * grid * grid]
