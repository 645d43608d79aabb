"""`tlkit doctor`: is everything there that the course needs, and if not, what to do about it?"""

from __future__ import annotations

import argparse
import html
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tlkit.system import cpu_quota, memory_limit

OK, NOTE, PROBLEM = "ok", "note", "problem"
ICONS = {OK: "✓", NOTE: "•", PROBLEM: "✗"}
MEMORY_NEEDED = 1.0  # GB for the kernel of one lesson
DISK_NEEDED = 0.5  # GB for notebooks, cached features and downloads
SYNC = "run `uv sync` in the course's folder (or `pip install -e .` in this environment)"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    status: ok, note (the course works without it) or problem. fix: what to do about it.
    """

    name: str
    status: str
    message: str
    fix: str = ""


class Findings(list[Finding]):
    """Findings that show themselves: a table in a notebook, a line each in a terminal."""

    @property
    def essential(self) -> bool:
        """True when nothing that the course needs fails."""
        return all(finding.status != PROBLEM for finding in self)

    def __str__(self) -> str:
        width = max((len(finding.name) for finding in self), default=0)
        lines = []
        for finding in self:
            mark = f"{ICONS[finding.status]} {finding.status:<7}"
            lines.append(f"{mark}  {finding.name:<{width}}  {finding.message}")
            if finding.fix:
                lines.append(f"{'':<{width + 11}}  → {finding.fix}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = []
        for finding in self:
            fix = f"<br>→ {html.escape(finding.fix)}" if finding.fix else ""
            rows.append(
                f"<tr><td>{ICONS[finding.status]} {finding.status}</td><th>{html.escape(finding.name)}</th>"
                f'<td style="text-align:left">{html.escape(finding.message)}{fix}</td></tr>'
            )
        return f"<table>{''.join(rows)}</table>"


def check_python() -> Finding:
    """A Python that all pinned packages have wheels for."""
    found = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info < (3, 15):
        return Finding("Python", OK, f"{found} in {sys.prefix}")
    fix = "run `uv run tlkit lab`: uv fetches a Python that fits"
    return Finding("Python", PROBLEM, f"{found}; the course needs 3.11 to 3.14", fix)


def check_versions() -> Finding:
    """Every package that pyproject.toml states is installed in the stated version."""
    wrong = []
    for requirement in metadata.requires("tlkit") or []:
        if "extra ==" in requirement:  # of use to some instructors only
            continue
        name, _, version = requirement.partition(" ")[0].partition("==")
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "nothing"
        if found.partition("+")[0] != version:  # 2.15.0+cpu is 2.15.0 for the CPU
            wrong.append(f"{name}: {found} instead of {version}")
    if wrong:
        return Finding("packages", PROBLEM, "; ".join(wrong), SYNC)
    return Finding("packages", OK, "installed as pinned")


def check_torch() -> Finding:
    """PyTorch and torchvision were built for each other: an operator compiled in torchvision runs."""
    try:
        import torch
        import torchvision

        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [5.0, 5.0, 6.0, 6.0]])
        kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
    except Exception as error:  # ImportError, OSError of a broken library, RuntimeError of a missing operator
        return Finding("PyTorch", PROBLEM, f"{type(error).__name__}: {error}", SYNC)
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    if kept != [0, 2]:
        return Finding("PyTorch", PROBLEM, f"{versions}: nms kept boxes {kept} instead of [0, 2]", SYNC)
    device = "CPU"
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    elif torch.backends.mps.is_available():
        device = "Apple GPU"
    return Finding("PyTorch", OK, f"{versions}, on {device}")


def check_widgets() -> Finding:
    """The packages behind widgets are installed, and JupyterLab finds their half that runs in the browser."""
    try:
        from jupyter_core.paths import jupyter_path

        versions = [f"{name} {metadata.version(name)}" for name in ("ipywidgets", "anywidget")]
        metadata.version("jupyterlab_widgets")
    except (ImportError, metadata.PackageNotFoundError) as error:
        return Finding("widgets", PROBLEM, f"not installed: {error}", SYNC)
    folders = [Path(path) for path in jupyter_path("labextensions")]
    for extension in ("@jupyter-widgets/jupyterlab-manager", "anywidget"):
        if not any((folder / extension / "package.json").is_file() for folder in folders):
            return Finding("widgets", PROBLEM, f"JupyterLab has no extension {extension}", SYNC)
    return Finding("widgets", OK, ", ".join(versions))


def check_kernel() -> Finding:
    """Notebooks ask for the kernel `python3`; it is this Python."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager

        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except Exception as error:
        return Finding("kernel", PROBLEM, f"no kernel named python3 ({error})", SYNC)
    # a bare name means the Python that Jupyter itself runs in
    if Path(program).name == program or Path(program).parent == Path(sys.executable).parent:
        return Finding("kernel", OK, "python3 is this Python")
    fix = "start with `tlkit lab`, or run `python -m ipykernel install --sys-prefix`"
    return Finding("kernel", PROBLEM, f"python3 is {program}, not {sys.executable}", fix)


def check_memory() -> Finding:
    """One lesson fits into what the machine or the container grants."""
    limit = memory_limit()
    if limit is None:
        return Finding("memory", NOTE, f"unknown; a lesson takes up to {MEMORY_NEEDED:g} GB")
    size = limit / 1e9
    if size < MEMORY_NEEDED:
        fix = "give the container or machine 2 GB"
        return Finding("memory", PROBLEM, f"{size:.1f} GB; a lesson takes up to {MEMORY_NEEDED:g} GB", fix)
    return Finding("memory", OK, f"{size:.1f} GB; a lesson takes up to {MEMORY_NEEDED:g} GB")


