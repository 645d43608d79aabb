"""The tables of lesson 02 at full seeds: ``python benchmarks/fine_tuning.py [--draws 5] [--only ways,…]``.

Uses the lesson's own answers. Everything is measured on the rest of the training half, except ``ways``,
``longer``, ``neat`` and ``scratch``: they report the 800 test digits, at settings found without them.
Prints markdown and puts it into ``benchmarks/results/fine_tuning.md``, where tables that are not asked for
stay as they are. One thread and two give numbers that differ, within the spread. All of it takes some twenty
minutes on two CPU cores.
"""

from __future__ import annotations

import argparse
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlkit import evaluate, extract, fit, linear_probe, load_backbone
from tlkit.build.course import find_lessons
from tlkit.build.right import right_answers
from tlkit.build.text import expand
from tlkit.data import Images, digits_split, printed_letters
from tlkit.exercises.load import load_probes
from tlkit.layers import blocks, gradient_norms, snapshot
from tlkit.system import set_threads

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "fine_tuning.md"
CLEAN_POOL, CLEAN_TEST = digits_split()
BACKBONE = load_backbone("glyphnet")


def on_forms(data: Images, seed: int) -> Images:
    """The lesson's forms: digits small, anywhere in their field, and a little noisy."""
    chance = torch.Generator().manual_seed(seed)
    small = F.interpolate(data.images, size=18, mode="bilinear", antialias=True)
    fields = torch.zeros_like(data.images)
    corners = torch.randint(0, 15, (len(data), 2), generator=chance).tolist()
    for field, digit, (top, left) in zip(fields, small, corners, strict=True):
        field[:, top : top + 18, left : left + 18] = digit
    return replace(data, images=(fields + 0.15 * torch.randn(fields.shape, generator=chance)).clamp(0, 1))


POOL, TEST = on_forms(CLEAN_POOL, 0), on_forms(CLEAN_TEST, 1)
WAYS: dict[str, dict[str, Any]] = {  # the best of `choice`; the last two: its best with BatchNorm held
    "from scratch": {"lr": 5e-3, "decay": 1.0},
    "full": {"lr": 5e-3, "decay": 1.0},
    "discriminative": {"lr": 5e-3, "decay": 0.7},
    "gradual": {"lr": 1e-2, "decay": 0.7, "thaw": True},
    "probe first": {"lr": 2e-3, "decay": 1.0},
    "full, held": {"lr": 1e-3, "decay": 1.0, "hold": True},
    "probe first, held": {"lr": 2e-3, "decay": 1.0, "hold": True},
}
EPOCHS = {1: 10, 50: 1}
GRID = (1e-3, 2e-3, 5e-3, 1e-2, 2e-2)
CHOICE_SEEDS = range(100, 103)  # draws of the labelled digits that no other table uses
Scores = Mapping[str, Sequence[float]]


def lesson_answers() -> tuple[dict[str, Any], Any]:
    """The right answers of lesson 02 by name, and the folder of the lesson."""
    lesson = next(lesson for lesson in find_lessons(ROOT) if lesson.name == "02_fine_tuning")
    return dict(right_answers(lesson, expand(lesson, load_probes(lesson.folder)))), lesson.folder


ANSWERS, FOLDER = lesson_answers()


def draw(per_class: int, seed: int) -> tuple[Tensor, Tensor]:
    """Positions in the pool of the labelled digits, and of 450 others (the lesson's own draw)."""
    order = torch.randperm(len(POOL), generator=torch.Generator().manual_seed(seed))
    labelled = torch.cat([order[POOL.labels[order] == digit][:per_class] for digit in range(10)])
    others = torch.ones(len(POOL), dtype=torch.bool)
    others[labelled] = False
    return labelled, others.nonzero().flatten()[:450]


def at(where: Tensor, data: Images = POOL) -> tuple[Tensor, Tensor]:
    return data.images[where], data.labels[where]


