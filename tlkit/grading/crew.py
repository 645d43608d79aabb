"""Workers of this machine: one zygote, replaced if it is killed.

The unit of work that a cluster takes as well.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tlkit.grading.isolation.levels import Level
from tlkit.grading.isolation.limits import Limits
from tlkit.grading.process.client import GraderError, Job, NotStarted, Transcript, Zygote

ATTEMPTS = 2  # at a submission whose process is killed by something else than its own code


class Crew:
    """Use as a context manager; `run` may be called from many threads, and waits for the zygote's imports."""

    def __init__(self, level: Level, hidden: Sequence[Path], limits: Limits) -> None:
        self._settings = (level, tuple(hidden), limits)
        self._lock = threading.Lock()
        self._zygote: Zygote | None = None
        self._stopped = False

    def __enter__(self) -> Crew:
        self._living()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all workers at once; whoever waits for one gets a GraderError."""
        with self._lock:
            self._stopped = True
            if self._zygote is not None:
                self._zygote.__exit__()
                self._zygote = None

    def _living(self) -> Zygote:
        with self._lock:
            if self._stopped:
                raise GraderError("Grading was stopped.")
            if self._zygote is not None and not self._zygote.alive:
                self._zygote.__exit__()
                self._zygote = None
            if self._zygote is None:
                self._zygote = Zygote(*self._settings).__enter__()
            return self._zygote

    def run(self, job: Job, hidden: Mapping[str, Mapping[str, Any]]) -> Transcript:
        """Run one job. `hidden` stays in this process: it decides which exercises need a hint."""
        from tlkit.grading.job import in_need  # slow to import, and the zygote is to be started before

        for _ in range(ATTEMPTS):
            zygote = self._living()
            found = Transcript(ended="killed")
            try:
                found = zygote.run(job, lambda messages: in_need(job, messages, hidden))
            except NotStarted:
                raise
            except GraderError:
                if zygote.alive:
                    raise
            if found.ended != "killed":
                break
        return found
