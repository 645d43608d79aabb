"""The pure parts of grading with nbgrader: names in cells, restoring, settling, cleaning HTML."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from nbformat.notebooknode import NotebookNode

from tlkit.build.course import Lesson
from tlkit.build.names import defined, needed
from tlkit.build.notebooks import (
    nbgrader,
    new_cell,
    new_node,
    new_notebook,
    read_notebook,
    tags,
    write_notebook,
)
from tlkit.grading.html import clean_html
from tlkit.grading.plugins import adopt, find_renamed
from tlkit.grading.restore import NOT_RUN, NotGradable, restore
from tlkit.grading.settle import settle


def marked(cell_type: str, source: str, grade_id: str, **kind: object) -> NotebookNode:
    cell = new_cell(cell_type, source)
    kept = {"solution": False, "grade": False, "locked": False, **kind}
    cell.metadata.nbgrader = new_node(grade_id=grade_id, schema_version=3, task=False, **kept)
    cell.id = grade_id
    return cell


@pytest.fixture
def source() -> NotebookNode:
    """An instructor's notebook: setup, demo, answer, test, demo, written answer."""
    setup = marked("code", "import math", "setup", locked=True)
    setup.metadata.tags = ["setup"]
    demo, later = new_cell("code", "data = [1, 2]"), new_cell("code", "plot(double(3))")
    demo.metadata.tags = later.metadata.tags = ["demo"]
    return new_notebook(
        [
            setup,
            demo,
            marked("code", "def double(x):\n    return 2 * x", "double", solution=True),
            marked("code", "check()\nhidden()", "test_double", grade=True, locked=True, points=2),
            later,
            marked("markdown", "model answer", "why", solution=True, grade=True, points=1),
        ]
    )


TEXTS = {
    "setup": "import math",
    "double": "def double(x):\n    raise NotImplementedError",
    "test_double": "check()\nhidden()",
    "why": "*Write your answer here.*",
}


def submission(source: NotebookNode, answer: str = "def double(x):\n    return x + x") -> NotebookNode:
    notebook = copy.deepcopy(source)
    for cell in notebook.cells:
        cell.source = {**TEXTS, "double": answer}.get(nbgrader(cell).get("grade_id", ""), cell.source)
    return notebook


def names(notebook: NotebookNode) -> list[str]:
    return [nbgrader(cell).get("grade_id", cell.source) for cell in notebook.cells]


def test_names_that_a_cell_defines_and_needs() -> None:
    """Parameters and locals are no globals; functions, imports, loops, `global` and magics are seen."""
    source = """%matplotlib inline
import numpy as np
from torch import nn
def f(a, b=limit):
    local = a + offset
    global total
    total = [w for w in local]
    return np.sum(local)
class Net(nn.Module):
    size = 3
for i in range(3):
    print(i)
"""
    assert defined(source) == {"np", "nn", "f", "total", "Net", "i"}
    assert needed(source) - defined(source) == {"limit", "offset"}
    assert defined("def broken(:") == needed("def broken(:") == set()


def test_a_clean_submission_is_left_alone(source: NotebookNode) -> None:
    """Nothing to put right, nothing said; the answer is the student's."""
    restored = restore(submission(source), source, TEXTS)
    assert restored.remarks == []
    assert names(restored.notebook) == names(source)
    assert "x + x" in restored.notebook.cells[2].source


def test_unchanged_demos_do_not_run_and_changed_ones_do(source: NotebookNode) -> None:
    """Students may play with experiments: what they changed is theirs and runs."""
    given = submission(source)
    given.cells[4].source = "plot(double(5))"
    cells = restore(given, source, TEXTS).notebook.cells
    assert [NOT_RUN in tags(cell) for cell in cells] == [False, True, False, False, False, False]


def test_a_demo_that_an_answer_builds_on_runs(source: NotebookNode) -> None:
    """An answer that reads a global of the lesson works in the notebook, so it works when graded."""
    given = submission(source, "def double(x):\n    return 2 * x if data else x")
    cells = restore(given, source, TEXTS).notebook.cells
    assert [NOT_RUN in tags(cell) for cell in cells] == [False, False, False, False, True, False]


def test_a_parameter_of_the_same_name_runs_no_demo(source: NotebookNode) -> None:
    """Only a global counts: `data` as a parameter asks for nothing."""
    cells = restore(
        submission(source, "def double(data):\n    return 2 * data"), source, TEXTS
    ).notebook.cells
    assert NOT_RUN in tags(cells[1])


@pytest.mark.parametrize("missing", ["setup", "test_double", "why"])
def test_missing_cells_come_back_in_their_place(source: NotebookNode, missing: str) -> None:
    """A deleted cell returns as handed out, where it was, and a remark names it."""
    given = submission(source)
    given.cells = [cell for cell in given.cells if nbgrader(cell).get("grade_id") != missing]
    restored = restore(given, source, TEXTS)
    order = [name for name in names(restored.notebook) if name in TEXTS]
    assert order == ["setup", "double", "test_double", "why"]
    back = next(cell for cell in restored.notebook.cells if nbgrader(cell).get("grade_id") == missing)
    assert back.source == TEXTS[missing]
    assert len(restored.remarks) == 1
    assert f'"{missing}" was missing' in restored.remarks[0]


