"""`nbgrader export` with a state in every row: an earned 0 is told from work that was never graded."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from nbgrader.api import Assignment, Gradebook, MissingEntry, SubmittedAssignment
from nbgrader.plugins import ExportPlugin

from tlkit.build.notebooks import graded, read_notebook
from tlkit.grading.restore import NotGradable, restore
from tlkit.grading.submission import read_submission

COLUMNS = [
    *("assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email"),
    *("raw_score", "late_submission_penalty", "score", "max_score"),
    *("state", "needs_manual_grade", "remarks"),
]


class StateExportPlugin(ExportPlugin):  # type: ignore[misc]
    """nbgrader's columns, then state, needs_manual_grade and remarks; no score where nothing was graded."""

    def export(self, gradebook: Gradebook) -> None:
        target = Path(self.to or "grades.csv")
        self.log.info("Exporting grades to %s", target)
        students = {student.id: student for student in gradebook.students}
        with target.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for assignment in gradebook.assignments:
                if self.assignment and assignment.name not in map(str, self.assignment):
                    continue
                for student in sorted({*students, *self._folders(assignment.name)}):
                    if self.student and student not in map(str, self.student):
                        continue
                    row = self._row(gradebook, assignment, student)
                    if student in students:
                        known = students[student]
                        row |= {
                            key: getattr(known, key) or "" for key in ("last_name", "first_name", "email")
                        }
                    if row["state"].startswith("not gradable"):
                        self.log.warning(
                            "%s, %s: %s (%s)", student, assignment.name, row["state"], row["remarks"]
                        )
                    writer.writerow(row)

    def _row(self, gradebook: Gradebook, assignment: Assignment, student: str) -> dict[str, Any]:
        try:
            submission: SubmittedAssignment | None = gradebook.find_submission(assignment.name, student)
        except MissingEntry:
            submission = None
        state, remarks = self._state(assignment, student, submission)
        row: dict[str, Any] = {
            "assignment": assignment.name,
            "duedate": assignment.duedate or "",
            "timestamp": (submission.timestamp if submission else None) or "",
            "student_id": student,
            "max_score": assignment.max_score,
            "state": state,
            "remarks": "; ".join(remarks),
        }
        if submission is not None and state.startswith(("graded", "partly")):
            penalty = submission.late_submission_penalty or 0.0
            row |= {
                "raw_score": submission.score,
                "late_submission_penalty": penalty,
                "score": max(0.0, submission.score - penalty),
                "needs_manual_grade": submission.needs_manual_grade,
            }
        return row

    def _state(
        self, assignment: Assignment, student: str, submission: SubmittedAssignment | None
    ) -> tuple[str, list[str]]:
        course = self.parent.coursedir
        done = Path(course.format_path(course.autograded_directory, student, assignment.name))
        submitted = Path(course.format_path(course.submitted_directory, student, assignment.name))
        names = [f"{notebook.name}.ipynb" for notebook in assignment.notebooks]
        if submission is not None and all((done / name).is_file() for name in names):
            about = [json.loads((done / name).read_bytes())["metadata"].get("tlkit", {}) for name in names]
            remarks = [remark for one in about for remark in one.get("remarks", [])]
            if any(one.get("partly") for one in about):
                return "partly graded", remarks
            return ("graded with remarks" if remarks else "graded"), remarks
        if not submitted.is_dir():
            return "not submitted", []
        problems = [problem for name in names for problem in self._problems(submitted, name, assignment.name)]
        if submission is None and not problems:
            return "not graded yet", []
        return "not gradable", problems or ["autograding failed: its log says why"]

    def _problems(self, submitted: Path, name: str, assignment: str) -> list[str]:
        """Why the file could not be graded, found by reading it again."""
        course = self.parent.coursedir
        source = read_notebook(Path(course.format_path(course.source_directory, ".", assignment)) / name)
        found = read_submission(submitted, submitted.parent.name, name, graded(source, "solution"), [])
        if found.notebook is None:
            return [found.problem]
        try:
            restore(found.notebook, source, {})
        except NotGradable as error:
            return [str(error)]
        return []

    def _folders(self, assignment: str) -> list[str]:
        """Students who handed something in, whether the gradebook knows them or not."""
        course = self.parent.coursedir
        pattern = Path(course.format_path(course.submitted_directory, "*", assignment))
        found = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
        return [path.parent.name for path in found if path.is_dir()]
