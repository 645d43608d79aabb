"""Backbones: the split into body and head, transforms, and what happens without weights or a network."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tlkit.backbones import Backbone, BackboneUnavailable, Transform, load_backbone
from tlkit.backbones.backbone import split
from tlkit.data import ants_and_bees
from tlkit.features import extract, linear_probe

# one of each way torchvision ends a network; 64 pixels keep it fast
WIDTHS = {
    "squeezenet1_0": 512,
    "resnet18": 512,
    "mobilenet_v3_small": 1024,
    "densenet121": 1024,
    "efficientnet_b0": 1280,
    "shufflenet_v2_x0_5": 1024,
    "googlenet": 1024,
    "convnext_tiny": 768,
}


@pytest.mark.filterwarnings("ignore:The default weight initialization of GoogleNet")
@pytest.mark.parametrize("name", WIDTHS)
def test_a_torchvision_model_becomes_body_and_head(name: str) -> None:
    """The body gives flat features of the head's width; the head tells the 1,000 ImageNet classes apart."""
    backbone = load_backbone(name, pretrained=False)
    with torch.no_grad():
        features = backbone.body(torch.rand(2, 3, 64, 64))
        logits = backbone(torch.rand(2, 3, 64, 64))
    assert features.shape == (2, WIDTHS[name])
    assert backbone.feature_dim == WIDTHS[name] == backbone.head.in_features
    assert isinstance(backbone.head, nn.Linear)
    assert logits.shape == (2, 1000)
    assert backbone.classes[:2] == ("tench", "goldfish")
    assert not backbone.training


def test_the_split_changes_nothing_but_the_place_of_the_head() -> None:
    """head(body(x)) equals the model before the split, to the bit."""
    from torchvision.models import resnet18

    model = resnet18(num_classes=7).eval()
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = model(x)
        body, head = split(model)
        assert torch.equal(head(body(x)), before)
    assert isinstance(model.fc, nn.Identity)


def test_squeezenet_keeps_the_weights_of_its_classifier() -> None:
    """The linear head has the 1x1 convolution's weights: equal outputs where no ReLU cut anything off."""
    from torchvision.models import squeezenet1_0

    model = squeezenet1_0(num_classes=5).eval()
    nn.init.constant_(model.classifier[1].bias, 1e3)  # no output is negative: ReLU and average commute
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = model(x)
        body, head = split(model)
        assert torch.allclose(head(body(x)), before, rtol=1e-5)


def test_a_network_without_a_linear_layer_is_refused() -> None:
    """The error names the class."""
    with pytest.raises(ValueError, match="Sequential has no linear layer"):
        split(nn.Sequential(nn.Conv2d(3, 4, 3)))


def test_random_weights_follow_the_seed_and_leave_the_global_one_alone() -> None:
    """Equal seeds give equal networks, others do not, and torch's own random state does not move."""
    state = torch.get_rng_state()
    first, same, other = (load_backbone("glyphnet", pretrained=False, seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    x = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(first(x), same(x))
        assert not torch.allclose(first(x), other(x))


def test_an_unknown_name_gets_a_suggestion() -> None:
    """Typing errors are answered with the name meant."""
    with pytest.raises(ValueError, match=r"no backbone is called 'resnet81'; did you mean .*'resnet18'"):
        load_backbone("resnet81")
    with pytest.raises(ValueError, match="try 'glyphnet'"):
        load_backbone("?!")


def test_without_network_and_cache_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It names the missing file, its address and folder, and the backbone that needs none."""

    def unplugged(*_: object, **__: object) -> None:
        raise URLError("network is unreachable")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", unplugged)
    with pytest.raises(BackboneUnavailable) as error:
        load_backbone("resnet18")
    said = str(error.value)
    for part in (
        "resnet18-f37072fd.pth",
        "https://download.pytorch.org/models/",
        str(tmp_path / "hub" / "checkpoints"),
        "network is unreachable",
        "TORCH_HOME",
        "load_backbone('glyphnet') needs no download",
    ):
        assert part in said


def test_the_transform_is_that_of_the_weights() -> None:
    """On a photo it agrees with torchvision's own preset."""
    from torchvision.models import ResNet18_Weights

    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
    photo = small.resize((320, 240), Image.Resampling.BICUBIC)
    backbone = load_backbone("resnet18", pretrained=False)
    theirs = ResNet18_Weights.IMAGENET1K_V1.transforms()(photo)
    ours = backbone.transform(photo)
    assert ours.shape == (3, 224, 224)
    # theirs resizes bytes and rounds, ours resizes floats: at most a grey level or two apart
    assert (ours - theirs).abs().max() < 3 / 255 / 0.22


def test_the_transform_takes_grey_images_and_smaller_sides() -> None:
    """Grey is repeated for a colour network and colour averaged for a grey one; at() sets the side."""
    colour = Transform(3, 224, 256, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)).at(64)
    assert (colour.crop, colour.resize) == (64, 73)
    seen = colour(torch.full((2, 1, 32, 32), 0.75))
    assert seen.shape == (2, 3, 64, 64)
    assert torch.allclose(seen, torch.ones(2, 3, 64, 64))
    grey = load_backbone("glyphnet", pretrained=False).transform
    digits = torch.rand(2, 1, 32, 32)
    assert torch.equal(grey(digits), digits)
    rgb = torch.stack([torch.full((32, 32), v) for v in (0.0, 0.3, 0.6)])
    assert torch.allclose(grey(rgb), torch.full((1, 32, 32), 0.3))
    assert grey(Image.new("RGB", (50, 40), "white")).shape == (1, 32, 32)


def test_the_transform_refuses_what_is_no_image() -> None:
    """Bytes and four channels are errors that show what was found."""
    transform = load_backbone("glyphnet", pretrained=False).transform
    with pytest.raises(ValueError, match=r"found uint8 \[2, 1, 32, 32\]"):
        transform(torch.zeros(2, 1, 32, 32, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"1 or 3 channels .*found shape \[2, 4, 32, 32\]"):
        transform(torch.zeros(2, 4, 32, 32))


@pytest.mark.slow
def test_frozen_squeezenet_tells_ants_from_bees(real_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen ImageNet features and a linear probe reach 92 % on the 153 validation photos."""
    monkeypatch.setenv("TORCH_HOME", str(real_files / "torch_home"))
    backbone = load_backbone("squeezenet1_0")
    train, val = ants_and_bees(real_files)
    seen, held_out = (extract(backbone.body, part.tensor(backbone.transform), 32) for part in (train, val))
    probe = linear_probe(seen, train.labels, 2)
    assert probe.accuracy(held_out, val.labels) >= 0.92


def test_a_backbone_is_its_head_on_its_body() -> None:
    """forward(x) = head(body(x)), and replacing the head is all it takes to change the classes."""
    backbone = load_backbone("glyphnet", pretrained=False)
    assert isinstance(backbone, Backbone)
    x = torch.rand(3, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(backbone(x), backbone.head(backbone.body(x)))
    backbone.head = nn.Linear(backbone.feature_dim, 10)
    assert backbone(x).shape == (3, 10)
