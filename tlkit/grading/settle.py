"""After a notebook ran: no test cell earns points by accident, none loses them to noise.

nbgrader gives a test cell full points when it shows nothing or something unreadable, and none when one
word stands on its standard error. Here a test cell ends with one readable score, or an error that says why.
"""

from __future__ import annotations

import math

from nbformat.notebooknode import NotebookNode

from tlkit.build.notebooks import nbgrader, new_node

SHOWN = {"text/plain", "text/html", "text/markdown", "image/png", "image/jpeg", "image/svg+xml"}
TIMEOUT = "CellTimeoutError"
NOISE = "(written to the standard error while this cell ran; it has no effect on the points)\n"


def settle(notebook: NotebookNode) -> tuple[list[str], bool]:
    """Tidy the outputs of an executed notebook in place.

    Returns remarks on what did not run as it should, and whether all of the lesson's own cells, imports and
    tests, ran to their end.
    """
    remarks = []
    complete = True
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs = [_displayable(output) for output in cell.outputs]
        mark = nbgrader(cell)
        if mark.get("grade") and not mark.get("solution"):
            if problem := _settle_test(cell, float(mark["points"])):
                remarks.append(f'"{mark["grade_id"]}" earned nothing: {problem}')
                complete = False
        elif error := _error_in(cell):
            if mark.get("locked"):
                remarks.append(f'"{mark["grade_id"]}", a cell of the lesson, was stopped by {error.ename}')
                complete = False
            elif error.ename == TIMEOUT:
                remarks.append(f"a cell ran out of time: {_first_line(cell.source)}")
    return remarks, complete


def _settle_test(cell: NotebookNode, points: float) -> str:
    """Leave one score or one error in a test cell; returns why there is no score, "" if there is one."""
    noise = [output for output in cell.outputs if output.output_type == "stream" and output.name == "stderr"]
    quiet = [output for output in cell.outputs if all(output is not other for other in noise)]
    for output in noise:
        output.name, output.text = "stdout", NOISE + output.text
    errors = [output for output in quiet if output.output_type == "error"]
    results = [output for output in quiet if output.output_type == "execute_result"]
    if errors:
        cell.outputs = quiet + noise
        return (
            f"its test was stopped by {errors[0].ename}{': ' + errors[0].evalue if errors[0].evalue else ''}"
        )
    if len(results) == 1 and _is_score(results[0], points):
        cell.outputs = quiet + noise
        return ""
    problem = (
        "its test was not run to the end" if not results else "its test shows something that is no score"
    )
    rest = [output for output in quiet if output.output_type != "execute_result"]
    cell.outputs = [*rest, _error(f"{problem}; ask your instructor"), *noise]
    return problem


def _error_in(cell: NotebookNode) -> NotebookNode | None:
    errors = [output for output in cell.outputs if output.output_type == "error"]
    timeouts = [output for output in errors if output.ename == TIMEOUT]
    return next(iter(timeouts or errors), None)


def _first_line(source: str) -> str:
    line = source.strip().split("\n", 1)[0]
    return line if len(line) <= 60 else line[:59] + "…"


def _is_score(output: NotebookNode, points: float) -> bool:
    try:
        score = float(output.data["text/plain"])
    except (KeyError, TypeError, ValueError):
        return False
    return math.isfinite(score) and 0 <= score <= points


def _error(text: str) -> NotebookNode:
    return new_node(output_type="error", ename="NoScore", evalue=text, traceback=[f"NoScore: {text}"])


def _displayable(output: NotebookNode) -> NotebookNode:
    """The output without scripts, widgets and other types that a viewer would run."""
    if output.output_type in ("display_data", "execute_result"):
        output.data = new_node(**{kind: data for kind, data in output.data.items() if kind in SHOWN})
        output.metadata = new_node()
    return output
