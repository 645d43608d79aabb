"""The untrusted half: one process for one submission, in its room, running cells and probes.

Whatever it sends may be forged by the code it runs. That gains nothing: it sends what was *measured* on
cases of the student's own, and what a right answer measures there is not known in this process.
"""

from __future__ import annotations

import base64
import os
import socket
from pathlib import Path
from typing import Any

from tlkit.exercises.check import unusable
from tlkit.exercises.find import find_code
from tlkit.exercises.load import load_probes
from tlkit.exercises.measure import measure
from tlkit.exercises.spec import Spec
from tlkit.grading.process import wire
from tlkit.grading.process.shell import Shell, run_cell


def work(channel: socket.socket, shell: Shell) -> None:
    """Read the job, do its steps in order, and send what came of each."""
    reader = wire.Reader(channel, 1 << 30, 1 << 30)
    job = reader.next(_FOREVER)
    folder = _working_folder(job["files"])
    spec = load_probes(folder)
    for number, step in enumerate(job["steps"]):
        wire.send(channel, {"begin": number})
        if "probe" in step:
            name = step["probe"]
            wire.send(
                channel,
                {"probe": name, **_measure(spec, name, job["about"][name], shell, job["seeds"][name])},
            )
        else:
            outputs, error = run_cell(shell, step["source"], step["seconds"])
            wire.send(channel, {"cell": number, "outputs": outputs, "error": error})
    wire.send(channel, {"begin": len(job["steps"])})
    for name in reader.next(_FOREVER)["again"]:
        wire.send(
            channel, {"again": name, **_measure(spec, name, job["about"][name], shell, job["public"][name])}
        )
    wire.send(channel, {"end": True})


_FOREVER = 1e8  # of time.monotonic(): years


def _working_folder(files: dict[str, str]) -> Path:
    """A private folder with the lesson's released files, which is where cells run."""
    folder = Path(os.environ["HOME"], "lesson")
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(base64.b64decode(text))
    os.chdir(folder)
    return folder


def _measure(spec: Spec, name: str, about: dict[str, Any], shell: Shell, seeds: list[int]) -> dict[str, Any]:
    """{"problem": why nothing could be measured} or {"parts": …, "warnings": …, "abandoned": …}."""
    try:
        code, problem = find_code(name, about, shell.user_ns)
        problem = problem or unusable(name, about, code, given=False)
    except Exception as error:  # an object that lies about its class, or a name that is no text
        code, problem = None, f"{name} cannot be looked at ({type(error).__name__})."
    if problem:
        return {"problem": problem}
    found = measure(spec.exercises[name], spec.probes[name], code, seeds)
    return {
        "parts": found.parts,
        "warnings": found.warnings,
        "abandoned": found.abandoned,
        "seconds": found.seconds,
    }
