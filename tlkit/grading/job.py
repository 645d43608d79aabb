"""One submission as work for a worker, and the judgement on what came back; both are plain data."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nbformat.notebooknode import NotebookNode

from tlkit.build.course import Lesson
from tlkit.build.notebooks import nbgrader, tags
from tlkit.exercises.judge import Verdict, judge
from tlkit.exercises.measure import Measured
from tlkit.grading.process.client import Job, Transcript
from tlkit.grading.restore import NOT_RUN
from tlkit.grading.transcript import Found, read

LOCKED_SECONDS = 600.0  # for a cell of the lesson's own


def exercise_of(cell: NotebookNode) -> str:
    """The exercise that a test cell asks about; "" for any other cell."""
    mark = nbgrader(cell)
    name = str(mark.get("grade_id", ""))
    if cell.cell_type == "code" and mark.get("grade") and not mark.get("solution"):
        return name.removeprefix("test_")
    return ""


def steps_of(notebook: NotebookNode, exercises: Mapping[str, Any], seconds: float) -> list[dict[str, Any]]:
    """What a worker does with a restored notebook, in order; "at" is the position of the cell."""
    steps: list[dict[str, Any]] = []
    for position, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or NOT_RUN in tags(cell):
            continue
        name = exercise_of(cell)
        if name in exercises:
            steps.append({"at": position, "probe": name})
        elif cell.source.strip():
            allowed = LOCKED_SECONDS if nbgrader(cell).get("locked") else seconds
            steps.append({"at": position, "source": cell.source, "seconds": allowed})
    return steps


def make_job(
    lesson: Lesson, steps: list[dict[str, Any]], exercises: Mapping[str, Any], seeds: Mapping[str, list[int]]
) -> Job:
    """The job of one submission; `exercises` are the entries of expected.json.

    Nothing in it tells an answer.
    """
    released = (path for path in sorted(lesson.released.iterdir()) if path.is_file())
    kept = [path for path in released if path.suffix != ".ipynb" and path.name != "expected.json"]
    files = {path.name: base64.b64encode(path.read_bytes()).decode("ascii") for path in kept}
    files["probes.py"] = base64.b64encode((lesson.folder / "probes.py").read_bytes()).decode("ascii")
    about = {
        name: {key: entry[key] for key in ("kind", "signature", "seconds")}
        for name, entry in exercises.items()
    }
    public = {
        name: [int(seed) for seed in entry["parts"][0]["expected"]] for name, entry in exercises.items()
    }
    return {"files": files, "steps": steps, "seeds": dict(seeds), "public": public, "about": about}


def verdicts(
    job: Job, found: Found, hidden: Mapping[str, Mapping[str, Any]], public: Mapping[str, Mapping[str, Any]]
) -> dict[str, Verdict]:
    """{exercise: verdict} of a submission: points from its hidden cases, hints from the public ones.

    `hidden` and `public` are entries as `judge` takes them. An exercise that was not measured is "unchecked".
    """
    judged = {}
    for name in (step["probe"] for step in job["steps"] if "probe" in step):
        entry = hidden[name]
        if name in found.measured:
            verdict = _judged(name, entry, found.measured[name])
            hinted = name in found.public and name in public  # a worker may send what it was not asked for
            if hinted and verdict.outcome not in ("right", "not_attempted", "unchecked"):
                verdict = replace(verdict, misconceptions=_hints(name, public[name], found.public[name]))
        else:
            verdict = _unchecked(name, entry, found.problems.get(name, ""))
        judged[name] = verdict
    return judged


def _judged(name: str, entry: Mapping[str, Any], measured: Measured) -> Verdict:
    """The verdict; whatever was sent, it is that of this exercise alone."""
    try:
        return judge(name, entry, measured, blind=True)
    except Exception as error:
        return _unchecked(name, entry, f"What was measured could not be judged ({type(error).__name__}).")


def _unchecked(name: str, entry: Mapping[str, Any], problem: str) -> Verdict:
    return Verdict(name, "unchecked", 0.0, float(entry["points"]), problem=problem)


def _hints(name: str, entry: Mapping[str, Any], measured: Measured) -> Any:
    return _judged(name, entry, measured).misconceptions


def in_need(job: Job, transcript: list[dict[str, Any]], hidden: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The exercises for which a hint is to be looked for: attempted, measured, and not right.

    Not where all that is wrong is that time was up: public cases would take as long, and tell no more.
    """
    found = read(transcript, {name: len(entry["parts"]) for name, entry in hidden.items()})
    judged = verdicts(job, found, hidden, {})
    return [
        name
        for name, verdict in judged.items()
        if verdict.outcome not in ("right", "not_attempted", "unchecked")
        and any(part.state in ("wrong", "raised") for part in verdict.parts)
    ]


def complete(transcript: Transcript) -> bool:
    """Was everything run that should run?"""
    return transcript.ended == "done"
