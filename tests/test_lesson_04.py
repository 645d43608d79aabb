"""Lesson 04: its losses against numbers worked by hand, the papers' formulas and independent code."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from torch import Tensor, nn
from torch.nn import functional as F

from tlkit.build.course import find_lessons
from tlkit.build.right import right_answers
from tlkit.build.text import expand
from tlkit.exercises.load import load_probes

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """The course's right answers of this lesson, by name."""
    (lesson,) = find_lessons(ROOT, ["04"])
    return right_answers(lesson, expand(lesson, load_probes(lesson.folder)))


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_soften_by_hand(answers: dict[str, Any]) -> None:
    """softmax of (0, 2 ln 3) is (1, 9) / 10 at T = 1, (1, 3) / 4 at T = 2."""
    logits = torch.tensor([[0.0, 2 * math.log(3)]])
    assert answers["soften"](logits, 1.0).tolist()[0] == pytest.approx([0.1, 0.9])
    assert answers["soften"](logits, 2.0).tolist()[0] == pytest.approx([0.25, 0.75])


def test_distillation_loss_by_hand(answers: dict[str, Any]) -> None:
    """Teacher (1/4, 3/4) and student (1/2, 1/2) at T = 2: 4·KL = 4·(ln 2 - H(1/4)); cross-entropy ln 2."""
    student, teacher = torch.zeros(1, 2), torch.tensor([[0.0, 2 * math.log(3)]])
    divergence = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    for alpha in (0.0, 0.3, 1.0):
        loss = answers["distillation_loss"](student, teacher, torch.tensor([1]), 2.0, alpha)
        assert float(loss) == pytest.approx(alpha * 4 * divergence + (1 - alpha) * math.log(2), abs=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_divergence_is_that_of_scipy(answers: dict[str, Any], temperature: float) -> None:
    """With alpha = 1 the loss is T² times SciPy's relative entropy, as a mean over the batch."""
    student, teacher = 2 * drawn(1, 7, 5), 3 * drawn(2, 7, 5)
    p, q = (softmax(z.double().numpy() / temperature, axis=1) for z in (teacher, student))
    expected = temperature**2 * np.mean([entropy(p[i], q[i]) for i in range(7)])
    found = answers["distillation_loss"](student, teacher, torch.zeros(7).long(), temperature, 1.0)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_labels_part_is_scikit_learns_log_loss(answers: dict[str, Any]) -> None:
    """With alpha = 0 the loss is the log loss of scikit-learn, whatever the temperature."""
    from sklearn.metrics import log_loss

    student, labels = 2 * drawn(3, 9, 4), torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 0])
    found = answers["distillation_loss"](student, drawn(4, 9, 4), labels, 7.0, 0.0)
    probabilities = softmax(student.double().numpy(), axis=1)
    assert float(found) == pytest.approx(log_loss(labels.numpy(), probabilities, labels=range(4)), rel=1e-5)


def test_default_of_kl_div_differs_by_the_number_of_classes(answers: dict[str, Any]) -> None:
    """What the lesson says of libraries: the mean over elements is smaller by the number of classes."""
    student, teacher, classes = drawn(5, 6, 10), drawn(6, 6, 10), 10
    found = answers["distillation_loss"](student, teacher, torch.zeros(6).long(), 1.0, 1.0)
    elements = F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="none").mean()
    assert float(found) == pytest.approx(classes * float(elements), rel=1e-5)


def test_gradient_at_high_temperature_is_that_of_matched_logits(answers: dict[str, Any]) -> None:
    """Hinton et al., equation 4: for large T and centred logits the gradient tends to (z - v) / C."""
    student, teacher = drawn(7, 1, 6).double(), drawn(8, 1, 6).double()
    student, teacher = student - student.mean(), teacher - teacher.mean()
    student.requires_grad_()
    answers["distillation_loss"](student, teacher, torch.zeros(1).long(), 1000.0, 1.0).backward()
    assert student.grad is not None
    assert torch.allclose(student.grad, (student - teacher).detach() / 6, atol=2e-3)


def test_hint_loss_by_hand(answers: dict[str, Any]) -> None:
    """A regressor that doubles: student 1 becomes 2, the teacher says 5, the squared difference is 9."""
    regressor = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.constant_(regressor.weight, 2.0)
    ones = torch.ones(2, 1, 3, 3)
    assert float(answers["hint_loss"](ones, 5 * ones, regressor).detach()) == pytest.approx(9.0)


