"""`tlkit report`: what a graded lesson says about the class, as a page (HTML) and a table (CSV)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tlkit.build.course import BuildError, find_lessons, find_root
from tlkit.grading.files import write_whole
from tlkit.grading.gradebook import Course
from tlkit.grading.process.client import GraderError
from tlkit.reporting.evidence import collect
from tlkit.reporting.page import to_html
from tlkit.reporting.report import Report, make
from tlkit.reporting.table import to_csv
from tlkit.reporting.words import plural

FOLDER = "reports"  # in the course's top folder; git ignores it, for it names students


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the subcommand."""
    parser.add_argument("lesson", help='the lesson, by its number or name ("01")')
    parser.add_argument(
        "--to", metavar="FOLDER_OR_FILE", help=f"where the page goes (default: {FOLDER}/ in the course)"
    )
    parser.add_argument("--csv", metavar="FILE", help="where the table goes (default: beside the page)")


def run(args: argparse.Namespace) -> int:
    """0: written; 2: there is nothing to report on, or no place for it."""
    try:
        root = find_root()
        (lesson,) = find_lessons(root, [args.lesson])
        page = _page_path(args.to, root, lesson.name)
        table = Path(args.csv) if args.csv else page.with_suffix(".csv")
        report = make(collect(Course(root), lesson))
        write_whole(page, to_html(report))
        write_whole(table, to_csv(report))
    except (GraderError, BuildError) as error:
        print(f"Stopped: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(f"Stopped: the report could not be made: {error.strerror or error}{where}.", file=sys.stderr)
        return 2
    print(summary(report))
    print(f"Page:  {page}\nTable: {table}")
    return 0


def _page_path(asked: str | None, root: Path, lesson: str) -> Path:
    path = Path(asked) if asked else root / FOLDER
    if path.suffix.lower() in (".html", ".htm") and not path.is_dir():
        return path
    return path / f"{lesson}.html"


def summary(report: Report) -> str:
    """The report in a few lines, for the terminal."""
    handed_in = plural(len(report.records), "submission")
    lines = [f"{report.evidence.lesson}: {handed_in}, {len(report.graded)} graded."]
    tests = report.scores.tests
    if tests:
        lines.append(f"Median of the tests: {tests.spread.median:g} of {tests.most:g} points.")
    for one in [one for one in report.misconceptions if one.sure][:3]:
        lines.append(f"  {len(one.sure)} × {one.exercise}: {one.words}")
    if report.older or report.outdated:
        lines.append("Not all is graded with the lesson as it is now: run `tlkit grade` again.")
    return "\n".join(lines)
