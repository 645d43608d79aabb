"""The numbers of lesson 02: its answers against values worked by hand and PyTorch's own schedulers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tlkit.backbones import load_backbone
from tlkit.build.course import find_lessons
from tlkit.build.right import right_answers
from tlkit.build.text import expand
from tlkit.exercises.load import load_probes
from tlkit.layers import batchnorm_modes, blocks, layer_table

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def answers() -> dict[str, Callable[..., Any]]:
    """The course's right answers by name."""
    lesson = next(lesson for lesson in find_lessons(ROOT) if lesson.name == "02_fine_tuning")
    return dict(right_answers(lesson, expand(lesson, load_probes(lesson.folder))))


def two_blocks() -> nn.Module:
    """Linear(2, 3); a block without parameters; Linear(3, 1) with BatchNorm1d(1); the head, Linear(1, 2)."""
    body = nn.Sequential()
    body.add_module("one", nn.Linear(2, 3))
    body.add_module("flat", nn.Flatten())
    body.add_module("two", nn.Sequential(nn.Linear(3, 1, bias=False), nn.BatchNorm1d(1)))
    model = nn.Sequential()
    model.add_module("body", body)
    model.add_module("head", nn.Linear(1, 2))
    return model


def test_summary_of_a_small_network_is_the_one_counted_by_hand(answers: dict[str, Any]) -> None:
    """Linear(2, 3) has 9 numbers, Linear(3, 1) without bias and BatchNorm1d(1) have 5, Linear(1, 2) has 4."""
    model = two_blocks().train()
    model.body.one.weight.requires_grad_(False)  # type: ignore[union-attr]  # torch types parts as Tensor | Module
    assert answers["trainable_summary"](model) == {
        "one": {"parameters": 9, "trainable": 3, "batchnorm": "none"},
        "flat": {"parameters": 0, "trainable": 0, "batchnorm": "none"},
        "two": {"parameters": 5, "trainable": 5, "batchnorm": "batch"},
        "head": {"parameters": 4, "trainable": 4, "batchnorm": "none"},
    }


def test_summary_of_glyphnet_agrees_with_the_layer_table(answers: dict[str, Any]) -> None:
    """Counts block by block, against the library's own table; the held layers are in running mode."""
    model = load_backbone("glyphnet")
    model.body.stage2.requires_grad_(False)  # type: ignore[union-attr]  # as above
    summary, rows = answers["trainable_summary"](model), layer_table(model)
    for block in blocks(model):
        facts = summary[block.removeprefix("body.")]
        inside = [row for row in rows if row.block == block]
        assert facts["parameters"] == sum(row.parameters for row in inside)
        assert facts["trainable"] == sum(row.trainable_parameters for row in inside)
        modes = {row.batchnorm for row in inside if row.batchnorm} or {"none"}
        assert modes == {facts["batchnorm"]}


def test_rates_fall_from_the_head_by_the_decay(answers: dict[str, Any]) -> None:
    """base_lr 0.8 and decay 1/4: head 0.8, two 0.2, one 0.05; the block without parameters takes no step."""
    model = two_blocks()
    groups = answers["layerwise_lr_groups"](model, 0.8, 0.25)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    found = {name: rates[id(p)] for name, p in model.named_parameters()}
    expected = {"one": 0.05, "two": 0.2, "head": 0.8}
    assert len(found) == 7
    for name, rate in found.items():
        assert rate == pytest.approx(next(v for block, v in expected.items() if block in name))


