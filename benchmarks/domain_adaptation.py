"""Lesson 03 over many seeds: ``python benchmarks/domain_adaptation.py [--seeds N]``.

Adapts the lesson's network from printed digits to handwriting with the lesson's own answers, and writes
``benchmarks/results/domain_adaptation.md``: every method side by side, four ways to train a judge, common and
separate batches, a target with half of the digits, and what it costs to choose a weight without
labels. About fifteen minutes on one CPU core with ten seeds.

Adapting sees images of the training half only; accuracies are on the 800 test digits, except in the table of
choices, whose "best" column looks at labels to say what the choice without labels costs.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from tlkit.build.course import find_lessons, find_root
from tlkit.build.right import right_answers
from tlkit.build.text import expand
from tlkit.data import Images, digits_split, printed_digits
from tlkit.evaluation import evaluate
from tlkit.exercises.load import load_probes
from tlkit.features import extract, linear_probe
from tlkit.system import set_seed, set_threads

RESULT = Path(__file__).parent / "results" / "domain_adaptation.md"
INTRODUCTION = """\
Lesson 03 over seeds: each seed draws its own first weights and its own 1,000 printed digits. Adapting sees
the 997 images of the training half of the handwriting, without labels; accuracies are on the 800 test digits,
on which nothing was chosen, if not said otherwise. Mean ± standard deviation over seeds. Written by
`benchmarks/domain_adaptation.py`."""
METHODS = ("CORAL", "MMD", "DANN", "DANN, conditional", "self-training")
WEIGHTS = (0.3, 1.0, 3.0)
Extra = Callable[[Any], Tensor]


def lesson() -> SimpleNamespace:
    """What the setup and answer cells of lesson 03 define."""
    found = next(one for one in find_lessons(find_root(), ["03"]))
    return SimpleNamespace(**right_answers(found, expand(found, load_probes(found.folder))))


L = lesson()
POOL, TEST = digits_split()
CHECK = printed_digits(50, seed=1, how=L.FULL)


def fresh(seed: int) -> nn.Module:
    """An untrained network."""
    set_seed(seed)
    network: nn.Module = L.DigitNet()
    return network


def printed(seed: int) -> Images:
    """The print that a seed learns from."""
    return printed_digits(100, seed=10 + seed, how=L.FULL)


def at_home(model: nn.Module, images: Tensor) -> nn.Module:
    """A copy with BatchNorm statistics of these images."""
    adapted: nn.Module = L.adapt_batchnorm(copy.deepcopy(model), images)
    return adapted


def bandwidths(batch: Any) -> list[float]:
    """A quarter to four times the median distance."""
    both = torch.cat([batch.source, batch.target]).detach()
    middle = torch.cdist(both, both).median().item()
    return [factor * middle for factor in (0.25, 0.5, 1.0, 2.0, 4.0)]


def judged(judge: nn.Module, strength: float, seen: Callable[[Tensor], Tensor]) -> Extra:
    """The extra loss of DANN; `seen` is what the judge gets to see."""

    def extra(batch: Any) -> Tensor:
        now = strength * L.dann_lambda(batch.progress)
        logits = [judge(L.GradientReversal.apply(seen(x), now)) for x in (batch.source, batch.target)]
        loss: Tensor = L.dann_domain_loss(*logits)
        return loss

    return extra


def conditional(model: Any) -> Callable[[Tensor], Tensor]:
    """Features times predictions, [B, D] -> [B, 10 D]."""

    def seen(features: Tensor) -> Tensor:
        shares = model.head(features).softmax(dim=1).detach()
        return (shares[:, :, None] * features[:, None]).flatten(1)

    return seen


def guessing(model: Any, weight: float) -> Extra:
    """The extra loss of self-training at a threshold of 0.9."""

    def extra(batch: Any) -> Tensor:
        logits = model.head(batch.target)
        chosen, guessed = L.pseudo_labels(logits.detach(), 0.9)
        loss = nn.functional.cross_entropy(logits[chosen], guessed, reduction="sum") / len(logits)
        ramp: float = weight * L.dann_lambda(batch.progress)
        return ramp * loss

    return extra


def adapted(
    method: str, start: nn.Module, seed: int, images: Tensor, weight: float = 1.0, **settings: Any
) -> nn.Module:
    """`start` adapted to the target's images; the judge's weight is the strength of the reversal."""
    model = copy.deepcopy(start)
    set_seed(seed)
    judge, extra = None, None
    if method == "CORAL":

        def extra(b):
            return weight * L.dann_lambda(b.progress) * L.coral_loss(b.source, b.target)

    elif method == "MMD":

        def extra(b):
            return weight * L.dann_lambda(b.progress) * L.mmd2(b.source, b.target, bandwidths(b))

    elif method == "self-training":
        extra = guessing(model, weight)
    elif method.startswith("DANN"):
        conditioned = method != "DANN"
        width = 640 if conditioned else 64
        judge = nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 1))
        extra = judged(judge, weight, conditional(model) if conditioned else lambda features: features)
        settings = {"lr": 1e-3} | settings
    if extra is None:
        return model
    trained: nn.Module = L.train(model, printed(seed), images, extra, judge=judge, seed=seed, **settings)
    return trained


# Settings other than the weight 1: a judge without conditions is listened to softly.
SETTINGS: dict[str, dict[str, Any]] = {"DANN": {"weight": 0.1, "lr": 5e-4}}


def together(body: nn.Module, images: Tensor, target_images: Tensor) -> Sequence[Tensor]:
    """Features of both domains out of one common batch."""
    features: Tensor = body(torch.cat([images, target_images]))
    return features.chunk(2)


def read(model: nn.Module, data: Images = TEST, images: Tensor = POOL.images) -> float:
    """Accuracy with the target's statistics."""
    return evaluate(at_home(model, images), data).accuracy


