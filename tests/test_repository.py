"""The repository itself: lint, types, and nothing in it that belongs to one machine or one moment."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = {".py", ".md", ".yml", ".toml", ".ipynb", ".js", ".css", ".json", ".txt", ""}
# a folder of somebody's machine, written so that this file does not contain one itself
MACHINE_PATH = re.compile(r"(?<![\w.~}])/(?:home|Users|root|work|mnt)/[\w.-]+|\b[A-Z]:\\\\?Users\b")
REGISTRY = re.compile(r"files\.pythonhosted[.]org|registry\.npmjs[.]org|conda\.anaconda[.]org")


def tracked() -> list[Path]:
    """Files that git tracks or would add; all files where this is no git checkout."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("not a git checkout: which files belong to the project is not known")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    """The text files among them, relative to the repository, with their content."""
    return [(path.relative_to(ROOT), path.read_text("utf-8")) for path in tracked() if path.suffix in TEXT]


@pytest.mark.parametrize("tool", [["ruff", "check"], ["mypy"]], ids=["ruff", "mypy"])
def test_lint_and_types_are_clean(tool: list[str]) -> None:
    """Ruff finds nothing anywhere, mypy (strict) nothing in tlkit."""
    done = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_lock_file() -> None:
    """Versions are pinned in pyproject.toml; a lock file would record addresses of one package index."""
    lock = re.compile(r"\.lock$|^package-lock|^Pipfile|^conda-lock")
    locks = [path.name for path in tracked() if lock.search(path.name)]
    assert locks == []
    assert [str(path) for path, text in texts() if REGISTRY.search(text)] == []


def test_no_path_of_one_machine() -> None:
    """No file names a folder of the machine it was written on."""
    found = {str(path): MACHINE_PATH.findall(text) for path, text in texts()}
    assert {path: paths for path, paths in found.items() if paths} == {}


def test_notebooks_hold_no_outputs() -> None:
    """Notebooks are stored as they were before the first run: no outputs, no execution counts."""
    stored = []
    for path in tracked():
        if path.suffix == ".ipynb":
            for cell in json.loads(path.read_text("utf-8"))["cells"]:
                if cell.get("outputs") or cell.get("execution_count") is not None:
                    stored.append(f"{path.relative_to(ROOT)}: {cell['source']!r:.60}")
    assert stored == []


def test_ci_runs_the_command_that_the_readme_names() -> None:
    """What CI runs is what a newcomer is told to run."""
    commands = re.findall(r"pip install uv && (uv run pytest\S*)", (ROOT / "README.md").read_text())
    assert commands
    script = (ROOT / ".ci" / "run").read_text()
    assert all(f"\n{command}\n" in script for command in commands)
