"""check survives what students do: each case is named for the mistake and looked at for what it tells."""

import html
import json
import random
import re
import runpy
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tlkit.exercises import PUBLIC_SEEDS, build_expected, check, grade, gradient_at, hint, write_expected
from tlkit.exercises.judge import how_it_failed
from tlkit.exercises.load import load_probes
from tlkit.exercises.measure import measure
from tlkit.exercises.progress import load, path_of, summary

LESSON = Path(__file__).parent / "exercises_lesson"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course folder with the small lesson, as students get it."""
    root = tmp_path_factory.mktemp("checkout")
    lesson = root / "course" / "small"
    lesson.mkdir(parents=True)
    shutil.copy(LESSON / "probes.py", lesson)
    namespace = runpy.run_path(str(LESSON / "right.py"))
    write_expected(lesson / "expected.json", build_expected(LESSON, namespace, PUBLIC_SEEDS))
    (root / "nbgrader_config.py").write_text("")
    solutions = root / "solutions" / "small"
    solutions.mkdir(parents=True)
    shutil.copy(LESSON / "probes.py", solutions)
    write_expected(solutions / "secret.json", build_expected(LESSON, namespace, (901, 902, 903)))
    return root


@pytest.fixture(autouse=True)
def notebook(course, tmp_path, monkeypatch):
    """The working folder of the lesson's notebook and an empty home."""
    monkeypatch.chdir(course / "course" / "small")
    monkeypatch.setenv("TLKIT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)


def run(source, call='check("center")', **names):
    """Run a student's cell and a test cell in one namespace and return the test cell's value."""
    namespace = {"torch": torch, "check": check, "grade": grade, **names}
    exec(compile(source, "<cell>", "exec"), namespace)
    return eval(call, namespace)


def body(*lines):
    """A cell that defines center(x) with these lines."""
    return "def center(x):\n" + "\n".join(f"    {line}" for line in lines)


def test_right():
    """A right answer earns all points and is told why it matters."""
    result = run(body("return x - x.mean(dim=0)"))
    assert (result.outcome, result.points, result.max_points, float(result)) == ("right", 3, 3, 3.0)
    assert "independent of the origin" in str(result)


def test_untouched_stub_and_stub_with_code():
    """The stub is not attempted; code above a raise line that is still there is told so."""
    untouched = run(body('"""Doc."""', "raise NotImplementedError('write center')"))
    assert (untouched.outcome, untouched.points) == ("not_attempted", 0)
    assert "Replace the `raise NotImplementedError` line" in str(untouched)


def test_code_before_the_raise_line_is_noticed(tmp_path):
    """Whoever wrote code but left the raise line is told to delete that line."""
    cell = tmp_path / "cell.py"
    cell.write_text(body("y = x - x.mean(dim=0)", "raise NotImplementedError('write center')"))
    result = check("center", runpy.run_path(str(cell))["center"])
    assert result.outcome == "not_attempted"
    assert "Delete that line" in str(result)


def test_not_implemented_by_torch_is_an_error():
    """A NotImplementedError out of a library is not mistaken for the stub."""
    result = run(body("class M(torch.nn.Module): pass", "return M()(x)"))
    assert result.outcome == "raised"
    assert "NotImplementedError" in str(result)


@pytest.mark.parametrize(
    ("line", "outcome", "said"),
    [
        ("y = x - x.mean(dim=0)", "wrong", "is None: did you forget `return`?"),
        ("return 'text'", "wrong", "expected a float32 tensor of shape [8, 3], found a string ('text')"),
        ("return (x - x.mean(dim=0)).numpy()", "wrong", "found a float32 NumPy array of shape [8, 3]"),
        ("return (x - x.mean(dim=0)).tolist()", "wrong", "found a list of 8"),
        ("return (x - x.mean(dim=0)).long()", "wrong", "expected float32, found int64"),
        ("return (x - x.mean(dim=0)).to('meta')", "wrong", "expected a tensor on cpu, found one on meta"),
        ("return (x - x.mean(dim=0)).T", "wrong", "expected shape [8, 3], found [3, 8]"),
        ("return x * float('nan')", "wrong", "found NaN in 24 of 24 values"),
        ("return x / 0", "wrong", "found infinity in 24 of 24 values"),
        ("return torch.zeros(1).expand(10**6, 10**6)", "wrong", "found [1000000, 1000000]"),
        ("return x - x.mean(dim=0)[0]", "wrong", "values differ; the furthest, at ["),
        ("return x - meann", "raised", "NameError: name 'meann' is not defined"),
        ("return center(x)", "raised", "calls itself without end"),
        ("raise SystemExit(3)", "raised", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "raised", "KeyboardInterrupt"),
        ("return x @ x", "raised", "Two shapes do not fit"),
        ("return x.mean(dim=7)", "raised", "IndexError"),
    ],
)  # fmt: skip
def test_what_comes_back_or_is_raised(line, outcome, said):
    """Wrong values and exceptions are named in words a student can act on."""
    result = run(body(line))
    assert (result.outcome, result.points) == (outcome, 0)
    assert said in str(result)
    page = html.unescape(re.sub(r"<[^>]+>", "", result._repr_html_()))
    assert said.replace("`", "") in page.replace("`", "")


def test_other_float_width_is_accepted():
    """float64 with the right values counts, because the exercise does not ask for a width."""
    assert run(body("return (x - x.mean(dim=0)).double()")).outcome == "right"


def test_a_changed_input_is_seen():
    """Code that writes into its input is told so, although what it returns is right."""
    result = run(body("x -= x.mean(dim=0)", "return x"))
    assert (result.outcome, result.points, result.misconceptions) == ("partly_right", 2, ("in_place",))


def test_a_random_misconception_is_not_read_into_everything():
    """A known mistake whose values depend on chance needs values of its kind: None is not noise."""
    assert run(body("pass")).hints == ()
    assert run(body("return x - x.mean(dim=0) + torch.rand_like(x)")).misconceptions == ("noise",)


def test_one_part_right():
    """Parts earn their points apart: the one that holds is kept, the other explained."""
    result = run(body("if x.abs().max() > 4: return x", "return x - x.mean(dim=0)"))
    assert (result.outcome, result.points) == ("partly_right", 1)


def test_the_students_own_line_is_shown(tmp_path):
    """The line number and the source are of the student's code, not of a library or of the check."""
    cell = tmp_path / "cell.py"
    cell.write_text(body("y = x + 1", "return torch.stack([y, 3])"))
    result = check("center", runpy.run_path(str(cell), {"torch": torch})["center"])
    assert "line 3: return torch.stack([y, 3])" in str(result)


def test_the_probe_stumbles_over_none():
    """Where the probe itself fails on what was returned, that is said, not the probe's exception alone."""
    result = run("class Scaler:\n    def fit(self, x): pass", 'check("Scaler")')
    assert result.outcome == "raised"
    assert "has no attribute 'transform'" in str(result)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("return float(x.sum())",), "A plain number has no graph: keep the tensor"),
        (("return x.square()",), "is a sum or a mean missing?"),
        (("y = x.exp()", "y *= 2", "return y.sum()"), "An in-place change"),
        (("x *= 2", "return x.sum()"), "make a new tensor: y = x / 2, not x /= 2"),
    ],
)
def test_a_result_that_cannot_be_used_gets_a_next_step(lines, said):
    """Where the probe fails on what was returned, it advises as for an exception of the student's own."""

    def go_on(center, rng):
        x = torch.ones(3, requires_grad=True)
        loss = center(x)
        if loss.requires_grad:
            loss.backward()
        return {"gradient": gradient_at(x)}

    spec, namespace = load_probes(LESSON), {}
    exec(body(*lines), namespace)
    parts = (replace(spec.probes["center"][0], measure=go_on),)
    measured = measure(spec.exercises["center"], parts, namespace["center"], (1,))
    raised = measured.parts[0]["1"]["raised"]
    assert said in " ".join(raised["advice"])


