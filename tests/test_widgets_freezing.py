"""What a board asks, what the model has, and the PyTorch lines that say the same: without any widget."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tlkit.layers import batchnorm_modes, parameter_groups
from tlkit.widgets.code import pytorch_code
from tlkit.widgets.freezing import Freezing


class Tied(nn.Module):
    """Two linear layers that share one weight, as the input and output of a language model do."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(4, 4)
        self.out = nn.Linear(4, 4)
        self.out.weight = self.into.weight


def convnet() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8)),
        nn.Sequential(nn.Flatten(), nn.Linear(8 * 16, 3)),
    )


def learning(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def test_a_wish_changes_nothing_until_it_is_applied() -> None:
    """Asked and applied are two things: parameters keep learning until apply()."""
    model = convnet()
    freezing = Freezing(model)
    freezing.ask(["0.0"], False)
    assert freezing.waiting
    assert "0.0.weight" in learning(model)
    assert freezing.apply() == ["0.0"]
    assert not freezing.waiting
    assert learning(model) == {"0.1.weight", "0.1.bias", "1.0.weight", "1.0.bias", "1.1.weight", "1.1.bias",
                               "2.1.weight", "2.1.bias"}  # fmt: skip


def test_freezing_drops_the_gradient() -> None:
    """A frozen parameter keeps no gradient that an optimizer could still use."""
    model = convnet()
    model(torch.randn(2, 1, 8, 8)).sum().backward()
    freezing = Freezing(model)
    freezing.ask(["2.1"], False)
    freezing.apply()
    head = model.get_submodule("2.1")
    assert head.weight.grad is None
    assert model.get_submodule("1.0").weight.grad is not None


def test_undo_and_redo_walk_the_whole_way() -> None:
    """Each undo takes back one wish, redo brings it again, and a new wish forgets what was undone."""
    freezing = Freezing(convnet())
    for layer in ("0.0", "0.1", "1.0"):
        freezing.ask([layer], False)
        freezing.apply()
    for expected in (2, 1, 0):
        freezing.undo()
        freezing.apply()
        assert sum(row.trainable is False for row in freezing.rows) == expected
    freezing.undo()  # nothing more to undo: nothing happens
    freezing.redo()
    freezing.apply()
    assert [row.name for row in freezing.rows if row.trainable is False] == ["0.0"]
    freezing.ask(["2.1"], False)
    assert not freezing.can_redo


def test_a_wish_that_changes_nothing_is_no_step_to_undo() -> None:
    """Unfreezing what learns already leaves the history as it was."""
    freezing = Freezing(convnet())
    freezing.ask(["0.0"], True)
    assert not freezing.can_undo


@pytest.mark.parametrize(("policy", "held"), [("leave", False), ("hold", True)])
def test_batchnorm_follows_the_policy(policy: str, held: bool) -> None:
    """With "leave" the frozen layer's statistics move in training mode; with "hold" they stay."""
    model = convnet().train()
    freezing = Freezing(model, batchnorm=policy)  # type: ignore[arg-type]
    freezing.ask(["0.0", "0.1"], False)
    freezing.apply()
    norm = model.get_submodule("0.1")
    before = norm.running_mean.clone()
    model.train()
    model(torch.randn(4, 1, 8, 8) + 3)
    assert torch.equal(norm.running_mean, before) is held
    assert [row.trap for row in freezing.rows] == [False, not held, False, False, False]


def test_the_cure_and_its_undo() -> None:
    """Holding cures trapped layers and later freezings; unfreezing releases; undo opens the trap again."""
    model = convnet()
    freezing = Freezing(model)
    freezing.ask(["0.0", "0.1"], False)
    freezing.apply()
    freezing.ask_batchnorm("hold")
    freezing.apply()
    assert [row.held for row in freezing.rows if row.tracks] == [True, False]
    freezing.ask(["1.1"], False)
    freezing.apply()
    assert [row.held for row in freezing.rows if row.tracks] == [True, True]
    freezing.ask(["0.1"], True)
    freezing.apply()
    assert [row.held for row in freezing.rows if row.tracks] == [False, True]
    for _ in range(3):
        freezing.undo()
    freezing.apply()
    assert [row.held for row in freezing.rows if row.tracks] == [False, False]


def test_layers_that_share_a_tensor_freeze_together() -> None:
    """One tensor cannot be frozen in one layer and learn in the other."""
    model = Tied()
    freezing = Freezing(model)
    freezing.ask(["out"], False)
    assert freezing.asked.learns == {"into": False, "out": False}
    freezing.apply()
    assert learning(model) == set()
    assert not freezing.waiting


def test_changes_by_code_are_noticed_and_can_be_undone() -> None:
    """What was frozen by hand becomes what is asked, and undo takes it back."""
    model = convnet()
    freezing = Freezing(model)
    model[0].requires_grad_(False)
    assert freezing.reread() == ["0.0", "0.1"]
    assert not freezing.waiting
    freezing.undo()
    freezing.apply()
    assert "0.0.weight" in learning(model)


def test_a_wish_not_yet_applied_survives_a_look_at_the_model() -> None:
    """reread() while a change waits for the next training step does not forget the change."""
    model = convnet()
    freezing = Freezing(model)
    freezing.ask(["2.1"], False)
    assert freezing.reread() == []
    assert freezing.waiting


def test_an_exchanged_layer_is_taken_up() -> None:
    """After `model.head = nn.Linear(...)` the table shows the new layer and freezes it, not the old one."""
    model = convnet()
    freezing = Freezing(model)
    before = freezing.identity
    model[2][1] = nn.Linear(128, 7)
    freezing.reread()
    assert freezing.identity != before
    assert freezing.rows[-1].parameters == 128 * 7 + 7
    freezing.ask(["2.1"], False)
    freezing.apply()
    assert not model[2][1].weight.requires_grad


@pytest.mark.parametrize("model", [nn.Flatten(), nn.Linear(2, 2), nn.TransformerEncoderLayer(8, 2, 16)])
def test_any_module_can_be_frozen_throughout(model: nn.Module) -> None:
    """No parameters, a single layer, parameters owned beside children: all freeze and thaw."""
    freezing = Freezing(model)
    names = [row.name for row in freezing.rows]
    freezing.ask(names, False)
    freezing.apply()
    assert learning(model) == set()
    freezing.ask(names, True)
    freezing.apply()
    assert learning(model) == {name for name, _ in model.named_parameters()}


# ---------------------------------------------------------------- copy as PyTorch
RATES = {"0": 1e-5, "1": 1e-4, "2": 1e-3}
FREEZINGS = {
    "nothing": [],
    "a block": ["0.0", "0.1"],
    "a layer": ["1.0"],
    "all": ["0.0", "0.1", "1.0", "1.1", "2.1"],
}


def group_rates(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, float]:
    names = {p: name for name, p in model.named_parameters()}
    return {names[p]: g["lr"] for g in optimizer.param_groups for p in g["params"] if p.requires_grad}


@pytest.mark.parametrize("frozen", FREEZINGS.values(), ids=FREEZINGS.keys())
@pytest.mark.parametrize("policy", ["leave", "hold"])
@pytest.mark.parametrize("rates", [RATES, dict.fromkeys(RATES, 0.01)], ids=["by block", "one"])
def test_the_lines_reproduce_the_model(frozen: list[str], policy: str, rates: dict[str, float]) -> None:
    """Executed on a fresh copy, they give the same frozen parameters, BatchNorm modes and learning rates."""
    model, other = convnet(), convnet()
    freezing = Freezing(model, batchnorm=policy)  # type: ignore[arg-type]
    freezing.ask(frozen, False)
    freezing.apply()
    model.train()
    space = {"net": other.train()}
    exec(pytorch_code(model, rates, name="net"), space)
    assert learning(other) == learning(model)
    assert batchnorm_modes(other) == batchnorm_modes(model)
    if len(frozen) == 5:
        assert "optimizer" not in space
    else:
        ours = torch.optim.SGD(parameter_groups(model, rates))
        assert group_rates(space["optimizer"], other) == group_rates(ours, model)  # type: ignore[arg-type]


def test_the_lines_know_shared_parameters() -> None:
    """A tensor used by two layers is in one optimizer group, where PyTorch accepts it."""
    model = Tied()
    freezing = Freezing(model)
    freezing.ask(["into"], False)
    freezing.apply()
    other = Tied()
    space = {"model": other}
    exec(pytorch_code(model, {"into": 0.1, "out": 0.2}), space)
    assert learning(other) == learning(model)
    model.requires_grad_(True)
    space = {"model": copy.deepcopy(other)}
    exec(pytorch_code(model, {"into": 0.1, "out": 0.2}), space)
    assert group_rates(space["optimizer"], space["model"]) == {  # type: ignore[arg-type]
        "into.weight": 0.1,
        "into.bias": 0.1,
        "out.bias": 0.2,
    }
