"""The hidden cases of each student, and what a right answer measures on them.

Every exercise has a pool of cases, drawn from the course's secret; which of them a student gets follows
from the
secret, the exercise and the student. So no two need have the same, and a right answer is measured once
a case and kept, not once a student. The measuring is done by a process of its own, on the course's own code.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tlkit.build.course import Lesson, course_secret, find_lessons, fingerprint
from tlkit.grading.files import write_json
from tlkit.grading.process.client import GraderError

POOL = 4  # cases in the pool for each case that a student gets


def pool(secret: str, lesson: str, exercise: str, count: int) -> list[int]:
    """The seeds of all hidden cases of an exercise of which a student gets `count`."""
    return [1_000 + _number(secret, "case", lesson, exercise, str(i)) % 2**31 for i in range(POOL * count)]


def cases_of(secret: str, lesson: str, exercise: str, student: str, count: int) -> list[int]:
    """The seeds of the `count` cases that this student gets, the same every time."""
    seeds = pool(secret, lesson, exercise, count)
    return sorted(seeds, key=lambda seed: _number(secret, "student", lesson, exercise, student, str(seed)))[
        :count
    ]


def _number(secret: str, *about: str) -> int:
    message = "\0".join(about).encode("utf-8", "surrogatepass")
    return int.from_bytes(hmac.new(secret.encode(), message, hashlib.sha256).digest()[:8], "big")


class RightAnswers:
    """What right answers measure on the hidden cases of a lesson, by exercise: the "parts" of an entry."""

    def __init__(self, lesson: Lesson, counts: Mapping[str, int], folder: Path) -> None:
        self._lesson, self._folder = lesson, folder
        secret = course_secret(lesson.root)
        self.pools = {name: pool(secret, lesson.name, name, count) for name, count in counts.items()}
        state = f"{lesson.digest()} {fingerprint(secret)} {POOL} {version('torch')}"
        self._state = hashlib.sha256(state.encode()).hexdigest()[:16]
        self._parts: dict[str, list[dict[str, Any]]] = {}

    def _path(self, exercise: str) -> Path:
        return self._folder / f"{exercise}-{self._state}.json"

    def missing(self) -> list[str]:
        """Exercises that have not been measured yet with the lesson, the secret and PyTorch as they are."""
        return [name for name in self.pools if not self._path(name).is_file()]

    def measure(self, jobs: int, advance: Callable[[], object]) -> None:
        """Measure what is missing in `jobs` processes; `advance` is called after each exercise."""
        missing = self.missing()
        with ThreadPoolExecutor(max(1, jobs)) as threads:
            shares = [share for share in (missing[start::jobs] for start in range(jobs)) if share]
            for done in as_completed([threads.submit(self._measure, share, advance) for share in shares]):
                done.result()

    def _measure(self, exercises: list[str], advance: Callable[[], object]) -> None:
        asked = json.dumps({name: self.pools[name] for name in exercises})
        command = [
            sys.executable,
            "-m",
            "tlkit.grading.hidden",
            str(self._lesson.root),
            self._lesson.name,
            asked,
        ]
        quiet = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=said, text=True, env=quiet, cwd=self._lesson.folder
            )
            assert process.stdout is not None
            with process:
                for line in process.stdout:
                    name, parts = json.loads(line)
                    write_json(self._path(name), parts)
                    advance()
            if process.returncode != 0:
                said.seek(0)
                last = said.read().strip().splitlines()[-1:] or ["it said nothing"]
                raise GraderError(
                    f"Right answers of {self._lesson.name} could not be measured on the hidden cases: "
                    f"{last[0]}. "
                    f"Run `tlkit build {self._lesson.name}`, then grade again."
                )

    def entry(self, exercise: str, public: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
        """The entry to judge with: as `public`, an entry of expected.json, but with these hidden cases."""
        if exercise not in self._parts:
            self._parts[exercise] = json.loads(self._path(exercise).read_text(encoding="utf-8"))
        parts = [
            {**part, "expected": {str(seed): part["expected"][str(seed)] for seed in seeds}}
            for part in self._parts[exercise]
        ]
        return {**public, "parts": parts, "misconceptions": {}}


def _main(root: str, name: str, asked: str) -> None:
    from tlkit.build.notebooks import read_notebook
    from tlkit.build.right import right_answers
    from tlkit.exercises.expected import right_parts
    from tlkit.exercises.load import load_answers, load_probes
    from tlkit.system import set_threads

    set_threads(1)
    out, sys.stdout = sys.stdout, sys.stderr  # what the lesson prints is not the result
    (lesson,) = find_lessons(Path(root), [name])
    spec = load_probes(lesson.folder)
    namespace = right_answers(lesson, read_notebook(lesson.notebook))
    answers = load_answers(lesson.folder, namespace, spec)
    for exercise, seeds in json.loads(asked).items():
        one = spec.exercises[exercise]
        patient = replace(one, seconds=one.seconds * POOL)
        parts = right_parts(spec, patient, answers, namespace[exercise], seeds)
        print(json.dumps([exercise, parts]), file=out, flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
