"""Grade a lesson's submissions: read, restore, run in workers, judge, enter.

Stopped at any point it goes on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nbformat.notebooknode import NotebookNode

import tlkit
from tlkit.build.course import Lesson, course_secret, fingerprint, stale
from tlkit.build.notebooks import graded, nbgrader, read_notebook
from tlkit.grading import job as jobs
from tlkit.grading.compose import compose
from tlkit.grading.gradebook import Course, Known
from tlkit.grading.hidden import RightAnswers, cases_of
from tlkit.grading.isolation.limits import Limits
from tlkit.grading.process.client import GraderError, Job, Transcript
from tlkit.grading.records import Record, Records, exercises_of
from tlkit.grading.restore import NotGradable, restore
from tlkit.grading.submission import Submission, read_submission
from tlkit.grading.transcript import read

FORMAT = "2"  # of grading: a change here has everything graded again


class Runner(Protocol):
    """What runs jobs: the crew of this machine, or a cluster."""

    def run(self, job: Job, hidden: Mapping[str, Mapping[str, Any]]) -> Transcript: ...

    def stop(self) -> None: ...


@dataclass
class Work:
    """One submission on its way."""

    submission: Submission
    notebook: NotebookNode
    job: Job
    hidden: dict[str, dict[str, Any]]
    remarks: list[str]


@dataclass
class Grading:
    """Everything that grading a lesson needs; made once a run."""

    course: Course
    lesson: Lesson
    limits: Limits = field(default_factory=Limits)
    isolation: str = ""

    def __post_init__(self) -> None:
        if problem := stale(self.lesson):
            raise GraderError(problem)
        self.known: Known = self.course.known(self.lesson)
        self.source = read_notebook(self.lesson.notebook)
        self.public: dict[str, Any] = json.loads(self.lesson.expected.read_text(encoding="utf-8"))[
            "exercises"
        ]
        self.counts = {name: len(entry["parts"][0]["expected"]) for name, entry in self.public.items()}
        self.records = Records(self.course.root, self.lesson.name)
        self.right = RightAnswers(self.lesson, self.counts, self.records.folder / "right")
        self.secret = course_secret(self.course.root)
        about = f"{FORMAT} {tlkit.__version__} {self.lesson.digest()} {fingerprint(self.secret)}"
        about += json.dumps([self.known.texts, self.known.points], sort_keys=True)
        self.version = hashlib.sha256(about.encode()).hexdigest()[:16]
        self.answers = list(graded(self.source, "solution"))
        self.released = [path.name for path in self.lesson.released.iterdir()]

    def read(self, student: str, folder: Path) -> Submission:
        """The submission as it lies there."""
        return read_submission(folder, student, self.lesson.notebook.name, self.answers, self.released)

    def done_before(self, submission: Submission) -> Record | None:
        """The record of this very content, graded with all as it is now; None where there is work to do."""
        record = self.records.get(submission.student)
        if record is None or (record.digest, record.version) != (submission.digest, self.version):
            return None
        if submission.problem:  # it may have no content to be known by
            return record if record.remarks[:1] == [submission.problem] else None
        if record.state == "not gradable":
            return record
        there = self.course.autograded(submission.student, self.lesson) / self.lesson.notebook.name
        return record if there.is_file() else None

    def prepare(self, submission: Submission) -> Work:
        """The submission as work for a worker; NotGradable where nothing of the lesson is in it."""
        if submission.notebook is None:
            raise NotGradable(submission.problem)
        restored = restore(submission.notebook, self.source, self.known.texts)
        student = submission.student
        notebook = restored.notebook
        for mark in map(nbgrader, notebook.cells):
            if mark:  # by it nbgrader tells whether an answer was touched
                mark["checksum"] = self.known.checksums[mark["grade_id"]]
        steps = jobs.steps_of(notebook, self.public, self.limits.cell_seconds)
        seeds = {
            name: cases_of(self.secret, self.lesson.name, name, student, count)
            for name, count in self.counts.items()
        }
        hidden = {name: self.right.entry(name, self.public[name], seeds[name]) for name in self.public}
        job = jobs.make_job(self.lesson, steps, self.public, seeds)
        return Work(submission, notebook, job, hidden, submission.remarks + restored.remarks)

    def finish(self, work: Work, transcript: Transcript) -> Record:
        """Judge what came back, enter it in the gradebook, and note what became of it."""
        if transcript.ended == "no room":
            raise GraderError(
                f"A worker could not be made ready: {transcript.why}. Nothing was graded unprotected."
            )
        found = read(transcript, {name: len(entry["parts"]) for name, entry in self.public.items()})
        verdicts = jobs.verdicts(work.job, found, work.hidden, self.public)
        remarks = work.remarks + found.remarks
        steps = work.job["steps"]
        whole = compose(work.notebook, steps, found.outputs, verdicts, transcript.ended, remarks)
        student = work.submission.student
        self.course.save(work.notebook, self.lesson, student, work.submission.folder)
        return self._note(
            Record(
                student=student,
                digest=work.submission.digest,
                version=self.version,
                state="partly graded" if not whole else "graded with remarks" if remarks else "graded",
                remarks=remarks,
                exercises=exercises_of(verdicts),
                seconds=round(transcript.seconds, 2),
                peak_bytes=transcript.peak_bytes,
                isolation=self.isolation,
            )
        )

    def refuse(self, submission: Submission, problem: str) -> Record:
        """Note why a submission cannot be graded; what was graded of an earlier one is put aside.

        Not lost.
        """
        student = submission.student
        there = self.course.autograded(student, self.lesson)
        if there.exists():
            aside = self.records.folder / "replaced" / student
            shutil.rmtree(aside, ignore_errors=True)
            aside.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(there, aside)
        digest = submission.digest
        return self._note(
            Record(student, digest, self.version, "not gradable", [problem, *submission.remarks])
        )

    def _note(self, record: Record) -> Record:
        self.records.put(record)
        return record


def grade_all(
    grading: Grading,
    work: Iterable[Submission],
    runner: Runner,
    jobs_at_once: int,
    tell: Callable[[Record], object],
) -> Counter[str]:
    """Grade submissions, `jobs_at_once` at a time; returns how many ended in which state.

    `tell` hears of each.

    Only this thread touches files and gradebook; the others wait for workers.
    """
    states: Counter[str] = Counter()

    def note(record: Record) -> None:
        states[record.state] += 1
        tell(record)

    with ThreadPoolExecutor(jobs_at_once) as threads:
        running: dict[Future[Transcript], Work] = {}
        try:
            for submission in work:
                try:
                    prepared = grading.prepare(submission)
                except NotGradable as error:
                    note(grading.refuse(submission, str(error)))
                    continue
                running[threads.submit(runner.run, prepared.job, prepared.hidden)] = prepared
                while len(running) >= 2 * jobs_at_once:  # so many are prepared that no worker ever waits
                    for record in _finished(grading, running):
                        note(record)
            while running:
                for record in _finished(grading, running):
                    note(record)
        except BaseException:
            runner.stop()  # else this would wait for the workers
            raise
    return states


def _finished(grading: Grading, running: dict[Future[Transcript], Work]) -> Iterator[Record]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield grading.finish(running.pop(future), future.result())
