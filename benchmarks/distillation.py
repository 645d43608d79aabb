"""Every table of lesson 04 at full seeds: ``python benchmarks/distillation.py [TABLE…] [--draws N]``.

Tables: choose, students, outcome, few, generations, fault, frontier. Printed, and written to
``benchmarks/results/distillation.md``, where tables not asked for stay as they were. The losses and
`teach_student` are the lesson's own answers, the settings those of its cells.
Hyper-parameters are chosen in ``choose`` on 300 digits of the training half that no student
is taught on; the 800 test digits are looked at in the other tables only.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from tlkit.backbones import load_backbone
from tlkit.backbones.glyphnet import GlyphBody
from tlkit.build.course import find_lessons, find_root
from tlkit.build.right import right_answers
from tlkit.build.text import expand
from tlkit.data import digits_split
from tlkit.evaluation import evaluate
from tlkit.exercises import load_probes
from tlkit.features import LinearProbe, extract, linear_probe
from tlkit.layers import capture
from tlkit.system import set_seed, set_threads
from tlkit.training import fit

RESULT = Path(__file__).parent / "results" / "distillation.md"
WIDTHS = (12, 24, 32)
PLACES = ["body.stage1", "body.stage3"]
POOL, TEST = digits_split()
Row = list[float]


@cache
def answer(name: str) -> Callable[..., Any]:
    """The course's right answer of an exercise of lesson 04."""
    (lesson,) = find_lessons(find_root(), ["04"])
    return right_answers(lesson, expand(lesson, load_probes(lesson.folder)))[name]


@cache
def described() -> tuple[Tensor, Tensor]:
    """glyphnet's features of the training half and of the test half."""
    body = load_backbone("glyphnet").body
    return extract(body, POOL.images), extract(body, TEST.images)


def draw(seed: int, per_class: int = 10) -> tuple[Tensor, Tensor]:
    """Positions of `per_class` labelled digits of each class, and of all others, as in the lesson."""
    order = torch.randperm(len(POOL), generator=torch.Generator().manual_seed(seed))
    labelled = torch.cat([order[POOL.labels[order] == digit][:per_class] for digit in range(10)])
    return labelled, order[~torch.isin(order, labelled)]


def teacher_for(labelled: Tensor, labels: Tensor = POOL.labels) -> LinearProbe:
    """The teacher's head, fitted on the labelled digits."""
    return linear_probe(described()[0][labelled], labels[labelled], 10, l2=0.1)


def student(widths: tuple[int, int, int], seed: int) -> nn.Module:
    """An untrained small network."""
    set_seed(seed)
    body = GlyphBody(widths)
    return nn.Sequential(OrderedDict(body=body, head=nn.Linear(body.feature_dim, 10)))


def certain(logits: Tensor) -> Tensor:
    """Logits of a teacher that names the same digits and never hesitates."""
    return 20 * F.one_hot(logits.argmax(1), 10).float()


def falling(step: int, total: int) -> float:
    """Factor on the learning rate: from 1 straight down to 0."""
    return 1 - step / total


def alone(labelled: Tensor, seed: int, widths: tuple[int, int, int] = WIDTHS, epochs: int = 30) -> nn.Module:
    """A student trained on the labelled digits only."""
    model, data = student(widths, seed), POOL.subset(labelled)
    fit(model, data, epochs=epochs, lr=5e-3, batch_size=32, schedule=falling, seed=seed, progress=False)
    return model


def taught(
    targets: Tensor,
    where: Tensor,
    seed: int,
    temperature: float = 4.0,
    epochs: int = 8,
    widths: tuple[int, int, int] = WIDTHS,
    lr: float = 5e-3,
) -> nn.Module:
    """A student taught by the logits `targets` [997, 10] on the images at `where`."""
    model = student(widths, seed)

    def loss(ours: Tensor, theirs: Tensor) -> Tensor:
        return torch.as_tensor(answer("distillation_loss")(ours, theirs, theirs.argmax(1), temperature, 1.0))

    data = (POOL.images[where], targets[where])
    fit(model, data, epochs=epochs, lr=lr, batch_size=32, loss=loss, schedule=falling, seed=seed,
        progress=False)  # fmt: skip
    return model


