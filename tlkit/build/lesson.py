"""Build one lesson in a staging folder: instructor's notebook, measurements, and nbgrader's release of it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nbformat.notebooknode import NotebookNode
from traitlets.config import Config

from tlkit.build.checks import check_names, check_points, check_released
from tlkit.build.course import BuildError, Lesson, course_secret, fingerprint
from tlkit.build.leaks import leaks
from tlkit.build.notebooks import write_notebook
from tlkit.build.release import generate_assignment
from tlkit.build.right import right_answers
from tlkit.build.text import expand
from tlkit.exercises.expected import PUBLIC_SEEDS, build_expected, write_expected
from tlkit.exercises.load import load_probes
from tlkit.exercises.spec import Spec, SpecError

HIDDEN_CASES = 3


@dataclass(frozen=True)
class Built:
    """One lesson built in the folder of `staged`, which is laid out like the course."""

    lesson: Lesson
    staged: Lesson
    notebook: NotebookNode
    spec: Spec
    problems: list[str]


def build_lesson(lesson: Lesson, staging: Path, settings: Config, say: Callable[[str], None]) -> Built:
    """Everything `tlkit build` writes for one lesson, below `staging`; the checkout is only read."""
    staged = Lesson(staging, lesson.name)
    secret = course_secret(lesson.root)
    try:
        spec = load_probes(lesson.folder)
        notebook = expand(lesson, spec)
        if problems := check_names(lesson, notebook):
            raise BuildError("\n".join(problems))
        say("running the answers")
        namespace = right_answers(lesson, notebook)
        say("measuring public cases")
        expected = build_expected(lesson.folder, namespace, PUBLIC_SEEDS)
        say("measuring hidden cases")
        hidden = build_expected(lesson.folder, namespace, hidden_seeds(secret, lesson.name))
    except SpecError as error:
        raise BuildError(f"solutions/{lesson.name}: {error}") from error
    say("releasing")
    for path in lesson.sources():
        target = staged.folder / path.relative_to(lesson.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    write_notebook(notebook, staged.notebook)
    write_expected(staged.expected, expected)
    generate_assignment(lesson.name, staging, settings)
    write_expected(staged.secret, {**hidden, "sources": lesson.digest(), "course": fingerprint(secret)})
    staged.secret.chmod(0o600)
    problems = [
        *check_released(staged, staged.released),
        *check_points(lesson, notebook),
        *leaks(lesson, notebook, staged.released, secret),
    ]
    return Built(lesson, staged, notebook, spec, problems)


def hidden_seeds(secret: str, lesson: str) -> tuple[int, ...]:
    """Seeds of the hidden cases: nobody without the course's secret can tell them."""
    keys = (f"{secret}:{lesson}:{case}".encode() for case in range(HIDDEN_CASES))
    return tuple(int.from_bytes(hashlib.sha256(key).digest()[:6], "big") for key in keys)
