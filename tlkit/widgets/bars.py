"""An image, and a bar for each class: what two dials show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anywidget
import traitlets as t
from torch import Tensor

_HERE = Path(__file__).parent


class Bars(anywidget.AnyWidget):
    """An image, and a bar for each class."""

    _esm = "".join((_HERE / name).read_text(encoding="utf-8") for name in ("sliders.js", "bars.js"))
    _css = _HERE / "bars.css"
    image = t.Unicode().tag(sync=True)  # an address, or ""
    title = t.Unicode().tag(sync=True)
    labels = t.List(t.Unicode()).tag(sync=True)
    shares = t.List(t.Float()).tag(sync=True)  # 0 … 1
    marked = t.Int(-1).tag(sync=True)  # the true class, or -1
    words = t.Unicode().tag(sync=True)  # what is to be seen, in a sentence


def class_names(logits: Tensor, classes: Sequence[str] | None) -> list[str]:
    if logits.ndim != 2 or not len(logits):
        raise ValueError(f"logits are {list(logits.shape)}: expected [N, classes] with N of at least 1")
    names = list(classes) if classes is not None else [str(i) for i in range(logits.shape[1])]
    if len(names) != logits.shape[1]:
        raise ValueError(f"{len(names)} class names for {logits.shape[1]} logits: give one name a class")
    return names
