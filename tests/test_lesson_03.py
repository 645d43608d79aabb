"""The numbers of lesson 03: its answers against values worked by hand, scikit-learn and a second formula."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import rbf_kernel
from torch import Tensor, nn

from tlkit.build.course import find_lessons
from tlkit.build.right import right_answers
from tlkit.build.text import expand
from tlkit.data import digits_split
from tlkit.exercises.judge import Verdict, judge
from tlkit.exercises.load import load_probes
from tlkit.exercises.measure import measure

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def answers() -> dict[str, Callable[..., Any]]:
    """The course's right answers by name."""
    lesson = next(lesson for lesson in find_lessons(ROOT) if lesson.name == "03_domain_adaptation")
    return dict(right_answers(lesson, expand(lesson, load_probes(lesson.folder))))


@pytest.fixture
def features() -> tuple[Tensor, Tensor]:
    """A source [13, 5] and a target [17, 5] of another mean, scale and covariance, in double precision."""
    generator = torch.Generator().manual_seed(3)
    source = torch.randn(13, 5, generator=generator, dtype=torch.float64)
    mix = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    return source, torch.randn(17, 5, generator=generator, dtype=torch.float64) @ mix + 0.7


@pytest.mark.parametrize(("error", "distance"), [(0.0, 2.0), (0.25, 1.0), (0.5, 0.0), (0.75, -1.0)])
def test_proxy_a_distance_at_four_errors(answers: dict[str, Any], error: float, distance: float) -> None:
    """2(1 - 2ε): 2 without errors, 1 at a quarter, 0 for a coin, -1 when worse than that."""
    assert answers["proxy_a_distance"](error) == pytest.approx(distance)


def test_coral_of_two_hand_worked_clouds(answers: dict[str, Any]) -> None:
    """Variances 1 and 4 on one axis, nothing else: (1 - 4)² / (4·2²) = 9/16."""
    source = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])  # variance (1 + 0 + 1) / 2 = 1
    assert float(answers["coral_loss"](source, 2 * source)) == pytest.approx(9 / 16)


def test_coral_agrees_with_numpy(answers: dict[str, Any], features: tuple[Tensor, Tensor]) -> None:
    """np.cov and the Frobenius norm; a shift of one domain changes nothing."""
    source, target = features
    difference = np.cov(source.numpy(), rowvar=False) - np.cov(target.numpy(), rowvar=False)
    expected = np.linalg.norm(difference, "fro") ** 2 / (4 * 5**2)
    assert float(answers["coral_loss"](source, target)) == pytest.approx(expected, rel=1e-10)
    assert float(answers["coral_loss"](source, target + 11)) == pytest.approx(expected, rel=1e-10)


def test_coral_of_some_libraries_is_another_number(
    answers: dict[str, Any], features: tuple[Tensor, Tensor]
) -> None:
    """The mean over the entries (1/D²) is four times the paper's 1/(4D²): the lesson says so."""
    source, target = features
    library = nn.functional.mse_loss(torch.cov(source.T), torch.cov(target.T))
    assert float(library / answers["coral_loss"](source, target)) == pytest.approx(4.0)


def test_mmd_of_two_points_worked_by_hand(answers: dict[str, Any]) -> None:
    """One point each, at distance 2, σ = 1: 1 + 1 - 2·e^{-4/2}."""
    source, target = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    assert float(answers["mmd2"](source, target, [1.0])) == pytest.approx(2 - 2 * math.exp(-2))


def test_mmd_agrees_with_scikit_learns_kernel(
    answers: dict[str, Any], features: tuple[Tensor, Tensor]
) -> None:
    """Sums of rbf_kernel with γ = 1/(2σ²), all pairs included."""
    source, target = (x.numpy() for x in features)
    expected = 0.0
    for sigma in (0.7, 1.9):
        gamma = 1 / (2 * sigma**2)
        expected += rbf_kernel(source, source, gamma).mean() + rbf_kernel(target, target, gamma).mean()
        expected -= 2 * rbf_kernel(source, target, gamma).mean()
    assert float(answers["mmd2"](*features, [0.7, 1.9])) == pytest.approx(expected, rel=1e-9)


