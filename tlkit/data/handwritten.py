"""Handwritten digits: the 1,797 real scans that ship with scikit-learn."""

from __future__ import annotations

from functools import lru_cache

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
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small = torch.from_numpy(bunch.images.astype(np.float32) / 16.0)[:, None]  # [1797, 1, 8, 8]
    images = F.interpolate(small, scale_factor=4, mode="bilinear", align_corners=False)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    return Images(images, labels, tuple("0123456789"), "handwritten digits")


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
