"""How a model divides into blocks: the pieces one freezes, unfreezes or gives a learning rate of its own."""

from __future__ import annotations

from torch import nn


def blocks(model: nn.Module) -> list[str]:
    """Paths of the model's blocks, in the order of definition; only those that own parameters or buffers.

    The rule: begin with the model's direct children. While fewer than three of them own state, open the pure
    container (a module with children and no state of its own) that holds more layers than any other; where
    two hold equally many, as the layers of a transformer do, none is opened. So a ResNet gives
    `conv1, bn1, layer1 … layer4, fc`; a `Backbone` gives `body.stem, body.stage1 …, head`; a VGG gives
    `features.0, features.2, …, classifier`; a transformer encoder its layers. State that the model owns
    directly is a block named "". A module reached by two names belongs to the first.
    """
    found = _children(model, "")
    while len(found) < 3:
        sizes = [0 if _owns_state(module) else _size(module) for _, module in found]
        largest = max(sizes, default=0)
        if largest == 0 or sizes.count(largest) > 1:
            break
        at = sizes.index(largest)
        path, module = found[at]
        found[at : at + 1] = _children(module, path + ".")
    return [""] * _owns_state(model) + [path for path, _ in found]


def block_of(model: nn.Module, name: str, among: list[str] | None = None) -> str:
    """The block that the layer or parameter called `name` belongs to ("" if to none of them).

    `among` takes the answer of `blocks(model)` where it is at hand.
    """
    for block in among if among is not None else blocks(model):
        if block and (name == block or name.startswith(block + ".")):
            return block
    return ""


def block_parameters(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Block -> its parameters. A shared one is listed once, at its first owner; empty blocks are left out."""
    names = blocks(model)
    members: dict[str, list[nn.Parameter]] = {name: [] for name in names}
    for name, parameter in model.named_parameters():
        members[block_of(model, name, names)].append(parameter)
    return {name: parameters for name, parameters in members.items() if parameters}


def _children(module: nn.Module, prefix: str) -> list[tuple[str, nn.Module]]:
    return [(prefix + name, child) for name, child in module.named_children() if _size(child)]


def _owns_state(module: nn.Module) -> bool:
    return any(tensor is not None for tensor in (*module._parameters.values(), *module._buffers.values()))


def _size(module: nn.Module) -> int:
    """Number of modules inside (itself included) that own parameters or buffers."""
    return sum(_owns_state(inner) for inner in module.modules())