def test_no_gradient_is_zeros():
    """gradient_at says how far a step would move a leaf: what arrived, or zeros where nothing did."""
    x = torch.ones(2, requires_grad=True)
    assert gradient_at(x).tolist() == [0.0, 0.0]
    (3 * x).sum().backward()
    assert gradient_at(x).tolist() == [3.0, 3.0]


def test_misconceptions_that_raise_are_told_apart_by_their_message():
    """Two errors of one type are two mistakes; numbers in a message do not matter, what was returned does."""
    sizes = {"type": "RuntimeError", "message": "size of tensor a (15) must match b (20)"}
    assert how_it_failed(sizes) == how_it_failed(
        {**sizes, "message": "size of tensor a (7) must match b (8)"}
    )
    assert how_it_failed(sizes) != how_it_failed({**sizes, "message": "shape '[3]' is invalid"})
    assert how_it_failed(sizes) != how_it_failed({**sizes, "returned": "None"})


def test_wrong_arguments_show_the_signature():
    """A function that takes other arguments is told how it is called."""
    result = run("def center(): return 0")
    assert result.outcome == "raised"
    assert "It is called as center(x)" in str(result)


@pytest.mark.parametrize(
    ("source", "call", "said"),
    [
        ("", 'check("centre")', 'There is no exercise "centre". Did you mean "center"?'),
        ("", 'check("center")', "run the cell that starts with `def center`"),
        ("def centre(x): pass", 'check("center")', "but centre is: the name must be exactly center"),
        ("center = 3", 'check("center")', "center is a value of type int in this notebook"),
        ("class center: pass", 'check("center")', "a function is asked for: def center(x)"),
        ("def Scaler(): pass", 'check("Scaler")', "a class is asked for"),
        ("def center(x): return x", 'check("center", center(3))', 'write check("center", center)'),
        ("", "check(3)", "check takes the name of an exercise in quotes"),
        ("", 'check("which_mean")', "is a question, not an exercise"),
        ("", "check(None)", "check takes the name"),
        ("", 'check("")', "There is no exercise"),
    ],
)  # fmt: skip
def test_nothing_to_check_is_explained(source, call, said):
    """Wrong names and wrong things passed are told apart from wrong answers."""
    result = run(source, call)
    assert (result.outcome, result.points) == ("unchecked", 0)
    assert said in str(result)