def test_biased_and_unbiased_mmd_differ_by_the_pairs_of_a_point_with_itself(
    answers: dict[str, Any], features: tuple[Tensor, Tensor]
) -> None:
    """Gretton et al. (2012): eq. 5 is never negative, eq. 3 can be; both agree as the batches grow.

    They differ by (k(x, x) - mean kernel) / n of each domain, where k(x, x) is the number of bandwidths.
    """
    source, target = (x.numpy() for x in features)
    sigmas = [0.7, 1.5, 4.0]

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return sum(rbf_kernel(x, y, 1 / (2 * sigma**2)) for sigma in sigmas)

    biased = float(answers["mmd2"](*features, sigmas))
    unbiased = -2 * kernel(source, target).mean()
    excess = 0.0
    for x in (source, target):
        pairs, n = kernel(x, x), len(x)
        mean = (pairs.sum() - np.trace(pairs)) / (n * (n - 1))
        unbiased += mean
        excess += (len(sigmas) - mean) / n
    assert biased - unbiased == pytest.approx(excess)
    assert biased > unbiased
    assert float(answers["mmd2"](features[0], features[0], sigmas)) == pytest.approx(0, abs=1e-12)


def test_mmd_has_a_gradient_where_points_coincide(answers: dict[str, Any]) -> None:
    """Two copies of a point: the gradient is a number, and pulls the source towards the target."""
    source = torch.zeros(2, 1, requires_grad=True)
    answers["mmd2"](source, torch.ones(2, 1), [1.0]).backward()
    assert source.grad is not None
    assert torch.isfinite(source.grad).all()
    assert (source.grad < 0).all()  # a step against it moves the source up, to 1


def test_reversal_matches_minus_strength_times_the_plain_gradient(answers: dict[str, Any]) -> None:
    """d(x³)/dx = 3x² becomes -λ·3x²; forward is the identity."""
    x = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
    y = answers["GradientReversal"].apply(x, 0.3)  # type: ignore[attr-defined]
    (y**3).sum().backward()
    assert torch.equal(y.detach(), x.detach())
    assert x.grad is not None
    assert torch.allclose(x.grad, torch.tensor([-0.9, -3.6, -0.225]))


@pytest.mark.parametrize(
    ("progress", "strength"), [(0.0, 0.0), (0.1, 0.462117), (0.25, 0.848284), (1.0, 0.999909)]
)
def test_schedule_at_four_points(answers: dict[str, Any], progress: float, strength: float) -> None:
    """2/(1 + e^{-10p}) - 1, which is tanh(5p)."""
    assert answers["dann_lambda"](progress) == pytest.approx(strength, abs=1e-6)
    assert answers["dann_lambda"](progress) == pytest.approx(math.tanh(5 * progress))


def test_domain_loss_worked_by_hand(answers: dict[str, Any]) -> None:
    """Logits 0 cost ln 2 each; log 3 for a source image costs ln(4/3); every image weighs the same."""
    source, target = torch.tensor([[0.0], [math.log(3)]]), torch.tensor([[0.0]])
    expected = (math.log(2) + math.log(4 / 3) + math.log(2)) / 3
    assert float(answers["dann_domain_loss"](source, target)) == pytest.approx(expected)


def test_domain_loss_of_a_blind_judge_is_ln_2(answers: dict[str, Any]) -> None:
    """Whatever the sizes of the batches; a judge that is wrongly very sure costs its logit."""
    assert float(answers["dann_domain_loss"](torch.zeros(7, 1), torch.zeros(3, 1))) == pytest.approx(
        math.log(2)
    )
    assert float(answers["dann_domain_loss"](torch.full((2, 1), -300.0), torch.full((2, 1), 300.0))) == 300.0


def test_pseudo_labels_of_three_images(answers: dict[str, Any]) -> None:
    """softmax(0, ln 9) = (0.1, 0.9); the logits' size alone makes nobody sure."""
    logits = torch.tensor([[0.0, math.log(19)], [50.0, 50.0], [math.log(19), 0.0]])  # 0.95, 0.5, 0.95
    indices, labels = answers["pseudo_labels"](logits, 0.9)
    assert (indices.tolist(), labels.tolist()) == ([0, 2], [1, 0])
    assert [len(part) for part in answers["pseudo_labels"](logits, 0.96)] == [0, 0]


