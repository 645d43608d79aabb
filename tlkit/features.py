"""Features of a frozen network: extracted once and kept, classified linearly, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlkit.batches import Labelled
from tlkit.batchnorm import evaluation_mode
from tlkit.cache import load, place, save
from tlkit.observe import capture
from tlkit.system import one_thread, set_threads


def extract(
    body: nn.Module,
    images: Tensor | Labelled,
    batch_size: int = 256,
    *,
    cache: bool | str | Path | None = None,
) -> Tensor:
    """Outputs of `body` on all images: [N, C, H, W] -> [N, D], on the CPU, in order, without a graph.

    Runs in evaluation mode; each module's own mode is restored. `images` go to the body as they are (apply a
    backbone's `transform` before). `cache`: a folder, or True for the user's cache folder; a second call with
    the same weights, buffers, code and images, to the bit, reads the result from disk.
    """
    pixels = _pixels(images)
    file = place(cache, body, pixels) if cache else None
    if file is not None and (kept := load(file)) is not None:
        return kept
    features = torch.cat([part for _, part in _outputs(body, pixels, batch_size)])
    if file is not None:
        save(file, features)
    return features


def extract_layers(
    model: nn.Module, images: Tensor | Labelled, layers: Sequence[str], batch_size: int = 256
) -> dict[str, Tensor]:
    """Layer name -> its outputs on all images as [N, C]; maps [N, C, H, W] are averaged over H and W.

    One forward pass for all layers, in evaluation mode; modes are restored. Token sequences [N, T, C] are
    averaged over T.
    """
    parts: dict[str, list[Tensor]] = {name: [] for name in layers}
    with capture(model, layers, detach=True) as outputs:
        for _ in _outputs(model, _pixels(images), batch_size):
            for name in layers:
                parts[name].append(_pooled(outputs[name]).cpu())
    return {name: torch.cat(values) for name, values in parts.items()}


def _outputs(model: nn.Module, pixels: Tensor, batch_size: int) -> Any:
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: a batch holds at least one image")
    set_threads()
    device = next((p.device for p in model.parameters()), pixels.device)
    with evaluation_mode(model), torch.no_grad():
        for start in range(0, len(pixels), batch_size):
            yield start, model(pixels[start : start + batch_size].to(device)).cpu()


def _pixels(images: Tensor | Labelled) -> Tensor:
    pixels = torch.as_tensor(images.images if isinstance(images, Labelled) else images)
    if pixels.ndim == 0 or len(pixels) == 0:
        raise ValueError(f"images have shape {list(pixels.shape)}: expected [N, C, H, W] with N at least 1")
    return pixels


def _pooled(output: Tensor) -> Tensor:
    if output.ndim == 4:
        return output.mean((2, 3))  # [B, C, H, W] -> [B, C]
    return output.mean(1) if output.ndim == 3 else output.flatten(1)


@dataclass(frozen=True)
class LinearProbe:
    """A linear classifier on standardised features: softmax(W z + b) with z = (x - mean) / scale."""

    weight: Tensor  # W [C, D], float64
    bias: Tensor  # b [C]
    mean: Tensor  # [D], of the training features
    scale: Tensor  # [D], their standard deviation (over n); 1 where the feature is constant

    def logits(self, features: Tensor) -> Tensor:
        """[N, D] -> [N, C], in the dtype of `features`."""
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"features are {list(features.shape)}: expected [N, {len(self.mean)}]")
        z = (features.double() - self.mean) / self.scale
        return (z @ self.weight.T + self.bias).to(features.dtype)

    def predict(self, features: Tensor) -> Tensor:
        """[N, D] -> class numbers [N]."""
        return self.logits(features).argmax(1)

    def accuracy(self, features: Tensor, labels: Tensor) -> float:
        """Share of the features [N, D] that are given their label [N], in 0 … 1."""
        if len(features) != len(labels):
            raise ValueError(f"{len(features)} features but {len(labels)} labels: give one label for each")
        return float((self.predict(features) == labels).double().mean())

    def as_linear(self) -> nn.Linear:
        """The same classifier as one `nn.Linear` on raw features: a head for the network they came from."""
        layer = nn.Linear(self.weight.shape[1], self.weight.shape[0])
        weight = self.weight / self.scale  # W z + b = (W / scale) x + (b - W mean / scale)
        with torch.no_grad():
            layer.weight.copy_(weight)
            layer.bias.copy_(self.bias - weight @ self.mean)
        return layer


def linear_probe(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    *,
    l2: float = 0.01,
    standardize: bool = True,
    max_steps: int = 500,
) -> LinearProbe:
    """Multinomial logistic regression on features [n, D] with labels [n]; deterministic, in float64.

    Minimises  mean cross-entropy + l2 / 2 · ‖W‖²  by L-BFGS from zero; the bias is not penalised. With
    scikit-learn's `LogisticRegression` that is C = 1 / (n · l2). `standardize` subtracts the mean and divides
    by the standard deviation (over n) of these features; a constant feature is ignored.
    Raises ValueError for labels outside 0 … num_classes - 1, unequal lengths, features that are not finite.
    """
    x, y = _checked(features, labels, num_classes, l2)
    mean, scale = x.new_zeros(x.shape[1]), x.new_ones(x.shape[1])
    if standardize:
        mean, deviation = x.mean(0), x.std(0, correction=0)
        constant = deviation <= 1e-7 * mean.abs()  # what float32 leaves of a constant
        scale = torch.where(constant, 1.0, deviation)
        x = torch.where(constant, 0.0, (x - mean) / scale)
    with one_thread():  # on products this small two take ten times as long
        if len(x) >= x.shape[1]:
            return LinearProbe(*_minimise(x, y, num_classes, l2, max_steps), mean, scale)
        # The best weights are sums of training rows: what is orthogonal to all of them only adds to the
        # penalty. So n coordinates do: X = Rᵀ Qᵀ with orthonormal Q, where L-BFGS takes the same steps.
        basis, coordinates = torch.linalg.qr(x.T)  # [D, n], [n, n]
        weight, bias = _minimise(coordinates.T.contiguous(), y, num_classes, l2, max_steps)
        return LinearProbe(weight @ basis.T, bias, mean, scale)


def _minimise(x: Tensor, y: Tensor, num_classes: int, l2: float, max_steps: int) -> tuple[Tensor, Tensor]:
    """W [C, D] and b [C] with the least mean cross-entropy + l2 / 2 · ‖W‖², from zero."""
    from scipy.optimize import minimize  # constructing a PyTorch optimizer would import its compiler: seconds

    shape, rows = (num_classes, x.shape[1] + 1), torch.arange(len(y))

    def objective(flat: Any) -> tuple[float, Any]:
        solution = torch.from_numpy(flat).reshape(shape)  # [W | b]
        weight, bias = solution[:, :-1], solution[:, -1]
        logs = F.log_softmax(x @ weight.T + bias, dim=1)  # [n, C]
        value = -logs[rows, y].mean() + l2 / 2 * weight.square().sum()
        slope = logs.exp()  # d cross-entropy / d logits = (softmax - one-hot) / n
        slope[rows, y] -= 1
        slope /= len(y)
        gradient = torch.cat([slope.T @ x + l2 * weight, slope.sum(0)[:, None]], dim=1)
        return float(value), gradient.flatten().numpy()

    start = torch.zeros(shape, dtype=x.dtype).flatten().numpy()
    options = {"maxiter": max_steps, "maxfun": 2 * max_steps, "maxcor": 30, "gtol": 1e-7, "ftol": 1e-15}
    found = minimize(objective, start, method="L-BFGS-B", jac=True, options=options)
    solution = torch.from_numpy(found.x).reshape(shape)
    return solution[:, :-1].clone(), solution[:, -1].clone()


def _checked(features: Tensor, labels: Tensor, num_classes: int, l2: float) -> tuple[Tensor, Tensor]:
    x, y = torch.as_tensor(features).detach().cpu().double(), torch.as_tensor(labels).cpu()
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"features are {list(x.shape)}: expected [n, D] with n at least 1")
    if y.shape != (len(x),) or y.is_floating_point():
        raise ValueError(f"labels are {y.dtype} {list(y.shape)}: expected class numbers [{len(x)}]")
    if int(y.min()) < 0 or int(y.max()) >= num_classes:
        raise ValueError(
            f"labels run from {int(y.min())} to {int(y.max())}: expected 0 … {num_classes - 1} for "
            f"num_classes={num_classes}"
        )
    if not torch.isfinite(x).all():
        raise ValueError(f"{int((~torch.isfinite(x)).sum())} feature values are NaN or infinite")
    if l2 < 0:
        raise ValueError(f"l2={l2}: the penalty is not negative")
    return x, y.long()


def linear_cka(x: Tensor, y: Tensor) -> float:
    """Similarity of two sets of features [n, D₁], [n, D₂] of the same n inputs, in 0 … 1 (linear CKA).

    ‖Ȳᵀ X̄‖²_F / (‖X̄ᵀ X̄‖_F ‖Ȳᵀ Ȳ‖_F), columns centred (the biased estimate). It is 1 for features that differ
    by rotation, common scale or shift, and NaN where one side is constant. More dimensions are flattened.
    Kornblith et al. 2019, "Similarity of neural network representations revisited", equation 5 ff.
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} and {len(y)} rows: linear CKA compares features of the same inputs")
    a, b = (_centred(value) for value in (x, y))
    if max(a.shape[1], b.shape[1]) > len(a):  # the n x n Gram matrices are smaller and give the same norms
        k, m = a @ a.T, b @ b.T
        cross, own = (k * m).sum(), k.norm() * m.norm()
    else:
        cross, own = (b.T @ a).square().sum(), (a.T @ a).norm() * (b.T @ b).norm()
    return float(cross / own) if own > 0 else float("nan")


def _centred(features: Tensor) -> Tensor:
    flat = features.detach().cpu().double().flatten(1)
    return flat - flat.mean(0)