def test_the_function_itself_may_be_passed():
    """check(center) and check("center", other) work as well as check("center")."""
    right = "def other(x): return x - x.mean(dim=0)\n"
    assert run(right, 'check("center", other)').outcome == "right"
    assert run(right + "center = other\ncenter.__name__ = 'center'", "check(center)").outcome == "right"
    assert run("center = lambda x: x - x.mean(dim=0)").outcome == "right"


@pytest.mark.parametrize("name", ["list", "len", "torch"])
def test_overwritten_names_are_found(name):
    """A notebook in which `list` or `torch` was given another value says so."""
    result = run(body("n = len(list(x))", "return torch.tensor(n)"), **{name: 3})
    assert result.outcome == "raised"
    assert f"the name `{name}` was overwritten" in str(result)


def test_output_is_bounded_and_shown(capfd):
    """Ten megabytes of prints neither flood the notebook nor reach stderr; warnings are shown, not lost."""
    source = "import sys, warnings\n" + body(
        "print('a' * 10**7)",
        "print('to stderr', file=sys.stderr)",
        "warnings.warn('mind the gap')",
        "return x",
    )
    result = run(source)
    seen = capfd.readouterr()
    assert seen.err == ""
    assert seen.out == ""
    assert "more characters" in str(result)
    assert "UserWarning: mind the gap" in str(result)
    assert len(result._repr_html_()) < 20_000


def never(*lines, seconds=0.4, clock=time.monotonic):
    """Measure a function of these lines, on an exercise with a short time limit told by `clock`."""
    spec = load_probes(LESSON)
    namespace = {"time": time}
    exec(body(*lines), namespace)
    one = replace(spec.exercises["center"], seconds=seconds)
    return measure(one, spec.probes["center"], namespace["center"], PUBLIC_SEEDS, clock=clock)


