"""Lesson 01 tells the truth: what its prose and its questions claim holds over draws it does not show."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tlkit import capture, extract, freeze, linear_probe, load_backbone
from tlkit.data import digits_split
from tlkit.exercises import load_probes

LESSON = Path(__file__).resolve().parents[1] / "solutions" / "01_feature_extraction"
POOL, TEST = digits_split()
SEEDS = (200, 201, 202)


def draw(per_class: int, seed: int) -> Tensor:
    order = torch.randperm(len(POOL), generator=torch.Generator().manual_seed(seed))
    return torch.cat([order[POOL.labels[order] == digit][:per_class] for digit in range(10)])


def probed(features: Callable[[Tensor], Tensor], per_class: int) -> float:
    """Mean accuracy on the rest of the pool, over the seeds: the test half stays closed here."""
    known, total = features(POOL.images), 0.0
    for seed in SEEDS:
        few = draw(per_class, seed)
        rest = torch.ones(len(POOL), dtype=torch.bool)
        rest[few] = False
        probe = linear_probe(known[few], POOL.labels[few], 10, l2=0.1)
        total += probe.accuracy(known[rest], POOL.labels[rest])
    return total / len(SEEDS)


@lru_cache
def accuracies() -> dict[str, float]:
    """Ten labels a class: each description of the digits, as they are and with shuffled pixels."""
    order = torch.randperm(1024, generator=torch.Generator().manual_seed(7))

    def shuffled(images: Tensor) -> Tensor:
        return images.flatten(1)[:, order].view_as(images)

    found = {}
    for name, pretrained in (("pretrained", True), ("random", False)):
        body = load_backbone("glyphnet", pretrained=pretrained).body
        found[name] = probed(lambda x, body=body: extract(body, x), 10)
        found[f"shuffled {name}"] = probed(lambda x, body=body: extract(body, shuffled(x)), 10)
    found["pixels"] = probed(lambda x: x.flatten(1), 10)
    found["shuffled pixels"] = probed(lambda x: shuffled(x).flatten(1), 10)
    return found


def test_ten_labels_pretrained_features_are_read_best() -> None:
    """The answer to `ten_labels`, with five points to spare."""
    found = accuracies()
    assert found["pretrained"] > max(found["pixels"], found["random"]) + 0.05


def test_shuffled_pixels_leave_the_pixel_probe_alone_and_make_transfer_hurt() -> None:
    """The answer to `shuffled`: no change for pixels, and pretrained features fall behind them."""
    found = accuracies()
    assert abs(found["shuffled pixels"] - found["pixels"]) < 0.005
    assert found["shuffled pretrained"] < found["shuffled pixels"] - 0.01


def test_late_layers_transfer_better_than_the_stem() -> None:
    """The answer to `which_layer`: stage2 and stage3 beat the stem by far, five labels a class."""
    network = load_backbone("glyphnet")
    places = ["body.stem", "body.stage2", "body.stage3"]
    with capture(network, places, detach=True) as outputs, torch.no_grad():
        network(POOL.images)
    at = {p: F.adaptive_avg_pool2d(outputs[p], 2).flatten(1) for p in places}
    scores = {p: probed(lambda _, p=p: at[p], 5) for p in places}
    assert min(scores["body.stage2"], scores["body.stage3"]) > scores["body.stem"] + 0.03


def test_requires_grad_alone_lets_features_drift_and_freeze_does_not() -> None:
    """The answer to `what_moves`, and the lesson's proof: parameters stay, statistics and features move."""
    for hold, moves in (("leave", True), ("hold", False)):
        model = load_backbone("glyphnet")
        freeze(model.body, batchnorm=hold)
        weights = [p.clone() for p in model.body.parameters()]
        before = extract(model.body, POOL.images[:64])
        model.train()
        for batch in POOL.images[:320].split(64):
            model(batch)
        after = extract(model.body, POOL.images[:64])
        assert all(torch.equal(p, w) for p, w in zip(model.body.parameters(), weights, strict=True))
        assert torch.equal(before, after) is not moves
        if moves:
            assert (after - before).norm() > 0.05 * before.norm()


def test_the_same_digit_mostly_gets_the_same_letter() -> None:
    """What the text says of the old head: the commonest of its answers to a digit is far from rare."""
    backbone = load_backbone("glyphnet")
    with torch.no_grad():
        letter = backbone(POOL.images).argmax(dim=1)
    shares = [
        (letter[POOL.labels == d] == letter[POOL.labels == d].mode().values).float().mean() for d in range(10)
    ]
    assert float(torch.stack(shares).mean()) > 0.25


def test_new_digits_of_the_outcome_are_perturbed_and_never_from_the_test_half() -> None:
    """No image handed out is one of the data set's, so none can be looked up; all come from the pool."""
    handed: list[Tensor] = []

    def spy(model: torch.nn.Module, images: Tensor, labels: Tensor, new_images: Tensor) -> Tensor:
        handed.append(new_images)
        each = (10, 10, 5)[len(handed) - 1]  # of every class: in the mixed exam, twice, and with the pile
        assert len(images) == len(labels)
        assert torch.bincount(labels).tolist() == [each] * 10
        assert (torch.cdist(images.flatten(1), TEST.images.flatten(1)).amin(1) > 0).float().mean() > 0.9
        return torch.zeros(len(new_images), dtype=torch.int64)

    mixed, _ = [
        part.measure(spy, np.random.default_rng(5)) for part in load_probes(LESSON).probes["predict_few_shot"]
    ]
    assert len(handed) == 3
    assert torch.bincount(mixed["true labels"], minlength=10).min() >= 3
    every = torch.cat([POOL.images, TEST.images]).flatten(1)
    for images in handed:
        assert float(torch.cdist(images.flatten(1), every).amin()) > 0.5


def test_outcome_is_not_reached_past_the_features() -> None:
    """Neither moved pixels nor a network of one's own pass for the features of the body that is given."""

    def pixels(model: torch.nn.Module, images: Tensor, labels: Tensor, new_images: Tensor) -> Tensor:
        steps = [(down, across) for down in range(-2, 3) for across in range(-2, 3)]
        moved = torch.cat([images.roll(step, dims=(-2, -1)).flatten(1) for step in steps])
        return labels.repeat(len(steps))[torch.cdist(new_images.flatten(1), moved).argmin(dim=1)]

    def another(model: torch.nn.Module, images: Tensor, labels: Tensor, new_images: Tensor) -> Tensor:
        body = load_backbone("glyphnet").body
        return linear_probe(extract(body, images), labels, 10).predict(extract(body, new_images))

    part = load_probes(LESSON).probes["predict_few_shot"][0]
    for shortcut in (pixels, another):
        found = part.measure(shortcut, np.random.default_rng(5))
        assert (found["predicted labels"] == found["true labels"]).float().mean() > 0.84
        assert found["different digits predicted where the body sees nothing"] == "several"
        assert found["smallest value in any batch that the body saw, from -1 to 1"] == "the body saw nothing"
