"""The grader's side of a worker: start the zygote, hand out a job, read what comes back within all limits."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tlkit.grading.isolation.levels import Level
from tlkit.grading.isolation.limits import Limits
from tlkit.grading.process import wire

GRACE = 15.0  # seconds that a step may take beyond its own limit before its process is ended
START = 300.0  # seconds for the zygote's imports on a slow machine

Job = dict[str, Any]
Choose = Callable[[list[dict[str, Any]]], Sequence[str]]


class GraderError(Exception):
    """The grader itself cannot go on; the message says why and what to do."""


class NotStarted(GraderError):
    """The zygote did not start: nothing is wrong with a submission, and trying again is no use."""


@dataclass
class Transcript:
    """All a worker sent, unchecked but for its size, and how it ended.

    ended: "done" · "time" · "memory" · "disk" · "processes" · "died" (its code ended the process) ·
    "killed" (somebody else did) · "broken" (what it sent was no message) · "no room" (its room could not
    be made). step: the last one that was begun.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    ended: str = "done"
    why: str = ""
    step: int = -1
    seconds: float = 0.0
    peak_bytes: int = 0


class Zygote:
    """A warm process to fork workers from. Use as a context manager.

    Its imports take seconds, and go on while the caller does something else: the first `run` waits for
    them. `run` may be called from many threads.
    """

    def __init__(self, level: Level, hidden: Sequence[Path], limits: Limits | None = None) -> None:
        self.level, self.limits = level, limits or Limits()
        self._hidden = [str(path) for path in hidden]
        self._lock = threading.Lock()
        self._ready = False

    def __enter__(self) -> Zygote:
        self._home = tempfile.mkdtemp(prefix="tlkit-grading-")
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", "tlkit.grading.process.zygote", str(theirs.fileno())],
            cwd=self._home,
            env=_environment(self._home),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the grader
        )
        theirs.close()
        settings = {
            "level": self.level.name,
            "hidden": self._hidden,
            "limits": dataclasses.asdict(self.limits),
        }
        with contextlib.suppress(OSError):  # it is gone already, which the first `run` will say
            self._control.sendall(json.dumps(settings).encode() + b"\n")
        return self

    def _wait_until_ready(self) -> None:
        with self._lock:
            if self._ready:
                return
            self._control.settimeout(START)
            with contextlib.suppress(OSError):  # too late, or gone
                self._ready = bool(self._control.recv(16))
            self._control.settimeout(None)
            if not self._ready:
                raise NotStarted("The process that runs submissions did not start; its messages are above.")

    def __exit__(self, *_error: object) -> None:
        self._control.close()
        if self._ready:  # else it is still importing and would not hear
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def _gone(self) -> bool:
        """Asked where it seems dead: what it holds is closed a moment before its end is known."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        return not self.alive

    def run(self, job: Job, choose: Choose | None = None) -> Transcript:
        """Run one job to its end, whatever its code does.

        `choose` is shown the messages once all steps are done, and names the exercises to be measured
        on public cases too, for their hints; by default all.
        """
        self._wait_until_ready()
        channel, theirs = socket.socketpair()
        leash, keepers = socket.socketpair()
        started = time.monotonic()
        found = Transcript()
        with channel, leash:
            try:
                with theirs, keepers:
                    socket.send_fds(self._control, [b"!"], [theirs.fileno(), keepers.fileno()])
            except OSError as error:
                self._gone()
                raise GraderError(f"The process that runs submissions has ended ({error}).") from None
            try:
                wire.send(channel, job)
                self._converse(channel, job, choose, found)
            except wire.Late:
                found.ended = "time"
            except wire.WireError as error:
                found.ended, found.why = "broken", str(error)
            except wire.Closed:
                found.ended = "died"
            found.seconds = time.monotonic() - started
            self._last_word(leash, found)
        return found

    def _converse(self, channel: socket.socket, job: Job, choose: Choose | None, found: Transcript) -> None:
        reader = wire.Reader(channel, self.limits.output_bytes)
        end = time.monotonic() + self.limits.total_seconds
        most = len(job["steps"]) + 2 * len(job["public"]) + 1  # one a step, one an exercise, and some
        until = min(end, time.monotonic() + GRACE)
        while True:
            message = reader.next(until)
            if "begin" in message:
                found.step = _position(message["begin"], found.step, len(job["steps"]))
                until = min(end, time.monotonic() + self._allowed(job, found.step))
                if found.step == len(job["steps"]):
                    names = list(job["public"]) if choose is None else list(choose(found.messages))
                    wire.send(channel, {"again": names})
                    longest = sum(job["about"][name]["seconds"] for name in names)
                    until = min(end, time.monotonic() + 3 * longest + GRACE)
            elif "broken" in message and found.step < 0:  # none of the submission's code has run yet
                found.ended, found.why = "no room", str(message["broken"]).strip().splitlines()[-1][:400]
                return
            elif "broken" in message:
                raise wire.WireError(str(message["broken"])[:2_000])
            elif "end" in message and found.step == len(job["steps"]):
                return
            elif len(found.messages) >= most:
                raise wire.WireError("it sent more messages than there are steps")
            else:
                found.messages.append(message)

    def _allowed(self, job: Job, step: int) -> float:
        if step >= len(job["steps"]):
            return GRACE
        this = job["steps"][step]
        if "probe" in this:  # `measure` gives a thread that is kept from the processor three times as long
            return 3.0 * float(job["about"][this["probe"]]["seconds"]) + GRACE
        return float(this["seconds"]) + GRACE

    def _last_word(self, leash: socket.socket, found: Transcript) -> None:
        """Have the worker ended if it is not, and hear how it was."""
        with contextlib.suppress(OSError):
            leash.sendall(b"!")
        said: dict[str, Any] = {}
        with contextlib.suppress(wire.Late, wire.Closed, wire.WireError):
            said = wire.Reader(leash, 1 << 20).next(time.monotonic() + 30)
        found.peak_bytes = int(said.get("peak", 0))
        if said.get("ended") in ("memory", "disk", "processes", "no room"):
            found.ended, found.why = said["ended"], str(said.get("why", ""))
        elif found.ended == "died" and said.get("code") == -signal.SIGKILL:
            found.ended = "killed"
        elif not said and self._gone():
            raise GraderError("The process that runs submissions was killed.")
        elif not said and found.ended not in ("done", "no room"):  # its keeper was killed, and it too
            found.ended = "killed"


def _position(value: Any, last: int, count: int) -> int:
    """Steps are begun one after the other; anything else is forged."""
    if type(value) is not int or value != last + 1 or value > count:
        raise wire.WireError("it reported its steps out of order")
    return value


def _environment(home: str) -> dict[str, str]:
    """Nothing of the instructor's: no names, tokens, addresses, nor where the gradebook is."""
    libraries = {key: os.environ[key] for key in ("LD_LIBRARY_PATH",) if key in os.environ}
    return {
        **libraries,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "IPYTHONDIR": f"{home}/ipython",
        "MPLCONFIGDIR": f"{home}/matplotlib",
        "TLKIT_HOME": f"{home}/tlkit",
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "NBGRADER_EXECUTION": "autograde",
    }