def test_a_loop_that_never_ends_is_stopped():
    """An endless loop is ended at the time limit, its thread dies, and the outcome says "late"."""
    measured = never("while True: pass")
    assert "late" in measured.parts[0][str(PUBLIC_SEEDS[0])]
    assert not measured.abandoned
    assert not any(thread.name == "tlkit check" for thread in threading.enumerate())


def test_a_loop_that_cannot_be_stopped_is_abandoned():
    """Code that swallows everything thrown at it is left behind, and that is noted."""
    measured = never(
        "until = time.monotonic() + 6",
        "while time.monotonic() < until:",
        "    try: time.sleep(0.01)",
        "    except BaseException: pass",
    )
    assert measured.abandoned


def test_processor_time_does_not_run_while_others_have_the_processor():
    """0.7 s of work spread over 1.7 s, 1 s allowed: late by the wall's clock, in time by the processor's."""
    busy_machine = (
        "if not hasattr(center, 'done'):",
        "    center.done = time.thread_time()",
        "    while time.thread_time() < center.done + 0.7: pass",
        "    time.sleep(1.0)",
        "return x",
    )
    seed = str(PUBLIC_SEEDS[0])
    assert "late" in never(*busy_machine, seconds=2.0).parts[0][seed]  # the first of two parts may use half
    assert "values" in never(*busy_machine, seconds=2.0, clock=time.process_time).parts[0][seed]


def test_processor_time_ends_what_computes_for_ever_and_what_sleeps_for_ever():
    """Both nets hold: the processor's seconds, and ten times as many by the wall."""
    for line in ("while True: pass", "while True: time.sleep(0.01)"):
        began = time.monotonic()
        measured = never(line, seconds=0.4, clock=time.process_time)
        assert "late" in measured.parts[0][str(PUBLIC_SEEDS[0])], line
        assert not measured.abandoned, line
        assert time.monotonic() - began < 60, line


def test_random_state_and_defaults_are_put_back():
    """check leaves no trace in the global generators or in torch's defaults."""
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = (random.random(), np.random.rand(), float(torch.rand(())))
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    run(body("torch.manual_seed(5)", "torch.set_default_dtype(torch.float64)", "return torch.randn(3)"))
    assert (random.random(), np.random.rand(), float(torch.rand(()))) == expected
    assert torch.get_default_dtype() == torch.float32


def test_lying_objects_do_not_pass():
    """Objects whose comparison, conversion or repr lie or raise are simply objects of another type."""
    source = """
class Liar:
    __class__ = property(lambda self: torch.Tensor)
    def __getattr__(self, name): return lambda *a, **k: self
    def __eq__(self, other): return True
    def __array__(self, *a, **k): raise RuntimeError("no")
    def __repr__(self): raise RuntimeError("no")
    def __float__(self): return 0.0
""" + body("return Liar()")
    result = run(source)
    assert (result.outcome, result.points) == ("wrong", 0)
    assert "an object of type Liar" in str(result)


def test_tensor_subclasses_do_not_pass():
    """A tensor subclass that answers every comparison with True is judged by its stored values."""
    source = """
class Yes(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None): return True
""" + body("return torch.zeros(8, 3).as_subclass(Yes)")
    assert run(source).outcome == "wrong"


def test_student_content_is_escaped():
    """Markup in messages and output stays text."""
    result = run(body("print('<script>alert(1)</script>')", "raise ValueError('<b>bold</b>')"))
    assert "<script>" not in result._repr_html_()
    assert "<b>bold" not in result._repr_html_()


@pytest.mark.parametrize("where", ["course", "elsewhere", "above"])
def test_from_another_folder(course, tmp_path, monkeypatch, where):
    """The lesson is found from its course, from the checkout above it, and through TLKIT_COURSE."""
    monkeypatch.chdir({"course": course / "course", "elsewhere": tmp_path, "above": course}[where])
    if where == "elsewhere":
        monkeypatch.setenv("TLKIT_COURSE", str(course / "course"))
    assert run(body("return x - x.mean(dim=0)")).outcome == "right"


