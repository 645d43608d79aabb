"""Find the lesson an exercise belongs to, from wherever the notebook was opened."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tlkit.exercises.expected import FORMAT
from tlkit.exercises.load import load_probes
from tlkit.exercises.spec import Spec, digest


class LessonError(LookupError):
    """No lesson, or one that cannot be read; the message says what was looked for and what to do."""


@dataclass(frozen=True)
class Lesson:
    """A lesson's folder and the content of its expected.json (or secret.json)."""

    folder: Path
    expected: dict[str, Any]

    def spec(self) -> Spec:
        """The lesson's probes, executed once for each version of the file."""
        path = self.folder / "probes.py"
        return _spec(str(self.folder), path.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _spec(folder: str, _version: int) -> Spec:
    return load_probes(folder)


@lru_cache(maxsize=64)
def _read(path: str, _version: int) -> dict[str, Any]:
    with Path(path).open(encoding="utf-8") as file:
        found = json.load(file)
    if not isinstance(found, dict) or "format" not in found:
        raise LessonError(f"{path} is not the file of a lesson. Get a fresh copy of its folder.")
    if found["format"] != FORMAT:
        raise LessonError(
            f"{path} has format {found['format']}, this tlkit reads format {FORMAT}. Course and tlkit must "
            f"be of the "
            "same version: update whichever is older."
        )
    return found


def read_expected(path: Path) -> dict[str, Any]:
    """The content of an expected.json; LessonError when it is damaged or of another format."""
    try:
        return _read(str(path), path.stat().st_mtime_ns)
    except (OSError, ValueError) as error:
        raise LessonError(
            f"{path} cannot be read ({error}). Get a fresh copy of the lesson's folder."
        ) from None


def candidates() -> Iterator[Path]:
    """Lesson folders in the order they are tried.

    Here, $TLKIT_COURSE, the course around here, the checkout's.
    """
    here = Path.cwd()
    yield here
    if course := os.environ.get("TLKIT_COURSE"):
        yield from _lessons(Path(course).expanduser())
    for folder in (here, *here.parents):
        yield from _lessons(folder / "course")
        if (folder / "nbgrader_config.py").is_file() or folder.name == "course":
            yield from _lessons(folder)
    yield from _lessons(Path(__file__).resolve().parents[2] / "course")


def _lessons(course: Path) -> list[Path]:
    if not course.is_dir():
        return []
    return sorted(path.parent for path in course.glob("*/probes.py"))


def find_lesson(name: str) -> Lesson:
    """The lesson with exercise or question `name`; LessonError names close names, or where was looked."""
    seen: dict[Path, None] = {}
    known: list[str] = []
    trouble = ""
    for folder in candidates():
        folder = folder.resolve()
        if folder in seen or not (folder / "probes.py").is_file():
            continue
        seen[folder] = None
        path = folder / "expected.json"
        if not path.is_file():
            trouble = trouble or (
                f"expected.json is missing in {folder}. Get a fresh copy of the lesson's folder "
                "(instructors: run `tlkit build`)."
            )
            continue
        try:
            lesson = Lesson(folder, read_expected(path))
        except LessonError as error:
            trouble = trouble or str(error)
            continue
        if name in lesson.expected["exercises"] or name in lesson.expected.get("questions", ()):
            return lesson
        known += lesson.expected["exercises"]
    raise LessonError(_not_found(name, list(seen), known, trouble))


def _not_found(name: str, seen: list[Path], known: list[str], trouble: str) -> str:
    import difflib

    if close := difflib.get_close_matches(name, known, n=2, cutoff=0.6):
        return (
            f'There is no exercise "{name}". Did you mean ' + " or ".join(f'"{one}"' for one in close) + "?"
        )
    if trouble:
        return trouble
    if not seen:
        return (
            f"No lesson was found near {Path.cwd()}. Open the notebook from its own folder in course/, "
            "or set TLKIT_COURSE to the course folder."
        )
    return f'There is no exercise "{name}" in the lessons of {seen[0].parent}.'


def probes_match(lesson: Lesson) -> bool:
    """Is probes.py the text that expected.json was built from?"""
    return digest(lesson.folder / "probes.py") == lesson.expected.get("probes")
