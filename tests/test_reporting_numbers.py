"""The numbers of the class report, against hand-worked values, NumPy and SciPy."""

from __future__ import annotations

import random
from dataclasses import astuple

import numpy as np
import pytest
from class_for_reports import evidence, lecture, record, result, scored
from scipy import stats

from tlkit.reporting import exercises, measures, misconceptions, scores
from tlkit.reporting.evidence import Grade
from tlkit.reporting.report import main_version, make


def test_quartiles_by_hand() -> None:
    """Of 1, 2, 4, 8 the quartiles lie at places 0.75, 1.5 and 2.25 of the sorted values."""
    assert measures.spread([8, 1, 4, 2]) == measures.Spread(1, 1.75, 3, 5, 8)
    assert measures.spread([3.0]) == measures.Spread(3, 3, 3, 3, 3)
    assert measures.spread([]) is None


def test_quartiles_as_numpy() -> None:
    """The same numbers as NumPy's percentiles, for many sizes."""
    draw = random.Random(0)
    for size in (2, 3, 5, 8, 61, 200):
        values = [draw.randrange(33) / 2 for _ in range(size)]
        found = measures.spread(values)
        assert found is not None
        assert astuple(found) == pytest.approx(np.percentile(values, [0, 25, 50, 75, 100]))


def test_difficulty_by_hand() -> None:
    """4, 2 and 0 of 4 points: half of the points; nobody and nothing to earn: undefined."""
    assert measures.difficulty([4, 2, 0], 4) == 0.5
    assert measures.difficulty([], 4) is None
    assert measures.difficulty([0, 0], 0) is None


def test_correlation_by_hand() -> None:
    """Deviations (-1, 0, 1) and (-1, 1, 0) give 1 / sqrt(2 * 2)."""
    assert measures.correlation([1, 2, 3], [1, 3, 2]) == pytest.approx(0.5)
    assert measures.correlation([1, 2, 3], [9, 6, 3]) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("first", "second"), [([1, 1, 1], [1, 2, 3]), ([1, 2], [0.1 + 0.2, 0.3]), ([1], [2]), ([], [])]
)
def test_correlation_undefined(first: list[float], second: list[float]) -> None:
    """Where nobody differs, rounding aside, there is no correlation, and no warning or error either."""
    assert measures.correlation(first, second) is None


def test_correlation_needs_pairs() -> None:
    """A value without a partner is a mistake of the caller's."""
    with pytest.raises(ValueError, match="2 values and 1"):
        measures.correlation([1, 2], [1])


def test_discrimination_by_hand() -> None:
    """Points 0, 1, 2 against a rest of 1, 3, 2: 0.5, although against the total it were more."""
    points, totals = [0.0, 1.0, 2.0], [1.0, 4.0, 4.0]
    assert measures.discrimination(points, totals) == pytest.approx(0.5)
    against_itself = measures.correlation(points, totals)
    assert against_itself is not None
    assert against_itself > 0.8


def test_discrimination_as_numpy_and_scipy() -> None:
    """Each exercise against the rest, reckoned again from the points by NumPy and SciPy."""
    draw = np.random.default_rng(1)
    points = draw.integers(0, 5, size=(45, 4)).astype(float)
    found = exercises.describe([scored(f"s{n}", *row) for n, row in enumerate(points)])
    for place, one in enumerate(found):
        rest = np.delete(points, place, axis=1).sum(axis=1)
        assert one.discrimination == pytest.approx(np.corrcoef(points[:, place], rest)[0, 1])
        assert one.discrimination == pytest.approx(stats.pearsonr(points[:, place], rest).statistic)
        assert one.difficulty == pytest.approx(points[:, place].mean() / 4)
        assert one.compared == 45


def test_histogram_by_hand() -> None:
    """A bar a point; 2.5 stands in the bar that begins at 2; sums like 0.1 + 0.2 + 2.7 stand at 3."""
    bins = measures.histogram([0, 2, 2.5, 0.1 + 0.2 + 2.7, 4, 4], 4)
    assert [(one.low, one.count) for one in bins] == [(0, 1), (1, 0), (2, 2), (3, 1), (4, 2)]