def copy_of_lesson(course, folder):
    """A lesson folder of its own, to be damaged."""
    shutil.copytree(course / "course" / "small", folder)
    return folder


def test_damaged_lessons_are_named(course, tmp_path, monkeypatch):
    """A missing, newer, damaged or foreign expected.json is named with what to do."""
    lesson = copy_of_lesson(course, tmp_path / "lesson")
    monkeypatch.chdir(lesson)
    (lesson / "probes.py").write_text((lesson / "probes.py").read_text() + "\n# changed\n")
    assert "do not belong together" in str(check("center"))
    content = json.loads((lesson / "expected.json").read_text())
    (lesson / "expected.json").write_text(json.dumps({**content, "format": 99}))
    assert "format 99, this tlkit reads format 1" in str(check("center"))
    (lesson / "expected.json").write_text("{")
    assert "cannot be read" in str(check("center"))
    (lesson / "expected.json").unlink()
    assert "expected.json is missing" in str(check("center"))


def test_grade_scores_on_secret_cases_and_tells_none_of_them(course):
    """grade gives the points on secret seeds; its page shows the hint and no expected number."""
    assert run(body("return x - x.mean(dim=0)"), 'grade("center")').points == 3
    result = run(body("print(x)", "return x - x.mean(dim=1, keepdim=True)"), 'grade("center")')
    assert (result.points, result.misconceptions) == (0, ("rows",))
    secret = json.loads((course / "solutions" / "small" / "secret.json").read_text())
    shown = str(result) + result._repr_html_()
    for part in secret["exercises"]["center"]["parts"]:
        for case in part["expected"].values():
            for value in case.values():
                assert not any(f"{number:.4g}" in shown for number in value["data"])


def test_grade_without_a_build_names_it(tmp_path, monkeypatch):
    """Grading where no secret was built is an error that names `tlkit build`."""
    (tmp_path / "nbgrader_config.py").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="tlkit build"):
        grade("center")


def test_hints_come_one_by_one_and_are_kept():
    """Each call shows one hint more; the last stays; reset starts again."""
    assert "Hint 1 of 3" in str(hint("center"))
    assert "Hint 2 of 3" in str(hint("center"))
    assert "Hint 3 of 3" in str(hint("center"))
    assert "Hint 3 of 3" in str(hint("center"))
    assert "Hint 1 of 3" in str(hint("center", reset=True))
    assert "Did you mean" in str(hint("centre"))


def test_progress_keeps_the_best(course):
    """Points once earned stay, and the summary adds them up per lesson."""
    run(body("return x - x.mean(dim=0)"))
    run(body("return x"))
    kept = load(course / "course")["exercises"]["center"]
    assert (kept["points"], kept["outcome"], kept["checks"]) == (3, "wrong", 2)
    assert summary(course / "course")["small"] == {"points": 3, "max_points": 7, "right": 1, "exercises": 3}


def test_progress_is_not_written_while_grading(course, monkeypatch):
    """Under nbgrader's execution nothing is kept on the instructor's account."""
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    run(body("return x"))
    assert not path_of(course / "course").exists()


def test_damaged_progress_is_moved_aside(course):
    """A damaged progress file is set aside and a new one begun."""
    path = path_of(course / "course")
    path.parent.mkdir(parents=True)
    path.write_text("{ not json")
    run(body("return x - x.mean(dim=0)"))
    assert load(course / "course")["exercises"]["center"]["points"] == 3
    assert path.with_suffix(".damaged").read_text() == "{ not json"


def test_a_home_that_cannot_be_written_is_tolerated(tmp_path, monkeypatch):
    """check works where nothing can be kept."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TLKIT_HOME", str(tmp_path / "file" / "home"))
    assert run(body("return x - x.mean(dim=0)")).outcome == "right"
    assert "Hint 1 of 3" in str(hint("center"))
