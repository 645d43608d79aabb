"""FeatureMap: how the features of two domains lie, from the first training step to the last."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import torch
import traitlets as t
from torch import Tensor, nn

from tlkit.batches import Labelled
from tlkit.features import extract
from tlkit.training import Step
from tlkit.widgets.interactive import Interactive
from tlkit.widgets.pixels import data_address, image_tag, sheet_columns, sheet_png

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Frame:
    """The map at one moment. places: [N, 2], in -1 … 1. gap: see `domain_gap`."""

    title: str
    features: Tensor
    places: Tensor
    gap: float


class FeatureMap(Interactive):
    """Features of several domains in two dimensions, with a slider over training; hovering shows the image.

        feature_map = FeatureMap({"printed": source, "handwritten": target})
        feature_map.add(model.body, "before")
        fit(model, source, epochs=3, on_step=[feature_map.every(20, model.body)])
        feature_map

    Each frame shows the two main directions (PCA) of all features together, turned so that points move as
    little as possible from the frame before.

    Args:
        domains: name -> `Images`; at most `limit` of each, the first ones.
        transform: applied to images before the body sees them.
    """

    def __init__(
        self,
        domains: Mapping[str, Labelled],
        *,
        limit: int = 200,
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if not domains:
            raise ValueError("there is no domain: give {'name': images, …}")
        self.names, self.transform = list(domains), transform
        self.images = torch.cat([data.images[:limit].cpu() for data in domains.values()])
        self.labels = torch.cat([data.labels[:limit].cpu() for data in domains.values()])
        sizes = [len(data.images[:limit]) for data in domains.values()]
        self.domain = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
        first = next(iter(domains.values()))
        count = int(self.labels.max()) + 1
        self.classes = [str(name) for name in getattr(first, "classes", range(count))]
        self.frames: list[Frame] = []

    def add(self, features: nn.Module | Tensor, title: str) -> FeatureMap:
        """Add a frame: of a body, run over all images, or of features [N, D] in the order of the domains."""
        if isinstance(features, nn.Module):
            ready = self.transform(self.images) if self.transform is not None else self.images
            device = next((p.device for p in features.parameters()), torch.device("cpu"))
            features = extract(features, ready.to(device))
        if len(features) != len(self.images) or features.ndim < 2:
            raise ValueError(f"features are {list(features.shape)}: expected [{len(self.images)}, D]")
        features = features.detach().cpu().float().flatten(1)
        before = self.frames[-1].places if self.frames else None
        self.frames.append(
            Frame(title, features, _places(features, before), domain_gap(features, self.domain))
        )
        if self._face is not None:
            self._slider.max = len(self.frames) - 1
            self._slider.value = len(self.frames) - 1
        return self

    def every(self, steps: int, body: nn.Module) -> Callable[[Step], None]:
        """A function for `on_step` that adds a frame every so many steps, and at the last one."""
        if steps < 1:
            raise ValueError(f"every {steps} steps: at least every one")

        def look(step: Step) -> None:
            if (step.index + 1) % steps == 0 or step.index + 1 == step.total:
                self.add(body, f"step {step.index + 1}")

        return look

    # ------------------------------------------------------------------ showing
    def text(self) -> str:
        if not self.frames:
            return "The map has no frame yet: feature_map.add(model.body, 'before')."
        sizes = ", ".join(f"{int((self.domain == i).sum())} {name}" for i, name in enumerate(self.names))
        lines = [f"Features of {sizes}; the gap is the distance of the domains' means over their spread."]
        return "\n".join(lines + [f"  {frame.title}: gap {frame.gap:.2f}" for frame in self.frames])

    def still(self) -> str:
        words = f"<pre>{html.escape(self.text())}</pre>"
        if not self.frames:
            return words
        from tlkit.plots import feature_scatter

        last = self.frames[-1]
        groups = [self.names[i] for i in self.domain.tolist()]
        figure = feature_scatter(last.features, self.labels, self.classes, groups=groups, title=last.title)
        return image_tag(figure.png(), self.text(), width=520) + words

    def live(self) -> Any:
        import ipywidgets as w

        self._points = _Points(
            sheet=data_address(sheet_png(self.images)),
            columns=sheet_columns(len(self.images)),
            labels=[self.classes[label] for label in self.labels.tolist()],
            numbers=self.labels.tolist(),
            domains=self.domain.tolist(),
            names=self.names,
        )
        last = max(0, len(self.frames) - 1)
        self._slider = w.IntSlider(
            value=last, max=last, description="Frame", layout=w.Layout(width="min(520px, 100%)")
        )
        self._slider.observe(lambda _: self._show(), "value")
        self._show()
        return w.VBox([self._slider, self._points])

    def _show(self) -> None:
        if not self.frames:
            return
        number = min(self._slider.value, len(self.frames) - 1)
        frame = self.frames[number]
        self._points.places = frame.places.round(decimals=4).tolist()
        self._points.title = f"{frame.title} ({number + 1} of {len(self.frames)}) · gap {frame.gap:.2f}"


class _Points(anywidget.AnyWidget):
    _esm = "".join((_HERE / name).read_text(encoding="utf-8") for name in ("sliders.js", "points.js"))
    _css = _HERE / "points.css"
    sheet = t.Unicode().tag(sync=True)  # all images on one sheet
    columns = t.Int().tag(sync=True)
    labels = t.List(t.Unicode()).tag(sync=True)
    numbers = t.List(t.Int()).tag(sync=True)
    domains = t.List(t.Int()).tag(sync=True)
    names = t.List(t.Unicode()).tag(sync=True)
    places = t.List(t.List(t.Float())).tag(sync=True)
    title = t.Unicode().tag(sync=True)


def domain_gap(features: Tensor, domain: Tensor) -> float:
    """Distance of the means of the first two domains over the root mean square distance to the own mean.

    0 for one domain; features [N, D], domain [N].
    """
    parts = [features[domain == i].double() for i in range(int(domain.max()) + 1)]
    if len(parts) < 2:
        return 0.0
    means = [part.mean(0) for part in parts[:2]]
    spread = torch.cat([part - mean for part, mean in zip(parts[:2], means, strict=True)])
    scale = float(spread.square().sum(1).mean().sqrt())
    return float((means[0] - means[1]).norm()) / scale if scale else float("inf")


def _places(features: Tensor, before: Tensor | None) -> Tensor:
    """[N, 2] in -1 … 1: PCA, turned (and mirrored, if that is nearer) towards the places of before."""
    centred = features.double() - features.double().mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    places = centred @ directions[:2].T
    if places.shape[1] < 2:
        places = torch.cat([places, torch.zeros(len(places), 1)], 1)
    if before is not None:  # orthogonal Procrustes: the rotation that brings the points nearest
        left, _, right = torch.linalg.svd(places.T @ before.double())
        places = places @ left @ right
    scaled: Tensor = (places / places.abs().max().clamp(min=1e-12)).float()
    return scaled
