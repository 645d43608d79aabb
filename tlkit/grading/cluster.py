"""The same unit of work on a Dask cluster: `tlkit grade --scheduler ADDRESS`.

A cluster's machines are the instructor's: their Dask processes are trusted with what right answers measure.
What runs students' code there is the same crew as on one machine, zygote and sandboxed workers; a worker that
runs a student's code is told no answer.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tlkit
from tlkit.grading.crew import Crew
from tlkit.grading.isolation.levels import MEANING, Level
from tlkit.grading.isolation.limits import Limits
from tlkit.grading.process.client import GraderError, Job, Transcript

RETRIES = 2  # of a unit whose machine went away
_PROBE = "import sys; from pathlib import Path; from tlkit.grading.isolation.levels import best; "
_PROBE += "print(best([Path(one) for one in sys.argv[1:]]).name)"

_crews: dict[str, Crew] = {}
_lock = threading.Lock()


def unit(job: Job, hidden: Mapping[str, Mapping[str, Any]], limits: dict[str, Any], required: str) -> str:
    """Grade one submission on the machine where this is called; returns a Transcript and the level, as JSON.

    The first call in a process starts its zygote, which ends with the process.
    """
    level = _level()
    if required and level < Level[required]:
        raise GraderError(f"a machine of the cluster offers only {level}: {MEANING[level]}.")
    with _lock:
        key = json.dumps(limits, sort_keys=True)
        if key not in _crews:
            _crews[key] = Crew(level, _hidden_folders(), Limits(**limits)).__enter__()
        crew = _crews[key]
    found = dataclasses.asdict(crew.run(job, hidden))
    return json.dumps({"transcript": found, "level": level.name, "version": tlkit.__version__})


def _hidden_folders() -> list[Path]:
    """On this machine: the checkout that tlkit may lie in, and the home of whoever runs the cluster."""
    return [Path(tlkit.__file__).resolve().parents[1], Path.home()]


def _level() -> Level:
    """The best level here, found in a process of its own: a Dask process has threads and must not fork."""
    with _lock:
        if not _found:
            command = [sys.executable, "-c", _PROBE, *map(str, _hidden_folders())]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            _found.append(Level[run.stdout.strip()])
    return _found[0]


_found: list[Level] = []


class Cluster:
    """A Dask cluster as a runner of jobs. Use as a context manager."""

    def __init__(self, address: str, limits: Limits, required: str | None) -> None:
        try:
            import distributed
        except ImportError:
            raise GraderError("--scheduler needs Dask: install it with `uv sync --extra cluster`.") from None
        self._limits, self._required = dataclasses.asdict(limits), required or ""
        try:
            connect: Any = distributed.Client
            self._client = connect(address, timeout=10)
        except OSError as error:
            raise GraderError(
                f"No Dask scheduler answers at {address} ({error}). Start one with `dask scheduler`, and "
                "workers with `dask worker ADDRESS`, in the environment of this course."
            ) from None
        self.levels: set[str] = set()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave the cluster; what it still runs for this client is cancelled."""
        self._client.close()

    @property
    def width(self) -> int:
        """How many units the cluster runs at a time."""
        threads: int = sum(self._client.nthreads().values())
        if not threads:
            raise GraderError("The Dask scheduler has no workers: start some with `dask worker ADDRESS`.")
        return threads

    def run(self, job: Job, hidden: Mapping[str, Mapping[str, Any]]) -> Transcript:
        """Run one job somewhere in the cluster; again elsewhere if that machine goes away."""
        from distributed.scheduler import KilledWorker

        future = self._client.submit(
            unit, job, hidden, self._limits, self._required, pure=False, retries=RETRIES
        )
        try:
            said = json.loads(future.result())
        except KilledWorker:
            return Transcript(ended="killed")
        if said["version"] != tlkit.__version__:
            raise GraderError(
                f"A machine of the cluster has tlkit {said['version']}, this one {tlkit.__version__}: "
                "install the same version everywhere."
            )
        self.levels.add(said["level"])
        return Transcript(**said["transcript"])