def test_adapted_batchnorm_normalises_the_target(answers: dict[str, Any]) -> None:
    """After AdaBN each BatchNorm's output on the target has the mean and spread its own weights ask for."""
    torch.manual_seed(1)
    model = answers["DigitNet"]().eval()
    target = 0.3 + 0.2 * torch.rand(90, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in model.named_parameters()}
    seen: list[tuple[nn.Module, Tensor]] = []
    model = answers["adapt_batchnorm"](model, target)
    norms = [layer for layer in model.modules() if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d))]
    hooks = [layer.register_forward_hook(lambda layer, _, out: seen.append((layer, out))) for layer in norms]
    with torch.no_grad():
        model(target)
    for hook in hooks:
        hook.remove()
    assert [layer for layer, _ in seen] == norms
    for layer, out in seen:
        over = [d for d in range(out.ndim) if d != 1]
        assert torch.allclose(out.mean(over), layer.bias, atol=5e-3)
        assert torch.allclose(out.std(over), layer.weight.abs(), rtol=0.03, atol=0.01)
        assert layer.momentum == 0.1
        assert not layer.training
    assert all(torch.equal(before[name], value) for name, value in model.named_parameters())


def test_the_network_of_the_probe_is_the_lessons(answers: dict[str, Any]) -> None:
    """The outcome is examined on the very network that the lesson shows: same layers, same sizes."""
    lesson = next(lesson for lesson in find_lessons(ROOT) if lesson.name == "03_domain_adaptation")
    spec = load_probes(lesson.folder)
    reader = spec.probes["adapt_without_labels"][0].measure.__globals__["Reader"]()
    network = answers["DigitNet"]()
    assert str(reader).replace("Reader", "DigitNet") == str(network)
    assert {n: p.shape for n, p in reader.named_parameters()} == {
        n: p.shape for n, p in network.named_parameters()
    }
    assert 55_000 < sum(p.numel() for p in network.parameters()) < 65_000


def test_jiggled_images_are_the_same_digits_moved(answers: dict[str, Any]) -> None:
    """Shape and range stay, an amount of 0 changes nothing, and each image moves by itself."""
    images = torch.zeros(2, 1, 32, 32)
    images[:, :, 12:20, 14:18] = 1.0
    torch.manual_seed(0)
    still, moved = answers["jiggle"](images, 0.0), answers["jiggle"](images)
    assert torch.allclose(still, images, atol=1e-4)
    assert moved.shape == images.shape
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1 + 1e-6
    assert not torch.allclose(moved[0], moved[1], atol=0.05)
    assert float(moved.sum()) == pytest.approx(float(images.sum()), rel=0.5)


def test_evened_shares_worked_by_hand(answers: dict[str, Any]) -> None:
    """Scaling rows and columns keeps the odds ratio, (0.8·0.4 / 0.2·0.6)³; both classes become even."""
    evened = answers["even"](torch.tensor([[0.8, 0.2], [0.6, 0.4]]))
    odds = math.sqrt((0.8 * 0.4 / (0.2 * 0.6)) ** 3)
    share = odds / (1 + odds)
    assert torch.allclose(evened, torch.tensor([[share, 1 - share], [1 - share, share]]), atol=1e-5)


def test_neighbours_link_images_of_one_kind_and_repeat_each_other(answers: dict[str, Any]) -> None:
    """Links stay within a kind, never to oneself; spreading is what patient repeating comes to."""
    generator = torch.Generator().manual_seed(0)
    kinds = torch.rand(2, 1, 32, 32, generator=generator).repeat_interleave(6, dim=0)
    links = answers["neighbours"](kinds + 0.05 * torch.rand(12, 1, 32, 32, generator=generator))
    assert torch.equal(links > 0, (links > 0).T)
    assert float(links.diagonal().abs().max()) == 0
    assert float(links[:6, 6:].abs().max()) == 0
    assert ((links > 0).sum(dim=1) >= 4).all()
    shares = torch.rand(12, 3, generator=generator).softmax(dim=1)
    repeated = shares
    for _ in range(1000):
        repeated = 0.97 * links @ repeated + 0.03 * shares
    expected = repeated / repeated.sum(dim=1, keepdim=True)
    assert torch.allclose(answers["spread"](shares, links), expected, atol=1e-4)


def test_training_alone_on_print_needs_no_target_and_an_extra_loss_sees_both(answers: dict[str, Any]) -> None:
    """Without `extra` no target is needed; with it, each step brings 64 features of either domain."""
    from tlkit.data import Images

    generator = torch.Generator().manual_seed(0)
    digits = Images(
        torch.rand(130, 1, 32, 32, generator=generator), torch.arange(130) % 10, tuple("0123456789"), "noise"
    )
    seen: list[tuple[tuple[int, ...], ...]] = []

    def extra(batch: Any) -> float:
        seen.append((tuple(batch.source.shape), tuple(batch.target.shape), tuple(batch.images.shape)))
        assert torch.equal(batch.images, digits.images[batch.which])
        assert 0 <= batch.progress < 1
        return 0.0

    torch.manual_seed(0)
    model = answers["train"](answers["DigitNet"](), digits, steps=2)
    assert not model.training
    answers["train"](model, digits, digits.images[:70], extra, steps=3)
    assert seen == [((64, 64), (64, 64), (64, 1, 32, 32))] * 3


