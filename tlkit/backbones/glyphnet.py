"""glyphnet: a small residual network for glyphs, pretrained on printed letters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (48, 96, 128)  # channels of the three stages


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


class Root(nn.Module):
    """The square root, which brings the few large activations back among the many small ones."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sqrt(x + 1e-4)  # the sum keeps the gradient at 0 finite


class GlyphBody(nn.Module):
    """Images ``[B, 1, 32, 32]`` in [0, 1] -> features ``[B, 512]``.

    Small images are made smaller at once, so that 1,797 of them take about a second on one CPU core:
    ``stem`` leaves 8x8 pixels, ``stage1`` works there, ``stage2`` and ``stage3`` at 4x4; ``pool`` averages
    each quarter of the image and keeps the four averages apart, because where a stroke is matters, and takes
    their square roots (as the Hellinger kernel does for histograms), which helps most where labels are few.
    """

    def __init__(self, widths: tuple[int, int, int] = WIDTHS, grid: int = 2) -> None:
        super().__init__()
        a, b, c = widths
        self.stem = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, a, 3, 2, 1, bias=False),
            nn.BatchNorm2d(a),
            nn.ReLU(),
        )
        self.stage1 = nn.Sequential(Residual(a, a))
        self.stage2 = nn.Sequential(Residual(a, b, stride=2))
        self.stage3 = nn.Sequential(Residual(b, c))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(grid), nn.Flatten(), Root())
        self.feature_dim = c * grid * grid

    def forward(self, images: Tensor) -> Tensor:
        x: Tensor = self.stem(images)  # [B, 48, 8, 8]
        x = self.stage1(x)
        x = self.stage2(x)  # [B, 96, 4, 4]
        x = self.stage3(x)  # [B, 128, 4, 4]
        return torch.as_tensor(self.pool(x))  # [B, 128 * 2 * 2]
