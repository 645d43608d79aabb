"""Lesson 00 tells the truth: its first result, its question, its map."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from matplotlib.patches import FancyBboxPatch

from tlkit import extract, linear_probe, load_backbone
from tlkit.data import digits_split, few_shot
from tlkit.exercises import load_probes
from tlkit.plots.transfer_map import ALONG, COLUMNS, ROWS, transfer_map

LESSON = Path(__file__).resolve().parents[1] / "solutions" / "00_start_here"


def test_the_answer_to_the_first_question_is_true() -> None:
    """Ten labels a class read more than nine in ten of the test digits, on every one of four draws."""
    assert load_probes(LESSON).questions["first_result"].answer == "More than nine in ten"
    body = load_backbone("glyphnet").body
    pool, test = digits_split()
    asked = extract(body, test.images)
    for seed in range(4):
        few = few_shot(pool, per_class=10, seed=seed)
        probe = linear_probe(extract(body, few.images), few.labels, num_classes=10)
        assert probe.accuracy(asked, test.labels) > 0.9


def test_random_weights_read_more_than_three_in_four() -> None:
    """What the question says to those who guessed that: a network that never learned does better."""
    pool, test = digits_split()
    few = few_shot(pool, per_class=10, seed=0)
    for seed in range(3):
        body = load_backbone("glyphnet", pretrained=False, seed=seed).body
        probe = linear_probe(extract(body, few.images), few.labels, num_classes=10)
        assert 0.78 < probe.accuracy(extract(body, test.images), test.labels) < 0.92


def test_map_names_every_lesson_of_the_course_once_or_more() -> None:
    """Lessons 01 to 16 all have a box, and each row has a cell for each column."""
    ways = [way for _, _, cells in ROWS for cell in cells for way in cell] + list(ALONG)
    assert {way.lesson for way in ways} == set(range(1, 17))
    assert all(len(cells) == len(COLUMNS) for _, _, cells in ROWS)


@pytest.mark.parametrize("ready", [0, 1, 4])
def test_map_fills_the_boxes_of_lessons_that_are_there(ready: int) -> None:
    """As many solid boxes as ways taught up to `ready`; no box leaves the paper or meets another."""
    figure = transfer_map(ready)
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    ways = [way for _, _, cells in ROWS for cell in cells for way in cell] + list(ALONG)
    solid = [box for box in boxes if box.get_linestyle() in ("solid", "-")]
    assert len(boxes) == len(ways)
    assert len(solid) == sum(way.lesson <= ready for way in ways)
    spans = [box.get_path().get_extents(box.get_patch_transform()) for box in boxes]
    right, bottom = figure.axes[0].get_xlim()[1], figure.axes[0].get_ylim()[0]
    assert all(span.x0 >= 0 and span.x1 <= right and span.y0 >= 0 and span.y1 <= bottom for span in spans)
    for i, one in enumerate(spans):
        for other in spans[i + 1 :]:
            apart = one.x1 < other.x0 or other.x1 < one.x0 or one.y1 < other.y0 or other.y1 < one.y0
            assert apart, "two boxes of the map overlap"


def test_map_says_which_boxes_are_filled_without_being_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default the filled boxes are those of the lessons in the course around the working directory."""
    for name in ("course/00_start_here", "course/02_fine_tuning"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "nbgrader_config.py").touch()
    monkeypatch.chdir(tmp_path)
    here, told = transfer_map(), transfer_map(2)
    assert [p.get_linestyle() for p in here.axes[0].patches] == [
        p.get_linestyle() for p in told.axes[0].patches
    ]


def test_accuracy_probe_asks_for_a_square_table(  # where argmax over the wrong dimension raises no error
) -> None:
    """The second part's logits are square, so `dim=0` runs and gives another value than `dim=1`."""
    import numpy as np

    part = load_probes(LESSON).probes["accuracy"][1]
    shapes = []

    def over_images(logits: torch.Tensor, labels: torch.Tensor) -> float:
        shapes.append(tuple(logits.shape))
        return float((logits.argmax(dim=0) == labels).float().mean())

    def over_classes(logits: torch.Tensor, labels: torch.Tensor) -> float:
        return float((logits.argmax(dim=1) == labels).float().mean())

    for seed in range(5):
        wrong = part.measure(over_images, np.random.default_rng(seed))
        right = part.measure(over_classes, np.random.default_rng(seed))
        assert wrong != right
    assert all(rows == columns for rows, columns in shapes)