def test_a_forged_mark_changes_nothing(source: NotebookNode) -> None:
    """Points, flags and tags come from the lesson, whatever the submission says."""
    given = submission(source)
    nbgrader(given.cells[3]).update(points=100, solution=True, locked=False)
    nbgrader(given.cells[2]).update(grade=True, points=50)
    for cell in given.cells:
        cell.metadata.tags = ["skip-execution", NOT_RUN, "raises-exception"]
    cells = restore(given, source, TEXTS).notebook.cells
    assert [dict(nbgrader(cell)) for cell in cells] == [dict(nbgrader(cell)) for cell in source.cells]
    assert [tags(cell) for cell in cells if nbgrader(cell)] == [["setup"], [], [], []]


def test_a_mark_of_no_lesson_is_taken_off(source: NotebookNode) -> None:
    """An unknown grade id would make nbgrader refuse the whole notebook."""
    given = submission(source)
    given.cells.append(marked("code", "x = 1", "bonus", grade=True, locked=True, points=10))
    restored = restore(given, source, TEXTS)
    assert nbgrader(restored.notebook.cells[-1]) == {}
    assert "bonus" in restored.remarks[0]


def test_an_untouched_twin_below_does_not_undo_the_answer(source: NotebookNode) -> None:
    """Copying the answer cell, solving the copy and leaving the original is common."""
    given = submission(source)
    given.cells.insert(3, copy.deepcopy(given.cells[2]))
    given.cells[3].source = TEXTS["double"]
    restored = restore(given, source, TEXTS)
    assert [cell.source for cell in restored.notebook.cells if "def double" in cell.source] == [
        "def double(x):\n    return x + x"
    ]
    assert restored.remarks == ['"double" was there 2 times: the last one worked on counts']


def test_an_edited_locked_cell_is_put_back_and_named(source: NotebookNode) -> None:
    """Setup and test have the lesson's text again; the text without its hidden tests is not an edit."""
    texts = TEXTS | {"test_double": "check()\n### BEGIN HIDDEN TESTS\nhidden()\n### END HIDDEN TESTS"}
    given = submission(source)
    given.cells[0].source, given.cells[3].source = "import math, os", "check()"
    restored = restore(given, source, texts)
    assert [restored.notebook.cells[at].source for at in (0, 3)] == ["import math", texts["test_double"]]
    assert restored.remarks == ['the locked cell "setup" had been changed: put back']
    given.cells[3].source = "2.0"
    assert restore(given, source, texts).remarks[1:] == [
        'the test cell "test_double" had been changed: put back'
    ]


def test_another_notebook_is_not_gradable(source: NotebookNode) -> None:
    """Zero points for work that was never looked at would be a lie."""
    with pytest.raises(NotGradable, match="none of the lesson's answer cells"):
        restore(new_notebook([new_cell("code", "print('hello')")]), source, TEXTS)


def ran(*outputs: NotebookNode, points: float = 2, **kind: object) -> NotebookNode:
    """A test cell with these outputs, alone in a notebook."""
    cell = marked(
        "code", "check()", "test_double", **{"grade": True, "locked": True, "points": points, **kind}
    )
    cell.outputs = list(outputs)
    return new_notebook([cell])


def result(text: str, **more: str) -> NotebookNode:
    data = new_node(**{"text/plain": text, **more})
    return new_node(output_type="execute_result", execution_count=1, metadata=new_node(), data=data)


def stderr(text: str) -> NotebookNode:
    return new_node(output_type="stream", name="stderr", text=text)


def score(notebook: NotebookNode) -> float:
    """What nbgrader itself makes of the test cell."""
    from nbgrader.utils import determine_grade

    return float(determine_grade(notebook.cells[0])[0])


def test_noise_on_stderr_costs_no_points() -> None:
    """nbgrader alone would give 0; the text stays visible as a note."""
    notebook = ran(stderr("UserWarning: …"), result("1.5"), stderr("late"))
    assert score(notebook) == 0
    assert settle(notebook) == ([], True)
    assert score(notebook) == 1.5
    assert "UserWarning" in str(notebook.cells[0].outputs)


@pytest.mark.parametrize(
    "outputs",
    [
        [],
        [new_node(output_type="stream", name="stdout", text="all fine")],
        [result("'everything is right'")],
        [result("nan")],
        [result("True")],
    ],
)
def test_a_test_cell_without_a_score_earns_nothing_and_says_so(outputs: list[NotebookNode]) -> None:
    """nbgrader alone would give full points for silence and for words."""
    notebook = ran(*copy.deepcopy(outputs))
    assert settle(notebook)[1] is False
    assert score(notebook) == 0


