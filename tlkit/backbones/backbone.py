"""``load_backbone(name)``: a network, its weights and its transform, split into body and head."""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn

from tlkit.backbones.glyphnet import GlyphBody
from tlkit.backbones.transform import Transform

WEIGHTS = Path(__file__).with_name("glyphnet.safetensors")


class BackboneUnavailable(RuntimeError):
    """The weights of a backbone are neither on this machine nor to be had from the network."""


class Backbone(nn.Module):
    """A network in two parts: ``head(body(images))``.

    Attributes:
        body: images ``[B, C, H, W]`` -> features ``[B, D]``.
        head: ``nn.Linear(D, classes)``.
        feature_dim: D.
        name: what it was loaded as.
        classes: what the head tells apart, in order.
        transform: Pillow image or floats in [0, 1] -> what the body wants to see.
    """

    def __init__(
        self, body: nn.Module, head: nn.Linear, name: str, classes: tuple[str, ...], transform: Transform
    ) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.name = name
        self.classes = classes
        self.transform = transform
        self.feature_dim = head.in_features

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[B, C, H, W]`` (transformed) -> logits ``[B, classes]``."""
        return torch.as_tensor(self.head(self.body(images)))


def load_backbone(name: str = "glyphnet", *, pretrained: bool = True, seed: int = 0) -> Backbone:
    """Load a network by name, in evaluation mode.

    ``"glyphnet"`` ships with the course (see ``glyphnet.md`` beside this file). Every other name is a
    classification model of torchvision, with its ImageNet weights ("resnet18", "squeezenet1_0",
    "mobilenet_v3_small", "vgg11", "densenet121", "efficientnet_b0", "convnext_tiny", …), downloaded once
    into torch's cache. The head is the model's last linear layer; everything before it is the body.
    SqueezeNet classifies by a 1x1 convolution, ReLU and average: its body ends in the average, and its head
    is a linear layer with that convolution's weights (so without the ReLU in between).

    Args:
        pretrained: False gives the same network with random weights, drawn from ``seed``.

    Raises:
        ValueError: torchvision has no classification model of that name.
        BackboneUnavailable: the weights are not in the cache and there is no network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = (
            read_glyphnet(WEIGHTS, pretrained) if name == "glyphnet" else _torchvision(name, pretrained)
        )
    return backbone.eval()


def read_glyphnet(path: Path, pretrained: bool = True) -> Backbone:
    """glyphnet from a safetensors file, as ``python -m tlkit.backbones.pretrain`` writes it."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as stored:
        classes = tuple(json.loads(stored.metadata()["classes"]))
        weights = {key: stored.get_tensor(key) for key in list(stored.keys())}
    body = GlyphBody()
    head = nn.Linear(body.feature_dim, len(classes))
    backbone = Backbone(body, head, "glyphnet", classes, Transform(1, 32, 32, (0.0,), (1.0,)))
    if pretrained:
        backbone.load_state_dict(weights)
    return backbone


def _torchvision(name: str, pretrained: bool) -> Backbone:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        close = get_close_matches(name, ["glyphnet", *known], n=3, cutoff=0.5)
        raise ValueError(
            f"no backbone is called {name!r}; "
            + (f"did you mean {' or '.join(map(repr, close))}?" if close else "try 'glyphnet' or 'resnet18'.")
        )
    weights: Any = models.get_model_weights(name)
    weights = getattr(weights, "IMAGENET1K_V1", weights.DEFAULT)
    preset = weights.transforms()
    transform = Transform(
        channels=3,
        crop=preset.crop_size[0],
        resize=preset.resize_size[0],
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        interpolation=preset.interpolation.value,
    )
    try:
        model = models.get_model(name, weights=weights if pretrained else None)
    except (URLError, OSError) as problem:
        raise BackboneUnavailable(_unavailable(name, weights.url, problem)) from problem
    body, head = split(model)
    return Backbone(body, head, name, tuple(weights.meta["categories"]), transform)


def split(model: nn.Module) -> tuple[nn.Module, nn.Linear]:
    """Cut a classifier into body and head at its last linear layer (see :func:`load_backbone`).

    Raises:
        ValueError: it has neither a linear layer nor a 1x1 convolution to classify with.
    """
    for auxiliary in ("AuxLogits", "aux1", "aux2"):  # Inception's extra heads are for its own pretraining
        if hasattr(model, auxiliary):
            setattr(model, auxiliary, None)
    last = {"linear": "", "conv": ""}
    for path, module in model.named_modules():
        if isinstance(module, nn.Linear):
            last["linear"] = path
        elif isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and "classifier" in path:
            last["conv"] = path
    if last["linear"]:
        parent, _, child = last["linear"].rpartition(".")
        head = model.get_submodule(last["linear"])
        assert isinstance(head, nn.Linear)
        setattr(model.get_submodule(parent), child, nn.Identity())
        return model, head
    if last["conv"]:
        conv = model.get_submodule(last["conv"])
        assert isinstance(conv, nn.Conv2d)
        head = nn.Linear(conv.in_channels, conv.out_channels)
        head.load_state_dict({"weight": conv.weight.detach().flatten(1), "bias": conv.bias.detach()})  # type: ignore[union-attr]
        model.classifier = nn.AdaptiveAvgPool2d(1)
        return model, head
    raise ValueError(f"{type(model).__name__} has no linear layer that could be its head")


def _unavailable(name: str, url: str, problem: Exception) -> str:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    reason = getattr(problem, "reason", None) or problem
    return (
        f"the ImageNet weights of {name} are not on this machine and could not be downloaded ({reason}).\n"
        f"  missing: {Path(url).name}\n"
        f"  from:    {url}\n"
        f"  goes to: {folder}\n"
        "Run this again where there is a network, or copy the file there from a machine that has it "
        "(TORCH_HOME=FOLDER moves that cache). load_backbone('glyphnet') needs no download."
    )
