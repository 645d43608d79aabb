"""`tlkit grade`: run a lesson's submissions in a sandbox and enter their scores in nbgrader's gradebook."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from tlkit.build.course import BuildError, find_lessons, find_root
from tlkit.grading.crew import Crew
from tlkit.grading.isolation.levels import MEANING, Level, best
from tlkit.grading.isolation.limits import Limits
from tlkit.grading.process.client import GraderError
from tlkit.system import cpu_quota

if TYPE_CHECKING:  # nbgrader takes seconds to import, in which the zygote starts: see _run
    from tlkit.grading.records import Record
    from tlkit.grading.run import Grading, Runner
    from tlkit.grading.submission import Submission


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the subcommand."""
    parser.add_argument("lesson", help='the lesson, by its number or name ("01")')
    parser.add_argument(
        "--student", action="append", metavar="ID", help="only this student (may be repeated)"
    )
    parser.add_argument(
        "--regrade", action="store_true", help="grade again what is unchanged since the last run"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--jobs", type=int, metavar="N", help="workers at a time (default: one a core)")
    parser.add_argument(
        "--require-isolation",
        choices=[level.name for level in sorted(Level, reverse=True)],
        help="refuse to run with less than this",
    )
    parser.add_argument("--cell-seconds", type=float, default=60.0, help="for one cell of a student's (60)")
    parser.add_argument("--total-seconds", type=float, default=600.0, help="for one submission (600)")
    parser.add_argument("--memory-gb", type=float, default=3.0, help="for one submission (3)")
    parser.add_argument(
        "--no-rehearsal",
        action="store_true",
        help="do not run the lesson's own answers first, which stops where they do not get their points",
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="run on the Dask cluster at this address")


def run(args: argparse.Namespace) -> int:
    """0: all is graded; 1: some submissions could not be; 2: the run could not be done."""
    try:
        return _run(args)
    except (GraderError, BuildError) as error:
        print(f"Stopped: {error}", file=sys.stderr)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(
            f"Stopped: {error.strerror or error}{where}. What is graded is kept: mend this "
            f"and run the same command, "
            "it goes on where it stopped.",
            file=sys.stderr,
        )
    return 2


def _run(args: argparse.Namespace) -> int:
    if not sys.platform.startswith("linux"):
        raise GraderError(
            "tlkit grade needs Linux (on Windows: WSL; on a Mac: a container). Plain nbgrader works here."
        )
    root = find_root()
    (lesson,) = find_lessons(root, [args.lesson])
    limits = Limits(args.cell_seconds, args.total_seconds, int(args.memory_gb * 2**30))
    hidden = [root, Path.home()]  # what no submission may see: solutions, secret and gradebook; and homes
    with ExitStack() as stack:
        level = crew = None
        if not (args.scheduler or args.dry_run):
            level = _level(hidden, args.require_isolation)
            crew = stack.enter_context(Crew(level, hidden, limits))  # it starts while this goes on
        # jsonschema would spend seconds on the grammar of a kind of address that no notebook has
        sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None: not to be found
        from tlkit.grading.cluster import Cluster
        from tlkit.grading.gradebook import Course
        from tlkit.grading.run import Grading

        grading = Grading(Course(root), lesson, limits, level.name if level else "cluster")
        todo, unchanged = _chosen(grading, args)
        print(f"{lesson.name}: {len(todo)} to grade, {unchanged} unchanged since they were graded.")
        if args.dry_run:
            for submission in todo:
                print(f"  {submission.student}: {submission.problem or 'would be graded'}")
            return 0
        if not todo:
            return 0
        count = args.jobs or max(1, int(cpu_quota()))
        _measure_right(grading, count)
        if level and crew:
            _announce(level)
            _rehearse(grading, crew, args)
            started = time.monotonic()
            troubled = _with_progress(grading, todo, crew, count)
        else:
            cluster = stack.enter_context(Cluster(args.scheduler, limits, args.require_isolation))
            _rehearse(grading, cluster, args)
            started = time.monotonic()
            troubled = _with_progress(grading, todo, cluster, args.jobs or cluster.width)
            print(f"Isolation on the cluster: {', '.join(sorted(cluster.levels)) or 'nothing was run'}.")
        seconds = time.monotonic() - started
    print(f"{len(todo)} graded in {seconds:.0f} s, {seconds / len(todo):.1f} s each.")
    return 1 if troubled else 0


def _chosen(grading: Grading, args: argparse.Namespace) -> tuple[list[Submission], int]:
    """Submissions that need grading, and how many do not."""
    folders = grading.course.submitted(grading.lesson)
    for student in args.student or ():
        if student not in folders:
            raise GraderError(f'"{student}" has handed in nothing for {grading.lesson.name}.')
    if not folders:
        where = grading.course.folders.submitted_directory
        raise GraderError(f"There are no submissions in {where}/*/{grading.lesson.name}.")
    todo, unchanged = [], 0
    for student, folder in folders.items():
        if args.student and student not in args.student:
            continue
        submission = grading.read(student, folder)
        if not args.regrade and grading.done_before(submission):
            unchanged += 1
            continue
        submission.notebook = None  # read again when it is its turn: a thousand notebooks are large
        todo.append(submission)
    return todo, unchanged


def _measure_right(grading: Grading, count: int) -> None:
    if missing := grading.right.missing():
        with tqdm(total=len(missing), desc="right answers on hidden cases", unit="exercise") as bar:
            grading.right.measure(count, bar.update)


def _level(hidden: list[Path], required: str | None) -> Level:
    """The best level of this machine; GraderError where it is less than what is required."""
    level = best(hidden)
    if required and level < Level[required]:
        raise GraderError(
            f"--require-isolation {required} is asked for, and this machine offers only "
            f"{level}: {MEANING[level]}. "
            "In a container, allow user namespaces (docker run --security-opt "
            "seccomp=unconfined); or use a machine "
            "of your own."
        )
    return level


def _announce(level: Level) -> None:
    print(f"Isolation: {level}: {MEANING[level]}.")
    if level is Level.limits:
        print(
            "WARNING: submissions run WITHOUT A SANDBOX on this machine. They can read the "
            "solutions and your files "
            "and change the gradebook. Stop now (Ctrl-C) unless this machine holds nothing else.",
            file=sys.stderr,
        )


def _rehearse(grading: Grading, runner: Runner, args: argparse.Namespace) -> None:
    from tlkit.grading.rehearsal import rehearse, rehearsed

    if not args.no_rehearsal and not rehearsed(grading):
        print("The lesson's own answers are run first, as a submission would be.", flush=True)
        rehearse(grading, runner)


def _with_progress(grading: Grading, todo: list[Submission], runner: Runner, count: int) -> int:
    """Grade with a progress bar; returns how many could not be graded."""
    from tlkit.grading.run import grade_all

    with tqdm(total=len(todo), desc=grading.lesson.name, unit="submission") as bar:

        def tell(record: Record) -> None:
            bar.update()
            if record.state in ("not gradable", "partly graded"):
                bar.write(f"{record.student}: {record.state}: {'; '.join(record.remarks)}")

        def fresh() -> Iterator[Submission]:
            for submission in todo:
                yield grading.read(submission.student, submission.folder)

        states = grade_all(grading, fresh(), runner, count, tell)
    print(", ".join(f"{number} {state}" for state, number in sorted(states.items())) + ".")
    return states["not gradable"]