def test_two_networks_that_disagree_err_at_least_as_often_together() -> None:
    """The lesson's sign without labels: the errors of two readers add up to their disagreement or more."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        truth, one, other = generator.integers(0, 4, (3, 50))
        assert (one != truth).mean() + (other != truth).mean() >= (one != other).mean()


# --- what the text says -----------------------------------------------------------------------------------


def text_of_the_lesson() -> str:
    """The lesson as it is read, on one line."""
    source = (ROOT / "solutions/03_domain_adaptation/03_domain_adaptation.py").read_text("utf-8")
    return " ".join(source.replace("\n# ", "\n").split())


def test_every_reference_is_cited_where_it_is_used() -> None:
    """First author and year of each entry of the list stand in the text before it."""
    text, references = text_of_the_lesson().split("## References")
    entries = references.split(" **Next:**")[0].split(" - ")[1:]
    assert len(entries) == 13
    for entry in entries:
        author = re.match(r"(?:[A-Z]\.-?)+ ([^\s,]+)", entry)
        year = re.findall(r"\b(?:19|20)\d\d\b", entry)[-1]
        assert author is not None
        assert re.search(rf"{author[1]}[^.]{{0,20}}(?:al\.)? \(?{year}", text), entry


def test_the_map_shows_as_many_digits_as_the_text_says() -> None:
    """Every fifth of 1,000 printed and of 800 handwritten ones."""
    parts = 'source.subset(slice(0, None, 5)), "handwritten": test.subset(slice(0, None, 5))'
    assert parts in text_of_the_lesson()
    assert len(digits_split()[1].subset(slice(0, None, 5))) == 160
    assert "Two hundred printed digits (filled) and 160 handwritten ones" in text_of_the_lesson()


# --- what a check says of wrong answers -------------------------------------------------------------------


def checked(name: str, code: Any) -> Verdict:
    """What `check` finds, on the seeds that students have."""
    entry = json.loads((ROOT / "course/03_domain_adaptation/expected.json").read_text("utf-8"))["exercises"][
        name
    ]
    spec = load_probes(ROOT / "solutions/03_domain_adaptation")
    seeds = [int(seed) for seed in entry["parts"][0]["expected"]]
    return judge(name, entry, measure(spec.exercises[name], spec.probes[name], code, seeds))


def said(verdict: Verdict) -> str:
    """All sentences about labels that do not hold, and all exceptions."""
    labels = [label.sentence for part in verdict.parts for label in part.labels]
    return "\n".join(filter(None, [*labels, *(str(part.trouble) for part in verdict.parts if part.trouble)]))


def reversal(forward: Callable[..., Any], backward: Callable[..., Any]) -> type:
    """A GradientReversal whose two methods return what these functions do."""

    class Reversal(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, features: Tensor, strength: float) -> Any:
            ctx.strength = strength
            return forward(features, strength)

        @staticmethod
        def backward(ctx: Any, grad: Tensor, *_: Any) -> Any:
            return backward(-ctx.strength * grad)

    return Reversal


def same(features: Tensor, strength: float) -> Tensor:
    return features.view_as(features)


@pytest.mark.parametrize(
    ("backward", "hint"),
    [
        (lambda turned: turned, "one_gradient_short"),
        (lambda turned: [turned, None], "one_gradient_short"),
        (lambda turned: None, "one_gradient_short"),
        (lambda turned: (turned, turned), "gradient_for_the_strength"),
        (lambda turned: (turned, 0.0), "gradient_for_the_strength"),
        (lambda turned: (None, turned), "gradient_for_the_strength"),
        (lambda turned: (0.5, None), "number_as_gradient"),
        (lambda turned: (turned.sum(), None), "gradient_of_another_shape"),
        (lambda turned: (turned.mean(dim=0), None), "gradient_of_another_shape"),
        (lambda turned: (None, None), "detached"),
    ],
)
def test_what_backward_returns_is_refused_in_pytorchs_words_and_named(
    backward: Callable[..., Any], hint: str
) -> None:
    """The refusal is a value beside the others, and each kind of it has a hint of its own."""
    verdict = checked("GradientReversal", reversal(same, backward))
    assert [one.key for one in verdict.misconceptions] == [hint]
    assert all(not part.trouble for part in verdict.parts)
    assert "did you forget" not in said(verdict)


def test_a_forward_that_returns_no_tensor_is_described() -> None:
    """A tuple and nothing: no exception of the probe's own, and what was returned is named."""
    tuple_ = checked("GradientReversal", reversal(lambda x, s: (x.view_as(x), s), lambda g: (g, None)))
    nothing = checked("GradientReversal", reversal(lambda x, s: None, lambda g: (g, None)))
    assert "found a tuple of 2" in said(tuple_)
    assert "forward returned nothing" in said(nothing)
    assert not any(part.trouble for verdict in (tuple_, nothing) for part in verdict.parts)