def test_an_impossible_score_does_not_stop_the_class() -> None:
    """nbgrader raises on a score above the cell's points, and the student's whole notebook fails."""
    for text in ("3", "-1", "inf", "1e400"):
        notebook = ran(result(text))
        assert settle(notebook)[1] is False
        assert score(notebook) == 0


def test_what_did_not_run_is_named() -> None:
    """Stopped tests, stopped imports and cells out of time are remarks; an error of the answer is not."""
    timeout = new_node(output_type="error", ename="CellTimeoutError", evalue="", traceback=[])
    answer = {"grade": False, "locked": False, "solution": True}
    for kind, complete, said in (
        ({}, False, "stopped by CellTimeoutError"),
        ({"grade": False}, False, "a cell of the lesson"),
        (answer, True, "ran out of time: check()"),
    ):
        remarks, whole = settle(ran(timeout, **kind))
        assert whole is complete
        assert said in remarks[0]
    error = new_node(output_type="error", ename="ValueError", evalue="", traceback=[])
    assert settle(ran(error, **answer)) == ([], True)


def test_outputs_that_a_viewer_would_run_are_dropped() -> None:
    """Scripts and widget states go; text, pictures and HTML (cleaned when shown) stay."""
    notebook = ran(
        result("2", **{"application/javascript": "alert(1)", "text/html": "<b>2</b>", "text/latex": "x"})
    )
    settle(notebook)
    assert set(notebook.cells[0].outputs[0].data) == {"text/plain", "text/html"}


@pytest.mark.parametrize(
    ("harmful", "gone"),
    [
        ("<script>alert(1)</script>", "alert"),
        ("<SCRIPT src='https://x.org/a.js'>", "script"),
        ("<img src=x onerror=alert(1)>", "onerror"),
        ("<img src='https://x.org/who-looks.png'>", "x.org"),
        ("<a href='javascript:alert(1)'>x</a>", "javascript"),
        ("<a href='data:text/html,<script>alert(1)</script>'>x</a>", "data:text"),
        ("<iframe src='https://x.org'></iframe>", "iframe"),
        ("<svg onload=alert(1)></svg>", "onload"),
        ("<style>body{display:none}</style>", "display"),
        ("<div style='background:url(https://x.org/a)'>x</div>", "x.org"),
        ("<div style='position:fixed;top:0'>x</div>", "position"),
        ("<form action='/logout'><button>x</button></form>", "form"),
        ("$\\href{javascript:alert(1)}{x}$", "\\href"),
    ],
)
def test_harmful_html_is_made_harmless(harmful: str, gone: str) -> None:
    """Formgrader runs with an instructor's rights: nothing a student wrote may run or call home in it."""
    assert gone.lower() not in clean_html(harmful).lower()


def test_ordinary_html_survives() -> None:
    """A check's card, a table, a figure and a formula look as they did."""
    for text in (
        '<div role="group" style="border:1px solid #bdbdbd;border-radius:4px;padding:10px">Right</div>',
        "<table><tbody><tr><td>0.93</td></tr></tbody></table>",
        '<img src="data:image/png;base64,AAAA" alt="a figure">',
        '<a href="https://arxiv.org/abs/1503.02531">Hinton et al.</a>',
        "<details><summary>more</summary>less</details>",
        "$\\frac{1}{2} \\|w\\|^2$",
    ):
        cleaned = clean_html(text).replace(" ", "").replace(';"', '"')
        assert cleaned == text.replace(" ", ""), cleaned


def test_a_renamed_notebook_is_found_unless_there_is_doubt(source: NotebookNode, tmp_path: Path) -> None:
    """One notebook of the lesson under any name is taken; two leave it to a person; a right name wins."""
    lesson = Lesson(tmp_path, "00_sample")
    lesson.folder.mkdir(parents=True)
    write_notebook(source, lesson.notebook)
    folder = tmp_path / "submitted" / "s001" / "00_sample"
    folder.mkdir(parents=True)
    (folder / "broken.ipynb").write_text("{")
    write_notebook(new_notebook([new_cell("code", "1")]), folder / "scratch.ipynb")
    assert find_renamed(folder, lesson) is None
    write_notebook(submission(source), folder / "Untitled.ipynb")
    renamed = find_renamed(folder, lesson)
    assert renamed == folder / "Untitled.ipynb"
    copied = adopt(renamed, lesson)
    assert read_notebook(copied).metadata.tlkit.renamed_from == "Untitled.ipynb"
    assert find_renamed(folder, lesson) == renamed  # a corrected Untitled.ipynb is copied again
    write_notebook(submission(source), folder / "Untitled (1).ipynb")
    assert find_renamed(folder, lesson) is None
    write_notebook(submission(source), folder / "00_sample.ipynb")
    assert find_renamed(folder, lesson) is None
