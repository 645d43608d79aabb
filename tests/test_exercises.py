"""The exercise contract, on the small lesson in tests/exercises_lesson."""

import runpy
from pathlib import Path

import pytest

from tlkit.exercises import PUBLIC_SEEDS, build_expected
from tlkit.exercises.contract import assert_exercise_contract

LESSON = Path(__file__).parent / "exercises_lesson"


@pytest.fixture(scope="module")
def namespace():
    """The right answers of the small lesson."""
    return runpy.run_path(str(LESSON / "right.py"))


def test_expected_holds_every_public_seed(namespace):
    """expected.json holds what a right answer measures, for each part on each public seed."""
    content = build_expected(LESSON, namespace, PUBLIC_SEEDS)
    for entry in content["exercises"].values():
        for part in entry["parts"]:
            assert list(part["expected"]) == [str(seed) for seed in PUBLIC_SEEDS]


def test_the_small_lesson_keeps_the_contract(namespace):
    """Right and alternative answers are accepted, known wrong ones get their hint, replay earns nothing."""
    counts = assert_exercise_contract(LESSON, namespace)
    assert counts["center"] == {"alternatives": 1, "misconceptions": 4, "parts": 2}
