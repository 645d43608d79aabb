"""Looking into a model at work: outputs of inner layers, gradient norms, how far weights have moved."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tlkit.structure import block_of, block_parameters, blocks


@contextmanager
def capture(
    model: nn.Module, names: str | Sequence[str], *, detach: bool = False
) -> Iterator[dict[str, Any]]:
    """Collect the outputs of the named layers while the model runs.

        with capture(model, ["body.stage1", "head"]) as outputs:
            model(images)
        outputs["body.stage1"]                        # what the last forward pass gave there

    Outputs keep their graph, so that a loss can be built on them, unless `detach`. The hooks are gone after
    the `with`. Raises ValueError for a name that the model does not have.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if name not in modules:
            near = difflib.get_close_matches(name, modules, n=3, cutoff=0.4)
            near = near or [child for child, _ in model.named_children()]
            raise ValueError(f"the model has no layer {name!r}; did you mean {', '.join(map(repr, near))}?")
    outputs: dict[str, Any] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            outputs[name] = output.detach() if detach and isinstance(output, Tensor) else output

        return hook

    handles = [modules[name].register_forward_hook(keep(name)) for name in wanted]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def gradient_norms(model: nn.Module) -> dict[str, float | None]:
    """Block -> Euclidean norm of all its gradients together; None where no parameter has a gradient."""
    norms: dict[str, float | None] = {}
    for block, parameters in block_parameters(model).items():
        grads = [p.grad.detach() for p in parameters if p.grad is not None]
        norms[block] = _norm(grads) if grads else None
    return norms


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters and buffers, for `weight_change` or to go back by `model.load_state_dict`."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def weight_change(model: nn.Module, start: Mapping[str, Tensor]) -> dict[str, float]:
    """Block -> ‖w - w⁰‖ / ‖w⁰‖ over its parameters, where w⁰ is `start = snapshot(model)` taken earlier.

    Buffers do not count. A block that began at zero and moved has changed infinitely (inf).
    Raises KeyError when `start` lacks a parameter: it was taken of another model.
    """
    names = blocks(model)
    moved: dict[str, list[Tensor]] = {}
    began: dict[str, list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if name not in start:
            raise KeyError(f"start has no {name!r}: take it by snapshot(model) of this very model")
        block, first = block_of(model, name, names), start[name].to(parameter.device)
        moved.setdefault(block, []).append(parameter.detach() - first)
        began.setdefault(block, []).append(first)
    changes = {}
    for block in moved:
        step, size = _norm(moved[block]), _norm(began[block])
        changes[block] = step / size if size else (float("inf") if step else 0.0)
    return changes


def _norm(tensors: Sequence[Tensor]) -> float:
    return float(torch.stack([torch.linalg.vector_norm(t).cpu().double() for t in tensors]).norm())
