"""The letters glyphnet learns: many scripts, and of letters that look alike only one."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import torch
import torch.nn.functional as F

from tlkit.data.fonts import GREEK, LATIN, characters_of, glyphs, is_letter

FONT = "DejaVuSans"  # the font with the most scripts; letters are compared in it
SCRIPTS = (
    *("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN", "HEBREW", "ARABIC", "TIFINAGH"),
    *("CANADIAN", "LISU", "LAO", "NKO", "OGHAM", "OLD", "COPTIC"),  # OLD: Old Italic
)


@lru_cache(maxsize=1)
def candidates() -> str:
    """Every letter of these scripts that is not another letter with a mark on it; Latin and Greek first.

    No digits, no letters derived from digits (see :func:`tlkit.data.fonts.is_letter`).
    """
    letters = [
        c
        for c in sorted(characters_of(FONT))
        if is_letter(c)
        and unicodedata.name(c).split()[0] in SCRIPTS
        and len(unicodedata.normalize("NFKD", c)) == 1
    ]
    first = LATIN + GREEK
    return first + "".join(c for c in letters if c not in first)


@lru_cache(maxsize=4)
def distinct_letters(similarity: float = 0.9) -> str:
    """The candidates, without each one that looks like an earlier one (A and Α, o and O, c and с, …).

    Two letters look alike when their drawings, averaged to 16x16 and blurred, have a cosine above
    ``similarity``.
    """
    letters = candidates()
    drawn = glyphs(letters, (FONT,)).images[:, None].float() / 255  # [L, 1, 64, 64]
    x = torch.arange(-2.0, 3.0)
    kernel = torch.exp(-(x[:, None] ** 2 + x[None] ** 2) / 2)
    blurred = F.conv2d(F.avg_pool2d(drawn, 4), (kernel / kernel.sum())[None, None], padding=2)
    alike = F.normalize(blurred.flatten(1)) @ F.normalize(blurred.flatten(1)).T  # [L, L] cosines
    kept: list[int] = []
    for letter in range(len(letters)):
        if not kept or float(alike[letter, kept].max()) < similarity:
            kept.append(letter)
    return "".join(letters[k] for k in kept)