def test_an_optimizer_takes_the_groups_and_steps_by_their_rates(answers: dict[str, Any]) -> None:
    """With a gradient of 1 everywhere, SGD moves each number by the rate of its block."""
    model = two_blocks()
    optimizer = torch.optim.SGD(answers["layerwise_lr_groups"](model, 0.8, 0.5), lr=99.0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    for name, p in model.named_parameters():
        rate = {"one": 0.2, "two": 0.4}.get(name.split(".")[1], 0.8)
        torch.testing.assert_close(before[name] - p.detach(), torch.full_like(p, rate))


def test_warmup_cosine_by_hand(answers: dict[str, Any]) -> None:
    """4 steps up, 8 down: quarters, then (1 + cos(kπ/8)) / 2."""
    factor = answers["warmup_cosine"]
    assert [factor(step, 12, 4) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert factor(4, 12, 4) == 1.0
    assert factor(6, 12, 4) == pytest.approx((2 + math.sqrt(2)) / 4)
    assert factor(8, 12, 4) == pytest.approx(0.5)
    assert factor(10, 12, 4) == pytest.approx((2 - math.sqrt(2)) / 4)
    assert factor(0, 12, 0) == 1.0


@pytest.mark.parametrize(("warmup", "total"), [(5, 40), (1, 7), (10, 100)])
def test_warmup_cosine_is_what_pytorch_schedulers_make(
    answers: dict[str, Any], warmup: int, total: int
) -> None:
    """LinearLR from 1/W, then CosineAnnealingLR over the T - W steps that are left."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    up = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / warmup, 1.0, max(1, warmup - 1))
    found = []
    for _ in range(warmup):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        up.step()
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = 1.0
    down = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total - warmup)
    for _ in range(warmup, total):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        down.step()
    assert [answers["warmup_cosine"](step, total, warmup) for step in range(total)] == pytest.approx(
        found, abs=1e-9
    )


def test_slanted_triangle_by_hand(answers: dict[str, Any]) -> None:
    """T = 20, cut_frac = 0.1, ratio = 32: 1/32, 33/64, 1, then down as in the paper."""
    factor = answers["slanted_triangular"]
    assert factor(0, 20, 0.1, 32) == 1 / 32
    assert factor(1, 20, 0.1, 32) == pytest.approx(33 / 64)
    assert factor(2, 20, 0.1, 32) == 1.0
    assert factor(11, 20, 0.1, 32) == pytest.approx(33 / 64)
    for step in range(2, 20):
        p = 1 - (step - 2) / (2 * (1 / 0.1 - 1))  # equation 3 of Howard and Ruder (2018)
        assert factor(step, 20, 0.1, 32) == pytest.approx((1 + p * 31) / 32)


def test_slanted_triangle_stays_positive_where_the_printed_formula_does_not(answers: dict[str, Any]) -> None:
    """28 steps: ⌊2.8⌋ = 2, so the paper's p ends at 1 - 25/18 < 0; ours ends above 1/ratio."""
    p = 1 - (27 - 2) / (2 * (1 / 0.1 - 1))
    assert (1 + p * 31) / 32 == pytest.approx(-0.345, abs=1e-3)
    assert answers["slanted_triangular"](27, 28) > 1 / 32


def test_unfreezing_three_blocks(answers: dict[str, Any]) -> None:
    """c, then b and c, then all for ever."""
    found = [answers["unfreeze_at"](epoch, ["a", "b", "c"]) for epoch in range(5)]
    assert found == [["c"], ["b", "c"], ["a", "b", "c"], ["a", "b", "c"], ["a", "b", "c"]]


def test_held_batchnorm_uses_its_memory_in_training_mode(answers: dict[str, Any]) -> None:
    """One BatchNorm1d with mean 2, variance 4, weight 3, bias 1: x = 6 becomes 3 · (6 - 2) / 2 + 1 = 7."""
    model = nn.Sequential(nn.BatchNorm1d(1, eps=0.0), nn.Dropout(0.5))
    with torch.no_grad():
        model[0].running_mean.fill_(2.0)
        model[0].running_var.fill_(4.0)
        model[0].weight.fill_(3.0)
        model[0].bias.fill_(1.0)
    answers["batchnorm_eval"](model).train()
    assert model[0](torch.tensor([[6.0], [0.0]])).flatten().tolist() == [7.0, -2.0]
    assert float(model[0].running_mean) == 2.0
    assert model[1].training
    assert all(p.requires_grad for p in model.parameters())


def test_batchnorm_of_glyphnet_is_held_through_train(answers: dict[str, Any]) -> None:
    """Every BatchNorm layer of the shipped network reports running statistics after .train()."""
    model = answers["batchnorm_eval"](load_backbone("glyphnet")).train()
    assert set(batchnorm_modes(model).values()) == {"running"}


def test_l2_sp_by_hand(answers: dict[str, Any]) -> None:
    """w = (1, 2) from (0, 4): 1 + 4 = 5; head (3) and bias (-1): 10. α = 0.2, β = 0.4: 0.5 + 2 = 2.5."""
    model = nn.Module()
    model.body = nn.Linear(2, 1, bias=False)
    model.head = nn.Linear(1, 1)
    with torch.no_grad():
        model.body.weight.copy_(torch.tensor([[1.0, 2.0]]))
        model.head.weight.fill_(3.0)
        model.head.bias.fill_(-1.0)
    start = {"body.weight": torch.tensor([[0.0, 4.0]])}
    penalty = answers["l2_sp"](model, start, 0.2, 0.4)
    assert float(penalty.detach()) == pytest.approx(2.5)
    penalty.backward()
    torch.testing.assert_close(model.body.weight.grad, torch.tensor([[0.2, -0.4]]))  # α (w - w⁰)
    torch.testing.assert_close(model.head.weight.grad, torch.tensor([[1.2]]))  # β v


def test_l2_sp_from_zero_is_weight_decay(answers: dict[str, Any]) -> None:
    """With w⁰ = 0 and α = β a step of SGD with L2-SP is a step with weight_decay = α."""
    torch.manual_seed(0)
    model, other = nn.Sequential(nn.Linear(3, 2)), nn.Sequential(nn.Linear(3, 2))
    other.load_state_dict(model.state_dict())
    start = {"0.weight": torch.zeros(2, 3)}
    answers["l2_sp"](model, start, 0.3, 0.3).backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    for p in other.parameters():
        p.grad = torch.zeros_like(p)
    torch.optim.SGD(other.parameters(), lr=0.1, weight_decay=0.3).step()
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.fixture(scope="module")
def whereabouts() -> Callable[..., dict[str, Any]]:
    """What the check of `fine_tune` says of a network's weights, asked of any network."""
    lesson = next(lesson for lesson in find_lessons(ROOT) if lesson.name == "02_fine_tuning")
    (probe,) = load_probes(lesson.folder).probes["fine_tune"]
    measure = probe.measure.__globals__["whereabouts"]
    given, before = load_backbone("glyphnet"), load_backbone("glyphnet", pretrained=False, seed=0)
    return lambda model: dict(zip(("likeness", "words"), measure(model, given, before).values(), strict=True))


def test_the_check_knows_the_network_that_it_gave(whereabouts: Callable[..., dict[str, Any]]) -> None:
    """Also in another container, and with noise as long as the weights themselves; cosine 1/√2 then."""
    model = load_backbone("glyphnet")
    assert whereabouts(model) == {"likeness": 1.0, "words": "it has not moved"}
    assert whereabouts(nn.Sequential(model.body, nn.Linear(3, 10)))["likeness"] == 1.0
    torch.manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            noise = torch.randn_like(p)
            p += noise * p.norm() / noise.norm()
    assert 0.5 <= whereabouts(model)["likeness"] <= 0.8


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fresh_weights_are_not_taken_for_the_pretrained_ones(
    whereabouts: Callable[..., dict[str, Any]], seed: int
) -> None:
    """Those of seed 0 are where the pretraining began, and still like them; that does not count."""
    fresh = load_backbone("glyphnet", pretrained=False, seed=seed)
    assert whereabouts(fresh) == {"likeness": 0.0, "words": "it did not start there"}
    assert whereabouts(nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten()))["likeness"] == 0.0