@cache
def loner(seed: int, widths: tuple[int, int, int] = WIDTHS) -> nn.Module:
    """The student of draw `seed` that learned from the labels alone."""
    return alone(draw(seed)[0], seed, widths)


def teach(model: nn.Module, seed: int, start: int, widths: tuple[int, int, int] = WIDTHS) -> nn.Module:
    """The lesson's `teach_student`: `model` teaches a student on the digits of draw `seed`."""
    labelled, others = draw(seed)
    known = POOL.images[labelled], POOL.labels[labelled]
    learned = answer("teach_student")(model, student(widths, start), POOL.images[others], *known)
    assert isinstance(learned, nn.Module)
    return learned.eval()


def network_of(probe: LinearProbe) -> nn.Module:
    """glyphnet with this head."""
    network = load_backbone("glyphnet")
    network.head = probe.as_linear()
    return network


@cache
def pupil(seed: int, widths: tuple[int, int, int] = WIDTHS) -> nn.Module:
    """The student of draw `seed` that its teacher has taught."""
    return teach(network_of(teacher_for(draw(seed)[0])), seed, seed, widths)


def with_maps(kind: str, weight: float, where: Tensor, targets: Tensor, seed: int) -> nn.Module:
    """A student taught by answers and, on top, by hints or attention (see the lesson)."""
    model, teacher = student(WIDTHS, seed), load_backbone("glyphnet")
    body, head = model.get_submodule("body"), model.get_submodule("head")
    regressor = nn.Conv2d(WIDTHS[0], 48, 1)
    model.add_module("regressor", regressor)
    # the regressor is a part of the model, so that it learns too, but not of what the model answers
    model.forward = lambda images: head(body(images))  # type: ignore[method-assign]  # on purpose: see above
    with capture(teacher, PLACES, detach=True) as maps, torch.no_grad():
        teacher(POOL.images[where])
    told, heat = targets[where], 1.0 if kind == "hard" else 4.0
    with capture(model, PLACES) as ours:

        def loss(logits: Tensor, index: Tensor) -> Tensor:
            value = answer("distillation_loss")(logits, told[index], told[index].argmax(1), heat, 1.0)
            if kind == "hint":
                value = value + weight * answer("hint_loss")(
                    ours[PLACES[0]], maps[PLACES[0]][index], regressor
                )
            if kind == "attention":
                pairs = [ours[p] for p in PLACES], [maps[p][index] for p in PLACES]
                value = value + weight * answer("attention_transfer_loss")(*pairs)
            return torch.as_tensor(value)

        data = (POOL.images[where], torch.arange(len(where)))
        fit(model, data, epochs=30, lr=5e-3, batch_size=30, loss=loss, schedule=falling, seed=seed,
            progress=False)  # fmt: skip
    return model


def on(model: nn.Module, where: Tensor | None = None) -> float:
    """Accuracy on the test half, or on digits at `where` in the training half."""
    return evaluate(model, TEST if where is None else POOL.subset(where)).accuracy


def choose(draws: int) -> dict[str, Row]:
    """Settings, judged on 300 digits held back: temperature, epochs, learning rate, weights of hints."""
    rows: dict[str, Row] = {}
    for seed in tqdm(range(100, 100 + draws), desc="choose"):
        labelled, others = draw(seed)
        held, rest = others[:300], others[300:]
        probe = teacher_for(labelled)
        logits = probe.logits(described()[0])
        found = {"teacher": probe.accuracy(described()[0][held], POOL.labels[held])}
        for heat in (1.0, 2.0, 4.0, 8.0, 16.0):
            found[f"T = {heat:g}, 8 epochs"] = on(taught(logits, rest, seed, heat), held)
        for epochs in (4, 16):
            found[f"T = 4, {epochs} epochs"] = on(taught(logits, rest, seed, epochs=epochs), held)
        for lr in (2e-3, 1e-2):
            found[f"T = 4, learning rate {lr:g}"] = on(taught(logits, rest, seed, lr=lr), held)
        network = network_of(probe)
        for number in (300, len(rest)):
            found[f"teach_student, {number} images"] = on(
                answer("teach_student")(
                    network, student(WIDTHS, seed), POOL.images[rest[:number]],
                    POOL.images[labelled], POOL.labels[labelled],
                ),
                held,
            )  # fmt: skip
        for epochs in (30, 60, 120):
            found[f"labels only, {epochs} epochs"] = on(alone(labelled, seed, epochs=epochs), held)
        for kind, weight in (("answers", 0.0), ("hint", 0.1), ("hint", 1.0), ("hint", 10.0),
                             ("attention", 1.0), ("attention", 10.0), ("attention", 100.0)):  # fmt: skip
            found[f"60 images, {kind} × {weight:g}"] = on(
                with_maps(kind, weight, rest[:60], logits, seed), held
            )
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
    return rows


