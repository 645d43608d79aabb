"""The freezing and the learning rates of a model as plain PyTorch, ready to paste."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

from tlkit.layers import batchnorm_modes, block_parameters, is_held


def pytorch_code(
    model: nn.Module,
    rates: Mapping[str, float],
    *,
    name: str = "model",
    optimizer: Literal["adamw", "sgd"] = "adamw",
) -> str:
    """Lines that give another copy of `model` the same frozen parameters, held BatchNorm and learning rates.

    `rates`: block -> learning rate, as `tlkit.layers.parameter_groups` takes it. `name` is the variable that
    holds the model. The lines need nothing but torch.
    """
    parts = ["import torch", "", *_freezing(model, name), *_holding(model, name)]
    return "\n".join([*parts, *_optimizer(model, rates, name, optimizer)]) + "\n"


def _freezing(model: nn.Module, name: str) -> list[str]:
    parameters = dict(model.named_parameters())
    frozen = [n for n, p in parameters.items() if not p.requires_grad]
    if not frozen:
        return [f"{name}.requires_grad_(True)"]
    if len(frozen) == len(parameters):
        return [f"{name}.requires_grad_(False)"]
    whole, rest = _whole_modules(model, set(frozen))
    if not rest:
        groups = ", ".join(f'"{module}."' for module in whole) + ("," if len(whole) == 1 else "")
        return [
            f"frozen = ({groups})",
            f"for path, parameter in {name}.named_parameters():",
            "    parameter.requires_grad_(not path.startswith(frozen))",
        ]
    return [
        "frozen = {",
        *(f'    "{path}",' for path in frozen),
        "}",
        f"for path, parameter in {name}.named_parameters():",
        "    parameter.requires_grad_(path not in frozen)",
    ]


def _whole_modules(model: nn.Module, frozen: set[str]) -> tuple[list[str], set[str]]:
    """The outermost modules that are frozen throughout, and the frozen parameters outside of them."""
    names = [n for n, _ in model.named_parameters()]
    whole: list[str] = []
    rest = set(frozen)
    for module, _ in model.named_modules():
        inside = {n for n in names if n.startswith(module + ".")} if module else set()
        if inside and inside <= frozen and not module.startswith(tuple(w + "." for w in whole)):
            whole.append(module)
            rest -= inside
    return whole, rest


def _holding(model: nn.Module, name: str) -> list[str]:
    held = [path for path in batchnorm_modes(model) if is_held(model.get_submodule(path))]
    if not held:
        return []
    return [
        "",
        "# after every model.train(): these BatchNorm layers keep their running statistics".replace(
            "model", name
        ),
        "for path in [",
        *(f'    "{path}",' for path in held),
        "]:",
        f"    {name}.get_submodule(path).eval()",
    ]


def _optimizer(
    model: nn.Module, rates: Mapping[str, float], name: str, optimizer: Literal["adamw", "sgd"]
) -> list[str]:
    call, more = {"adamw": ("AdamW", ", weight_decay=0.0"), "sgd": ("SGD", ", momentum=0.9")}[optimizer]
    learning = {
        block: rates[block]
        for block, parameters in block_parameters(model).items()
        if any(p.requires_grad for p in parameters)
    }
    if not learning:
        return ["", "# nothing is trainable: there is nothing for an optimizer to do"]
    if len(set(learning.values())) == 1:
        rate = next(iter(learning.values()))
        return [
            "",
            f"trainable = [p for p in {name}.parameters() if p.requires_grad]",
            f"optimizer = torch.optim.{call}(trainable, lr={rate:g}{more})",
        ]
    return [
        "",
        "rates = {  # where a parameter's name begins so, this is its learning rate",
        *(f'    "{block}.": {rate:g},' for block, rate in learning.items() if block),
        *(f'    "": {rate:g},  # all others' for block, rate in learning.items() if not block),
        "}",
        f"optimizer = torch.optim.{call}([",
        '    {"params": [p], "lr": next(rate for start, rate in rates.items() if path.startswith(start))}',
        f"    for path, p in {name}.named_parameters() if p.requires_grad",
        f"]{more})",
    ]
