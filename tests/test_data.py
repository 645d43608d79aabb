"""The data sets: shapes, ranges, determinism, splits and draws."""

from __future__ import annotations

import unicodedata

import pytest
import torch
import torch.nn.functional as F

from tlkit.data import (
    DIGITS,
    GREEK,
    LATIN,
    Images,
    Warp,
    digits_split,
    few_shot,
    handwritten_digits,
    printed_digits,
    printed_letters,
    shifts,
)
from tlkit.data.fonts import FONTS, characters_of, is_letter
from tlkit.data.printed import GlyphFields
from tlkit.data.warp import distance_fields, skeleton


def is_picture(images: torch.Tensor) -> bool:
    """float32 ``[N, 1, 32, 32]`` within [0, 1], with some ink in every image."""
    inked = bool((images.flatten(1).amax(1) > 0.1).all())
    return images.dtype == torch.float32 and images.shape[1:] == (1, 32, 32) and inked and images.max() <= 1


def test_handwritten_digits_are_the_scans_brought_to_32_pixels() -> None:
    """Averaging each 4x4 block of the 32x32 image gives the 8x8 scan back, up to the blur of bilinear."""
    from sklearn.datasets import load_digits

    data = handwritten_digits()
    assert len(data) == 1797
    assert is_picture(data.images)
    assert data.classes == tuple("0123456789")
    small = torch.from_numpy(load_digits().images / 16).float()
    assert torch.equal(data.labels, torch.from_numpy(load_digits().target).long())
    # bilinear from 8 to 32: the pixel at offset 1.5 blocks lies 1/8 and 3/8 of a block from the centre
    inner = data.images[:, 0, 16, 16]  # centre of block (4, 4) is at 17.5: weights 5/8 own, 3/8 left/above
    s = small[:, 3:5, 3:5]
    by_hand = 0.625 * (0.625 * s[:, 1, 1] + 0.375 * s[:, 1, 0]) + 0.375 * (
        0.625 * s[:, 0, 1] + 0.375 * s[:, 0, 0]
    )
    assert torch.allclose(inner, by_hand, atol=1e-6)


def test_the_split_is_fixed_disjoint_and_complete() -> None:
    """997 + 800 images, none twice, every class in both, the same on every call."""
    train, test = digits_split()
    assert (len(train), len(test)) == (997, 800)
    whole = torch.cat([train.images, test.images]).flatten(1)
    everything = handwritten_digits().images.flatten(1)
    assert torch.equal(whole.sum(1).sort().values, everything.sum(1).sort().values)
    assert len(torch.unique(whole, dim=0)) == len(torch.unique(everything, dim=0))
    assert min(len(w) for part in (train, test) for w in part.by_class()) >= 70
    assert torch.equal(digits_split()[1].images, test.images)


def test_few_shot_draws_a_balanced_seeded_sample() -> None:
    """As many of each class as asked, none twice, equal for equal seeds and different for others."""
    train, _ = digits_split()
    draw = few_shot(train, 5, seed=3)
    assert torch.equal(torch.bincount(draw.labels), torch.full((10,), 5))
    assert len(torch.unique(draw.images.flatten(1), dim=0)) == 50
    assert torch.equal(draw.images, few_shot(train, 5, seed=3).images)
    assert not torch.equal(draw.images, few_shot(train, 5, seed=4).images)


def test_few_shot_says_which_class_is_too_small() -> None:
    """The error names the class, what it has, what was wanted and what can be had."""
    data = Images(torch.rand(5, 1, 32, 32), torch.tensor([0, 0, 0, 1, 1]), ("a", "b"), "tiny")
    with pytest.raises(ValueError, match="class 'b' of tiny has 2 images, 3 are wanted: draw at most 2"):
        few_shot(data, 3, seed=0)
    with pytest.raises(ValueError, match="at least 1, found 0"):
        few_shot(data, 0, seed=0)