def students(draws: int) -> dict[str, Row]:
    """Teacher, student alone, taught by hard or soft answers, taught by `teach_student`; test digits."""
    rows: dict[str, Row] = {}
    for seed in tqdm(range(draws), desc="students"):
        labelled, others = draw(seed)
        probe = teacher_for(labelled)
        logits = probe.logits(described()[0])
        found = {
            "teacher": probe.accuracy(described()[1], TEST.labels),
            "student, labels only": on(loner(seed)),
            "student, hard answers": on(taught(certain(logits), others, seed, 1.0)),
            "student, soft answers": on(taught(logits, others, seed)),
            "student, teach_student": on(pupil(seed)),
        }
        found["labels only: behind the teacher"] = found["teacher"] - found["student, labels only"]
        found["teach_student: behind the teacher"] = found["teacher"] - found["student, teach_student"]
        found["soft answers: ahead of hard ones"] = (
            found["student, soft answers"] - found["student, hard answers"]
        )
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
    return rows


def outcome(draws: int) -> dict[str, Row]:
    """The exercise's own measurement on fresh cases: points behind the teacher; and two other ways."""
    label = "points that the student lies behind its teacher"
    (lesson,) = find_lessons(find_root(), ["04"])
    (part,) = load_probes(lesson.folder).probes["teach_student"]

    def short(teacher: Any, model: nn.Module, unlabelled: Any, images: Tensor, labels: Tensor) -> nn.Module:
        fit(model, (images, labels), epochs=60, lr=5e-3, batch_size=32, schedule=falling, progress=False)
        return model

    def plain(
        teacher: nn.Module, model: nn.Module, unlabelled: Tensor, images: Tensor, labels: Tensor
    ) -> nn.Module:
        every = torch.cat([unlabelled, images])

        def loss(ours: Tensor, theirs: Tensor) -> Tensor:
            return torch.as_tensor(answer("distillation_loss")(ours, theirs, theirs.argmax(1), 4.0, 1.0))

        fit(model, (every, extract(teacher, every)), epochs=8, lr=5e-3, batch_size=32, loss=loss,
            schedule=falling, progress=False)  # fmt: skip
        return model

    rows: dict[str, Row] = {}
    for seed in tqdm(range(200, 200 + draws), desc="outcome"):
        for name, teach in (
            ("teach_student", answer("teach_student")),
            ("eight passes, the head in steps too", plain),
            ("labels only", short),
        ):
            set_seed(seed)
            found = part.measure(teach, np.random.default_rng(seed))[label]
            rows.setdefault(f"behind in points: {name}", []).append(found)
    return rows


def few(draws: int) -> dict[str, Row]:
    """Sixty unlabelled images: hard answers, soft answers, with hints, with attention; test digits."""
    rows: dict[str, Row] = {}
    for seed in tqdm(range(draws), desc="few"):
        labelled, others = draw(seed)
        logits = teacher_for(labelled).logits(described()[0])
        found = {"hard": on(with_maps("hard", 0.0, others[:60], certain(logits), seed))}
        for kind, weight in (("answers", 0.0), ("hint", 1.0), ("attention", 1.0)):
            found[kind] = on(with_maps(kind, weight, others[:60], logits, seed))
        for kind, accuracy in found.items():
            rows.setdefault(kind, []).append(accuracy)
            if kind != "answers":
                rows.setdefault(f"{kind} less answers alone", []).append(accuracy - found["answers"])
    return rows


