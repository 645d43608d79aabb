"""Handwritten digits: the 1,797 real scans that ship with scikit-learn."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from tlkit.data.images import Images

TEST_SIZE = 800


@lru_cache(maxsize=1)
def handwritten_digits() -> Images:
    """1,797 handwritten digits of 13 writers, as ``[1797, 1, 32, 32]``.

    Each was a 32x32 black-and-white bitmap; the collection stores, for each of its 8x8 blocks of 4x4
    pixels, how many were ink (0..16). We divide by 16 and bring the 8x8 back to 32x32 by bilinear
    interpolation, so they look blurred: that is all the detail there is.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, 1998, https://doi.org/10.24432/C50P49 (its test part), as ``sklearn.datasets.load_digits``.
    """
    rows = np.loadtxt(_digits_file(), delimiter=",", dtype=np.int64)  # 64 pixels and the digit
    small = torch.from_numpy(rows[:, :64].astype(np.float32) / 16.0).view(-1, 1, 8, 8)
    images = F.interpolate(small, scale_factor=4, mode="bilinear", align_corners=False)
    return Images(images, torch.from_numpy(rows[:, 64]), tuple("0123456789"), "handwritten digits")


def _digits_file() -> Path:
    """Where scikit-learn keeps them; to import it for that would take two seconds in every notebook."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the handwritten digits come with scikit-learn: pip install scikit-learn")
    return Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"


def digits_split() -> tuple[Images, Images]:
    """The handwritten digits in two fixed parts: 997 to learn from, 800 to test on.

    The 800 served no choice in this project: not the pretraining of ``glyphnet``, not its
    hyper-parameters. Keep it so: choose on a part of the first half, look at the second once.
    """
    data = handwritten_digits()
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(data)))
    return (
        data.subset(order[TEST_SIZE:]).named("handwritten digits, training half"),
        data.subset(order[:TEST_SIZE]).named("handwritten digits, test half"),
    )
