"""Accuracy on handwritten digits against labels per class: ``python benchmarks/transfer.py``.

Prints the table that README and model card quote and writes it to ``benchmarks/results/transfer.md``.
About a quarter of an hour on one CPU core. Every way of learning sees the same draws of labelled digits from
the training half and is tested on the same 800 digits; no setting was chosen on those: each probe's settings
are chosen here, on other draws and on the rest of the training half, the others as the model card says.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from choose import draw
from torch import Tensor, nn
from tqdm.auto import tqdm

from tlkit.backbones import Backbone, BackboneUnavailable, load_backbone
from tlkit.backbones.backbone import WEIGHTS
from tlkit.data import Images, digits_split, few_shot
from tlkit.evaluation import evaluate
from tlkit.features import extract, linear_probe
from tlkit.system import set_threads
from tlkit.training import fit

RESULT = Path(__file__).parent / "results" / "transfer.md"
LABELS = (1, 5, 10, 50)
PROBES = [(standardize, l2) for standardize in (True, False) for l2 in (0.01, 0.1, 1.0)]
CHOOSING = {1: 20, 5: 20, 10: 10, 50: 3}  # draws on which a probe's settings are chosen
STEPS, EPOCHS = 100, 20  # of every training run, at least
Learner = Callable[[Images, Images, int], float]


def probe_on(features: Callable[[Images], Tensor]) -> Learner:
    """Logistic regression on fixed features, standardised or not, with the penalty that suits them."""
    best: dict[int, tuple[bool, float]] = {}

    def learn(train: Images, test: Images, seed: int) -> float:
        count = len(train) // len(train.classes)
        if count not in best:
            best[count] = chosen(features, count)
        standardize, l2 = best[count]
        classes = len(train.classes)
        probe = linear_probe(features(train), train.labels, classes, l2=l2, standardize=standardize)
        return probe.accuracy(features(test), test.labels)

    return learn


def chosen(features: Callable[[Images], Tensor], count: int) -> tuple[bool, float]:
    """(standardise?, l2) of the best probe on the rest of the training half, over draws used nowhere else."""
    half, _ = digits_split()
    rows, score = features(half), dict.fromkeys(PROBES, 0.0)
    for seed in range(1000, 1000 + CHOOSING[count]):
        picked = draw(half.by_class(), count, seed)
        rest = torch.ones(len(half), dtype=torch.bool)
        rest[picked] = False
        for standardize, l2 in PROBES:
            probe = linear_probe(rows[picked], half.labels[picked], 10, l2=l2, standardize=standardize)
            score[standardize, l2] += probe.accuracy(rows[rest], half.labels[rest])
    return max(score, key=lambda setting: score[setting])


def frozen(backbone: Backbone, digits: Images, side: int | None = None) -> Learner:
    """A linear probe on the backbone's features, extracted once for all digits."""
    transform = backbone.transform if side is None else backbone.transform.at(side)
    known = {}
    for part in torch.arange(len(digits)).split(200):
        rows = extract(backbone.body, transform(digits.images[part]))
        known |= {key(digits.images[i]): row for i, row in zip(part.tolist(), rows, strict=True)}
    return probe_on(lambda data: torch.stack([known[key(image)] for image in data.images]))


def key(image: Tensor) -> bytes:
    """What tells one image from another."""
    return hashlib.sha256(image.numpy().tobytes()).digest()


def trained(pretrained: bool, lr: float) -> Learner:
    """The whole glyphnet trained on the labelled digits, from random or from pretrained weights."""

    def learn(train: Images, test: Images, seed: int) -> float:
        model = load_backbone("glyphnet", pretrained=pretrained, seed=seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model.head = nn.Linear(model.feature_dim, len(train.classes))
        epochs = max(EPOCHS, math.ceil(STEPS / math.ceil(len(train) / 32)))
        fit(
            model,
            train,
            epochs=epochs,
            lr=lr,
            batch_size=32,
            weight_decay=0.01,
            schedule=lambda step, total: 0.5 * (1 + math.cos(math.pi * step / total)),
            seed=seed,
            progress=False,
        )
        return evaluate(model, test).accuracy

    return learn


def learners(digits: Images) -> dict[str, Learner]:
    """Column title -> way of learning."""
    columns = {
        "scratch": trained(pretrained=False, lr=2e-3),
        "raw pixels": probe_on(lambda data: data.images.flatten(1)),
        "random features": frozen(load_backbone("glyphnet", pretrained=False), digits),
    }
    try:
        columns["SqueezeNet (ImageNet), frozen"] = frozen(load_backbone("squeezenet1_0"), digits, side=128)
    except BackboneUnavailable as missing:
        print(f"Without the SqueezeNet column: {missing}", file=sys.stderr)
    columns["glyphnet, frozen"] = frozen(load_backbone("glyphnet"), digits)
    columns["glyphnet, fine-tuned"] = trained(pretrained=True, lr=1e-3)
    return columns


def measure(draws: int) -> str:
    """Run everything; the table as markdown."""
    train, test = digits_split()
    digits = Images(
        torch.cat([train.images, test.images]), torch.cat([train.labels, test.labels]), train.classes, "all"
    )
    columns = learners(digits)
    lines = ["| labels per class | " + " | ".join(columns) + " |", "|---:|" + "---|" * len(columns)]
    with tqdm(total=len(LABELS) * draws * len(columns), unit="run") as bar:
        for labels in LABELS:
            cells = []
            for title, learn in columns.items():
                bar.set_description(f"{labels} a class, {title}")
                scores = []
                for seed in range(draws):
                    scores.append(learn(few_shot(train, labels, seed), test, seed))
                    bar.update()
                accuracy = torch.tensor(scores, dtype=torch.float64)
                cells.append(f"{accuracy.mean():.3f} ± {accuracy.std():.3f}".replace("0.", "."))
            lines.append(f"| {labels} | " + " | ".join(cells) + " |")
    weights = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:16]
    note = (
        f"Accuracy on the 800 test digits, mean ± standard deviation over {draws} draws of the labelled "
        f"digits; glyphnet.safetensors {weights}."
    )
    return "\n".join(lines) + "\n\n" + note + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=8, help="of the labelled digits, per cell (default: 8)")
    parser.add_argument("--out", type=Path, default=RESULT, help=f"default: {RESULT}")
    given = parser.parse_args()
    set_threads()
    table = measure(given.draws)
    print(table)
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
