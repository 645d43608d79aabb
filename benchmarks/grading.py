"""`nbgrader autograde` and `tlkit grade` on the same submissions: ``python benchmarks/grading.py``.

Builds lesson 01 in a temporary course and hands it in forty times: its right answers, alternatives and known
misconceptions, one wrong answer each. Grades them with plain nbgrader, and with one and with two workers, in
turn, and compares every student's points. Then a thousand submissions of a small lesson in one run, for the
memory; and the right answers of every lesson: grading a submission, and its longest check.
Writes ``benchmarks/results/grading.md`` and ``grading_lessons.md``. ``--only NAME`` runs one part: sides,
tlkit (the sides without nbgrader, once), thousand or lessons.
"""

from __future__ import annotations

import argparse
import csv
import functools
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from course_for_tests import CHECKOUT, copied_course, empty_course, environment, nbgrader
from submissions import Kit, hand_in

from tlkit.backbones import load_backbone
from tlkit.build.command import build
from tlkit.build.course import Lesson, find_lessons
from tlkit.build.new_lesson import new_lesson
from tlkit.build.notebooks import read_notebook
from tlkit.build.right import right_answers
from tlkit.data import digits_split
from tlkit.exercises.load import load_probes
from tlkit.exercises.measure import measure
from tlkit.grading.records import FOLDER, Records
from tlkit.system import cpu_quota, set_threads
from tlkit.training import fit

RESULTS = Path(__file__).parent / "results" / "grading.md"
EACH = RESULTS.with_name("grading_lessons.md")
COUNT = 40
ROUNDS = 4
EVERY = 4.0  # seconds between two looks at the memory: a look takes a tenth of a second of the machine


class Run(NamedTuple):
    """One grading: submissions, seconds in all, seconds until the first submission was done, peak memory."""

    count: int
    seconds: float
    start: float
    gigabytes: float
    points: dict[str, str]
    curve: list[float]  # gigabytes of the whole family, every few seconds

    @property
    def each(self) -> float:
        """Seconds of each submission after the first, which has to wait for all that is done once."""
        return (self.seconds - self.start) / (self.count - 1)


def hand_in_class(root: Path, kit: Kit, count: int) -> None:
    """The right answers, the stub, and then one alternative or misconception each."""
    name = kit.lesson.name
    others = kit.others("misconception") + kit.others("alternative")
    texts = [kit.right, {}] + [{**kit.right, one.exercise: one.source} for one in others]
    for number in range(count):
        hand_in(root, f"s{number:04}", name, kit.notebook(texts[number % len(texts)]))


def memory(process: int) -> float:
    """Proportional memory (PSS) of a process and all its descendants, in GB; shared pages count once."""
    total = 0
    for one in family(process):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total * 1024 / 1e9


def family(process: int) -> list[int]:
    found = [process]
    try:
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            for child in children.read_text().split():
                found += family(int(child))
    except OSError:
        pass
    return found