def test_hint_loss_is_the_papers_up_to_a_constant(answers: dict[str, Any]) -> None:
    """½ ‖·‖² of FitNets, equation 3, is half the number of elements times ours."""
    student, teacher, regressor = drawn(9, 2, 3, 4, 4), drawn(10, 2, 5, 4, 4), nn.Conv2d(3, 5, 1)
    paper = 0.5 * (teacher - regressor(student).detach()).norm() ** 2
    ours = answers["hint_loss"](student, teacher, regressor).detach()
    assert float(ours * teacher.numel() / 2) == pytest.approx(float(paper), rel=1e-5)


def test_attention_map_by_hand(answers: dict[str, Any]) -> None:
    """Channels (1, 2) at one place and (-2, 4) at another: squares 5 and 20, scaled to (1, 4) / √17."""
    maps = torch.tensor([[[[1.0, -2.0]], [[2.0, 4.0]]]])  # [1, 2, 1, 2]
    found = answers["attention_map"](maps)[0].tolist()
    assert found == pytest.approx([1 / math.sqrt(17), 4 / math.sqrt(17)])


def test_attention_is_that_of_the_authors_code(answers: dict[str, Any]) -> None:
    """A mean over channels in place of the sum changes nothing, for the map is normalised afterwards."""
    maps = drawn(11, 3, 6, 4, 5)
    theirs = F.normalize(maps.pow(2).mean(1).view(3, -1))
    assert torch.allclose(answers["attention_map"](maps), theirs, atol=1e-6)


def test_attention_transfer_by_hand(answers: dict[str, Any]) -> None:
    """Looking at two different places only: the rows are orthogonal, their squared distance is 2."""
    here, there = torch.zeros(1, 1, 1, 4), torch.zeros(1, 2, 1, 4)
    here[..., 0], there[..., 3] = 3.0, 1.0
    loss = answers["attention_transfer_loss"]
    assert float(loss([here], [there])) == pytest.approx(2.0)
    assert float(loss([here, here], [there, there])) == pytest.approx(4.0)
    assert float(loss([here, there], [here, there])) == pytest.approx(0.0, abs=1e-6)


def test_attention_loss_against_the_paper_and_its_code(answers: dict[str, Any]) -> None:
    """The paper has the norm, the code the mean of squares over batch and places; ours lies between."""
    student, teacher = drawn(12, 1, 2, 3, 3), drawn(13, 1, 4, 3, 3)
    ours = float(answers["attention_transfer_loss"]([student], [teacher]))
    a, b = answers["attention_map"](student), answers["attention_map"](teacher)
    assert ours == pytest.approx(float((a - b).norm()) ** 2, rel=1e-5)
    assert ours == pytest.approx(9 * float((a - b).pow(2).mean()), rel=1e-5)


def test_compression_report_by_hand(answers: dict[str, Any]) -> None:
    """A 3x3 convolution 1 -> 4 on 8x8, BatchNorm, a linear layer 256 -> 2: every number worked out."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(256, 2))
    report = answers["compression_report"](network, nn.Linear(8, 8, bias=False), torch.zeros(3, 1, 8, 8))
    assert report["teacher"]["parameters"] == 4 * 9 + 4 + 8 + 512 + 2
    assert report["teacher"]["bytes"] == 4 * 562 + 4 * 8 + 8  # running mean and variance, int64 counter
    assert report["teacher"]["multiply_adds"] == 64 * 36 + 512
    assert report["student"]["multiply_adds"] == 64 * 8  # eight rows of eight features for each image


def test_multiply_adds_are_half_of_pytorchs_flops(answers: dict[str, Any]) -> None:
    """PyTorch's own counter says 2 FLOPs for each multiply-add, strides, padding and groups included."""
    from torch.utils.flop_counter import FlopCounterMode

    network = nn.Sequential(
        nn.Conv2d(2, 6, 5, stride=2), nn.ReLU(), nn.Conv2d(6, 8, 3, padding=2, groups=2), nn.Flatten()
    )
    image = torch.zeros(1, 2, 15, 17)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    report = answers["compression_report"](network, network, image)
    assert report["teacher"]["multiply_adds"] == counter.get_total_flops() / 2


def test_students_are_as_small_as_the_lesson_says() -> None:
    """The lesson's student has a fifteenth of its teacher's parameters, the check's a twenty-ninth."""
    from tlkit import load_backbone
    from tlkit.backbones.glyphnet import GlyphBody

    def size(model: nn.Module) -> int:
        return sum(p.numel() for p in model.parameters())

    body = GlyphBody((12, 24, 32))
    (part,) = load_probes(ROOT / "course/04_distillation").probes["teach_student"]
    checked = part.measure.__globals__["small_network"](np.random.default_rng(0))
    teacher = size(load_backbone("glyphnet").body) + 10 * 513
    assert round(teacher / (size(body) + 10 * (body.feature_dim + 1))) == 15
    assert round(teacher / size(checked)) == 29
    assert [name for name, _ in checked.named_children()] == ["body", "head"]  # as the lesson's own is made
