"""`tlkit build` and `tlkit new-lesson` on a course in a temporary folder."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from course_for_tests import empty_course

from tlkit.build.command import build
from tlkit.build.course import BuildError, Lesson, find_lessons, find_root, stale
from tlkit.build.lesson import hidden_seeds
from tlkit.build.new_lesson import new_lesson
from tlkit.build.notebooks import graded, is_demo, nbgrader, new_node, read_notebook, write_notebook
from tlkit.exercises.contract import assert_exercise_contract
from tlkit.exercises.load import load_probes

FUNCTION = "center_sample"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    """A course whose only lesson is what `tlkit new-lesson sample` makes, built once."""
    root = empty_course(tmp_path_factory.mktemp("course") / "checkout")
    lesson = new_lesson(root, "sample")
    assert build(root, [], check=False) == []
    return lesson


@pytest.fixture
def lesson(built: Lesson, tmp_path: Path) -> Lesson:
    """A copy of the built course, to break."""
    shutil.copytree(built.root, tmp_path / "copy")
    return Lesson(tmp_path / "copy", built.name)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_new_lesson_builds_and_keeps_the_exercise_contract_at_once(built: Lesson) -> None:
    """What `tlkit new-lesson` writes needs no edit before `tlkit build` and the contract test pass."""
    from tlkit.build.right import right_answers
    from tlkit.build.text import expand

    assert built.name == "00_sample"
    assert sorted(path.name for path in built.released.iterdir()) == [
        "00_sample.ipynb",
        "expected.json",
        "probes.py",
    ]
    namespace = right_answers(built, expand(built, load_probes(built.folder)))
    counts = assert_exercise_contract(built.folder, namespace)
    assert counts == {FUNCTION: {"alternatives": 1, "misconceptions": 3, "parts": 2}}


def test_a_second_lesson_takes_the_next_number_and_no_list_names_it(lesson: Lesson) -> None:
    """Adding a folder is all it takes: the next build finds it."""
    second = new_lesson(lesson.root, "Other things!")
    assert second.name == "01_other_things"
    assert build(lesson.root, [], check=False) == []
    assert (lesson.root / "course" / "01_other_things" / "01_other_things.ipynb").is_file()
    with pytest.raises(BuildError, match="is taken by 01_other_things"):
        new_lesson(lesson.root, "01_more")
    with pytest.raises(BuildError, match="exists already"):
        new_lesson(lesson.root, "01_other_things")


def test_the_released_notebook_asks_for_what_the_source_answers(built: Lesson) -> None:
    """Stub, test without its hidden half, cleared written answer, locked setup, badge and total."""
    notebook = read_notebook(built.released / built.notebook.name)
    cells = {nbgrader(cell)["grade_id"]: cell for cell in notebook.cells if nbgrader(cell)}
    stub = cells[FUNCTION].source
    assert stub.count("raise NotImplementedError") == 1
    assert f"hint('{FUNCTION}')" in stub
    assert '"""Take the mean of every column away' in stub
    assert cells[f"test_{FUNCTION}"].source.strip() == f'from tlkit import check\n\ncheck("{FUNCTION}")'
    assert nbgrader(cells[f"test_{FUNCTION}"])["points"] == 2
    assert cells[f"why_{FUNCTION}"].source == "*Write your answer here.*"
    assert nbgrader(cells["00_sample_setup"])["locked"] is True
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "**3 points**" in text
    assert "★☆☆☆☆ · 2 points · about 5 minutes" in text
    assert "written answer · 1 point · graded by a person" in text
    assert notebook.metadata.kernelspec.name == "python3"
    assert all(
        cell.outputs == [] and cell.execution_count is None for cell in notebook.cells if "outputs" in cell
    )


def test_building_twice_changes_no_byte(lesson: Lesson) -> None:
    """Cell ids, expected.json and the notebook depend on the sources alone."""
    before = {path: path.read_bytes() for path in lesson.released.iterdir()}
    shutil.rmtree(lesson.released)
    lesson.notebook.unlink()
    assert build(lesson.root, ["00"], check=False) == []
    assert {path: path.read_bytes() for path in lesson.released.iterdir()} == before


def test_the_check_passes_on_a_fresh_build_and_writes_nothing(lesson: Lesson) -> None:
    """`tlkit build --check` only looks."""
    before = {path: path.stat().st_mtime_ns for path in lesson.root.rglob("*") if path.is_file()}
    assert build(lesson.root, [], check=True) == []
    after = {path: path.stat().st_mtime_ns for path in lesson.root.rglob("*") if path.is_file()}
    assert after == before


def _store_an_output(lesson: Lesson) -> None:
    path = lesson.released / lesson.notebook.name
    notebook = read_notebook(path)
    cell = next(cell for cell in notebook.cells if is_demo(cell))
    cell.outputs = [new_node(output_type="stream", name="stdout", text="left over")]
    write_notebook(notebook, path)


