"""`tlkit new-lesson NAME`: a folder with a working sample exercise, which builds and passes at once."""

from __future__ import annotations

import argparse
import re
import sys
from importlib import resources
from pathlib import Path

from tlkit.build.course import LESSON_NAME, BuildError, Lesson, find_lessons, find_root

FILES = {"lesson.py": "{name}.py", "probes.py": "probes.py", "answers.py": "answers.py"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help='the lesson\'s name, like "domain_adaptation" or "03_domain_adaptation"')
    parser.add_argument("--course", type=Path, help="the course's top folder (default: found from here)")


def run(args: argparse.Namespace) -> int:
    try:
        lesson = new_lesson(find_root(args.course), args.name)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"solutions/{lesson.name}/ is ready: a sample lesson with one exercise.")
    print(f"  1. edit {lesson.text.name}, probes.py and answers.py (docs/writing-a-lesson.md says how)")
    print(f"  2. run `tlkit build {lesson.name}` and open course/{lesson.name}/{lesson.notebook.name}")
    print("  3. run the tests: every lesson's exercises, notebooks and pictures are tested")
    return 0


def new_lesson(root: Path, name: str) -> Lesson:
    """Write the sample lesson into solutions/NN_name; NN is the next free number unless `name` has one."""
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not re.match(r"\d\d_", slug):
        numbers = [int(lesson.name[:2]) for lesson in find_lessons(root)]
        slug = f"{max(numbers, default=-1) + 1:02d}_{slug}"
    if not LESSON_NAME.fullmatch(slug):
        raise BuildError(f'"{name}" makes "{slug}": a lesson is called NN_name, in a-z, 0-9 and _.')
    lesson = Lesson(root, slug)
    if lesson.folder.exists():
        raise BuildError(f"solutions/{slug} exists already: choose another name, or edit that lesson.")
    taken = [other.name for other in find_lessons(root) if other.name[:2] == slug[:2]]
    if taken:
        raise BuildError(f"{slug[:2]} is taken by {taken[0]}: leave the number out to get the next free one.")
    title = slug[3:].replace("_", " ").capitalize()
    fill = {"NUMBER": slug[:2], "TITLE": title, "FUNCTION": f"center_{slug[3:]}"}
    lesson.folder.mkdir(parents=True)
    for source, target in FILES.items():
        text = resources.files("tlkit.build").joinpath("sample", f"{source}.txt").read_text(encoding="utf-8")
        for key, value in fill.items():
            text = text.replace(f"@{key}@", value)
        (lesson.folder / target.format(name=slug)).write_text(text, encoding="utf-8")
    return lesson
