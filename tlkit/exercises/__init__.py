"""Exercises that grade themselves.

Probes measure, observations are compared, wrong answers get their own hint.
"""

from tlkit.exercises.authoring import fill, gradient_at, small_backbone, tensor
from tlkit.exercises.check import check, grade, hint, quiz
from tlkit.exercises.expected import PUBLIC_SEEDS, build_expected, same_expected, write_expected
from tlkit.exercises.load import load_answers, load_probes
from tlkit.exercises.present import Result
from tlkit.exercises.spec import (
    SpecError,
    accept,
    alternative,
    exercise,
    misconception,
    probe,
    question,
    right,
)

__all__ = [
    "PUBLIC_SEEDS",
    "Result",
    "SpecError",
    "accept",
    "alternative",
    "build_expected",
    "check",
    "exercise",
    "fill",
    "grade",
    "gradient_at",
    "hint",
    "load_answers",
    "load_probes",
    "misconception",
    "probe",
    "question",
    "quiz",
    "right",
    "same_expected",
    "small_backbone",
    "tensor",
    "write_expected",
]
