"""Domain shifts: the same images, as another camera, scanner or hand would give them.

Each takes images ``[N, C, H, W]`` in [0, 1] and an amount and returns new images of the same shape in
[0, 1]; an amount of "nothing" (0, or 1 for contrast) gives the images back unchanged.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def blur(images: Tensor, amount: float) -> Tensor:
    """Gaussian blur with a standard deviation of ``amount`` pixels (at least 0)."""
    if amount < 0:
        raise ValueError(f"blur: the amount is a standard deviation in pixels, at least 0, found {amount}")
    if amount == 0:
        return images.clone()
    radius = max(1, math.ceil(3 * amount))
    x = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-(x**2) / (2 * amount**2))
    kernel = kernel / kernel.sum()
    n, c, h, w = images.shape
    flat = F.pad(images.reshape(n * c, 1, h, w), [radius] * 4)  # paper (0) goes on beyond the edge
    flat = F.conv2d(F.conv2d(flat, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return flat.reshape(n, c, h, w).clamp(0, 1)


def rotate(images: Tensor, amount: float) -> Tensor:
    """Turn counter-clockwise by ``amount`` degrees about the centre; what comes into view is paper (0)."""
    if amount == 0:
        return images.clone()
    angle = math.radians(amount)
    cos, sin = math.cos(angle), math.sin(angle)
    # grid_sample asks where each output pixel comes from, in x (right) and y (down): the inverse turn
    theta = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0]], dtype=images.dtype, device=images.device)
    grid = F.affine_grid(theta.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", align_corners=False).clamp(0, 1)


def contrast(images: Tensor, amount: float) -> Tensor:
    """Scale the distance from mid-grey by ``amount``: 1 changes nothing, 0 leaves grey only."""
    if amount < 0:
        raise ValueError(f"contrast: the amount is a factor, at least 0, found {amount}; see invert()")
    return (0.5 + amount * (images - 0.5)).clamp(0, 1)


def invert(images: Tensor, amount: float = 1.0) -> Tensor:
    """Swap ink and paper; an ``amount`` below 1 mixes the images with their negative."""
    if not 0 <= amount <= 1:
        raise ValueError(f"invert: the amount lies between 0 (nothing) and 1 (negative), found {amount}")
    return ((1 - amount) * images + amount * (1 - images)).clamp(0, 1)


def noise(images: Tensor, amount: float, seed: int = 0) -> Tensor:
    """Add Gaussian noise with a standard deviation of ``amount``; the same seed gives the same noise."""
    if amount < 0:
        raise ValueError(f"noise: the amount is a standard deviation, at least 0, found {amount}")
    generator = torch.Generator().manual_seed(seed)  # on the CPU, so a GPU sees the same noise
    draw = torch.randn(images.shape, generator=generator).to(images)
    return (images + amount * draw).clamp(0, 1)


def thicken(images: Tensor, amount: float) -> Tensor:
    """Make strokes thicker by ``amount`` pixels a side, thinner where it is negative (fractions work)."""
    if amount < 0:
        return 1 - thicken(1 - images, -amount)  # thinner ink is thicker paper
    whole = int(amount)
    thick = images
    for _ in range(whole):
        thick = F.max_pool2d(thick, 3, stride=1, padding=1)
    part = amount - whole
    if part > 0:
        thick = (1 - part) * thick + part * F.max_pool2d(thick, 3, stride=1, padding=1)
    return thick.clone() if thick is images else thick
