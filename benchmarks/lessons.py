"""Time and peak memory of each lesson's solution notebook: ``python benchmarks/lessons.py [LESSON…]``.

Runs the notebook with the course's answers, from top to bottom, in a kernel of its own with two threads, and
writes the table to ``benchmarks/results/lessons.md``, or to ``lessons_cpu.md`` with a PyTorch built without
CUDA: there the memory budget counts. Build first (``tlkit build``): checks read ``course/``.
With ``--keep FOLDER`` the executed notebooks are kept there, with their figures.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import nbformat
import torch
from nbclient import NotebookClient

from tlkit.build.course import Lesson, find_lessons, find_root
from tlkit.build.notebooks import HIDDEN
from tlkit.build.text import expand
from tlkit.exercises import load_probes
from tlkit.system import cpu_quota

RESULTS = Path(__file__).parent / "results" / ("lessons.md" if torch.version.cuda else "lessons_cpu.md")
THREADS = "2"
LIMITS = {"seconds": 60.0, "gigabytes": 1.0}
MEASURE = (
    "import resource, sys, time\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024))\n"
    "print(time.process_time())"
)


class Run(NamedTuple):
    """One executed lesson: wall time of its cells, CPU time and peak memory of its kernel, slowest cells."""

    lesson: str
    seconds: float
    cpu: float
    start: float
    gigabytes: float
    slowest: list[tuple[float, str]]


def run(lesson: Lesson, keep: Path | None) -> Run:
    """Execute a lesson's solution notebook beside its released files."""
    notebook = expand(lesson, load_probes(lesson.folder))
    for cell in notebook.cells:
        cell.source = cell.source.split(HIDDEN)[0]
    notebook.cells.append(nbformat.v4.new_code_cell(MEASURE))
    began = datetime.now().astimezone()
    where = {"metadata": {"path": str(lesson.released)}}
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where)
    client.execute()
    last = notebook.cells.pop()
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    spans = [(_span(cell), cell.source.strip().splitlines()[0]) for cell in code]
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, keep / f"{lesson.name}.ipynb")
    first = _time(code[0], "iopub.execute_input")
    peak, cpu = last.outputs[0].text.split()
    return Run(
        lesson=lesson.name,
        seconds=sum(seconds for seconds, _ in spans),
        cpu=float(cpu),
        start=(first - began).total_seconds(),
        gigabytes=int(peak) / 1e9,
        slowest=sorted(spans, reverse=True)[:5],
    )


def _time(cell: nbformat.NotebookNode, event: str) -> datetime:
    return datetime.fromisoformat(cell.metadata.execution[event])


def _span(cell: nbformat.NotebookNode) -> float:
    return (_time(cell, "shell.execute_reply") - _time(cell, "iopub.execute_input")).total_seconds()


def torch_alone() -> int:
    """Peak bytes of a Python that imports PyTorch alone: a CUDA build is larger than a CPU build."""
    program = [sys.executable, "-c", "import torch\n" + MEASURE]
    return int(subprocess.run(program, capture_output=True, text=True, check=True).stdout.split()[0])


def table(runs: list[Run]) -> str:
    """The runs as Markdown."""
    lines = [
        f"Solution notebooks from top to bottom, {THREADS} threads, {cpu_quota():g} CPUs granted, "
        f"load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, {platform.machine()}. "
        f"`import torch` alone takes {torch_alone() / 1e9:.2f} GB here (torch {torch.__version__}). "
        f"Budget: {LIMITS['seconds']:g} s and {LIMITS['gigabytes']:g} GB a lesson.",
        "",
        "| lesson | cells, s | CPU, s | kernel start, s | peak memory, GB | slowest cells |",
        "|---|---|---|---|---|---|",
    ]
    for one in runs:
        slow = ", ".join(f"{seconds:.1f} s" for seconds, _ in one.slowest[:3])
        numbers = (f"{x:.1f}" for x in (one.seconds, one.cpu, one.start))
        lines.append(f"| {one.lesson} | {' | '.join(numbers)} | {one.gigabytes:.2f} | {slow} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run, print and write; exit code 1 when a lesson is over budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lesson", nargs="*", help="which: '01' (default: all)")
    parser.add_argument("--keep", type=Path, help="folder for the executed notebooks")
    given = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": THREADS, "MKL_NUM_THREADS": THREADS}
    runs = []
    for lesson in find_lessons(find_root(), given.lesson):
        runs.append(run(lesson, given.keep))
        one = runs[-1]
        print(f"{one.lesson}: {one.seconds:.1f} s, peak {one.gigabytes:.2f} GB", file=sys.stderr)
        for seconds, line in one.slowest:
            print(f"    {seconds:6.1f} s  {line}", file=sys.stderr)
    text = table(runs)
    print(text)
    if not given.lesson:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(text, encoding="utf-8")
    over = [one for one in runs if one.seconds > LIMITS["seconds"] or one.gigabytes > LIMITS["gigabytes"]]
    return 1 if over else 0


if __name__ == "__main__":
    raise SystemExit(main())