@pytest.mark.parametrize(("name", "more"), [("coral_loss", ()), ("mmd2", ([1.5],)), ("dann_domain_loss", ())])
def test_without_a_gradient_nobody_is_asked_for_return(
    answers: dict[str, Any], name: str, more: tuple[Any, ...]
) -> None:
    """A loss that was cut off from its inputs did return: its gradients are zeros, not None."""
    cut = checked(
        name, lambda source, target, *given: answers[name](source.detach(), target.detach(), *given)
    )
    assert cut.outcome == "partly_right"
    assert "did you forget" not in said(cut)


@pytest.mark.parametrize(
    ("name", "which"),
    [
        *(("coral_loss", 0), ("coral_loss", 1), ("mmd2", 0), ("mmd2", 1)),
        *(("dann_domain_loss", 1), ("pseudo_labels", 0), ("adapt_batchnorm", 1)),
    ],
)
def test_inputs_must_come_out_as_they_went_in(answers: dict[str, Any], name: str, which: int) -> None:
    """An answer with the right value that leaves other numbers in what it was given is noticed."""

    def spoils(*given: Any) -> Any:
        value = answers[name](*given)
        with torch.no_grad():
            given[which].add_(1)
        return value

    verdict = checked(name, spoils)
    assert "afterwards" in "".join(
        label.text for part in verdict.parts for label in part.labels if not label.holds
    )


def test_images_that_reach_the_threshold_exactly_count_for_every_formula() -> None:
    """The tie is exact in floats however the softmax is written; none that lacks it is called strict."""

    def naive(logits: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        shares = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
        indices = (shares.amax(dim=1) >= threshold).nonzero().flatten()
        return indices, shares[indices].argmax(dim=1)

    def by_logsumexp(logits: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        sure = (logits.amax(dim=1) - logits.logsumexp(dim=1)).exp() >= threshold
        return sure.nonzero().flatten(), logits.argmax(dim=1)[sure]

    assert checked("pseudo_labels", naive).outcome == "right"
    assert checked("pseudo_labels", by_logsumexp).outcome == "right"

    def without_softmax(logits: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        best, labels = logits.log_softmax(dim=1).max(dim=1)
        indices = (best >= threshold).nonzero().flatten()
        return indices, labels[indices]

    assert checked("pseudo_labels", without_softmax).misconceptions == ()


def test_images_compared_one_by_one_are_not_surely_a_covariance_between_images() -> None:
    """Two shapes that do not fit have many causes."""
    verdict = checked("coral_loss", lambda source, target: (source - target).square().mean())
    assert not any(hint.sure for hint in verdict.misconceptions)


def test_a_network_that_reads_next_to_nothing_is_told_what_was_seen_of_it() -> None:
    """Features instead of digits, a ruined head, no network at all."""
    assert [h.key for h in checked("adapt_without_labels", lambda model, *_: model.body).misconceptions] == [
        "returns_body"
    ]

    def scrambled(model: Any, *_: Any) -> Any:
        torch.manual_seed(0)
        with torch.no_grad():
            model.head.weight.normal_()
        return model

    assert [h.key for h in checked("adapt_without_labels", scrambled).misconceptions] == ["network_destroyed"]
    assert checked("adapt_without_labels", lambda *_: None).misconceptions == ()
    pair = checked("adapt_without_labels", lambda model, *_: (model, 1))
    assert pair.misconceptions == ()
    assert "a tuple of 2" in said(pair)
