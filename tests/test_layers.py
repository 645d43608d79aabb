"""Freezing, holding BatchNorm, the layer table, blocks, optimizer groups, and looking into a model."""

from __future__ import annotations

import copy
import io
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from tlkit.layers import (
    batchnorm_modes,
    blocks,
    capture,
    format_layer_table,
    freeze,
    gradient_norms,
    hold_batchnorm,
    is_held,
    layer_table,
    parameter_groups,
    release_batchnorm,
    snapshot,
    unfreeze,
    weight_change,
)


def body_and_head() -> nn.Module:
    """Like a Backbone: a body of named blocks, and a head."""
    body = nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()),
            stage1=nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()),
            pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )
    )
    return nn.Sequential(OrderedDict(body=body, head=nn.Linear(6, 3)))


def buffers(model: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


def moved(model: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, buffer in model.named_buffers() if not torch.equal(buffer, before[name])}


NORMS = [
    (lambda: nn.BatchNorm1d(3), (8, 3)),
    (lambda: nn.BatchNorm2d(3), (8, 3, 4, 4)),
    (lambda: nn.BatchNorm3d(3), (8, 3, 2, 2, 2)),
    (lambda: nn.BatchNorm2d(3, affine=False), (8, 3, 4, 4)),
    (lambda: nn.InstanceNorm2d(3, track_running_stats=True), (8, 3, 4, 4)),
]


@pytest.mark.parametrize(("make", "shape"), NORMS)
def test_a_held_norm_layer_uses_its_running_statistics_and_keeps_them(make, shape) -> None:
    """Whatever a parent's train() asks: the output is (x - running mean) / sqrt(running var + eps)."""
    model = nn.Sequential(make())
    model[0].running_mean.fill_(2.0)
    model[0].running_var.fill_(4.0)
    freeze(model)
    before = buffers(model)
    x = torch.randn(shape) + 5
    out = model.train()(x)
    assert not moved(model, before)
    assert torch.allclose(out, (x - 2) / (4 + 1e-5) ** 0.5, atol=1e-5)
    release_batchnorm(model)
    model.train()(x)
    assert "0.running_mean" in moved(model, before)


def test_sync_batchnorm_is_held_too() -> None:
    """SyncBatchNorm cannot run on a CPU in training mode, but its mode can be seen."""
    model = nn.Sequential(nn.SyncBatchNorm(3))
    assert batchnorm_modes(model) == {"0": "batch"}
    assert batchnorm_modes(hold_batchnorm(model).train()) == {"0": "running"}


def test_batchnorm_without_memory_has_nothing_to_hold() -> None:
    """With track_running_stats=False the batch is used in both modes; holding must not claim otherwise."""
    model = nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False))
    hold_batchnorm(model)
    assert not is_held(model[0])
    assert batchnorm_modes(model.eval()) == {"0": "batch"}
    x = torch.randn(16, 3) * 3 + 1
    assert torch.allclose(model(x).mean(0), torch.zeros(3), atol=1e-5)


def test_leave_is_the_classic_trap() -> None:
    """freeze(batchnorm="leave") stops the weights, not the statistics; the table says so."""
    model = freeze(body_and_head(), batchnorm="leave")
    before = buffers(model)
    model.train()(torch.randn(4, 1, 8, 8))
    assert "body.stem.1.running_mean" in moved(model, before)
    assert [row.name for row in layer_table(model) if row.trap] == ["body.stem.1", "body.stage1.1"]
    assert not [row for row in layer_table(freeze(model)) if row.trap]


def test_freezing_a_part_leaves_the_rest_in_its_mode() -> None:
    """Only the frozen block's BatchNorm is held; release gives back the mode last asked for."""
    model = body_and_head().train()
    freeze(model.body.stem)
    model.eval().train()
    assert batchnorm_modes(model) == {"body.stem.1": "running", "body.stage1.1": "batch"}
    unfreeze(model)
    assert batchnorm_modes(model) == {"body.stem.1": "batch", "body.stage1.1": "batch"}
    freeze(model)
    model.eval()
    unfreeze(model)
    assert not any(module.training for module in model.modules())
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("copied", ["deepcopy", "pickle"])
def test_a_copy_of_a_held_model_is_held_and_independent(copied: str) -> None:
    """The copy stays in evaluation mode under train(), and releasing it does not release the original."""
    model = freeze(body_and_head())
    if copied == "deepcopy":
        twin = copy.deepcopy(model)
    else:
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        twin = torch.load(file, weights_only=False)
    before = buffers(twin)
    twin.train()(torch.randn(4, 1, 8, 8))
    assert not moved(twin, before)
    assert not any(p.requires_grad for p in twin.parameters())
    unfreeze(twin)
    twin.train()(torch.randn(4, 1, 8, 8))
    assert moved(twin, before)
    assert set(batchnorm_modes(model.train()).values()) == {"running"}
    assert is_held(model.body.stem[1])


