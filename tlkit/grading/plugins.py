"""What nbgrader_config.py plugs into nbgrader: small preprocessors and hooks around restore and settle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from nbclient.exceptions import DeadKernelError
from nbformat.notebooknode import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.preprocessors import Execute as NbgraderExecute
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Integer

from tlkit.build.course import Lesson, find_root, stale
from tlkit.build.notebooks import nbgrader, new_cell, new_node, read_notebook, write_notebook
from tlkit.grading.restore import NotGradable, restore
from tlkit.grading.settle import settle

Processed = tuple[NotebookNode, dict[str, Any]]


class NameTheStub(NbGraderPreprocessor):  # type: ignore[misc]
    """Writes the exercise's name into the stub that ClearSolutions left in its answer cell."""

    def preprocess_cell(self, cell: NotebookNode, resources: dict[str, Any], index: int) -> Processed:
        if nbgrader(cell).get("solution"):
            cell.source = cell.source.replace("{exercise}", nbgrader(cell)["grade_id"])
        return cell, resources


class Restore(NbGraderPreprocessor):  # type: ignore[misc]
    """First step of autograding: the submission in the lesson's shape, with remarks on what was put right."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> Processed:
        about = resources["nbgrader"]
        source = read_notebook(self._source(about))
        with Gradebook(about["db_url"]) as gradebook:
            known = gradebook.find_notebook(about["notebook"], about["assignment"])
            texts = {cell.name: cell.source for cell in known.source_cells}
            points = {cell.name: cell.max_score for cell in known.grade_cells}
        wanted = {nbgrader(cell)["grade_id"]: cell for cell in source.cells if nbgrader(cell)}
        worth = {name: nbgrader(cell)["points"] for name, cell in wanted.items() if nbgrader(cell)["grade"]}
        if set(texts) != set(wanted) or points != worth:
            raise NotGradable(
                f"the gradebook knows another version of {about['assignment']}: run "
                f"`nbgrader generate_assignment {about['assignment']} --force`, then grade again."
            )
        try:
            restored = restore(nb, source, texts)
        except NotGradable as error:
            self.log.error("%s, %s is not gradable: %s", about["student"], about["assignment"], error)
            raise
        came_as = nb.metadata.get("tlkit", {}).get("renamed_from")
        remarks = [f'the notebook was called "{came_as}"'] if came_as else []
        restored.notebook.metadata.tlkit = {"remarks": remarks + restored.remarks}
        for remark in remarks + restored.remarks:
            self.log.warning("%s, %s: %s", about["student"], about["assignment"], remark)
        return restored.notebook, resources

    def _source(self, about: dict[str, str]) -> Path:
        course = self.parent.parent.coursedir
        folder = Path(course.format_path(course.source_directory, ".", about["assignment"]))
        return folder / f"{about['notebook']}.ipynb"


class Execute(NbgraderExecute):  # type: ignore[misc]
    """Runs the notebook; if the kernel dies or cannot be stopped, what ran before keeps its outputs."""

    locked_timeout = Integer(600, help="seconds for a cell of the lesson's own: imports and tests").tag(
        config=True
    )

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any], km: Any = None) -> Processed:
        self._stuck = 0
        self._trouble = ""
        try:
            nb, resources = super().preprocess(nb, resources, km)
        except DeadKernelError:
            self._trouble = "the student's code ended the Python process: cells after that were not run"
        if self._trouble:
            nb.metadata.tlkit.remarks.append(self._trouble)
            self.log.error("%s: %s", resources["nbgrader"]["student"], self._trouble)
        return nb, resources

    def preprocess_cell(self, cell: NotebookNode, resources: dict[str, Any], index: int) -> Processed:
        if self._stuck >= 2:
            self._trouble = "the student's code could not be stopped: cells after that were not run"
            return cell, resources
        own: int = self.timeout  # type: ignore[has-type]
        self.timeout = max(own, self.locked_timeout) if nbgrader(cell).get("locked") else own
        try:
            cell, resources = super().preprocess_cell(cell, resources, index)
        finally:
            self.timeout = own
        timed_out = any(output.get("ename") == "CellTimeoutError" for output in cell.get("outputs", []))
        self._stuck = self._stuck + 1 if timed_out else 0
        return cell, resources


class Settle(NbGraderPreprocessor):  # type: ignore[misc]
    """Right after Execute: every test cell ends with one score or one error; remarks head the notebook."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> Processed:
        about = resources["nbgrader"]
        remarks, complete = settle(nb)
        for remark in remarks:
            self.log.warning("%s, %s: %s", about["student"], about["assignment"], remark)
        kept = nb.metadata.setdefault("tlkit", new_node()).setdefault("remarks", [])
        nb.metadata.tlkit.partly = not complete
        kept += remarks
        if kept:
            listed = "\n".join(f"- {remark}" for remark in kept)
            nb.cells.insert(0, new_cell("markdown", f"**Remarks on grading this notebook**\n\n{listed}"))
        return nb, resources


class StopGrading(SystemExit):
    """Ends nbgrader with a message; its hooks swallow every ordinary exception."""


def before_generate(assignment: str, student: str, notebooks: list[str]) -> None:
    """Releasing a notebook that is older than its text would hand out yesterday's lesson."""
    for path in map(Path, notebooks):
        _require_fresh(find_root(path.parent), path.parent.name)


def before_autograde(assignment: str, student: str, notebooks: list[str]) -> None:
    """Refuse to grade with missing or stale hidden tests; find the notebook that a student renamed."""
    folder = Path(notebooks[0]).parent
    lesson = Lesson(find_root(folder), folder.name)
    _require_fresh(lesson.root, lesson.name)
    renamed = find_renamed(folder, lesson)
    if renamed is not None:
        notebooks[:] = [str(adopt(renamed, lesson))]


def _require_fresh(root: Path, name: str) -> None:
    if problem := stale(Lesson(root, name)):
        raise StopGrading(f"Stopped: {problem}")


def find_renamed(folder: Path, lesson: Lesson) -> Path | None:
    """The notebook that is this lesson's under another name; None if there is no need or no clear choice."""
    wanted = folder / lesson.notebook.name
    if wanted.exists() and not _adopted_from(wanted):
        return None
    source = read_notebook(lesson.notebook)
    answers = {nbgrader(cell)["grade_id"] for cell in source.cells if nbgrader(cell).get("solution")}
    fits = {}
    for path in folder.glob("*.ipynb"):
        try:
            marks = {nbgrader(cell).get("grade_id") for cell in read_notebook(path).cells}
        except Exception:  # whatever a broken file raises, it is not the notebook
            continue
        if path != wanted and marks & answers:
            fits[path] = len(marks & answers)
    best = [path for path, count in fits.items() if count == max(fits.values())]
    return best[0] if len(best) == 1 else None


def adopt(renamed: Path, lesson: Lesson) -> Path:
    """Copy a renamed notebook beside itself under the lesson's name, marked as a copy; the original stays."""
    target = renamed.with_name(lesson.notebook.name)
    notebook = read_notebook(renamed)
    digest = hashlib.sha256(renamed.read_bytes()).hexdigest()
    notebook.metadata.tlkit = {"renamed_from": renamed.name, "sha256": digest}
    write_notebook(notebook, target)
    return target


def _adopted_from(path: Path) -> str:
    """The name a copy was made from; "" for a student's own file."""
    try:
        about = json.loads(path.read_bytes())["metadata"]["tlkit"]
        original = path.with_name(Path(about["renamed_from"]).name)
        return original.name if original.is_file() and original != path else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