def generations(draws: int) -> dict[str, Row]:
    """The loner and its descendants of the same size; test digits."""
    rows: dict[str, Row] = {}
    for seed in tqdm(range(draws), desc="generations"):
        parent = loner(seed)
        rows.setdefault("generation 0", []).append(on(parent))
        for step in range(1, 3):
            parent = teach(parent, seed, 10 * seed + step + 100)
            rows.setdefault(f"generation {step}", []).append(on(parent))
            change = rows[f"generation {step}"][-1] - rows[f"generation {step - 1}"][-1]
            rows.setdefault(f"change from {step - 1} to {step}", []).append(change)
    return rows


def fault(draws: int) -> dict[str, Row]:
    """A teacher whose labelled sevens were called 1, and its student; test digits."""
    rows: dict[str, Row] = {}
    sevens = TEST.labels == 7
    for seed in tqdm(range(draws), desc="fault"):
        labelled, _ = draw(seed)
        probe = teacher_for(labelled, torch.where(POOL.labels == 7, 1, POOL.labels))
        heir = teach(network_of(probe), seed, seed)
        read = {"teacher": probe.predict(described()[1]), "student": extract(heir, TEST.images).argmax(1)}
        for name, digits in read.items():
            rows.setdefault(f"{name}: sevens read as 1", []).append(
                float((digits[sevens] == 1).float().mean())
            )
            right = (digits == TEST.labels)[~sevens].float().mean()
            rows.setdefault(f"{name}: all other digits right", []).append(float(right))
        agree = (read["teacher"] == read["student"]).float().mean()
        rows.setdefault("student agrees with its teacher", []).append(float(agree))
    return rows


def frontier(draws: int) -> dict[str, Row]:
    """Students of three widths, taught and alone, with their size and speed; test digits."""
    rows: dict[str, Row] = {}
    for widths in ((4, 8, 12), (8, 16, 24), WIDTHS):
        size = answer("compression_report")(student(WIDTHS, 0), student(widths, 0), TEST.images[:64])[
            "student"
        ]
        name = (
            f"{widths}, {size['parameters']:,} parameters, {size['multiply_adds'] / 1e6:.2f} M "
            f"multiply-adds, {1000 * size['seconds']:.1f} ms for 64"
        )
        for seed in tqdm(range(draws), desc=str(widths)):
            rows.setdefault(f"{name}: taught", []).append(on(pupil(seed, widths)))
            rows.setdefault(f"{name}: alone", []).append(on(loner(seed, widths)))
    return rows


TABLES = {f.__name__: f for f in (choose, students, outcome, few, generations, fault, frontier)}


def as_markdown(table: Callable[[int], dict[str, Row]], draws: int) -> str:
    """One table: mean, standard deviation, smallest and largest over the draws."""
    head = f"| over {draws} draws | mean ± sd | lowest | highest |"
    lines = [f"**{table.__name__}**: {table.__doc__}", "", head, "|---|---|---|---|"]
    for name, values in table(draws).items():
        found = torch.tensor(values, dtype=torch.float64)
        lines.append(
            f"| {name} | {found.mean():.3f} ± {found.std():.3f} | {found.min():.3f} | {found.max():.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", nargs="*", help=f"which: {', '.join(TABLES)} (default: all)")
    parser.add_argument("--draws", type=int, default=5, help="of the labelled digits (default: 5)")
    given = parser.parse_args()
    set_threads()
    texts = dict.fromkeys(TABLES, "")
    if RESULT.exists():
        texts |= {
            text[2 : text.index("**:")]: text
            for text in RESULT.read_text("utf-8").strip().split("\n\n\n")
            if text
        }
    for name in given.table or TABLES:
        texts[name] = as_markdown(TABLES[name], given.draws)
        print(texts[name], flush=True)
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text("\n\n\n".join(filter(None, texts.values())) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