def check_threads() -> Finding:
    """PyTorch starts no more threads than there are CPUs to run them."""
    quota = cpu_quota()
    try:
        import torch
    except ImportError:
        return Finding("CPU", NOTE, f"{quota:g} granted")
    threads = torch.get_num_threads()
    message = f"{quota:g} granted, PyTorch uses {threads} thread(s)"
    if threads > max(1.0, quota):
        fix = "start with `tlkit lab`, or set OMP_NUM_THREADS; too many threads slow small networks down"
        return Finding("CPU", NOTE, message, fix)
    return Finding("CPU", OK, message)


def check_disk() -> Finding:
    """There is room for notebooks and cached features."""
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    if free < DISK_NEEDED:
        return Finding("disk", PROBLEM, f"{free:.1f} GB free here", f"free at least {DISK_NEEDED:g} GB")
    return Finding("disk", OK, f"{free:.1f} GB free here")


def check_course() -> Finding:
    """The lessons are there."""
    from tlkit.lab import COURSE, course_root

    try:
        root = course_root()
    except FileNotFoundError as error:
        return Finding("course", PROBLEM, str(error), "clone the course and run `uv run tlkit doctor` in it")
    lessons = sorted(path.parent.name for path in (root / COURSE).glob("[0-9][0-9]_*/*.ipynb"))
    if not lessons:
        return Finding("course", PROBLEM, f"no lesson in {root / COURSE}", "run `git checkout course`")
    return Finding("course", OK, f"{len(lessons)} lessons in {root / COURSE}")


def check_weights() -> Finding:
    """The pretrained network that ships with the course can be read."""
    path = Path(__file__).resolve().parent / "backbones" / "glyphnet.safetensors"
    fix = "run `git checkout tlkit/backbones/glyphnet.safetensors`"
    try:
        from safetensors import safe_open

        with safe_open(path, framework="np") as weights:
            count = len(weights.keys())
    except Exception as error:  # safetensors raises its own kind for a damaged file
        return Finding("weights", PROBLEM, f"glyphnet cannot be read: {error}", fix)
    return Finding("weights", OK, f"glyphnet, {path.stat().st_size / 1e6:.1f} MB, {count} tensors")


def check_nbgrader() -> Finding:
    """nbgrader starts the program `alembic`, so PATH has to have it (instructors only)."""
    if shutil.which("alembic"):
        return Finding("nbgrader", OK, f"version {metadata.version('nbgrader')}")
    fix = f"only for grading: put {Path(sys.executable).parent} on PATH, as `uv run` does"
    return Finding("nbgrader", NOTE, "its helper `alembic` is not on PATH", fix)


def check_isolation() -> Finding:
    """How well `tlkit grade` shuts submissions in here, found by trying (instructors only)."""
    if not sys.platform.startswith("linux"):
        fix = "only for grading: use Linux (on Windows: WSL; on a Mac: a container), or plain nbgrader"
        return Finding("sandbox", NOTE, "`tlkit grade` needs Linux", fix)
    from tlkit.grading.isolation.levels import MEANING, Level, best

    level = best([Path.home()])
    message = f"submissions run with {MEANING[level]}"
    if level is Level.namespaces:
        return Finding("sandbox", OK, message)
    fix = (
        "only for grading: better with user namespaces (in Docker: `--security-opt seccomp=unconfined`; "
        "on Ubuntu: `sysctl kernel.apparmor_restrict_unprivileged_userns=0`)"
    )
    return Finding("sandbox", NOTE, message, fix)


def check_browser() -> Finding:
    """A Chromium or Chrome, which only the tests need."""
    browser = find_browser()
    if browser:
        return Finding("browser", OK, str(browser))
    fix = (
        "only for the tests: install Chrome or Chromium (`apt-get install chromium`, "
        "`playwright install chromium`) or set CHROMIUM to its path"
    )
    return Finding("browser", NOTE, "no Chromium or Chrome found", fix)


def find_browser() -> Path | None:
    """A Chromium or Chrome: $CHROMIUM, on PATH, in the usual places, or playwright's own; else None."""
    named = os.environ.get("CHROMIUM")
    if named:
        found = shutil.which(named)
        return Path(found) if found else None
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"):
        if found := shutil.which(name):
            return Path(found)
    return next((path for path in _usual_browsers() if path.is_file()), None)


def _usual_browsers() -> Iterable[Path]:
    yield Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
    yield Path("/Applications/Chromium.app/Contents/MacOS/Chromium")
    for variable in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
        if folder := os.environ.get(variable):
            yield Path(folder) / "Google" / "Chrome" / "Application" / "chrome.exe"
    own = os.environ.get("PLAYWRIGHT_BROWSERS_PATH", "")
    programs = ("chrome-linux*/chrome", "chrome-mac*/*.app/Contents/MacOS/*", "chrome-win*/chrome.exe")
    for cache in (own, "~/.cache/ms-playwright", "~/Library/Caches/ms-playwright"):
        for program in programs:
            yield from Path(cache).expanduser().glob(f"chromium-*/{program}")


CHECKS: tuple[Callable[[], Finding], ...] = (
    check_python,
    check_versions,
    check_torch,
    check_widgets,
    check_kernel,
    check_memory,
    check_threads,
    check_disk,
    check_course,
    check_weights,
    check_nbgrader,
    check_isolation,
    check_browser,
)


def findings() -> Findings:
    """Look at everything; the last expression of a cell shows it as a table."""
    return Findings(check() for check in CHECKS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`tlkit doctor` takes none."""


def run(args: argparse.Namespace) -> int:
    """Print the findings; exit code 0 when nothing that the course needs fails."""
    found = findings()
    print(found)
    problems = sum(finding.status == PROBLEM for finding in found)
    print(f"\n{problems} problem(s)." if problems else "\nReady.")
    return 0 if found.essential else 1
