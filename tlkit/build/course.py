"""Where a course keeps its files: one folder a lesson, found by its name, listed nowhere."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CONFIG = "nbgrader_config.py"
SECRET = ".tlkit-secret"
LESSON_NAME = re.compile(r"\d\d_[a-z0-9_]+")
LEFTOVERS = {"__pycache__", ".ipynb_checkpoints"}


class BuildError(Exception):
    """The course cannot be built; the message names the file, what was found there and what to write."""


@dataclass(frozen=True)
class Lesson:
    """One lesson's files; `name` is its folder's name, which is also nbgrader's assignment id."""

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        return self.root / "solutions" / self.name

    @property
    def text(self) -> Path:
        """The lesson as a text notebook: the single source of truth."""
        return self.folder / f"{self.name}.py"

    @property
    def notebook(self) -> Path:
        """The instructor's notebook that the build writes beside the text, for nbgrader."""
        return self.folder / f"{self.name}.ipynb"

    @property
    def expected(self) -> Path:
        return self.folder / "expected.json"

    @property
    def secret(self) -> Path:
        return self.folder / "secret.json"

    @property
    def released(self) -> Path:
        """The folder that students get."""
        return self.root / "course" / self.name

    def sources(self) -> list[Path]:
        """What an instructor wrote, sorted: everything in the folder but build products and leftovers."""
        products = {self.notebook, self.expected, self.secret}
        found = (path for path in self.folder.rglob("*") if path.is_file() and path not in products)
        return sorted(path for path in found if LEFTOVERS.isdisjoint(path.parts))

    def digest(self) -> str:
        """Names the exact state of the lesson's sources; the build products carry it, so stale ones show."""
        total = hashlib.sha256()
        for path in self.sources():
            total.update(path.relative_to(self.folder).as_posix().encode() + b"\0")
            total.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
        return total.hexdigest()[:16]


def find_root(start: Path | None = None) -> Path:
    """The course's top folder: the nearest at or above `start` (default: here) with nbgrader_config.py."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / CONFIG).is_file():
            return folder
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / CONFIG).is_file():
        return checkout
    raise BuildError(f"No {CONFIG} in {start} or above it: run this inside a clone of the course.")


def find_lessons(root: Path, names: Iterable[str] = ()) -> list[Lesson]:
    """The lessons called `names` (a number or a prefix is enough: "01"), or all of them, in order."""
    folders = {path.name for path in (root / "solutions").glob("[!.]*") if path.is_dir()}
    for name in sorted(folders - LEFTOVERS):
        if not LESSON_NAME.fullmatch(name):
            raise BuildError(
                f"solutions/{name}: a lesson's folder is called NN_name, like 03_domain_adaptation."
            )
    lessons = [Lesson(root, name) for name in sorted(folders - LEFTOVERS)]
    if not (names := list(names)):
        return lessons
    chosen = []
    for name in names:
        fits = [lesson for lesson in lessons if lesson.name.startswith(name.rstrip("/").rsplit("/", 1)[-1])]
        if len(fits) != 1:
            known = ", ".join(lesson.name for lesson in lessons) or "none"
            raise BuildError(f'"{name}" fits {len(fits)} lessons; the lessons are: {known}.')
        chosen += fits
    return chosen


def course_secret(root: Path) -> str:
    """The course's own random secret, made on first use: hidden tests draw their inputs from it."""
    path = root / SECRET
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
    text = path.read_text().strip()
    if len(text) < 32:
        raise BuildError(f"{SECRET} holds {len(text)} characters, 64 expected: delete it, run `tlkit build`.")
    return text


def fingerprint(secret: str) -> str:
    """Names a secret without telling it."""
    return hashlib.sha256(f"fingerprint:{secret}".encode()).hexdigest()[:16]


def stale(lesson: Lesson) -> str | None:
    """Why grading must not start with this lesson's build products, or None when they are fresh."""
    advice = f"run `tlkit build {lesson.name}`, then grade again"
    if not lesson.secret.is_file() or not lesson.notebook.is_file():
        missing = lesson.secret if not lesson.secret.is_file() else lesson.notebook
        return f"solutions/{lesson.name}/{missing.name} is missing: {advice}."
    try:
        built = json.loads(lesson.secret.read_text(encoding="utf-8"))
    except ValueError:
        return f"solutions/{lesson.name}/secret.json is not readable: {advice}."
    if built.get("sources") != lesson.digest():
        return f"solutions/{lesson.name} was edited after it was built: {advice}."
    if not (lesson.root / SECRET).is_file() or built.get("course") != fingerprint(course_secret(lesson.root)):
        return f"solutions/{lesson.name}/secret.json belongs to another {SECRET}: {advice}."
    return None
