"""Images for a page: as data addresses that need no file and no server."""

from __future__ import annotations

import base64
import html
import io
import math
from typing import Any

import torch
from torch import Tensor


def data_address(png: bytes) -> str:
    """A PNG as an address that an <img> can show."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def image_tag(png: bytes, words: str, *, width: int | None = None) -> str:
    """An <img> of a PNG; `words` is read out where the image cannot be seen."""
    size = f' width="{width}"' if width else ""
    return (
        f'<img src="{data_address(png)}" alt="{html.escape(words, quote=True)}"{size} style="max-width:100%">'
    )


def image_png(image: Tensor) -> bytes:
    """PNG of an image [C, H, W] in 0 … 1: one channel as ink on paper (1 is black), three as RGB."""
    return sheet_png(image[None], columns=1)


def sheet_png(images: Tensor, columns: int | None = None) -> bytes:
    """PNG of all images [N, C, H, W] side by side, row by row, without gaps."""
    from PIL import Image

    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images are {list(images.shape)}: expected [N, 1, H, W] or [N, 3, H, W]")
    count, channels, height, width = images.shape
    columns = columns or sheet_columns(count)
    rows = math.ceil(count / columns)
    values = (images.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)
    if channels == 1:
        values = 255 - values
    sheet = torch.full((rows * columns, channels, height, width), 255, dtype=torch.uint8)
    sheet[:count] = values
    # [rows * columns, C, H, W] -> [rows * H, columns * W, C]
    grid = sheet.reshape(rows, columns, channels, height, width).permute(0, 3, 1, 4, 2)
    pixels: Any = grid.reshape(rows * height, columns * width, channels).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def sheet_columns(count: int) -> int:
    """How many images stand side by side on a sheet of `count`."""
    return max(1, math.ceil(math.sqrt(count)))
