"""CourseProgress: points and open exercises over all lessons."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkit.widgets.interactive import Interactive


@dataclass(frozen=True)
class LessonProgress:
    """Points of one lesson, and the names of its exercises that are not yet right."""

    name: str
    points: float
    max_points: float
    open: tuple[str, ...]


def lessons(course: Path) -> list[LessonProgress]:
    """Progress in every lesson of a course folder, in order; a lesson that cannot be read is left out."""
    from tlkit.exercises import progress
    from tlkit.exercises.lesson import LessonError, read_expected

    done = progress.load(course)["exercises"]
    found = []
    for path in sorted(course.glob("*/expected.json")):
        try:
            entries = read_expected(path)["exercises"]
        except LessonError:
            continue
        points = {
            name: min(done.get(name, {}).get("points", 0.0), e["points"]) for name, e in entries.items()
        }
        waiting = tuple(name for name, e in entries.items() if points[name] < e["points"])
        most = sum(e["points"] for e in entries.values())
        found.append(LessonProgress(path.parent.name, sum(points.values()), most, waiting))
    return found


class CourseProgress(Interactive):
    """Points and open exercises over all lessons, as `check` has kept them.

    Args:
        course: folder with the lessons; default: the course that `check` finds from here.
    """

    def __init__(self, course: str | Path | None = None) -> None:
        self.course = Path(course) if course is not None else _course_here()

    def text(self) -> str:
        found = lessons(self.course)
        if not found:
            return f"There is no lesson in {self.course.name or self.course}."
        width = max(len(one.name) for one in found)
        lines = [self._sum(found)]
        for one in found:
            rest = f"open: {', '.join(one.open)}" if one.open else "all right"
            lines.append(f"  {one.name:<{width}}  {one.points:g} of {one.max_points:g} points  {rest}")
        return "\n".join(lines)

    @staticmethod
    def _sum(found: list[LessonProgress]) -> str:
        points, most = sum(one.points for one in found), sum(one.max_points for one in found)
        return f"{points:g} of {most:g} points in {len(found)} lesson{'s' if len(found) != 1 else ''}"

    def still(self) -> str:
        found = lessons(self.course)
        if not found:
            return f"<p>{html.escape(self.text())}</p>"
        rows = "".join(self._row(one) for one in found)
        return (
            f"<table><caption style='text-align:left'><b>{self._sum(found)}</b></caption>"
            "<tr><th scope='col'>Lesson</th><th scope='col'>Points</th>"
            f"<th scope='col'>Open exercises</th></tr>{rows}</table>"
        )

    @staticmethod
    def _row(one: LessonProgress) -> str:
        name = html.escape(one.name.replace("_", " "))
        rest = ", ".join(f"<code>{html.escape(name)}</code>" for name in one.open) or "✔ all right"
        share = one.points / one.max_points if one.max_points else 1.0
        label = f"{name}: {share:.0%} of the points"
        bar = f'<progress max="1" value="{share:.3f}" aria-label="{label}"></progress>'
        return (
            f"<tr><th scope='row' style='text-align:left; white-space:nowrap'>{name}</th>"
            f"<td style='white-space:nowrap'>{bar} {one.points:g} of {one.max_points:g}</td>"
            f"<td style='text-align:left'>{rest}</td></tr>"
        )

    def live(self) -> Any:
        import ipywidgets as w

        table = w.HTML(self.still())
        again = w.Button(description="Refresh", icon="refresh", tooltip="Look at your progress again")

        def look(_: Any) -> None:
            table.value = self.still()
            self.refresh_still()

        again.on_click(look)
        return w.VBox([table, again])


def _course_here() -> Path:
    """The course whose lessons `check` would find from here."""
    from tlkit.exercises.lesson import candidates

    lesson = next((folder for folder in candidates() if (folder / "expected.json").is_file()), None)
    return lesson.resolve().parent if lesson else Path.cwd()