def _release_answers(lesson: Lesson) -> None:
    edit(lesson.root / "nbgrader_config.py", '"answers.py",', "")


def _show_the_solution(lesson: Lesson) -> None:
    edit(lesson.text, f"\n{FUNCTION}(features)\n", "\ncolumn_means = features.mean(dim=0, keepdim=True)\n")


def _keep_hidden_tests(lesson: Lesson) -> None:
    edit(lesson.root / "nbgrader_config.py", '    "nbgrader.preprocessors.ClearHiddenTests",\n', "")


def _state_other_points(lesson: Lesson) -> None:
    edit(lesson.text, "**{lesson:points} points**", "**20 points**")


def _state_no_points(lesson: Lesson) -> None:
    edit(lesson.text, "**{lesson:points} points** · ", "")


def _long_cells(lesson: Lesson) -> None:
    edit(lesson.text, "\nfeatures\n", "\nfeatures\n" + "print(features)\n" * 30)


def _edit_course(lesson: Lesson) -> None:
    edit(lesson.released / "probes.py", "Released to students", "Released")


def _edit_source(lesson: Lesson) -> None:
    edit(lesson.text, "## Look at the data", "## Look")


def _edit_hint(lesson: Lesson) -> None:
    edit(lesson.folder / "answers.py", "A row is one example", "One row is one example")


def _extra_file(lesson: Lesson) -> None:
    (lesson.released / "old.txt").write_text("from an earlier version")


def _orphan(lesson: Lesson) -> None:
    (lesson.root / "course" / "07_gone").mkdir()


def _same_names(lesson: Lesson) -> None:
    shutil.copytree(lesson.folder, lesson.root / "solutions" / "01_sample")
    lesson.text.parent.joinpath("../01_sample/00_sample.py").rename(
        lesson.root / "solutions/01_sample/01_sample.py"
    )


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (_store_an_output, "00_sample.ipynb is not what its sources build"),
        (_release_answers, "answers.py: this file is not for students"),
        (
            _show_the_solution,
            "shows an answer of 00_sample: 'column_means = features.mean(dim=0, keepdim=True)'",
        ),
        (_keep_hidden_tests, "shows 'HIDDEN TESTS'"),
        (_state_other_points, "says 20 points, they add up to 3"),
        (_state_no_points, 'does not say "{lesson:points} points"'),
        (_long_cells, "of 6 code cells have over 25 lines"),
        (_edit_course, "probes.py is not what its sources build"),
        (_edit_source, "00_sample.ipynb is not what its sources build"),
        (_edit_hint, "expected.json is not what its sources build"),
        (_extra_file, "old.txt comes from no source"),
        (_orphan, "course/07_gone has no solutions/07_gone"),
        (_same_names, f'"{FUNCTION}" is used by 00_sample and 01_sample'),
    ],
)
def test_the_check_names_what_is_wrong(lesson: Lesson, break_it: Callable[[Lesson], None], said: str) -> None:
    """Each way to break a course is found, and the message says which file."""
    break_it(lesson)
    found = build(lesson.root, [], check=True)
    assert any(said in problem for problem in found), found


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (f'# %% test="{FUNCTION}"\n', "", f'exercise "{FUNCTION}" has no cell marked test='),
        (
            f'# %% solution="{FUNCTION}"',
            '# %% tags=["demo"]',
            f'exercise "{FUNCTION}" of probes.py has no cell',
        ),
        (f'# %% test="{FUNCTION}"', '# %% test="other"', 'test="other" is no exercise of probes.py'),
        ('# %% tags=["demo"]', "# %%", "a code cell is one of setup, demo, solution, test"),
        ('# %% tags=["demo"]', '# %% tags=["demo"] pionts=2', "unknown cell metadata pionts=2"),
        (" points=1\n", "\n", "a written cell says its points"),
        (f"{{exercise:{FUNCTION}}}", "{exercise:nothing}", "{exercise:nothing} names nothing"),
        ("import torch\n", "import troch\n", "the setup cell raised ModuleNotFoundError"),
        (
            "    return features - column_means",
            '    return EVERYTHING - column_means\n\n# %% tags=["demo"]\nEVERYTHING = 1',
            "needs `EVERYTHING` from a setup or answer cell: only a demo cell has it",
        ),
        (
            "    return features - column_means",
            "    return WHERE - column_means",
            "needs `WHERE`.*no cell has it",
        ),
        ("    return features - column_means", "    return features", 'misconception "'),
    ],
)
def test_a_lesson_that_cannot_be_built_is_refused_with_the_reason(
    lesson: Lesson, old: str, new: str, said: str
) -> None:
    """Nothing half-built is written; the message names the cell or the exercise."""
    edit(lesson.text, old, new)
    before = (lesson.released / lesson.notebook.name).read_bytes()
    if "misconception" in said:
        edit(lesson.folder / "answers.py", "return features - features.mean()", "return features")
    with pytest.raises(BuildError, match=said.replace("[", r"\[").replace("{", r"\{")):
        build(lesson.root, [], check=False)
    assert (lesson.released / lesson.notebook.name).read_bytes() == before


