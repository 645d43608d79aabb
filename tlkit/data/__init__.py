"""Data of the lessons: printed and handwritten glyphs offline, photos and MNIST where there is a network."""

from tlkit.data.fonts import DIGITS, GREEK, LATIN
from tlkit.data.handwritten import digits_split, handwritten_digits
from tlkit.data.images import Images, few_shot
from tlkit.data.photos import Photos, ants_and_bees, mnist
from tlkit.data.printed import printed_digits, printed_letters
from tlkit.data.warp import CLEAN, HANDLIKE, Warp

__all__ = [
    "CLEAN",
    "DIGITS",
    "GREEK",
    "HANDLIKE",
    "LATIN",
    "Images",
    "Photos",
    "Warp",
    "ants_and_bees",
    "digits_split",
    "few_shot",
    "handwritten_digits",
    "mnist",
    "printed_digits",
    "printed_letters",
]
