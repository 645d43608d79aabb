"""`tlkit build [LESSON…] [--check]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tqdm import tqdm
from traitlets.config import Config

from tlkit.build.checks import check_unique
from tlkit.build.compare import drift, install, strays
from tlkit.build.course import BuildError, Lesson, course_secret, find_lessons, find_root
from tlkit.build.leaks import leaks
from tlkit.build.lesson import Built, build_lesson
from tlkit.build.release import nbgrader_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lesson", nargs="*", help='which lessons: "01", or the folder\'s name (default: all)')
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where course/ is not what sources build"
    )
    parser.add_argument("--course", type=Path, help="the course's top folder (default: found from here)")


def run(args: argparse.Namespace) -> int:
    try:
        problems = build(find_root(args.course), args.lesson, check=args.check)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    for problem in problems:
        print(f"- {problem}", file=sys.stderr)
    if problems:
        print(f"\n{len(problems)} to put right.", file=sys.stderr)
    elif args.check:
        print("course/ is exactly what solutions/ builds.")
    return 1 if problems else 0


def build(root: Path, names: list[str], *, check: bool) -> list[str]:
    """Build in a temporary folder, then compare with course/ (check) or install; returns what is wrong.

    Nothing is installed while anything is wrong with any lesson asked for.
    """
    root = root.resolve()
    lessons = find_lessons(root, names)
    settings = nbgrader_settings(root)
    with tempfile.TemporaryDirectory(prefix="tlkit-build-") as folder:
        staging = Path(folder).resolve()
        built = _build_all(lessons, staging, settings)
        problems = [problem for one in built for problem in one.problems]
        notebooks = {one.lesson.name: one.notebook for one in built}
        problems += check_unique(notebooks, {one.lesson.name: list(one.spec.questions) for one in built})
        problems += _leaks_between(built, root)
        if check:
            problems += [problem for one in built for problem in drift(one)]
            problems += [] if names else strays(root, lessons)
        elif not problems:
            for one in built:
                changed = install(one)
                print(f"{one.lesson.name}: {', '.join(changed) if changed else 'as it was'}")
    return problems


def _build_all(lessons: list[Lesson], staging: Path, settings: Config) -> list[Built]:
    built = []
    with tqdm(lessons, unit="lesson", disable=None) as bar:
        for lesson in bar:
            bar.set_description(lesson.name)
            built.append(build_lesson(lesson, staging, settings, bar.set_postfix_str))
    return built


def _leaks_between(built: list[Built], root: Path) -> list[str]:
    """Does one lesson's released folder, fresh or in the checkout, show another's answers?"""
    secret = course_secret(root)
    found = []
    for one in built:
        fresh = {other.lesson.name: other.staged.released for other in built}
        kept = {path.name: path for path in (root / "course").glob("*") if path.is_dir()}
        for name, released in {**kept, **fresh}.items():
            if name != one.lesson.name:
                found += leaks(one.lesson, one.notebook, released, secret)
    return found