def test_images_refuse_what_does_not_fit() -> None:
    """Wrong rank, another number of labels, and labels outside the classes are errors with both values."""
    with pytest.raises(ValueError, match=r"\[N, C, H, W\], found shape \[4, 32, 32\]"):
        Images(torch.rand(4, 32, 32), torch.zeros(4).long(), ("a",), "x")
    with pytest.raises(ValueError, match=r"labels must be \[4\].*found shape \[3\]"):
        Images(torch.rand(4, 1, 32, 32), torch.zeros(3).long(), ("a",), "x")
    with pytest.raises(ValueError, match=r"0\.\.1 for 2 classes, found 0\.\.2"):
        Images(torch.rand(2, 1, 32, 32), torch.tensor([0, 2]), ("a", "b"), "x")


def test_images_introduce_themselves() -> None:
    """The text form is one short line, however many images there are."""
    said = repr(handwritten_digits())
    assert said == "<handwritten digits: 1797 images of 1 x 32 x 32, 10 classes>"


def test_subset_takes_integers_masks_and_slices() -> None:
    """All three ways select the same images, in order."""
    data = Images(torch.rand(4, 1, 32, 32), torch.tensor([0, 1, 0, 1]), ("a", "b"), "x")
    for index in ([1, 2], torch.tensor([False, True, True, False]), slice(1, 3)):
        part = data.subset(index)
        assert torch.equal(part.images, data.images[1:3])
        assert part.labels.tolist() == [1, 0]


def test_printed_sets_are_seeded_and_balanced() -> None:
    """The same seed gives the same pictures, another seed others; every class has its share."""
    letters = printed_letters(3, seed=1, characters="ABCΩж")
    assert letters.classes == tuple("ABCΩж")
    assert is_picture(letters.images)
    assert torch.bincount(letters.labels).tolist() == [3] * 5
    assert torch.equal(letters.images, printed_letters(3, seed=1, characters="ABCΩж").images)
    assert not torch.equal(letters.images, printed_letters(3, seed=2, characters="ABCΩж").images)
    digits = printed_digits(2, seed=0)
    assert len(digits) == 20
    assert is_picture(digits.images)


def test_a_glyph_has_the_same_field_whenever_it_is_asked_for() -> None:
    """Alone, twice, after others or with all of them: computing fields late changes none."""
    every = GlyphFields("Ab")
    whole = every[torch.arange(len(every.classes))]
    late = GlyphFields("Ab")
    for index in ([5], [7, 5, 5], [0, len(whole) - 1, 7]):
        assert torch.equal(late[torch.tensor(index)], whole[index])
    assert torch.equal(late[torch.arange(len(whole))], whole)


def test_clean_digits_look_like_their_class() -> None:
    """Printed digits have a nearest neighbour of their own class far more often than chance."""
    data = printed_digits(12, seed=0)
    flat = F.normalize(data.images.flatten(1))
    near = (flat @ flat.T).fill_diagonal_(-1).argmax(1)
    assert (data.labels[near] == data.labels).float().mean() > 0.8


def test_letters_hold_no_digit() -> None:
    """Neither the default letters nor what counts as a letter includes a digit of any script."""
    assert not any(c.isnumeric() for c in LATIN + GREEK)
    every = {c for font in FONTS for c in characters_of(font)}
    letters = {c for c in every if is_letter(c)}
    assert len(letters) > 2000
    assert not letters & set(DIGITS)
    assert not any(c.isnumeric() or unicodedata.category(c)[0] == "N" for c in letters)
    assert not is_letter("\N{LATIN CAPITAL LETTER TONE FIVE}")  # made after a 5
    with pytest.raises(ValueError, match="'7' is a digit"):
        printed_letters(1, seed=0, characters="A7")


def test_a_character_without_a_glyph_is_named() -> None:
    """A script matplotlib's fonts do not have is an error that shows the character."""
    with pytest.raises(ValueError, match="none of the 21 fonts has the character '語'"):
        printed_letters(1, seed=0, characters="語")


