"""Before a class: the lesson's own answers, run once where submissions run.

What keeps right answers from their points there, such as a package that workers do not see or a limit that is
too tight, would give a whole class no points. The worker that runs them ends before any submission's begins.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.exercises.judge import Part, Verdict
from tlkit.grading import job as jobs
from tlkit.grading.compose import ENDINGS
from tlkit.grading.files import write_json
from tlkit.grading.process.client import GraderError, Transcript
from tlkit.grading.submission import Submission, one_line
from tlkit.grading.transcript import read

if TYPE_CHECKING:
    from tlkit.grading.run import Grading, Runner, Work

STUDENTS = ("rehearsal/1", "rehearsal/2")  # each has cases of its own; no student's folder is called so
_ADVICE = {
    "ModuleNotFoundError": "Workers see the packages installed in this environment and nothing that "
    "PYTHONPATH or a .pth file adds: install what the lesson needs here.",
    "CellTimeoutError": "See --cell-seconds.",
    "time": "See --total-seconds.",
    "memory": "See --memory-gb.",
}


def rehearsed(grading: Grading) -> bool:
    """Did the lesson's answers get their points before: same lesson, limits, isolation and packages?"""
    return _mark(grading).is_file()


def rehearse(grading: Grading, runner: Runner) -> None:
    """Run the lesson's own answers as a submission; GraderError where they do not get all their points.

    An answer that is measured by how well it learns may have bad luck: it gets a second set of cases.
    """
    problem = advice = ""
    for student in STUDENTS:
        work = grading.prepare(Submission(student, grading.lesson.folder, grading.source))
        transcript = runner.run(work.job, work.hidden)
        problem, advice = _problem(grading, work, transcript)
        if not problem:
            write_json(_mark(grading), {"seconds": round(transcript.seconds, 2)})
            return
    raise GraderError(
        f"the lesson's own answers do not get their points where submissions run: {problem}. "
        f"{advice + ' ' if advice else ''}Nothing was graded. Mend this and grade again; "
        "--no-rehearsal grades all the same."
    )


def _mark(grading: Grading) -> Path:
    """Installing or removing a package changes the time of the folder that packages are in."""
    packages = Path(sysconfig.get_paths()["purelib"]).stat().st_mtime_ns
    limits = json.dumps(dataclasses.asdict(grading.limits), sort_keys=True)
    about = f"{grading.version} {limits} {grading.isolation} {packages}"
    return grading.records.folder / "right" / f"rehearsed-{hashlib.sha256(about.encode()).hexdigest()[:16]}"


def _problem(grading: Grading, work: Work, transcript: Transcript) -> tuple[str, str]:
    """What kept an answer from its points, and what may help; "" where nothing did."""
    if transcript.ended == "no room":
        return f"a worker could not be made ready ({transcript.why})", ""
    found = read(transcript, {name: len(entry["parts"]) for name, entry in grading.public.items()})
    judged = jobs.verdicts(work.job, found, work.hidden, grading.public)
    lost = [verdict for verdict in judged.values() if verdict.outcome != "right"]
    if not lost and transcript.ended == "done":
        return "", ""
    for number, outputs in sorted(found.outputs.items()):
        for output in outputs:
            if output.output_type == "error":
                cell = work.notebook.cells[work.job["steps"][number]["at"]]
                begins = one_line(cell.source.strip().split("\n", 1)[0])
                said = one_line(f"{output.ename}: {output.evalue}")
                advice = _ADVICE.get(output.ename, "")
                return f'the cell that begins with "{begins}" was stopped by {said}', advice
    if transcript.ended != "done":
        return ENDINGS.get(transcript.ended, transcript.ended), _ADVICE.get(transcript.ended, "")
    return "; ".join(map(_in_words, lost)), ""


def _in_words(verdict: Verdict) -> str:
    why = verdict.problem or "; ".join(
        _what_is_wrong(part) for part in verdict.parts if part.state != "right"
    )
    return one_line(f"{verdict.name} got {verdict.points:g} of {verdict.max_points:g} points ({why})")


def _what_is_wrong(part: Part) -> str:
    """The part's title and why it earned nothing: an exception, too much time, or what differs."""
    if raised := part.trouble.get("raised"):
        said = f": {raised['message']}" if raised["message"] else ""  # "" where it may hold a hidden case
        return f"{part.title.rstrip('.')}: {raised['type']}{said}"
    if part.trouble:
        return f"{part.title.rstrip('.')}: it was stopped for taking too long"
    return f"{part.title.rstrip('.')}: {' '.join(label.sentence for label in part.labels if not label.holds)}"