def digits(model: nn.Module, images: Tensor) -> Tensor:
    """What the model reads, with the statistics of these images."""
    return extract(at_home(model, images), images).argmax(dim=1)


def distance(model: nn.Module, source: Images) -> float:
    """Proxy A-distance of a linear judge on features, each domain with its own statistics."""
    homes = ((at_home(model, x), x) for x in (source.images, POOL.images))
    both = torch.cat([extract(home.get_submodule("body"), x) for home, x in homes])
    domain = (torch.arange(len(both)) < len(source)).long()
    first, second = torch.randperm(len(both), generator=torch.Generator().manual_seed(0)).chunk(2)
    judge = linear_probe(both[first], domain[first], 2, l2=0.1)
    return float(L.proxy_a_distance(1 - judge.accuracy(both[second], domain[second])))


def sureness(model: nn.Module) -> float:
    """Entropy of the mean prediction minus mean entropy: high when sure, and even over the classes."""
    shares = extract(at_home(model, POOL.images), POOL.images).softmax(dim=1).double().clamp_min(1e-12)
    mean = shares.mean(dim=0)
    return float((shares * shares.log()).sum(dim=1).mean() - (mean * mean.log()).sum())


# ---------------------------------------------------------------------------------------------- tables


def row(name: str, values: Sequence[float], *more: str) -> str:
    """A line of a table: mean, standard deviation and extremes of accuracies, in per cent."""
    found = 100 * torch.tensor(values, dtype=torch.float64)
    spread = f" ± {found.std():.1f}" if len(values) > 1 else ""
    cells = [name, f"{found.mean():.1f}{spread}", f"{found.min():.1f} … {found.max():.1f}", *more]
    return f"| {' | '.join(cells)} |"


def side_by_side(starts: Mapping[int, nn.Module], networks: Mapping[str, Sequence[nn.Module]]) -> list[str]:
    """Every method on the full target."""
    lines = ["| method | test accuracy, % | least … most | proxy A-distance |", "|---|---|---|---|"]
    lines.append(row("source only", [evaluate(model, TEST).accuracy for model in starts.values()], ""))
    for name, models in networks.items():
        far = sum(distance(m, printed(s)) for m, s in zip(models, starts, strict=True)) / len(models)
        lines.append(row(name, [read(model) for model in models], f"{far:.2f}"))
    return lines


def judges(starts: Mapping[int, nn.Module]) -> list[str]:
    """How a judge must be trained."""
    recipes: dict[str, Callable[[int], nn.Module]] = {
        "from nothing, common batches, strength 1": lambda s: adapted(
            "DANN", fresh(s), s, POOL.images, both=together, lr=2e-3
        ),
        "from nothing, separate batches, strength 1": lambda s: adapted(
            "DANN", fresh(s), s, POOL.images, lr=2e-3
        ),
        "trained start, separate, strength 1": lambda s: adapted("DANN", starts[s], s, POOL.images, lr=2e-3),
        "trained start, common batches, conditional, strength 1": lambda s: adapted(
            "DANN, conditional", starts[s], s, POOL.images, both=together
        ),
    }
    lines = ["| recipe | test accuracy, % | least … most |", "|---|---|---|"]
    return lines + [row(name, [read(make(s)) for s in starts]) for name, make in recipes.items()]