def test_without_any_warp_the_glyph_stays_where_it_is() -> None:
    """With every amount at zero all draws of one font are equal and centred."""
    from tlkit.data.fonts import glyphs
    from tlkit.data.warp import warp

    drawn = glyphs("A", ("DejaVuSans",))
    fields = distance_fields(drawn.images)
    images = warp(fields.expand(3, -1, -1, -1), Warp(), torch.Generator().manual_seed(0))
    assert torch.equal(images[0], images[2])
    ink = F.avg_pool2d(drawn.images[:, None].float() / 255, 2)
    assert (images[:1] - ink).abs().mean() < 0.02


def test_a_skeleton_is_thin_and_whole() -> None:
    """A thick bar becomes a line along its middle; a ring keeps its hole; nothing lies outside the shape."""
    bar = torch.zeros(1, 21, 31, dtype=torch.bool)
    bar[0, 8:13, 4:27] = True
    line = skeleton(bar)[0]
    assert line[10, 8:23].all()
    assert line.sum() <= 23
    y, x = torch.meshgrid(torch.arange(31.0) - 15, torch.arange(31.0) - 15, indexing="ij")
    radius = (x**2 + y**2).sqrt()
    ring = ((radius > 6) & (radius < 12))[None]
    thin = skeleton(ring)[0]
    assert not (thin & ~ring[0]).any()
    assert thin.sum() < 0.35 * ring.sum()
    rays = [thin[15, 16:].any(), thin[15, :15].any(), thin[16:, 15].any(), thin[:15, 15].any()]
    assert all(rays)


AMOUNTS = {"blur": 1.5, "rotate": 30.0, "contrast": 0.4, "invert": 1.0, "noise": 0.2, "thicken": 1.5}
NOTHING = {"blur": 0.0, "rotate": 0.0, "contrast": 1.0, "invert": 0.0, "noise": 0.0, "thicken": 0.0}


@pytest.mark.parametrize("name", AMOUNTS)
def test_shifts_keep_the_form_and_repeat(name: str) -> None:
    """Shape, range and input stay; the amount "nothing" changes nothing; twice the same is the same."""
    shift = getattr(shifts, name)
    images = handwritten_digits().images[:8]
    before = images.clone()
    shifted = shift(images, AMOUNTS[name])
    assert shifted.shape == images.shape
    assert 0 <= shifted.min() <= shifted.max() <= 1
    assert (shifted - images).abs().mean() > 0.01
    assert torch.equal(shifted, shift(images, AMOUNTS[name]))
    assert torch.allclose(shift(images, NOTHING[name]), images)
    assert torch.equal(images, before)


def test_shifts_do_what_their_names_say() -> None:
    """A quarter turn counter-clockwise, a stroke widened by hand, the negative, and a blur that keeps ink."""
    images = handwritten_digits().images[:4]
    assert torch.allclose(shifts.rotate(images, 90), torch.rot90(images, 1, (2, 3)), atol=1e-4)
    assert torch.allclose(shifts.invert(images), 1 - images)
    line = torch.zeros(1, 1, 9, 9)
    line[..., 4] = 1
    assert shifts.thicken(line, 1)[0, 0, 4].tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert shifts.thicken(line, 0.5)[0, 0, 4].tolist() == [0, 0, 0, 0.5, 1, 0.5, 0, 0, 0]
    assert shifts.thicken(shifts.thicken(line, 1), -1)[0, 0, 4].tolist() == line[0, 0, 4].tolist()
    dot = torch.zeros(1, 1, 33, 33)
    dot[..., 16, 16] = 1
    spread = shifts.blur(dot, 2.0)
    assert spread.sum() == pytest.approx(1.0, abs=1e-4)
    variance = (spread[0, 0].sum(0) * (torch.arange(33.0) - 16) ** 2).sum()
    assert float(variance) == pytest.approx(4.0, rel=0.05)
    with pytest.raises(ValueError, match="at least 0, found -1"):
        shifts.blur(dot, -1)
