"""Results on disk, filed under a fingerprint of everything they depend on."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

FORMAT = "1"  # raise when extraction changes its results
LIBRARIES = ("torch", "torchvision")  # their modules are known by version, not by code


def place(cache: bool | str | Path, body: nn.Module, pixels: Tensor) -> Path:
    """The file in which the features of `body` on `pixels` belong.

    Its name follows from the weights and buffers, the pixels, the structure and plain attributes of the
    modules, the code of classes written outside PyTorch, and PyTorch's version. Not seen: functions outside
    the classes which `forward` calls.
    """
    home = Path(os.environ.get("TLKIT_DATA", "~/.cache/tlkit"))
    root = home / "features" if cache is True else Path(str(cache))
    digest = hashlib.sha256(f"{FORMAT} {torch.__version__} {body!r}".encode())
    for part in (*_structure(body), *_content("pixels", pixels)):
        digest.update(part)
    return root.expanduser() / f"{digest.hexdigest()[:32]}.safetensors"


def load(file: Path) -> Tensor | None:
    """The tensor kept in `file`; None if there is none, or none that can be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)["features"]
    except (OSError, SafetensorError, KeyError):
        return None


def save(file: Path, features: Tensor) -> None:
    """Keep the tensor in `file`, whole or not at all, even when two kernels write at once."""
    from safetensors.torch import save as to_bytes

    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
        part.write(to_bytes({"features": features.contiguous()}))
    Path(part.name).replace(file)


def _structure(body: nn.Module) -> Iterator[bytes]:
    for name, module in body.named_modules():
        kind = type(module)
        yield f"{name} {kind.__module__}.{kind.__qualname__}".encode()
        plain = {k: v for k, v in vars(module).items() if isinstance(v, (bool, int, float, str, tuple))}
        plain.pop("training", None)
        yield repr(sorted((k, v) for k, v in plain.items() if not k.startswith("_"))).encode()
        for base in kind.__mro__:
            if base.__module__.partition(".")[0] not in (*LIBRARIES, "builtins"):
                for attribute in vars(base).values():
                    if isinstance(attribute, FunctionType):
                        yield from _code(attribute.__code__)
        for key, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None:
                yield from _content(key, tensor)


def _code(code: CodeType) -> Iterator[bytes]:
    """What a function does; where it is written (file, line) does not matter."""
    yield code.co_code
    yield repr((code.co_names, code.co_varnames)).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code(constant)
        else:  # the order of a set differs from one Python process to the next
            yield repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant).encode()


def _content(name: str, tensor: Tensor) -> Iterator[Any]:
    yield f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode()
    yield tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