def timed(root: Path, command: list[str], first: str, count: int) -> Run:
    """Run a command; a file like `first`, a pattern below `root`, is there when one submission is done."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=root, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    curve: list[float] = []
    seen = []

    def watch() -> None:
        due = 0.0
        while process.poll() is None:
            if time.monotonic() >= due:
                curve.append(memory(process.pid))
                due = time.monotonic() + EVERY
            if not seen and any(root.glob(first)):
                seen.append(time.monotonic() - began)
            time.sleep(0.2)

    thread = threading.Thread(target=watch)
    thread.start()
    process.wait()
    thread.join()
    seconds = time.monotonic() - began
    nbgrader(root, "export", "--to", "grades.csv")
    with (root / "grades.csv").open(newline="") as file:
        points = {row["student_id"]: row["score"] for row in csv.DictReader(file)}
    return Run(count, seconds, seen[0] if seen else 0.0, max(curve), points, curve)


def cleared(root: Path, lesson: str) -> None:
    """Forget all grades, but not what right answers measure."""
    shutil.rmtree(root / "autograded", ignore_errors=True)
    shutil.rmtree(root / FOLDER / lesson / "records", ignore_errors=True)
    (root / "gradebook.db").unlink(missing_ok=True)
    nbgrader(root, "generate_assignment", lesson, "--force")


def tlkit_run(root: Path, lesson: str, jobs: int, count: int) -> Run:
    command = [sys.executable, "-m", "tlkit", "grade", lesson, "--jobs", str(jobs)]
    return timed(root, command, f"{FOLDER}/{lesson}/records/s*.json", count)


def side_by_side(folder: Path, only: str) -> list[str]:
    """The table for forty submissions of lesson 01.

    In rounds, because a shared machine is now faster and now slower: in each, plain nbgrader grades a part of
    the class, and `tlkit grade` the whole class with one and with two workers.
    """
    root, plain = folder / "course", folder / "plain"
    lesson = copied_course(root, "01")
    hand_in_class(root, Kit(lesson), COUNT)
    cleared(root, lesson.name)
    shutil.copytree(root, plain)
    subprocess.run(  # measures the right answers, and is the rehearsal's
        [sys.executable, "-m", "tlkit", "grade", lesson.name, "--student", "s0000"],
        cwd=root,
        env=environment(),
        check=True,
    )
    rounds: list[dict[str, Run]] = []
    everybody = sorted((root / "submitted").iterdir())
    for turn in range(1 if only == "tlkit" else ROUNDS):
        runs = {}
        if only != "tlkit":
            shutil.rmtree(plain / "submitted")
            for student in everybody[turn::ROUNDS]:
                shutil.copytree(student, plain / "submitted" / student.name)
            command = [sys.executable, "-m", "nbgrader", "autograde", lesson.name]
            first = f"autograded/{everybody[turn].name}/{lesson.name}/{lesson.name}.ipynb"
            runs["`nbgrader autograde`"] = timed(plain, command, first, COUNT // ROUNDS)
        for jobs in (1, 2):
            cleared(root, lesson.name)
            runs[f"`tlkit grade --jobs {jobs}`"] = tlkit_run(root, lesson.name, jobs, COUNT)
        rounds.append(runs)
    lines = [
        "| command | submissions | until the first, s | each after it, by round, s | mean, s | memory, GB |",
        "|---|---|---|---|---|---|",
    ]
    each = {name: [runs[name].each for runs in rounds] for name in rounds[0]}
    for name, seconds in each.items():
        found = [runs[name] for runs in rounds]
        lines.append(
            f"| {name} | {' + '.join(str(run.count) for run in found)} "
            f"| {sum(run.start for run in found) / len(found):.1f} "
            f"| {', '.join(f'{one:.2f}' for one in seconds)} | {sum(seconds) / len(seconds):.2f} "
            f"| {max(run.gigabytes for run in found):.2f} |"
        )
    if only == "tlkit":
        return lines
    reference = rounds[-1]["`nbgrader autograde`"].points  # its gradebook has all rounds
    others = [run.points for runs in rounds for name, run in runs.items() if "nbgrader" not in name]
    differ = [
        student
        for student, score in reference.items()
        if any(float(points[student]) != float(score) for points in others)
    ]
    names = ", ".join(differ) or "none"
    lines += ["", f"Students whose points differ between the commands: {names} of {COUNT}."]
    plainly, *ours = each.values()
    for jobs, seconds in enumerate(ours, start=1):
        factors = [a / b for a, b in zip(plainly, seconds, strict=True)]
        lines.append(
            f"With {jobs} worker{'s' * (jobs > 1)} each submission but the first is graded "
            f"{sum(plainly) / sum(seconds):.1f} times as fast as by `nbgrader autograde` "
            f"({min(factors):.1f} to {max(factors):.1f} in the rounds)."
        )
    return lines


def thousand(folder: Path) -> list[str]:
    """A thousand submissions of the sample lesson in one run."""
    root = empty_course(folder / "thousand")
    lesson = new_lesson(root, "sample")
    assert build(root, [], check=False) == []
    kit = Kit(lesson)
    hand_in_class(root, kit, 1000)
    cleared(root, lesson.name)
    run = tlkit_run(root, lesson.name, 2, 1000)
    fifth = max(1, len(run.curve) // 5)
    second, last = (sum(part) / len(part) for part in (run.curve[fifth : 2 * fifth], run.curve[-fifth:]))
    return [
        f"A thousand submissions of the small sample lesson in one run, two workers: {run.seconds:.0f} s, "
        f"{run.seconds / 1000:.2f} s each; memory of all processes together {second:.2f} GB in the second "
        f"fifth of the run, {last:.2f} GB in the last, {run.gigabytes:.2f} GB at most."
    ]


def checks(lesson: Lesson) -> dict[str, list[tuple[float, float]]]:
    """Exercise -> seconds of measuring the right answer as a first `check` does, and of the answer alone.

    Five of each, the fastest first: on a shared machine others take time away, and never give any.
    """
    right = right_answers(lesson, read_notebook(lesson.notebook))
    public: Any = json.loads(lesson.expected.read_text(encoding="utf-8"))["exercises"]
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(5):
        spec = load_probes(lesson.folder)  # anew: probes may keep what they have computed
        for name, probes in spec.probes.items():
            answer, own = right[name], 0.0

            @functools.wraps(answer)
            def timed_answer(*given: Any, _answer: Any = answer, **named: Any) -> Any:
                nonlocal own
                began = time.perf_counter()
                try:
                    return _answer(*given, **named)
                finally:
                    own += time.perf_counter() - began

            code = answer if isinstance(answer, type) else timed_answer
            seeds = [int(seed) for seed in public[name]["parts"][0]["expected"]]
            whole = measure(spec.exercises[name], probes, code, seeds).seconds
            found.setdefault(name, []).append((whole, own))
    return {name: sorted(five) for name, five in found.items()}


def each_lesson(folder: Path) -> list[str]:
    """Grading a right submission of every lesson with one worker, and its longest check with two threads."""
    set_threads()
    few = digits_split()[0].subset(slice(16))
    fit(load_backbone(), few, epochs=1, progress=False)  # the first training of a process imports much
    lines = [
        "| lesson | grading a right submission, s | longest check, s: fastest and median of five "
        "| longest beside the answer, s |",
        "|---|---|---|---|",
    ]
    for number in (lesson.name[:2] for lesson in find_lessons(CHECKOUT)):
        lesson = copied_course(folder / number, number)
        kit, root = Kit(lesson), lesson.root
        for student in range(4):
            hand_in(root, f"s{student}", lesson.name, kit.notebook(kit.right))
        nbgrader(root, "generate_assignment", lesson.name, "--force")
        grade = [sys.executable, "-m", "tlkit", "grade", lesson.name, "--jobs", "1"]
        for only in (["--student", "s0"], []):  # the first measures the right answers, and is the rehearsal's
            subprocess.run(grade + only, cwd=root, env=environment(), check=True, stdout=subprocess.DEVNULL)
        took = [record.seconds for record in Records(root, lesson.name).all() if record.student != "s0"]
        found = checks(lesson)
        name, five = max(found.items(), key=lambda item: item[1][0][0])
        longest = f"{five[0][0]:.2f}, {five[2][0]:.2f} (`{name}`)"
        beside = max(whole - own for (whole, own), *_ in found.values())
        lines.append(f"| {lesson.name} | {sum(took) / len(took):.2f} | {longest} | {beside:.2f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["sides", "tlkit", "thousand", "lessons", "all"], default="all")
    only = parser.parse_args().only
    head = [
        f"{cpu_quota():g} CPUs granted, load {os.getloadavg()[0]:.1f} at the start, Python "
        f"{platform.python_version()}, {platform.machine()}. Printed by `python benchmarks/grading.py`.",
        "",
    ]
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        if only in ("sides", "tlkit", "all"):
            lines += [f"Lesson 01, the same {COUNT} submissions, in rounds:", ""]
            lines += [*side_by_side(Path(folder), only), ""]
        if only in ("thousand", "all"):
            lines += thousand(Path(folder))
        if only in ("lessons", "all"):
            EACH.write_text("\n".join(head + each_lesson(Path(folder))) + "\n", encoding="utf-8")
    print("\n".join(head + lines))
    if only == "all":
        RESULTS.write_text("\n".join(head + lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
