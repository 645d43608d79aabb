"""Extraction and its cache, the linear probe, linear CKA."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tlkit.features import LinearProbe, extract, extract_layers, linear_cka, linear_probe


def body() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())


IMAGES = torch.rand(11, 1, 6, 6, generator=torch.Generator().manual_seed(0))


def test_extract_keeps_order_and_rest_and_changes_nothing() -> None:
    """The last partial batch is there, in order; running statistics; no graph; modes, buffers as before."""
    model = body().train()
    model[0].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    features = extract(model, IMAGES, batch_size=4)
    assert [m.training for m in model] == [False, True, True, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not features.requires_grad
    assert features.device.type == "cpu"
    expected = torch.cat([model.eval()(image[None]).detach() for image in IMAGES])
    assert torch.allclose(features, expected, atol=1e-6)


def test_extract_layers_averages_maps() -> None:
    """[N, C, H, W] -> mean over H and W; flat outputs stay."""
    model = body().eval()
    found = extract_layers(model, IMAGES, ["0", "3"], batch_size=4)
    assert torch.allclose(found["0"], model[0](IMAGES).mean((2, 3)), atol=1e-6)
    assert torch.allclose(found["3"], model(IMAGES), atol=1e-6)


class Counting(nn.Module):
    """A body that counts its forward passes."""

    def __init__(self, power: float = 1.0) -> None:
        super().__init__()
        self.inner, self.power, self._passes = body(), power, 0

    def forward(self, x: Tensor) -> Tensor:
        self._passes += 1
        return self.inner(x) ** self.power


def test_the_cache_is_used_when_nothing_changed(tmp_path: Path) -> None:
    """A second model with equal weights reads the first one's features: no forward pass."""
    first, second = Counting(), Counting()
    features = extract(first, IMAGES, cache=tmp_path)
    again = extract(second.train(), IMAGES.clone(), batch_size=3, cache=str(tmp_path))
    assert second._passes == 0
    assert torch.equal(features, again)
    assert [file.suffix for file in tmp_path.iterdir()] == [".safetensors"]


def one_weight(model: Counting, images: Tensor) -> None:
    with torch.no_grad():
        model.inner[0].weight[0, 0, 0, 0] += 1e-6


def one_statistic(model: Counting, images: Tensor) -> None:
    model.inner[1].running_mean[2] += 1e-6


def one_pixel(model: Counting, images: Tensor) -> None:
    images[3, 0, 2, 2] += 1e-6


def one_attribute(model: Counting, images: Tensor) -> None:
    model.power = 2.0


def one_layer(model: Counting, images: Tensor) -> None:
    model.inner[2] = nn.GELU()


def its_code(model: Counting, images: Tensor) -> None:
    class Other(Counting):
        def forward(self, x: Tensor) -> Tensor:
            self._passes += 1
            return self.inner(x) + 1

    model.__class__ = Other


@pytest.mark.parametrize("change", [one_weight, one_statistic, one_pixel, one_attribute, one_layer, its_code])
def test_any_change_misses_the_cache(change, tmp_path: Path) -> None:
    """Stale features would be a silent wrong result."""
    model, images = Counting(), IMAGES.clone()
    extract(model, images, cache=tmp_path)
    change(model, images)
    passes = model._passes
    fresh = extract(model, images, cache=tmp_path)
    assert model._passes == passes + 1
    assert torch.equal(fresh, model.eval()(images).detach())


def test_order_of_images_matters_and_shape_too(tmp_path: Path) -> None:
    """Equal bytes in another order or shape are other data."""
    model = nn.Flatten()
    a = torch.arange(8.0).reshape(2, 4)
    extract(model, a, cache=tmp_path)
    assert torch.equal(extract(model, a.flip(0), cache=tmp_path), a.flip(0))
    assert extract(model, a.reshape(4, 2), cache=tmp_path).shape == (4, 2)


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    """Half a file, say from a full disk, is computed again."""
    features = extract(body(), IMAGES, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:50])
    assert torch.equal(extract(body(), IMAGES, cache=tmp_path), features)
    assert file.stat().st_size > 50


