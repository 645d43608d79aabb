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


@lru_cache(maxsize=8)
def glyph_fields(characters: str, fonts: tuple[str, ...] = FONTS) -> tuple[Tensor, Tensor]:
    """Distance fields int8 ``[G, 2, 64, 64]`` and class indices int64 ``[G]`` of all glyphs (cached)."""
    drawn = glyphs(characters, fonts)
    return distance_fields(drawn.images), drawn.classes


def _printed(characters: str, per_class: int, seed: int, how: Warp, name: str) -> Images:
    if per_class < 1:
        raise ValueError(f"per_class must be at least 1, found {per_class}")
    fields, classes = glyph_fields(characters)
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for c in range(len(characters)):
        of_class = (classes == c).nonzero().flatten()
        chosen.append(of_class[torch.randint(len(of_class), (per_class,), generator=generator)])
    index = torch.cat(chosen)
    images = torch.cat([warp(fields[part], how, generator) for part in torch.split(index, 512)])
    return Images(images, classes[index], tuple(characters), name)