def test_holding_leaves_the_state_dict_alone() -> None:
    """Same keys, and a plain model loads the weights of a frozen one."""
    model, plain = freeze(body_and_head()), body_and_head()
    assert list(model.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(model.state_dict())


def test_holding_twice_needs_one_release() -> None:
    """Holding is a state, not a count."""
    model = hold_batchnorm(hold_batchnorm(body_and_head()))
    release_batchnorm(model)
    assert set(batchnorm_modes(model.train()).values()) == {"batch"}


@pytest.mark.parametrize("model", [nn.ReLU(), nn.Sequential(), nn.LayerNorm(4), nn.Linear(2, 2)])
def test_freeze_takes_models_without_batchnorm_or_parameters(model: nn.Module) -> None:
    """Nothing to hold is no error; unfreeze brings back what freeze took."""
    freeze(model).train()
    assert not any(p.requires_grad for p in model.parameters())
    unfreeze(model)
    assert all(p.requires_grad for p in model.parameters())
    assert batchnorm_modes(model) == {}


def test_freeze_drops_old_gradients_and_names_a_wrong_choice() -> None:
    """A gradient left behind would still move the weights at the optimizer's next step."""
    layer = nn.Linear(2, 1)
    layer(torch.ones(1, 2)).sum().backward()
    freeze(layer)
    assert layer.weight.grad is None
    with pytest.raises(ValueError, match=r"batchnorm='keep'.*'hold', 'leave'"):
        freeze(layer, batchnorm="keep")  # type: ignore[arg-type]  # the mistake on trial


def test_layer_table_of_a_small_network_by_hand() -> None:
    """Counts: conv 4*9, bn 2*4, conv 6*4*9+6, bn 2*6, linear 6*3+3."""
    model = body_and_head().train()
    freeze(model.body.stem)
    before, modes = buffers(model), [m.training for m in model.modules()]
    state = torch.get_rng_state()
    rows = layer_table(model, torch.zeros(2, 1, 8, 8))
    assert [(r.name, r.kind, r.block, r.parameters, r.trainable) for r in rows] == [
        ("body.stem.0", "Conv2d", "body.stem", 36, False),
        ("body.stem.1", "BatchNorm2d", "body.stem", 8, False),
        ("body.stage1.0", "Conv2d", "body.stage1", 222, True),
        ("body.stage1.1", "BatchNorm2d", "body.stage1", 12, True),
        ("head", "Linear", "head", 21, True),
    ]
    assert [r.out_shape for r in rows] == [(2, 4, 8, 8), (2, 4, 8, 8), (2, 6, 8, 8), (2, 6, 8, 8), (2, 3)]
    assert rows[-1].in_shape == (2, 6)
    assert [r.batchnorm for r in rows] == [None, "running", None, "batch", None]
    assert not moved(model, before)
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(m._forward_hooks for m in model.modules())
    text = format_layer_table(rows)
    assert "299 parameters, 255 of them trainable" in text
    assert "running, held" in text
    assert "2x6x8x8" in text


def test_shared_parameters_count_once() -> None:
    """A tied output layer names the owner; a module used twice is one row."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(10, 4)
            self.again = self.embed
            self.out = nn.Linear(4, 10)
            self.out.weight = self.embed.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.embed(x))

    model = Tied()
    rows = {row.name: row for row in layer_table(model, torch.tensor([[1, 2]]))}
    assert list(rows) == ["embed", "out"]
    assert (rows["embed"].parameters, rows["out"].parameters, rows["out"].shared_with) == (40, 10, "embed")
    groups = parameter_groups(model, 0.1)
    assert sum(p.numel() for g in groups for p in g["params"]) == 50
    torch.optim.SGD(groups)  # PyTorch refuses a parameter in two groups
    freeze(model.embed)
    assert [row.trainable for row in layer_table(model)] == [False, True]  # the bias of `out` still learns


class OwnScale(nn.Module):
    """Owns a parameter itself, beside its child."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.inner = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * self.scale


def test_blocks_follow_the_rule() -> None:
    """Children; the one dominating container is opened while there are fewer than three; ties stop it."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    inner = [f"layers.0.{name}" for name in ("self_attn", "linear1", "linear2", "norm1", "norm2")]
    assert blocks(body_and_head()) == ["body.stem", "body.stage1", "head"]
    assert blocks(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)) == inner
    assert blocks(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)) == ["layers.0", "layers.1"]
    assert blocks(nn.Linear(2, 2)) == [""]
    assert blocks(nn.ReLU()) == []
    assert blocks(OwnScale()) == ["", "inner"]
    assert [row.block for row in layer_table(OwnScale())] == ["", "inner"]


EXPECTED_BLOCKS = {
    "resnet18": ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"],
    "vgg11": [*(f"features.{i}" for i in (0, 3, 6, 8, 11, 13, 16, 18)), "classifier"],
    "mobilenet_v3_small": [*(f"features.{i}" for i in range(13)), "classifier"],
}


@pytest.mark.parametrize("name", EXPECTED_BLOCKS)
def test_torchvision_models_are_tabulated_whole(name: str) -> None:
    """Every parameter is in one row, one block and one group; every leaf sees its shapes."""
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):  # no memory and no time for weights nobody looks at
        model = torchvision.models.get_model(name)
    rows = layer_table(model, torch.zeros(1, 3, 64, 64, device="meta"))
    assert sum(r.parameters for r in rows) == sum(p.numel() for p in model.parameters())
    assert blocks(model) == EXPECTED_BLOCKS[name]
    assert {r.block for r in rows} == set(blocks(model))
    assert all(r.in_shape and r.out_shape for r in rows)


def test_attention_is_tabulated_with_its_own_parameters() -> None:
    """MultiheadAttention owns in_proj itself; the fused path, which hides inner layers, is not taken."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    rows = {r.name: r for r in layer_table(layer, torch.zeros(3, 5, 8))}
    assert rows["self_attn"].parameters == 3 * 8 * 8 + 3 * 8
    assert rows["self_attn"].out_shape == (3, 5, 8)
    assert rows["linear1"].out_shape == (3, 5, 16)
    alone = {r.name: r for r in layer_table(nn.MultiheadAttention(8, 2), (torch.zeros(5, 3, 8),) * 3)}
    assert alone[""].out_shape == (5, 3, 8)
    assert "(model)" in format_layer_table(list(alone.values()))
    assert torch.backends.mha.get_fastpath_enabled()


def test_layer_table_takes_keywords_lazy_layers_and_empty_models() -> None:
    """A dict is passed by keyword; a lazy layer counts once it has seen data; no layers, no rows."""
    assert layer_table(OwnScale(), {"x": torch.zeros(4, 2)})[1].in_shape == (4, 2)
    lazy = nn.Sequential(nn.LazyLinear(3))
    assert layer_table(lazy)[0].parameters == 0
    assert layer_table(lazy, torch.zeros(1, 5))[0].parameters == 18
    assert layer_table(nn.Sequential()) == []
    assert "0 parameters" in format_layer_table([])


def test_parameter_groups_by_block() -> None:
    """One group a block with its rate; frozen parameters included unless told; wrong names are named."""
    model = body_and_head()
    freeze(model.body.stem)
    groups = parameter_groups(model, {"head": 1e-2}, default=1e-4)
    assert [(g["name"], g["lr"], len(g["params"])) for g in groups] == [
        ("body.stem", 1e-4, 3),
        ("body.stage1", 1e-4, 4),
        ("head", 1e-2, 2),
    ]
    assert [g["name"] for g in parameter_groups(model, 0.1, trainable_only=True)] == ["body.stage1", "head"]
    with pytest.raises(ValueError, match=r"no block 'stage9'.*body\.stem, body\.stage1, head"):
        parameter_groups(model, {"stage9": 1.0})
    with pytest.raises(ValueError, match=r"no learning rate for block 'body\.stem'"):
        parameter_groups(model, {"head": 1.0})


def test_capture_gives_outputs_with_their_graph_and_leaves_no_hook() -> None:
    """The captured output is the layer's own, a loss on it reaches the weights, hooks go even on an error."""
    model = body_and_head()
    x = torch.randn(2, 1, 8, 8)
    with capture(model, ["body.stem", "head"]) as outputs:
        y = model(x)
    assert torch.equal(outputs["head"], y)
    outputs["body.stem"].sum().backward()
    assert model.body.stem[0].weight.grad is not None
    with pytest.raises(ValueError, match=r"'body\.stage'; .*'body\.stage1'"), capture(model, "body.stage"):
        pass
    with pytest.raises(RuntimeError), capture(model, "head", detach=True):
        model(torch.zeros(2, 3, 8, 8))
    assert not any(m._forward_hooks for m in model.modules())


def test_gradient_norms_and_weight_change_by_hand() -> None:
    """One norm over a block's parameters; relative to the start; None and 0 where nothing happened."""
    model = nn.Sequential(OrderedDict(a=nn.Linear(2, 1), b=nn.Linear(1, 1), c=nn.Linear(1, 1)))
    model.a.weight.grad = torch.tensor([[3.0, 0.0]])
    model.a.bias.grad = torch.tensor([4.0])
    assert gradient_norms(model) == {"a": pytest.approx(5.0), "b": None, "c": None}
    with torch.no_grad():
        model.a.weight.copy_(torch.tensor([[3.0, 0.0]]))
        model.a.bias.copy_(torch.tensor([4.0]))
        model.c.weight.zero_()
        model.c.bias.zero_()
    start = snapshot(model)
    with torch.no_grad():
        model.a.bias += 1
        model.c.bias += 1
    assert weight_change(model, start) == {"a": pytest.approx(0.2), "b": 0.0, "c": float("inf")}
    model.load_state_dict(start)
    assert weight_change(model, start)["a"] == 0.0
    with pytest.raises(KeyError, match=r"no 'a\.weight'"):
        weight_change(model, {})