def half(starts: Mapping[int, nn.Module], networks: Mapping[str, Sequence[nn.Module]]) -> list[str]:
    """A target with the digits 0 to 4 only, and the two signs that need no label."""
    few, exam = POOL.images[POOL.labels < 5], TEST.subset(TEST.labels < 5)
    models = {"AdaBN": list(starts.values())}
    for name in ("CORAL", "MMD", "DANN, conditional", "self-training"):
        models[name] = [adapted(name, starts[s], s, few) for s in starts]
    lines = [
        "| method | accuracy on 0 to 4, % | least … most | named 5 to 9, % of images | on the full target |",
        "|---|---|---|---|---|",
    ]
    for name, found in models.items():
        missing = [100 * float((digits(m, few) > 4).float().mean()) for m in found]
        whole = [100 * float((digits(m, POOL.images) > 4).float().mean()) for m in networks[name]]
        accuracies = [read(model, exam, few) for model in found]
        lines.append(
            row(name, accuracies, f"{sum(missing) / len(missing):.0f}", f"{sum(whole) / len(whole):.0f}")
        )
    for case, sets, images in (("the full target", networks, POOL.images), ("0 to 4", models, few)):
        pairs = zip(sets["MMD"], sets["self-training"], strict=True)
        unlike = [100 * float((digits(a, images) != digits(b, images)).float().mean()) for a, b in pairs]
        lines += ["", f"MMD and self-training disagree on {min(unlike):.0f} … {max(unlike):.0f} % of {case}."]
    return lines


def outcome(starts: Mapping[int, nn.Module]) -> list[nn.Module]:
    """The networks that the lesson's answer to its last exercise makes."""
    found = []
    for seed, start in starts.items():
        set_seed(seed)
        found.append(L.adapt_without_labels(copy.deepcopy(start), printed(seed), POOL.images))
    return found


def choices(starts: Mapping[int, nn.Module], seeds: Sequence[int]) -> list[str]:
    """A weight for each method: chosen by sureness (no label), fixed at 1, and the best by labels."""
    lines = [
        "| method | weight by sureness (98 % of print still read) | accuracy | weight 1 "
        f"| best of {WEIGHTS}, by labels |",
        "|---|---|---|---|---|",
    ]
    for method in ("CORAL", "MMD", "DANN, conditional", "self-training"):
        score, right = {}, {}
        for weight in WEIGHTS:
            models = [adapted(method, starts[s], s, POOL.images, weight) for s in seeds]
            kept = sum(read(m, CHECK, printed(s).images) for m, s in zip(models, seeds, strict=True)) / len(
                seeds
            )
            score[weight] = sum(map(sureness, models)) / len(seeds) if kept >= 0.98 else -1.0
            right[weight] = 100 * sum(read(m, POOL) for m in models) / len(seeds)
        chosen, best = max(score, key=score.__getitem__), max(right, key=right.__getitem__)
        cells = [
            method,
            f"{chosen:g}",
            f"{right[chosen]:.1f}",
            f"{right[1.0]:.1f}",
            f"{right[best]:.1f} ({best:g})",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Run the tables and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--only", choices=["choosing", "judge"], help="add this table to those already written"
    )
    given = parser.parse_args()
    set_threads()
    starts = {s: L.train(fresh(s), printed(s), steps=150, seed=s) for s in range(given.seeds)}
    few = {s: starts[s] for s in list(starts)[:5]}
    text = ["# Domain adaptation: from print to handwriting", "", *INTRODUCTION.splitlines(), ""]
    if given.only:
        text = [*RESULT.read_text(encoding="utf-8").rstrip().splitlines(), ""]

    def table(title: str, lines: Sequence[str]) -> None:
        text.extend([f"## {title}", "", *lines, ""])
        print("\n".join(text[-len(lines) - 3 :]), flush=True)
        RESULT.write_text("\n".join(text), encoding="utf-8")  # what is done is kept

    if not given.only:
        networks: dict[str, list[nn.Module]] = {"AdaBN": list(starts.values())}
        for name in METHODS:
            print(f"adapting with {name}", file=sys.stderr, flush=True)
            more = SETTINGS.get(name, {})
            networks[name] = [adapted(name, starts[s], s, POOL.images, **more) for s in starts]
        networks["the last exercise (jiggling, neighbours, frequencies)"] = outcome(starts)
        table(f"Side by side, {len(starts)} seeds", side_by_side(starts, networks))
        first = {name: models[: len(few)] for name, models in networks.items()}
        table(f"Only the digits 0 to 4 in the target, {len(few)} seeds", half(few, first))
    if given.only in (None, "choosing"):
        title = "Choosing a weight without labels, 3 seeds, accuracy on the training half"
        table(title, choices(few, list(few)[:3]))
    if given.only in (None, "judge"):
        table(f"How a judge must be trained, {len(few)} seeds", judges(few))


if __name__ == "__main__":
    main()