@pytest.mark.parametrize("most", [1, 3, 16, 20, 21, 40, 100, 1000])
def test_histogram_counts_everybody_once(most: int) -> None:
    """Whatever the lesson is worth: all values are counted, in few bars; more than all points as well."""
    values = [most * n / 50 for n in range(51)] + [most + 2.0]
    bins = measures.histogram(values, most)
    assert sum(one.count for one in bins) == len(values)
    assert len(bins) <= 23
    edges = [one.low for one in bins] + [bins[-1].low + bins[-1].width]
    assert [one.count for one in bins] == np.histogram(np.array(values) + 1e-9, edges)[0].tolist()


def test_exercise_by_hand() -> None:
    """Outcomes, mean, parts and unexplained answers of a class of four that one can reckon in the head."""
    known = ("mixed_up", True)
    found = exercises.describe(
        [
            record("a", {"e": result("right", [1, 2], [1, 2])}),
            record("b", {"e": result("partly_right", [1, 0], [1, 2], known)}),
            record("c", {"e": result("wrong", [0, 0], [1, 2])}),
            record("d", {"e": {**result("unchecked", [0, 0], [1, 2]), "parts": []}}, "partly graded"),
        ]
    )
    (one,) = found
    assert one.outcomes == {
        "right": 1, "partly_right": 1, "wrong": 1, "raised": 0, "not_attempted": 0, "unchecked": 1,
    }  # fmt: skip
    assert (one.checked, one.mean, one.compared, one.differing) == (3, pytest.approx(4 / 3), 3, 2)
    assert one.difficulty == pytest.approx(4 / 9)
    assert [(part.earned, part.checked) for part in one.parts] == [(2, 3), (1, 3)]
    assert one.unexplained == ["c"]
    assert one.discrimination is None  # there is no other exercise


def test_an_untouched_exercise_is_a_zero_and_an_unchecked_one_is_none() -> None:
    """A stub left as it was lowers the mean; an exercise that the run did not reach does not."""
    untouched = result("not_attempted", [0], [4])
    lost = {**result("unchecked", [0], [4]), "parts": []}
    full = result("right", [4], [4])
    assert exercises.describe([record("a", {"e": full}), record("b", {"e": untouched})])[0].difficulty == 0.5
    assert exercises.describe([record("a", {"e": full}), record("b", {"e": lost})])[0].difficulty == 1
    assert exercises.describe([record("b", {"e": lost})])[0].difficulty is None


def test_misconceptions_are_counted_and_ordered() -> None:
    """The most frequent first, students once each, sure and perhaps apart, exercises apart."""

    def wrong(*known: tuple[str, bool]) -> dict[str, object]:
        return result("wrong", [0], [4], *known)

    found = misconceptions.count(
        [
            record("a", {"e1": wrong(("rare", True)), "e2": wrong(("common", True))}),
            record("b", {"e1": wrong(("common", True)), "e2": wrong(("common", True), ("vague", False))}),
            record("c", {"e1": wrong(("rare", False)), "e2": wrong(("common", True), ("common", False))}),
            record("d", {"e1": wrong(("vague", False)), "e2": wrong()}),
            record("e", {"e1": wrong(("vague", False)), "e2": wrong()}),
        ]
    )
    assert [(one.exercise, one.key, one.sure, one.perhaps) for one in found] == [
        ("e2", "common", ["a", "b", "c"], []),
        ("e1", "rare", ["a"], ["c"]),
        ("e1", "common", ["b"], []),
        ("e1", "vague", [], ["d", "e"]),
        ("e2", "vague", [], ["b"]),
    ]


