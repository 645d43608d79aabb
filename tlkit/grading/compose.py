"""The graded notebook: a restored submission with its own outputs, verdicts in its tests, remarks on top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbformat.notebooknode import NotebookNode

from tlkit.build.notebooks import new_cell, new_node
from tlkit.exercises.judge import Verdict
from tlkit.exercises.page import to_html
from tlkit.exercises.text import to_text
from tlkit.grading.settle import settle
from tlkit.grading.submission import one_line

MOST_REMARKS = 20
ENDINGS = {
    "time": "the submission ran out of time and was stopped: cells after that were not run",
    "memory": "the submission used more memory than it may and was stopped: cells after that were not run",
    "disk": "the submission wrote more or larger files than it may and was stopped: "
    "cells after that were not run",
    "processes": "the submission started more processes or opened more files than it may and was stopped: "
    "cells after that were not run",
    "died": "the student's code ended the Python process: cells after that were not run",
    "killed": "the submission's process was killed from outside, twice: the rest was not run; "
    "is there enough memory?",
    "broken": "the submission's process sent what cannot be read and was stopped: "
    "cells after that were not run",
}


def compose(
    notebook: NotebookNode,
    steps: list[dict[str, Any]],
    outputs: Mapping[int, list[NotebookNode]],
    verdicts: Mapping[str, Verdict],
    ended: str,
    remarks: list[str],
) -> bool:
    """Fill in the restored notebook in place; returns whether all tests and locked cells were run."""
    for number, step in enumerate(steps):
        cell = notebook.cells[step["at"]]
        cell.execution_count = number + 1
        if "probe" in step:
            cell.outputs = _test_outputs(verdicts[step["probe"]], number + 1)
        else:
            cell.outputs = outputs.get(number, [])
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = number + 1
    said, whole = settle(notebook)
    remarks += ([] if ended == "done" else [ENDINGS.get(ended, ended)]) + said
    more = len(remarks) - MOST_REMARKS
    remarks[:] = map(one_line, remarks[:MOST_REMARKS])
    remarks += [f"and {more} more remarks"] if more > 0 else []
    notebook.metadata.tlkit = new_node(remarks=remarks, partly=not whole)
    if remarks:
        listed = "\n".join(f"- {_plain(remark)}" for remark in remarks)
        notebook.cells.insert(0, new_cell("markdown", f"**Remarks on grading this notebook**\n\n{listed}"))
    return whole


def _plain(text: str) -> str:
    """A remark may quote a name that a student chose: it must not be read as Markdown or HTML."""
    return text.replace("\n", " ").replace("<", "‹").replace(">", "›").replace("[", "(").replace("]", ")")


def _test_outputs(verdict: Verdict, number: int) -> list[NotebookNode]:
    """The card for the student to read, and the score for nbgrader; nothing where nothing was measured."""
    if verdict.outcome == "unchecked" and not verdict.problem:
        return []
    card = new_node(**{"text/html": to_html(verdict), "text/plain": to_text(verdict)})
    score = new_node(**{"text/plain": f"{verdict.points:g}"})
    return [
        new_node(output_type="display_data", data=card, metadata=new_node()),
        new_node(output_type="execute_result", data=score, metadata=new_node(), execution_count=number),
    ]
