"""The report as CSV: a row a student and exercise, for spreadsheets and statistics programs."""

from __future__ import annotations

import csv
import io
from typing import Any

from tlkit.grading.records import Record
from tlkit.reporting.report import Report

COLUMNS = [
    *("lesson", "student_id", "name", "state", "exercise", "outcome", "points", "max_points"),
    *("parts_earned", "parts", "misconceptions", "perhaps", "seconds", "peak_mb", "version", "remarks"),
]


def to_csv(report: Report) -> str:
    """All students of the report, those who handed in nothing as well.

    `points` is empty where nothing was checked or graded; an earned 0 is a 0.
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    names = [exercise.name for exercise in report.exercises]
    most = {exercise.name: f"{exercise.max_points:g}" for exercise in report.exercises}
    for student, state, record in _students(report):
        about: dict[str, Any] = {
            "lesson": report.evidence.lesson,
            "student_id": _tame(student),
            "name": _tame(report.evidence.names.get(student, "")),
            "state": state,
        }
        if record is not None:
            about |= {"version": record.version, "remarks": _tame("; ".join(record.remarks))}
            if record.state != "not gradable":
                about |= {"seconds": f"{record.seconds:g}", "peak_mb": round(record.peak_bytes / 1e6)}
        for name in (list(record.exercises) if record and record.exercises else names) or [""]:
            result = record.exercises[name] if record and name in record.exercises else None
            points = {"max_points": most.get(name, "")} | (_result(result) if result else {})
            writer.writerow(about | {"exercise": name} | points)
    return buffer.getvalue()


def _students(report: Report) -> list[tuple[str, str, Record | None]]:
    rows: list[tuple[str, str, Record | None]] = []
    older = set(report.older)
    for record in report.evidence.records:
        old = " (other version)" if record.student in older else ""
        rows.append((record.student, record.state + old, record))
    rows += [(student, "not graded yet", None) for student in report.ungraded]
    rows += [(student, "not submitted", None) for student in report.missing]
    return sorted(rows, key=lambda row: row[0])


def _result(result: dict[str, Any]) -> dict[str, Any]:
    hints = result["misconceptions"]
    found = {
        "outcome": result["outcome"],
        "max_points": f"{float(result['max_points']):g}",
        "misconceptions": "; ".join(hint["key"] for hint in hints if hint["sure"]),
        "perhaps": "; ".join(hint["key"] for hint in hints if not hint["sure"]),
    }
    if result["outcome"] != "unchecked":
        parts = result.get("parts", [])
        found |= {
            "points": f"{float(result['points']):g}",
            "parts_earned": str(sum(part["earned"] > 0 for part in parts)),
            "parts": str(len(parts)),
        }
    return found


def _tame(text: str) -> str:
    """Text that a spreadsheet shows and does not reckon: a leading =, +, - or @ would start a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
