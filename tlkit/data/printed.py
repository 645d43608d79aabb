"""Printed letters and digits, drawn from matplotlib's fonts: the sources of the first lessons."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from tlkit.data.fonts import DIGITS, FONTS, GREEK, LATIN, glyphs
from tlkit.data.images import Images
from tlkit.data.warp import CLEAN, HANDLIKE, Warp, distance_fields, warp


def printed_letters(
    per_class: int, seed: int, *, characters: str = LATIN + GREEK, how: Warp = HANDLIKE
) -> Images:
    """Draw ``per_class`` images of each letter, each in a font drawn at random, then warped.

    Latin and Greek by default; both alphabets have an "A" and an "o", so no classifier can be perfect.
    Give ``characters`` for others and ``how=CLEAN`` for letters as a book prints them.

    Raises:
        ValueError: one of ``characters`` is a digit, or is in none of the fonts.
    """
    for character in characters:
        if character.isnumeric():
            raise ValueError(f"printed_letters: {character!r} is a digit; see printed_digits")
    return _printed(characters, per_class, seed, how, "printed letters")


def printed_digits(per_class: int, seed: int, *, how: Warp = CLEAN) -> Images:
    """Draw ``per_class`` images of each digit 0-9 as a book prints them (``how=HANDLIKE``: warped)."""
    return _printed(DIGITS, per_class, seed, how, "printed digits")


class GlyphFields:
    """Glyphs of these characters in these fonts; their distance fields are computed when first asked for.

    ``classes``: int64 ``[G]``, the index of each glyph's character.
    """

    def __init__(self, characters: str, fonts: tuple[str, ...] = FONTS) -> None:
        drawn = glyphs(characters, fonts)
        self.classes = drawn.classes
        self._pictures = drawn.images
        self._fields = torch.zeros(len(drawn.images), 2, *drawn.images.shape[1:], dtype=torch.int8)
        self._known = torch.zeros(len(drawn.images), dtype=torch.bool)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Fields int8 ``[N, 2, 64, 64]`` of the glyphs ``index``, int64 ``[N]``."""
        fresh = torch.unique(index)
        fresh = fresh[~self._known[fresh]]
        if len(fresh):
            self._fields[fresh] = distance_fields(self._pictures[fresh])
            self._known[fresh] = True
        return self._fields[index]


glyph_fields = lru_cache(maxsize=8)(GlyphFields)


def _printed(characters: str, per_class: int, seed: int, how: Warp, name: str) -> Images:
    if per_class < 1:
        raise ValueError(f"per_class must be at least 1, found {per_class}")
    fields = glyph_fields(characters)
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for c in range(len(characters)):
        of_class = (fields.classes == c).nonzero().flatten()
        chosen.append(of_class[torch.randint(len(of_class), (per_class,), generator=generator)])
    index = torch.cat(chosen)
    images = torch.cat([warp(fields[part], how, generator) for part in torch.split(index, 512)])
    return Images(images, fields.classes[index], tuple(characters), name)