def test_nothing_is_installed_while_a_check_fails(lesson: Lesson) -> None:
    """A build that finds a leak leaves course/ as it was."""
    before = (lesson.released / lesson.notebook.name).read_bytes()
    _show_the_solution(lesson)
    assert build(lesson.root, [], check=False) != []
    assert (lesson.released / lesson.notebook.name).read_bytes() == before


def test_rounding_on_another_machine_is_no_drift_and_no_change(lesson: Lesson) -> None:
    """expected.json may differ in the last digits; building keeps the file that is there."""
    path = lesson.released / "expected.json"
    expected = json.loads(path.read_text())
    array = expected["exercises"][FUNCTION]["parts"][0]["expected"]["11"]["the centred features"]
    array["data"][0] += 1e-7
    path.write_text(json.dumps(expected))
    assert build(lesson.root, [], check=True) == []
    kept = path.read_bytes()
    assert build(lesson.root, [], check=False) == []
    assert path.read_bytes() == kept
    array["data"][0] += 1e-2
    path.write_text(json.dumps(expected))
    assert any(
        "expected.json is not what its sources build" in problem
        for problem in build(lesson.root, [], check=True)
    )


def test_what_known_mistakes_measure_is_brought_up_to_date(lesson: Lesson) -> None:
    """Building replaces an expected.json whose mistakes measure something else by now: hints depend on it."""
    path = lesson.released / "expected.json"
    fresh = path.read_bytes()
    expected = json.loads(fresh)
    for wrong in expected["exercises"][FUNCTION]["misconceptions"].values():
        for found in wrong["parts"].values():
            for seed in found.values():
                seed["labels"] = dict.fromkeys(seed["labels"], 123.0)
    path.write_text(json.dumps(expected))
    assert build(lesson.root, [], check=True) == []
    assert build(lesson.root, [], check=False) == []
    assert path.read_bytes() == fresh


def test_the_secret_is_private_and_decides_the_hidden_cases(built: Lesson) -> None:
    """Only its owner reads it; another course has other hidden cases; no seed of it is released."""
    secret = built.root / ".tlkit-secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(built.secret.stat().st_mode) == 0o600
    seeds = hidden_seeds(secret.read_text().strip(), built.name)
    assert set(seeds).isdisjoint(hidden_seeds("another secret", built.name))
    cases = json.loads(built.secret.read_text())["exercises"][FUNCTION]["parts"][0]["expected"]
    assert set(cases) == {str(seed) for seed in seeds}
    released = "".join(path.read_text() for path in built.released.iterdir())
    assert not any(str(seed) in released for seed in seeds)


def test_what_must_be_fresh_before_grading_is_known(lesson: Lesson) -> None:
    """Missing, edited and foreign build products are told apart, each with the command that helps."""
    assert stale(lesson) is None
    edit(lesson.text, "## Look at the data", "## Look")
    assert "was edited after it was built: run `tlkit build 00_sample`" in str(stale(lesson))
    edit(lesson.text, "## Look\n", "## Look at the data\n")
    assert stale(lesson) is None
    (lesson.root / ".tlkit-secret").write_text("f" * 64)
    assert "belongs to another .tlkit-secret" in str(stale(lesson))
    lesson.secret.unlink()
    assert "secret.json is missing" in str(stale(lesson))


def test_lessons_are_found_by_number_and_unknown_ones_named(lesson: Lesson) -> None:
    """ "00", a path and the full name mean the same lesson."""
    for name in ("00", "00_sample", "solutions/00_sample/"):
        assert [found.name for found in find_lessons(lesson.root, [name])] == ["00_sample"]
    with pytest.raises(BuildError, match="the lessons are: 00_sample"):
        find_lessons(lesson.root, ["09"])
    assert find_root(lesson.released) == lesson.root
    (lesson.root / "solutions" / "Draft").mkdir()
    with pytest.raises(BuildError, match="solutions/Draft"):
        find_lessons(lesson.root)


def test_every_graded_cell_is_known_by_its_name(built: Lesson) -> None:
    """Answer, test and written cells carry ids made of the exercise's name: reports can be read."""
    notebook = read_notebook(built.notebook)
    assert set(graded(notebook, "grade")) == {f"test_{FUNCTION}", f"why_{FUNCTION}"}
    assert set(graded(notebook, "solution")) == {FUNCTION, f"why_{FUNCTION}"}
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