def test_what_is_not_gradable_is_in_no_number() -> None:
    """Two graded students and one whose file was no notebook: the third is named, and changes nothing."""
    graded = [scored("a", 4, 4), scored("b", 0, 4)]
    report = make(evidence(*graded, record("c", {}, "not gradable", remarks=["ask for the notebook"])))
    assert report.scores.tests is not None
    assert sorted(report.scores.tests.values) == [4, 8]
    assert [one.checked for one in report.exercises] == [2, 2]
    assert report.states == {"graded": 2, "graded with remarks": 0, "partly graded": 0, "not gradable": 1}
    assert [one.student for one in report.to_look_at] == ["c"]
    assert report.seconds is not None
    assert [student for student, _ in report.seconds.greatest] == ["a", "b"]


def test_a_lower_bound_is_no_score() -> None:
    """Who has an unchecked exercise is left out of totals, and counts in the exercises that were checked."""
    lost = {**result("unchecked", [0], [4]), "parts": []}
    half = record("c", {"e1": result("right", [4], [4]), "e2": lost}, "partly graded")
    found = make(evidence(scored("a", 4, 4), scored("b", 0, 2), half))
    assert found.scores.tests is not None
    assert sorted(found.scores.tests.values) == [2, 8]
    assert found.scores.incomplete == ["c"]
    assert [one.checked for one in found.exercises] == [3, 2]


def test_totals_wait_for_those_who_grade() -> None:
    """Gradebook totals of the finished ones, and only when they are more than half."""
    class_ = [scored("a", 4, 4), scored("b", 0, 4), scored("c", 2, 2)]
    grades = {"a": Grade(11, 12, 8, False), "b": Grade(5, 12, 4, False), "c": Grade(4, 12, 4, True)}
    found = scores.describe(class_, grades)
    assert found.totals is not None
    assert (found.totals.values, found.totals.most, found.waiting) == ([11, 5], 12, 1)
    grades["b"] = Grade(4, 12, 4, True)
    assert scores.describe(class_, grades).totals is None
    assert found.by_hand == {}


def test_every_written_answer_that_waits_is_counted() -> None:
    """Also that of a student whose tests were not all reached, and whose total is not compared."""
    lost = {**result("unchecked", [0], [4]), "parts": []}
    half = record("b", {"e1": result("right", [4], [4]), "e2": lost}, "partly graded")
    grades = {"a": Grade(11, 12, 8, False), "b": Grade(4, 12, 4, True)}
    found = scores.describe([scored("a", 4, 4), half], grades)
    assert (found.waiting, found.in_gradebook) == (1, 2)
    assert found.totals is not None
    assert found.totals.values == [11]


def test_points_changed_by_hand_are_told() -> None:
    """A test's points that an instructor changed in Formgrader are named with before and after."""
    found = scores.describe(
        [scored("a", 4, 0), scored("b", 4, 4)], {"a": Grade(7, 8, 7, False), "b": Grade(8, 8, 8, False)}
    )
    assert found.by_hand == {"a": (4, 7)}
    assert found.totals is not None
    assert found.totals.values == [7, 8]


def test_one_version_a_report() -> None:
    """Points of two versions of a lesson are not mixed: the larger group counts, the other is named."""
    old = [scored(f"o{n}", 0, version="v0") for n in range(2)]
    new = [scored(f"n{n}", 4) for n in range(3)]
    report = make(evidence(*old, *new))
    assert (report.older, report.outdated) == (["o0", "o1"], False)
    assert [one.difficulty for one in report.exercises] == [1]
    assert make(evidence(*new, version="v2")).outdated
    assert main_version(evidence(old[0], new[0])) == "v1"
    assert not make(evidence(*new, version="", problem="the lesson is not built")).outdated


def test_everybody_has_a_place() -> None:
    """Handed in but not graded; in the roster but nothing handed in; both told apart."""
    report = make(evidence(scored("a", 4), handed_in=["a", "b"], roster=["a", "b", "c"]))
    assert (report.ungraded, report.missing) == (["b"], ["c"])


def test_a_made_up_class_adds_up() -> None:
    """In a class with everything in it, outcomes of each exercise add up to the graded students."""
    report = make(lecture(200))
    for one in report.exercises:
        assert sum(one.outcomes.values()) == len(report.graded)
        assert one.discrimination is not None
    assert sum(report.states.values()) == 200
