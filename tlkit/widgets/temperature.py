"""TemperatureDial: how a teacher's probabilities soften."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tlkit.widgets.bars import Bars, class_names
from tlkit.widgets.interactive import Interactive
from tlkit.widgets.pixels import data_address, image_png, image_tag


class TemperatureDial(Interactive):
    """What a teacher's probabilities become when its logits are divided by a temperature, image by image.

    Args:
        logits: of the teacher, [N, classes].
        images: [N, C, H, W] in 0 … 1, shown beside the bars.
        classes: names. labels: [N], the true classes, marked.

    Source: Hinton, Vinyals and Dean 2015, equation 1: softmax(z / T).
    """

    temperature = 1.0
    index = 0

    def __init__(
        self,
        logits: Tensor,
        images: Tensor | None = None,
        *,
        classes: Sequence[str] | None = None,
        labels: Tensor | None = None,
    ) -> None:
        self.classes = class_names(logits, classes)
        for name, given in (("images", images), ("labels", labels)):
            if given is not None and len(given) != len(logits):
                raise ValueError(f"{len(given)} {name} for {len(logits)} rows of logits: give one a row")
        self.logits, self.images, self.labels = logits.detach().cpu().float(), images, labels

    def probabilities(self) -> Tensor:
        """[classes] of the chosen image at the chosen temperature."""
        return (self.logits[self.index] / self.temperature).softmax(0)

    def turn(self, temperature: float | None = None, index: int | None = None) -> None:
        """Choose a temperature above 0, or another image."""
        if temperature is not None:
            if not temperature > 0:
                raise ValueError(f"temperature {temperature}: it must be above 0")
            self.temperature = temperature
        if index is not None:
            if not 0 <= index < len(self.logits):
                raise ValueError(f"image {index}: there are {len(self.logits)}, counted from 0")
            self.index = index
        if self._face is not None:
            self._heat.value, self._which.value = self.temperature, self.index
        self._show()

    def words(self) -> str:
        """What is to be seen, in a sentence."""
        share = self.probabilities()
        entropy = float(-(share * share.clamp(min=1e-12).log()).sum())
        first, second = share.topk(min(2, len(share))).indices.tolist()[:2] if len(share) > 1 else (0, 0)
        return (
            f"At temperature {self.temperature:.3g} the teacher gives {self.classes[first]} "
            f"{float(share[first]):.3g} and {self.classes[second]} {float(share[second]):.3g}; "
            f"entropy {entropy:.2f} of at most {math.log(len(share)):.2f}."
        )

    def text(self) -> str:
        heats = (1.0, 2.0, 4.0, 8.0)
        lines = [f"Teacher's probabilities for image {self.index} at temperatures 1, 2, 4, 8:"]
        table = torch.stack([(self.logits[self.index] / heat).softmax(0) for heat in heats], 1)
        order = self.logits[self.index].argsort(descending=True)[:5].tolist()
        width = max(len(self.classes[c]) for c in order)
        lines += [
            f"  {self.classes[c]:>{width}}  " + "  ".join(f"{float(v):.3f}" for v in table[c]) for c in order
        ]
        return "\n".join(lines)

    def still(self) -> str:
        picture = (
            ""
            if self.images is None
            else image_tag(image_png(self.images[self.index]), "the image", width=96)
        )
        return f"{picture}<p>{html.escape(self.words())}</p><pre>{html.escape(self.text())}</pre>"

    def live(self) -> Any:
        import ipywidgets as w

        wide = w.Layout(width="min(440px, 100%)")
        style = {"description_width": "90px"}
        self._bars = Bars(labels=self.classes)
        self._heat = w.FloatLogSlider(
            value=self.temperature, base=10, min=-0.7, max=1.3, step=0.02, readout_format=".2f",
            description="Temperature", layout=wide, style=style,
        )  # fmt: skip
        self._which = w.IntSlider(
            value=self.index, max=len(self.logits) - 1, description="Image", layout=wide, style=style
        )
        self._heat.observe(lambda change: self.turn(temperature=change["new"]), "value")
        self._which.observe(lambda change: self.turn(index=change["new"]), "value")
        self._show(self._bars)
        return w.VBox([self._heat, self._which, self._bars])

    def _show(self, bars: Any = None) -> None:
        bars = bars or (self._bars if self._face is not None else None)
        if bars is None:
            return
        bars.image = "" if self.images is None else data_address(image_png(self.images[self.index]))
        bars.title = "Teacher's probabilities"
        bars.marked = -1 if self.labels is None else int(self.labels[self.index])
        bars.words = self.words()
        bars.shares = self.probabilities().tolist()
