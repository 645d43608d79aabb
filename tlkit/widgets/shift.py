"""ShiftDial: what a model makes of an image as its domain shifts away."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tlkit.batchnorm import evaluation_mode
from tlkit.widgets.bars import Bars, class_names
from tlkit.widgets.interactive import Interactive
from tlkit.widgets.pixels import data_address, image_png, image_tag

Shift = Callable[[Tensor, float], Tensor]


class ShiftDial(Interactive):
    """Turn a shift of the domain up and watch the image, the prediction and the confidence.

    Args:
        model: images [N, C, H, W] in 0 … 1, after `transform`, to logits [N, classes].
        images: [N, C, H, W] in 0 … 1. labels: [N], the true classes.
        shifts: name -> (function of images and amount, least amount, greatest amount); default: all of
            `tlkit.data.shifts`.
        transform: applied to shifted images before the model sees them, e.g. `backbone.transform`.
    """

    index = 0

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        classes: Sequence[str] | None = None,
        shifts: Mapping[str, tuple[Shift, float, float]] | None = None,
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if images.ndim != 4 or len(images) != len(labels) or not len(images):
            raise ValueError(
                f"{list(images.shape)} images, {len(labels)} labels: expected [N, C, H, W] and [N]"
            )
        self.model, self.images, self.labels, self.transform = model, images, labels, transform
        self.shifts = dict(shifts) if shifts is not None else _all_shifts()
        self.shift = next(iter(self.shifts))
        self.amount = self.nothing(self.shift)
        self.classes = class_names(self._logits(images[:1]), classes)

    def nothing(self, shift: str) -> float:
        """The amount at which a shift changes nothing, or its least amount."""
        _, low, high = self.shifts[shift]
        natural = 1.0 if shift == "contrast" else 0.0
        return natural if low <= natural <= high else low

    def _logits(self, images: Tensor) -> Tensor:
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        ready = self.transform(images) if self.transform is not None else images
        with evaluation_mode(self.model), torch.no_grad():
            logits: Tensor = self.model(ready.to(device)).float().cpu()
        return logits

    def shifted(self, images: Tensor) -> Tensor:
        """The images with the chosen shift at the chosen amount."""
        return self.shifts[self.shift][0](images, self.amount)

    def turn(self, shift: str | None = None, amount: float | None = None, index: int | None = None) -> None:
        """Choose a shift by name, its amount, or another image."""
        if shift is not None and shift != self.shift:
            if shift not in self.shifts:
                raise ValueError(f"no shift {shift!r}: there are {', '.join(self.shifts)}")
            self.shift, self.amount = shift, self.nothing(shift)
        if amount is not None:
            _, low, high = self.shifts[self.shift]
            if not low <= amount <= high:
                raise ValueError(f"{self.shift} goes from {low:g} to {high:g}, not {amount:g}")
            self.amount = amount
        if index is not None:
            if not 0 <= index < len(self.images):
                raise ValueError(f"image {index}: there are {len(self.images)}, counted from 0")
            self.index = index
        self._show()

    def _one(self) -> Tensor:
        """The chosen image, shifted: [1, C, H, W]."""
        return self.shifted(self.images[self.index : self.index + 1])

    def _png(self) -> bytes:
        return image_png(self._one()[0])

    def probabilities(self) -> Tensor:
        """[classes] of the chosen image, shifted."""
        return self._logits(self._one())[0].softmax(0)

    def words(self) -> str:
        """What is to be seen, in a sentence."""
        share = self.probabilities()
        best, true = int(share.argmax()), int(self.labels[self.index])
        verdict = "right" if best == true else f"wrong: it is {self.classes[true]}"
        sure = f"{self.classes[best]} with {float(share[best]):.2f}"
        return f"{self.shift} {self.amount:.3g}: the model predicts {sure} ({verdict})."

    def curve(self, points: int = 5) -> list[tuple[float, float, float]]:
        """(amount, accuracy on all images, mean confidence) over the range of the chosen shift."""
        move, low, high = self.shifts[self.shift]
        found = []
        for amount in torch.linspace(low, high, points).tolist():
            shares = self._logits(move(self.images, amount)).softmax(1)
            sure, best = shares.max(1)
            found.append((amount, float((best == self.labels).float().mean()), float(sure.mean())))
        return found

    def text(self) -> str:
        lines = [self.words(), f"All {len(self.images)} images under {self.shift}: accuracy, confidence"]
        lines += [f"  {amount:6.2f}  {right:.2f}  {sure:.2f}" for amount, right, sure in self.curve()]
        return "\n".join(lines)

    def still(self) -> str:
        picture = image_tag(
            image_png(self.shifted(self.images[self.index : self.index + 1])[0]), "the image", width=96
        )
        return f"{picture}<pre>{html.escape(self.text())}</pre>"

    def live(self) -> Any:
        import ipywidgets as w

        wide = w.Layout(width="min(440px, 100%)")
        style = {"description_width": "90px"}
        self._bars = Bars(labels=self.classes)
        kind = w.Dropdown(
            options=list(self.shifts), value=self.shift, description="Shift", layout=wide, style=style
        )
        self._amount = w.FloatSlider(description="Amount", layout=wide, style=style)
        which = w.IntSlider(
            value=self.index, max=len(self.images) - 1, description="Image", layout=wide, style=style
        )
        kind.observe(lambda change: self._choose(change["new"]), "value")
        self._amount.observe(lambda change: self.turn(amount=change["new"]), "value")
        which.observe(lambda change: self.turn(index=change["new"]), "value")
        self._range()
        self._show(self._bars)
        return w.VBox([kind, self._amount, which, self._bars])

    def _choose(self, shift: str) -> None:
        self.turn(shift=shift)
        self._range()

    def _range(self) -> None:
        """Give the slider the range of the chosen shift, without asking for amounts on the way."""
        _, low, high = self.shifts[self.shift]
        with self._amount.hold_trait_notifications():
            self._amount.min, self._amount.max = min(low, self._amount.max), max(high, self._amount.min)
            self._amount.min, self._amount.max, self._amount.step = low, high, (high - low) / 50
            self._amount.value = self.amount

    def _show(self, bars: Any = None) -> None:
        bars = bars or (self._bars if self._face is not None else None)
        if bars is None:
            return
        bars.image = data_address(self._png())
        bars.title = "Prediction and confidence"
        bars.marked = int(self.labels[self.index])
        bars.words = self.words()
        bars.shares = self.probabilities().tolist()


def _all_shifts() -> dict[str, tuple[Shift, float, float]]:
    from tlkit.data import shifts

    return {
        "rotate": (shifts.rotate, -90.0, 90.0),
        "blur": (shifts.blur, 0.0, 4.0),
        "noise": (shifts.noise, 0.0, 1.0),
        "contrast": (shifts.contrast, 0.0, 2.0),
        "invert": (shifts.invert, 0.0, 1.0),
        "thicken": (shifts.thicken, -2.0, 3.0),
    }
