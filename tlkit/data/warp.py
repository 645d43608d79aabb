"""From a drawn glyph to an image as a pen, a shaky hand and a cheap scanner would have given it.

Glyphs are kept as *distance fields*: how far each pixel is inside (+) or outside (-) the ink. To draw the
glyph is to cut the field at a level, so a thicker or thinner stroke costs nothing, and it can be bent
before it is cut without going blurred or ragged. A second field, the distance from the glyph's skeleton,
turns the typographer's strokes (serifs, thick and thin) into those of a pen of even width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SIZE = 32  # pixels a side of the images made
UNIT = 8.0  # the fields are stored as int8, in 1/8 pixels of the 64-pixel canvas


@dataclass(frozen=True)
class Warp:
    """How far an image may depart from the drawn glyph; every amount is the width of a random draw.

    Attributes:
        turn: rotation, standard deviation in degrees.
        slant: horizontal shear, standard deviation (1 = 45 degrees).
        squeeze: stretch of width against height, standard deviation of the logarithm.
        scale: overall size, standard deviation of the logarithm.
        zoom: size of all images against the canvas: 1 leaves a margin, 1.4 fills the image.
        shift: translation, largest fraction of half the image side.
        elastic: smooth random displacement, standard deviation as a fraction of half the image side.
        points: the displacement is drawn at points x points places and smooth between them.
        pen: share of images drawn with the even pen (skeleton) and not with the font's own strokes.
        weight: change of stroke thickness, standard deviation in pixels of the 64-pixel canvas.
        weight_mean: its mean: above 0 most strokes are thicker than the font's.
        pressure: how much the thickness also changes within an image, standard deviation: strokes swell,
            thin out and break.
        coarse: share of images scanned as the handwritten digits were: black and white, 4x4 blocks
            counted, 8x8 counts brought back to 32x32.
        blur: largest softness of the edge of all other images, in pixels of the canvas.
        noise: largest standard deviation of Gaussian noise.
    """

    turn: float = 0.0
    slant: float = 0.0
    squeeze: float = 0.0
    scale: float = 0.0
    zoom: float = 1.0
    shift: float = 0.0
    elastic: float = 0.0
    points: int = 4
    pen: float = 0.0
    weight: float = 0.0
    weight_mean: float = 0.0
    pressure: float = 0.0
    coarse: float = 0.0
    blur: float = 0.0
    noise: float = 0.0


CLEAN = Warp(turn=2, slant=0.03, squeeze=0.04, scale=0.05, shift=0.05)
HANDLIKE = Warp(
    turn=8,
    slant=0.3,
    squeeze=0.25,
    scale=0.08,
    zoom=1.4,
    shift=0.08,
    elastic=0.08,
    pen=0.5,
    weight=1.5,
    weight_mean=0.5,
    pressure=1.0,
    coarse=0.6,
    blur=3.0,
    noise=0.05,
)


def skeleton(ink: Tensor) -> Tensor:
    """Thin shapes to lines one pixel wide, without breaking them: bool ``[G, H, W]`` -> bool ``[G, H, W]``.

    Zhang and Suen, A fast parallel algorithm for thinning digital patterns, CACM 27(3), 1984.
    """
    p = np.pad(ink.numpy().astype(np.uint8), ((0, 0), (1, 1), (1, 1)))
    removable = _thinning_tables()
    active = np.ones(len(p), dtype=bool)  # shapes that the last round still changed
    while active.any():
        q = p[active]
        before = q.sum(axis=(1, 2), dtype=np.int64)
        for table in removable:
            code = np.zeros((len(q), q.shape[1] - 2, q.shape[2] - 2), dtype=np.uint8)
            for i, (dy, dx) in enumerate(_AROUND):
                code |= q[:, 1 + dy : q.shape[1] - 1 + dy, 1 + dx : q.shape[2] - 1 + dx] << i
            q[:, 1:-1, 1:-1] &= ~table[code] & 1
        p[active] = q
        active[active] = q.sum(axis=(1, 2), dtype=np.int64) < before
    return torch.from_numpy(p[:, 1:-1, 1:-1].astype(bool))


_AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))  # clockwise from above


def _thinning_tables() -> list[np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    """For each of the two half steps: may a pixel go, given which of its 8 neighbours are ink?"""
    tables = []
    for sides in (((0, 2, 4), (2, 4, 6)), ((0, 2, 6), (0, 4, 6))):
        table = np.zeros(256, dtype=np.uint8)
        for code in range(256):
            n = [(code >> i) & 1 for i in range(8)]
            steps = sum(n[i] == 0 and n[(i + 1) % 8] == 1 for i in range(8))
            open_side = all(not (n[a] and n[b] and n[c]) for a, b, c in sides)
            table[code] = 2 <= sum(n) <= 6 and steps == 1 and open_side
        tables.append(table)
    return tables


def distance_fields(pictures: Tensor) -> Tensor:
    """uint8 glyphs ``[G, 64, 64]`` -> int8 fields ``[G, 2, 64, 64]`` in 1/8 pixel, positive inside the ink.

    Field 0 follows the font's own outline, field 1 the skeleton, dilated by 2.5 pixels.
    """
    from scipy.ndimage import distance_transform_edt

    ink = pictures > 127
    lines = skeleton(ink)
    fields = np.empty((len(ink), 2, *ink.shape[1:]), dtype=np.int8)
    for g, (shape, line) in enumerate(zip(ink.numpy(), lines.numpy(), strict=True)):
        outline = distance_transform_edt(shape) - distance_transform_edt(~shape)
        pen = 2.5 - distance_transform_edt(~line) if line.any() else outline
        fields[g] = np.clip(np.round(np.stack([outline, pen]) * UNIT), -127, 127)
    return torch.from_numpy(fields)


def warp(fields: Tensor, how: Warp, generator: torch.Generator) -> Tensor:
    """Draw one image of each glyph: int8 fields ``[B, 2, 64, 64]`` -> float32 ``[B, 1, 32, 32]`` in [0, 1].

    Runs where ``fields`` lies (the generator must lie there too); the same generator state gives the same
    images.
    """
    n, device = len(fields), fields.device

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, device=device, generator=generator)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, device=device, generator=generator)

    # One affine map an image: where does each pixel of the image come from? (x right, y down, -1..1)
    angle = normal(n) * (how.turn * torch.pi / 180)
    slant, squeeze, scale = how.slant * normal(n), how.squeeze * normal(n) / 2, how.scale * normal(n)
    cos, sin = torch.cos(angle), torch.sin(angle)
    wide, high = torch.exp(squeeze + scale) / how.zoom, torch.exp(scale - squeeze) / how.zoom
    rows = torch.stack([wide * (cos + slant * sin), wide * (slant * cos - sin), high * sin, high * cos], 1)
    shift = how.shift * (2 * uniform(n, 2, 1) - 1)
    theta = torch.cat([rows.view(n, 2, 2), shift], dim=2)  # [B, 2, 3]
    grid = F.affine_grid(theta, [n, 1, SIZE, SIZE], align_corners=False)
    if how.elastic:
        bend = how.elastic * normal(n, 2, how.points, how.points)
        bend = F.interpolate(bend, size=(SIZE, SIZE), mode="bicubic", align_corners=True)
        grid = grid + bend.permute(0, 2, 3, 1)

    pen = uniform(n) < how.pen
    field = torch.where(pen.view(n, 1, 1), fields[:, 1], fields[:, 0]).float().unsqueeze(1) / UNIT
    field = F.grid_sample(field, grid, mode="bilinear", padding_mode="border", align_corners=False)
    field = field + (how.weight_mean + how.weight * normal(n)).clamp(-2.0, 4.0).view(n, 1, 1, 1)

    if how.pressure:
        local = how.pressure * normal(n, 1, 6, 6)
        field = field + F.interpolate(local, size=(SIZE, SIZE), mode="bicubic", align_corners=True)

    # One image pixel is two of the canvas: an edge one image pixel wide is a field from -1 to 1.
    soft = 1.0 + how.blur * uniform(n, 1, 1, 1)
    images = (0.5 + field / (2 * soft)).clamp(0, 1)
    if how.coarse:
        counts = F.avg_pool2d((field > 0).float(), 4)  # [B, 1, 8, 8], sixteenths
        scans = F.interpolate(counts, scale_factor=4, mode="bilinear", align_corners=False)
        images = torch.where(uniform(n, 1, 1, 1) < how.coarse, scans, images)
    if how.noise:
        images = images + how.noise * uniform(n, 1, 1, 1) * normal(n, 1, SIZE, SIZE)
    return images.clamp(0, 1)