def test_the_users_cache_follows_tlkit_data(tmp_path: Path, monkeypatch) -> None:
    """cache=True is $TLKIT_DATA/features."""
    monkeypatch.setenv("TLKIT_DATA", str(tmp_path))
    extract(body(), IMAGES, cache=True)
    assert len(list((tmp_path / "features").iterdir())) == 1


def problem(n: int = 120, d: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Overlapping classes, features of very different scale, one of them constant."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    x = torch.randn(n, d, generator=g, dtype=torch.float64)
    x[torch.arange(n), y] += 1.0
    x = x * torch.tensor([1.0, 100.0, 1e-3, 1.0, 5.0, 0.0]) + 0.1
    return x.float(), y


@pytest.mark.parametrize("l2", [1.0, 0.01, 0.0001])
def test_the_probe_is_scikit_learns_logistic_regression(l2: float) -> None:
    """Same standardised data, C = 1 / (n l2): same weights, same probabilities."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    x, y = problem()
    z = StandardScaler().fit_transform(x.double().numpy())
    theirs = LogisticRegression(C=1 / (len(y) * l2), solver="newton-cg", tol=1e-10, max_iter=1000)
    theirs.fit(z, y.numpy())
    probe = linear_probe(x, y, 3, l2=l2)
    assert np.allclose(probe.weight, theirs.coef_, atol=2e-4)
    assert np.allclose(probe.logits(x.double()).softmax(1), theirs.predict_proba(z), atol=1e-4)
    assert probe.accuracy(x, y) == theirs.score(z, y.numpy())


def test_the_gradient_vanishes_at_the_solution() -> None:
    """Autograd on the documented objective, written out here, finds nothing left to descend."""
    x, y = problem()
    probe = linear_probe(x, y, 3, l2=0.05)
    z = ((x.double() - probe.mean) / probe.scale) * (probe.scale != 1)
    weight, bias = probe.weight.clone().requires_grad_(), probe.bias.clone().requires_grad_()
    logits = z @ weight.T + bias
    loss = (logits.logsumexp(1) - logits[torch.arange(len(y)), y]).mean() + 0.05 / 2 * (weight**2).sum()
    loss.backward()
    assert float(weight.grad.abs().max()) < 1e-6
    assert float(bias.grad.abs().max()) < 1e-6


def test_without_standardisation_features_are_taken_as_they_are() -> None:
    """Then mean is 0 and scale 1, and the solution is another one."""
    x, y = problem()
    raw = linear_probe(x, y, 3, standardize=False)
    assert float(raw.mean.abs().sum()) == 0.0
    assert bool((raw.scale == 1).all())
    assert not torch.allclose(raw.weight, linear_probe(x, y, 3).weight, atol=1e-2)


def test_a_constant_feature_is_ignored_even_when_it_varies_later() -> None:
    """Its weight is zero: no division by zero, no surprise on new data."""
    x, y = problem()
    probe = linear_probe(x, y, 3)
    assert float(probe.weight[:, 5].abs().max()) == 0.0
    changed = x.clone()
    changed[:, 5] = 1e6
    assert torch.equal(probe.logits(x), probe.logits(changed))


def test_the_probe_is_deterministic_and_stands_a_shift_of_scale() -> None:
    """Twice the same; and standardisation makes units irrelevant."""
    x, y = problem()
    first, second = linear_probe(x, y, 3), linear_probe(x, y, 3)
    assert torch.equal(first.weight, second.weight)
    other = linear_probe(x * 7 + 3, y, 3)
    assert torch.allclose(first.weight, other.weight, atol=1e-3)


def test_as_linear_is_the_same_classifier_on_raw_features() -> None:
    """Ready to become a network's head."""
    x, y = problem()
    probe = linear_probe(x, y, 3)
    assert torch.allclose(probe.as_linear()(x), probe.logits(x), atol=1e-3)


def test_few_labels_and_absent_classes() -> None:
    """One image a class works; a class without images is never predicted on them."""
    x, y = problem(3)
    assert linear_probe(x, y, 3).accuracy(x, y) == 1.0
    assert linear_probe(x, y, 5).logits(x).shape == (3, 5)
    assert linear_probe(x, y, 5).accuracy(x, y) == 1.0
    assert isinstance(linear_probe(x[:1], y[:1], 3), LinearProbe)


def test_bad_probes_are_named() -> None:
    """What was found, and what fits."""
    x, y = problem()
    broken = x.clone()
    broken[0, 0] = float("nan")
    for features, labels, how, message in [
        (x, y, {"num_classes": 2}, "labels run from 0 to 2: expected 0 … 1"),
        (x, y[:-1], {}, r"labels are .*\[119\]"),
        (x, y.float(), {}, "labels are torch.float32"),
        (x[:, 0], y, {}, r"features are \[120\]"),
        (broken, y, {}, "1 feature values are NaN"),
        (x, y, {"l2": -1.0}, "l2=-1"),
    ]:
        with pytest.raises(ValueError, match=message):
            linear_probe(features, labels, **{"num_classes": 3, **how})
    with pytest.raises(ValueError, match=r"expected \[N, 6\]"):
        linear_probe(x, y, 3).logits(x[:, :4])


def hsic(k: np.ndarray, m: np.ndarray) -> float:
    """tr(K H M H) / (n - 1)², with the centring matrix written out."""
    n = len(k)
    h = np.eye(n) - np.ones((n, n)) / n
    return float(np.trace(k @ h @ m @ h) / (n - 1) ** 2)


@pytest.mark.parametrize(("d1", "d2"), [(3, 5), (40, 4), (50, 60)])
def test_linear_cka_is_normalised_hsic(d1: int, d2: int) -> None:
    """Kornblith et al.: HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with linear kernels, by both routes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, d1))
    y = np.tanh(x[:, :2] @ rng.normal(size=(2, d2))) + 0.3 * rng.normal(size=(20, d2)) + 2.0
    k, m = x @ x.T, y @ y.T
    expected = hsic(k, m) / (hsic(k, k) * hsic(m, m)) ** 0.5
    assert linear_cka(torch.tensor(x), torch.tensor(y)) == pytest.approx(expected, rel=1e-9)


def test_linear_cka_ignores_rotation_scale_and_shift_only() -> None:
    """Invariant to these three, not to a stretch of one direction; NaN for a dead layer; rows must match."""
    g = torch.Generator().manual_seed(1)
    x = torch.randn(30, 4, generator=g, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=g, dtype=torch.float64)).Q
    assert linear_cka(x, 3 * x @ rotation - 7) == pytest.approx(1.0)
    assert linear_cka(x, x * torch.tensor([10.0, 1, 1, 1])) < 0.9
    assert np.isnan(linear_cka(x, torch.ones(30, 2)))
    with pytest.raises(ValueError, match="30 and 29 rows"):
        linear_cka(x, x[1:])


def test_probe_of_few_examples_is_the_probe_in_all_dimensions() -> None:
    """With more features than examples the shortcut through n coordinates finds scikit-learn's weights."""
    from sklearn.linear_model import LogisticRegression

    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(15, 60, generator=generator), torch.arange(15) % 3
    threads = torch.get_num_threads()
    probe = linear_probe(x, y, 3, l2=0.2, standardize=False)
    other = LogisticRegression(C=1 / (15 * 0.2), tol=1e-10, max_iter=5000).fit(x.double().numpy(), y.numpy())
    assert torch.allclose(probe.weight, torch.from_numpy(other.coef_), atol=1e-5)
    assert probe.weight.shape == (3, 60)
    assert torch.get_num_threads() == threads
