"""Lessons that could not be judged fairly are refused, with what to change."""

import pytest

from tlkit.exercises import PUBLIC_SEEDS, SpecError, build_expected, load_probes
from tlkit.exercises.contract import assert_exercise_contract
from tlkit.exercises.judge import judge
from tlkit.exercises.measure import measure

EXERCISE = """
from tlkit.exercises import exercise, probe, question, tensor
exercise("double", difficulty=1, minutes=5, why="Because.", hints=("Add it to itself.",))
"""
PROBE = (
    EXERCISE
    + """
@probe("double", points=1)
def _(double, rng):
    '''Doubles.'''
    return {"doubled": double(tensor(rng, 3))}
"""
)
ANSWERS = "from tlkit.exercises import accept, alternative, misconception\nimport torch\n"


def double(x):
    """The right answer."""
    return x + x


def lesson(folder, probes, answers=""):
    """A lesson folder with these files."""
    (folder / "probes.py").write_text(probes)
    (folder / "answers.py").write_text(ANSWERS + answers)
    return folder


WRONG = "@misconception('double', '{}', hint='h')\ndef _(x): return {}\n"


@pytest.mark.parametrize(
    ("probes", "answers", "said"),
    [
        (EXERCISE, "", "has no probe"),
        (PROBE.replace('probe("double"', 'probe("twice"'), "", "has no exercise"),
        (PROBE.replace("'''Doubles.'''", "pass"), "", "no docstring"),
        (PROBE.replace('hints=("Add it to itself.",)', 'hints="Add"'), "", "hints is one string"),
        (
            PROBE + "question('q', prompt='?', choices={'a': 'x', 'b': 'y'}, answer='c')",
            "",
            "none of the choices",
        ),
        (PROBE, WRONG.format("same", "2 * x"), "no probe tells them apart"),
        (PROBE, WRONG.format("a", "3 * x") + WRONG.format("b", "x + x + x"), "measure the same"),
        (PROBE, WRONG.format("a", "x") * 2, "declared twice"),
        (PROBE, WRONG.replace("double", "doubel").format("a", "x"), "no exercise"),
        (PROBE, "accept('double', 'tripled', rtol=1)", "no probe of this exercise has that label"),
        (PROBE, "accept('double', at_least=1)", "needs a label"),
        (PROBE.replace("tensor(rng, 3)", "__import__('torch').rand(3)"), "", "global random state"),
        (PROBE.replace("double(tensor(rng, 3))", "object()"), "", "not plain data"),
        (PROBE.replace("double(tensor(rng, 3))", "double(tensor(rng, 19_000))"), "", "observe less"),
        (PROBE.replace("double(tensor(rng, 3))", "double(None)"), "", "the right answer gives no values"),
    ],
)
def test_refused(tmp_path, probes, answers, said):
    """Each contradiction is named before any student meets it."""
    with pytest.raises(SpecError, match=said):
        build_expected(lesson(tmp_path, probes, answers), {"double": double}, PUBLIC_SEEDS)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("double(tensor(rng, 3)).shape[0]", "earned by replaying public observations"),
        ("bool(double(tensor(rng, 3)).sum() != 99)", "earned by observing True everywhere"),
        ("(x := tensor(rng, 3), double(x))[0]", "earned by a function that returns"),
    ],
)
def test_cheap_points_break_the_contract(tmp_path, value, said):
    """Verdicts, constants and values the student's code has no part in are found out."""
    probes = PROBE.replace("double(tensor(rng, 3))", value)
    with pytest.raises(AssertionError, match=said):
        assert_exercise_contract(lesson(tmp_path, probes), {"double": double})


READER = (
    EXERCISE
    + """
@probe("double", points=1)
def _(double, rng):
    '''Reads.'''
    true = tensor(rng, 40).sign()
    read, how = double(true)
    return {"read": read, "true": true, "how": how}
"""
)
CLUES = """
accept("double", "read", agreement_with="true", at_least=0.9)
accept("double", "how", clue=True)
@misconception("double", "frozen", hint="It has not moved.")
def _(x): return x.roll(1), "frozen"
@misconception("double", "fresh", hint="It starts anew.")
def _(x): return x.roll(2), "fresh"
"""


@pytest.mark.parametrize(
    ("answer", "outcome", "hints"),
    [
        (lambda x: (x, "near"), "right", []),
        (lambda x: (x, "fresh"), "right", []),
        (lambda x: (x.roll(1), "frozen"), "wrong", ["frozen"]),
        (lambda x: (x.roll(3), "fresh"), "wrong", ["fresh"]),
        (lambda x: (x.roll(1), "near"), "wrong", []),
    ],
)
def test_a_clue_tells_trainings_apart(tmp_path, answer, outcome, hints):
    """A clue decides on hints, whatever was predicted, and never on points."""
    folder = lesson(tmp_path, READER, CLUES)
    entry = build_expected(folder, {"double": lambda x: (x, "near")}, PUBLIC_SEEDS)["exercises"]["double"]
    spec = load_probes(folder)
    measured = measure(spec.exercises["double"], spec.probes["double"], answer, PUBLIC_SEEDS)
    verdict = judge("double", entry, measured)
    assert (verdict.outcome, [hint.key for hint in verdict.misconceptions]) == (outcome, hints)


def test_unaccepted_alternative_breaks_the_contract(tmp_path):
    """An alternative that measures something else is reported with the difference."""
    answers = "@alternative('double', 'thrice')\ndef _(x): return 3 * x\n"
    with pytest.raises(AssertionError, match='alternative "thrice" is not accepted'):
        assert_exercise_contract(lesson(tmp_path, PROBE, answers), {"double": double})


def test_a_quoted_solution_breaks_the_contract(tmp_path):
    """A label that quotes the solution's line is found in expected.json; hints may quote what they like."""
    line = "return x + x + 0 * x.mean()"
    solution = f"def double(x):\n    {line}"
    quoting = PROBE.replace('"doubled"', f'"{line}"')
    with pytest.raises(AssertionError, match="quotes the solution"):
        assert_exercise_contract(lesson(tmp_path, quoting), {"double": double}, solution_text=solution)
    hinting = f"@misconception('double', 'a', hint='Write: {line}')\ndef _(x): return x\n"
    assert_exercise_contract(lesson(tmp_path, PROBE, hinting), {"double": double}, solution_text=solution)
