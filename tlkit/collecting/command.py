"""`tlkit collect LESSON SOURCE [--roster FILE] [--from PLATFORM] [--dry-run] [--replace] [--report FILE]`."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from tlkit.build.course import BuildError, find_lessons, find_root
from tlkit.collecting.collect import collect
from tlkit.collecting.entries import SourceError
from tlkit.collecting.platforms import NAMES
from tlkit.collecting.roster import read_roster


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("lesson", help='which lesson: "01", or the folder\'s name')
    parser.add_argument("source", type=Path, help="the platform's zip, or a folder; nothing in it is changed")
    parser.add_argument(
        "--roster", type=Path, help="CSV: id and first_name, last_name, email, lms_user_id, moodle_id, name"
    )
    parser.add_argument(
        "--from", dest="platform", choices=list(NAMES), help="who named the files (default: recognised)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would happen, write nothing")
    parser.add_argument(
        "--replace",
        action="store_true",
        help="put a submission in the place of another one, which is kept aside",
    )
    parser.add_argument("--report", type=Path, help="write what became of each file as CSV, too")
    parser.add_argument("--course", type=Path, help="the course's top folder (default: found from here)")


def run(args: argparse.Namespace) -> int:
    """0: everything is placed. 1: some is not. 2: the call, the roster or the source is of no use."""
    try:
        (lesson,) = find_lessons(find_root(args.course), [args.lesson])
        report = collect(
            lesson,
            args.source,
            students=read_roster(args.roster) if args.roster else None,
            platform=args.platform,
            dry_run=args.dry_run,
            replacing=args.replace,
        )
    except (BuildError, SourceError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(report.text(max(60, min(shutil.get_terminal_size().columns, 110))))
    if args.report:
        try:
            report.write(args.report)
        except OSError as error:
            print(f"The report could not be written: {error}", file=sys.stderr)
            return 2
    return 0 if report.complete else 1