def new_head(seed: int, pretrained: bool = True) -> nn.Module:
    model = load_backbone("glyphnet", pretrained=pretrained, seed=seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model.head = nn.Linear(model.feature_dim, 10)
    return model


def let_learn(model: nn.Module, names: Sequence[str]) -> None:
    for block in blocks(model):
        model.get_submodule(block).requires_grad_(block in names)


def tune(
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    lr: float,
    decay: float,
    epochs: int,
    seed: int,
    thaw: bool = False,
    hold: bool = False,
) -> nn.Module:
    """The lesson's `tune`."""
    if hold:
        ANSWERS["batchnorm_eval"](model)
    optimizer = torch.optim.AdamW(
        ANSWERS["layerwise_lr_groups"](model, lr, decay), weight_decay=0.01, fused=True
    )
    calls: list[Callable[[Any], None]] = []
    if thaw:
        names = blocks(model)
        let_learn(model, ANSWERS["unfreeze_at"](0, names))
        calls = [
            lambda s: let_learn(model, ANSWERS["unfreeze_at"]((s.index + 1) * len(names) // s.total, names))
        ]
    fit(
        model,
        data,
        epochs=epochs,
        optimizer=optimizer,
        batch_size=10,
        schedule=lambda step, total: ANSWERS["warmup_cosine"](step, total, total // 10),
        on_step=calls,
        seed=seed,
        progress=False,
    )
    return model


def table(title: str, rows: Mapping[str, Scores]) -> str:
    """Markdown: a row for each name, a column for each heading, mean ± standard deviation over draws."""
    headings = list(next(iter(rows.values())))
    lines = [f"### {title}", "", "| | " + " | ".join(headings) + " |", "|---|" + "---|" * len(headings)]
    for name, cells in rows.items():
        shown = []
        for heading in headings:
            found = torch.tensor(list(cells[heading]), dtype=torch.float64)
            spread = f" ± {found.std():.3f}" if len(found) > 1 else ""
            shown.append("" if found.isnan().all() else f"{found.mean():.3f}{spread}")
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def train_way(
    way: str, how: Mapping[str, Any], labelled: Tensor, pool: Images, epochs: int, seed: int
) -> nn.Module:
    """One of the ways to fine-tune, on these positions of `pool`."""
    model = new_head(seed, pretrained=way != "from scratch")
    if way.startswith("probe first"):
        rows = extract(BACKBONE.body, pool.images[labelled])
        model.head = linear_probe(rows, pool.labels[labelled], 10, l2=0.1).as_linear()
    return tune(model, at(labelled, pool), epochs=epochs, seed=seed, **how)


def choice(draws: int) -> Iterator[str]:
    """Each way's rate, and BatchNorm held or not, from one grid for all, on draws of its own."""
    rows: dict[str, dict[str, list[float]]] = {}
    for way, how in WAYS.items():
        if "hold" in how:
            continue
        for hold in (True, False) if way != "from scratch" else (False,):
            row = rows.setdefault(f"{way}, {'held' if hold else 'not held'}", {f"{lr:g}": [] for lr in GRID})
            for lr, seed in itertools.product(GRID, CHOICE_SEEDS):
                labelled, others = draw(50, seed)
                model = train_way(way, {**how, "lr": lr, "hold": hold}, labelled, POOL, EPOCHS[50], seed)
                row[f"{lr:g}"].append(evaluate(model, at(others)).accuracy)
    yield table(
        f"Choice of the rate, on forms, 50 a class: rest of the pool, {len(CHOICE_SEEDS)} draws", rows
    )


def compared(title: str, pool: Images, test: Images, passes: Mapping[int, int], draws: int) -> str:
    """Frozen, from scratch and the ways to fine-tune on the 800 test digits; labels a class -> passes."""
    known, asked = extract(BACKBONE.body, pool.images), extract(BACKBONE.body, test.images)
    rows: dict[str, dict[str, list[float]]] = {name: {} for name in ("frozen", *WAYS)}
    for per_class, epochs in passes.items():
        heading = f"{per_class} a class, {epochs} passes" if epochs > 1 else f"{per_class} a class, one pass"
        for seed in range(draws):
            labelled, _ = draw(per_class, seed)
            probe = linear_probe(known[labelled], pool.labels[labelled], 10, l2=0.1)
            rows["frozen"].setdefault(heading, []).append(probe.accuracy(asked, test.labels))
            for way, how in WAYS.items():
                model = train_way(way, how, labelled, pool, epochs, seed)
                rows[way].setdefault(heading, []).append(evaluate(model, test).accuracy)
    return table(f"{title}: 800 test digits, {draws} draws", rows)


def ways(draws: int) -> Iterator[str]:
    """The lesson's comparison, on forms."""
    yield compared("Frozen and fine-tuned, on forms", POOL, TEST, {50: EPOCHS[50]}, draws)


def neat(draws: int) -> Iterator[str]:
    """The lesson's comparison where the frozen network is at home."""
    yield compared("Frozen and fine-tuned, neat digits", CLEAN_POOL, CLEAN_TEST, {1: EPOCHS[1]}, draws)


def longer(draws: int) -> Iterator[str]:
    """The lesson's comparison with six passes instead of one, at the same rates."""
    yield compared("Frozen and fine-tuned for longer, on forms", POOL, TEST, {50: 6}, draws)


def blind_network(seed: int) -> nn.Module:
    """Four convolutions, then the largest answer of each channel, wherever on the form it was found."""

    def layer(inputs: int, outputs: int, stride: int) -> nn.Module:
        convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = (layer(1, 32, 2), layer(32, 64, 1), layer(64, 64, 2), layer(64, 128, 1))
        body = nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten())
        parts = (("body", body), ("head", nn.Linear(128, 10)))
    return nn.Sequential(OrderedDict(parts))


def scratch(draws: int) -> Iterator[str]:
    """By passes, without transfer: the same network, and one that is built blind to the place of a digit."""
    found: dict[str, list[float]] = {f"{lr:g}": [] for lr in GRID}
    for lr, seed in itertools.product(GRID, CHOICE_SEEDS):
        labelled, others = draw(50, seed)
        model = tune(blind_network(seed), at(labelled), lr, 1.0, EPOCHS[50], seed)
        found[f"{lr:g}"].append(evaluate(model, at(others)).accuracy)
    title = "Choice of the rate of the network blind to position, on forms, 50 a class"
    yield table(f"{title}: rest of the pool, {len(CHOICE_SEEDS)} draws", {"one pass": found})

    best = float(max(found, key=lambda lr: sum(found[lr])))
    starts: dict[str, tuple[Callable[[int], nn.Module], dict[str, Any]]] = {
        "full": (new_head, WAYS["full"]),
        "from scratch": (lambda seed: new_head(seed, pretrained=False), WAYS["from scratch"]),
        "from scratch, blind to position": (blind_network, {"lr": best, "decay": 1.0}),
    }
    rows: dict[str, dict[str, list[float]]] = {name: {} for name in starts}
    for passes, seed in itertools.product((1, 6, 20), range(draws)):
        labelled, _ = draw(50, seed)
        for name, (begin, how) in starts.items():
            model = tune(begin(seed), at(labelled), epochs=passes, seed=seed, **how)
            rows[name].setdefault(f"passes: {passes}", []).append(evaluate(model, TEST).accuracy)
    yield table(f"With and without transfer, on forms, 50 a class: 800 test digits, {draws} draws", rows)


def letters_known(body: nn.Module, letters: Any) -> float:
    return evaluate(nn.Sequential(body, BACKBONE.head), letters).accuracy


def rates(draws: int) -> Iterator[str]:
    """Learning rate against digits and letters, ten labels a class, rest of the pool."""
    letters = printed_letters(per_class=3, seed=5, characters="".join(BACKBONE.classes))
    rows: dict[str, dict[str, list[float]]] = {}
    for lr in (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1):
        row = rows.setdefault(f"{lr:g}", {"digits": [], "letters": []})
        for seed in range(draws):
            labelled, others = draw(10, seed)
            model = new_head(seed)
            try:
                fit(model, at(labelled), epochs=6, lr=lr, batch_size=10, seed=seed, progress=False)
            except FloatingPointError:
                row.setdefault("diverged", []).append(1.0)
            row["digits"].append(evaluate(model, at(others)).accuracy)
            row["letters"].append(letters_known(model.body, letters))
    yield table(f"Learning rate, ten labels a class, six passes: rest of the pool, {draws} draws", rows)


def leash(draws: int) -> Iterator[str]:
    """L2-SP against digits and letters, ten labels a class, rest of the pool."""
    letters = printed_letters(per_class=3, seed=5, characters="".join(BACKBONE.classes))
    rows: dict[str, dict[str, list[float]]] = {}
    for alpha in (0.0, 0.1, 1.0, 10.0):
        row = rows.setdefault(f"alpha {alpha:g}", {"digits": [], "letters": []})
        for seed in range(draws):
            labelled, others = draw(10, seed)
            model = ANSWERS["batchnorm_eval"](new_head(seed))
            start = {name: value for name, value in snapshot(model).items() if name.startswith("body.")}

            def loss(
                logits: Tensor, y: Tensor, model: nn.Module = model, start: Any = start, a: float = alpha
            ) -> Tensor:
                return F.cross_entropy(logits, y) + ANSWERS["l2_sp"](model, start, a, 0.01)

            fit(
                model,
                at(labelled),
                epochs=6,
                lr=3e-3,
                batch_size=10,
                loss=loss,
                seed=seed,
                progress=False,
            )
            row["digits"].append(evaluate(model, at(others)).accuracy)
            row["letters"].append(letters_known(model.body, letters))
    yield table(f"L2-SP, ten labels a class, six passes: rest of the pool, {draws} draws", rows)


def batchnorm(draws: int) -> Iterator[str]:
    """BatchNorm held or not, by batch size, neat digits, ten labels a class, rest of the pool."""
    rows: dict[str, dict[str, list[float]]] = {}
    for size in (2, 4, 20):
        row = rows.setdefault(f"batches of {size}", {"held": [], "batch statistics": []})
        for seed in range(draws):
            labelled, others = draw(10, seed)
            for heading in row:
                model = new_head(seed)
                if heading == "held":
                    ANSWERS["batchnorm_eval"](model)
                fit(
                    model,
                    at(labelled, CLEAN_POOL),
                    epochs=3,
                    lr=1e-3,
                    batch_size=size,
                    seed=seed,
                    progress=False,
                )
                row[heading].append(evaluate(model, at(others, CLEAN_POOL)).accuracy)
    yield table(
        f"BatchNorm and batch size, neat digits, ten labels a class: rest of the pool, {draws} draws", rows
    )


def importance(draws: int) -> Iterator[str]:
    """The wish of each block, and what comes of moving it; from the probe's head, ten labels a class."""
    rows: dict[str, dict[str, list[float]]] = {}
    names, known = blocks(BACKBONE), extract(BACKBONE.body, POOL.images)
    for seed in range(draws):
        labelled, others = draw(10, seed)
        head = linear_probe(known[labelled], POOL.labels[labelled], 10, l2=0.1)
        model = new_head(seed)
        model.head = head.as_linear()
        wish = wishes(model, labelled)
        plans = {name: {b: 3e-3 * (b in (name, "head")) for b in names} for name in names}
        plans |= {
            "all, one rate": dict.fromkeys(names, 3e-3),
            "all, at the mean of the next row's rates": dict.fromkeys(
                names, 3e-3 * sum(wish.values()) / len(wish)
            ),
            "all, weighted by wish": {b: 3e-3 * wish[b] for b in names},
        }
        for plan, lrs in plans.items():
            model = ANSWERS["batchnorm_eval"](new_head(seed))
            model.head = head.as_linear()
            let_learn(model, [b for b in names if lrs[b]])
            fit(model, at(labelled), epochs=3, lr=lrs, batch_size=10, seed=seed, progress=False)
            row = rows.setdefault(plan, {"wish": [], "digits": []})
            row["wish"].append(wish.get(plan, float("nan")))
            row["digits"].append(evaluate(model, at(others)).accuracy)
    yield table(
        f"The head and this block move, ten labels a class, three passes: rest of the pool, {draws} draws",
        rows,
    )


def wishes(model: nn.Module, where: Tensor) -> dict[str, float]:
    """Block -> length of its gradient relative to its weights, largest 1 (`importance` of the lesson)."""
    images, labels = at(where)
    F.cross_entropy(model.eval()(images), labels).backward()
    ratio = {}
    for block, pull in gradient_norms(model).items():
        weights = torch.cat([p.detach().flatten() for p in model.get_submodule(block).parameters()])
        ratio[block] = float(pull or 0.0) / float(weights.norm())
    return {block: value / max(ratio.values()) for block, value in ratio.items()}


def outcome(draws: int) -> Iterator[str]:
    """The outcome exercise: the lesson's answer, and shortcuts, probes on frozen features.

    The cautious probe is the one that the lesson's answer begins with; the hint says that it reads less by
    itself. The answer once more from the other probe shows that it is the better start.
    """
    headings = (
        "fine_tune",
        "frozen and a probe",
        "frozen and a cautious probe",
        "fine_tune from the first probe",
    )
    rows: dict[str, dict[str, list[float]]] = {"accuracy": {heading: [] for heading in headings}}
    spec = load_probes(FOLDER)
    (measure,) = (one.measure for one in spec.probes["fine_tune"])

    def probed(l2: float) -> Callable[[nn.Module, Tensor, Tensor], nn.Module]:
        def answer(model: nn.Module, images: Tensor, labels: Tensor) -> nn.Module:
            model.head = linear_probe(extract(model.body, images), labels, 10, l2=l2).as_linear()
            return model

        return answer

    def from_the_first(model: nn.Module, images: Tensor, labels: Tensor) -> nn.Module:
        def first(features: Tensor, labels: Tensor, num_classes: int, l2: float) -> Any:
            return linear_probe(features, labels, num_classes, l2=0.1)

        with patch.dict(ANSWERS["fine_tune"].__globals__, linear_probe=first):  # all else is the lesson's
            return ANSWERS["fine_tune"](model, images, labels)

    answers = (ANSWERS["fine_tune"], probed(0.1), probed(10.0), from_the_first)
    for seed in range(draws):
        for heading, answer in zip(headings, answers, strict=True):
            seen = measure(answer, np.random.default_rng(10_000 + seed))
            right = (seen["predicted labels"] == seen["true labels"]).float().mean()
            rows["accuracy"][heading].append(float(right))
    yield table(f"The outcome exercise: {draws} seeds", rows)


TABLES = {
    f.__name__: f for f in (choice, ways, longer, neat, scratch, rates, leash, batchnorm, importance, outcome)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=5, help="of the labelled digits (default: 5)")
    parser.add_argument("--only", default=",".join(TABLES), help=f"some of {','.join(TABLES)}")
    parser.add_argument("--out", type=Path, default=RESULT, help=f"default: {RESULT}")
    chosen = parser.parse_args()
    set_threads()
    chosen.out.parent.mkdir(exist_ok=True)
    for name in chosen.only.split(","):
        for text in TABLES[name](chosen.draws):
            print(text, flush=True)
            put(text, chosen.out)  # what is there survives an interrupt


def put(text: str, path: Path) -> None:
    """Write a table into the file, in the place of the one with the same title (up to its colon)."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    tables = {part.partition("\n")[0]: f"### {part.strip()}\n" for part in old.split("### ")[1:]}
    same = [title for title in tables if title.split(":")[0] == text[4:].partition("\n")[0].split(":")[0]]
    for title in same[1:]:
        del tables[title]
    tables[same[0] if same else text] = text
    path.write_text("\n".join(tables.values()), encoding="utf-8")


if __name__ == "__main__":
    main()
