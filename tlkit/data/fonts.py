"""Letters drawn with the fonts that ship with matplotlib.

matplotlib brings along DejaVu (many scripts), STIX and Computer Modern, so printed letters need no
download. Every glyph is drawn once, in the middle of a 64x64 picture, at the size that makes the longer
side of its box the same for all.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

CANVAS = 64  # pixels a side of a drawn glyph
BOX = 44  # longer side of a glyph's ink in it

# Text fonts only: the others of matplotlib hold big brackets and mathematical signs.
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-BoldOblique", "DejaVuSans-Oblique"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-BoldOblique", "DejaVuSansMono-Oblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-BoldItalic", "DejaVuSerif-Italic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralBolIta", "STIXGeneralItalic"),
    *("cmb10", "cmr10", "cmss10", "cmtt10", "cmti10"),
)
LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
GREEK = "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρςστυφχψω"
DIGITS = "0123456789"
# Computer Modern keeps ASCII only; its files have other signs at the code points beyond.
_ASCII_ONLY = ("cmb10", "cmr10", "cmss10", "cmtt10", "cmti10")


@dataclass(frozen=True, eq=False)
class Glyphs:
    """Drawn glyphs: ``images`` uint8 ``[G, 64, 64]``, ink 255; ``classes`` and ``fonts`` int64 ``[G]``."""

    images: Tensor
    classes: Tensor
    fonts: Tensor
    names: tuple[str, ...]


def font_path(name: str) -> Path:
    """The file of one of matplotlib's fonts."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"


@lru_cache(maxsize=64)
def characters_of(font: str) -> frozenset[str]:
    """Every character the font has a glyph for."""
    from matplotlib.ft2font import FT2Font

    codes = map(chr, FT2Font(str(font_path(font))).get_charmap())
    return frozenset(c for c in codes if font not in _ASCII_ONLY or c.isascii())


def is_letter(character: str) -> bool:
    """A letter of some script: not a digit, not a modifier, and not a letter made out of a digit.

    Latin tone letters ("tone two", "tone five", "tone six") were shaped after digits, so they are left out.
    """
    if unicodedata.category(character) not in ("Lu", "Ll", "Lo"):
        return False
    return "TONE" not in unicodedata.name(character, "TONE") and not character.isnumeric()


def draw(character: str, font: str) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]] | None:
    """The character as uint8 ``[64, 64]``, centred; None where the font draws nothing."""
    from PIL import Image, ImageDraw

    trial = _font(font, 48)
    left, top, right, bottom = trial.getbbox(character)
    side = max(right - left, bottom - top)
    if side <= 0:
        return None
    sized = _font(font, max(8, round(48 * BOX / side)))
    left, top, right, bottom = sized.getbbox(character)
    picture = Image.new("L", (CANVAS, CANVAS))
    where = ((CANVAS - left - right) / 2, (CANVAS - top - bottom) / 2)
    ImageDraw.Draw(picture).text(where, character, fill=255, font=sized)
    return np.asarray(picture, dtype=np.uint8)


@lru_cache(maxsize=256)
def _font(name: str, size: int):  # type: ignore[no-untyped-def]  # Pillow's own type is enough inside
    from PIL import ImageFont

    return ImageFont.truetype(str(font_path(name)), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=8)
def glyphs(characters: str, fonts: tuple[str, ...] = FONTS) -> Glyphs:
    """Draw each character in each font that has it (cached).

    Raises:
        ValueError: no font has one of the characters.
    """
    images: list[np.ndarray[tuple[int, int], np.dtype[np.uint8]]] = []
    classes: list[int] = []
    used: list[int] = []
    for c, character in enumerate(characters):
        for f, font in enumerate(fonts):
            picture = draw(character, font) if character in characters_of(font) else None
            if picture is not None:
                images.append(picture)
                classes.append(c)
                used.append(f)
        if not classes or classes[-1] != c:
            raise ValueError(f"none of the {len(fonts)} fonts has the character {character!r}")
    return Glyphs(
        torch.from_numpy(np.stack(images)), torch.tensor(classes), torch.tensor(used), tuple(characters)
    )
