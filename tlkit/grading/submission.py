"""What a student handed in, read as data: size-limited JSON, plain files only.

Nothing but text and marks kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbformat.notebooknode import NotebookNode

from tlkit.build.notebooks import nbgrader, new_cell, new_node, new_notebook
from tlkit.exercises.observe import plain_text
from tlkit.grading.restore import NotGradable

MOST_BYTES = 30_000_000  # of a notebook file: outputs with pictures are large
MOST_SOURCE = 500_000  # characters of all its cells: ten times the longest lesson
MOST_CELLS = 2_000
MOST_FILES = 2_000  # in one submission's folder
MOST_CONTAINERS = 1_000_000  # brackets in the file: 30 MB of "{}" would be a gigabyte once read
LONGEST_REMARK = 300
MARKS = {"grade_id": str, "grade": bool, "solution": bool, "task": bool, "locked": bool, "checksum": str}
PICTURES = ("image/png", "image/jpeg")
_CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


@dataclass
class Submission:
    """One student's folder. `notebook` is None where `problem` says why it cannot be graded.

    digest: names the exact content of the notebook file, "" where there is none.
    """

    student: str
    folder: Path
    notebook: NotebookNode | None = None
    digest: str = ""
    problem: str = ""
    remarks: list[str] = field(default_factory=list)


def one_line(text: str) -> str:
    """Text that may quote a student, for terminals, tables and records.

    No control characters, and not a book.
    """
    text = _CONTROL.sub(" ", plain_text(text[: 4 * LONGEST_REMARK]))
    return text if len(text) <= LONGEST_REMARK else text[: LONGEST_REMARK - 1] + "…"


def read_submission(
    folder: Path, student: str, name: str, answers: Iterable[str], released: Iterable[str]
) -> Submission:
    """Read the notebook called `name` in `folder`, or the one that was renamed.

    `answers` are the grade ids of the lesson's answer cells, by which a renamed notebook is known; `released`
    are the names of the files that come with the lesson. Never raises for what students can do.
    """
    found = Submission(student, folder)
    try:
        files = _files(folder, found.remarks)
        wanted = files.get(name) or _renamed(files, set(answers), found.remarks)
        if wanted is None:
            there = ", ".join(sorted(map(plain_text, _names(folder)))[:5]) or "nothing"
            raise NotGradable(f"there is no {name}, only {there}: ask for the notebook")
        data = _bytes(wanted)
        found.digest = hashlib.sha256(data).hexdigest()
        found.notebook = as_notebook(data)
    except NotGradable as error:
        found.problem = str(error)
    except OSError as error:
        found.problem = f"it cannot be read ({error.strerror}): look at {folder}"
    known = {name, "timestamp.txt", *released}
    extra = sorted(file for file in _names(folder) if file not in known and not file.startswith((".", "__")))
    if extra and found.notebook is not None:
        listed = ", ".join(one_line(file)[:60] for file in extra[:5])
        found.remarks.append(f"other files were handed in and ignored: {listed}")
    found.problem, found.remarks = (
        one_line(found.problem),
        [one_line(remark) for remark in found.remarks[:20]],
    )
    return found


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()][:MOST_FILES]
    except OSError:
        return []


def _files(folder: Path, remarks: list[str]) -> dict[str, Path]:
    """The notebooks of the folder that are plain files."""
    if folder.is_symlink() or not folder.is_dir():
        raise NotGradable("the submission is a link, not a folder: links are not followed")
    found = {}
    for path in sorted(folder.iterdir())[:MOST_FILES]:
        name = path.name
        if not name.endswith(".ipynb"):
            continue
        if stat.S_ISREG(path.lstat().st_mode):
            found[name] = path
        else:
            remarks.append(f'"{plain_text(name)}" is a link or a device, which is not followed')
    return found


def _bytes(path: Path) -> bytes:
    """The content of a plain file that is not too large."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise NotGradable(f"{path.name} is no plain file: ask for the notebook")
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise NotGradable(
            f"{path.name} has {about.st_size / 1e6:.0f} MB, at most {MOST_BYTES / 1e6:.0f} "
            f"are read: ask for the "
            "notebook after *Edit, Clear Outputs of All Cells*"
        )
    return data


def _renamed(files: dict[str, Path], answers: set[str], remarks: list[str]) -> Path | None:
    """The one notebook under another name that has most of the lesson's answer cells."""
    fits: dict[str, int] = {}
    for name, path in list(files.items())[:20]:
        try:
            notebook = as_notebook(_bytes(path))
        except (NotGradable, OSError):
            continue
        if count := len({nbgrader(cell).get("grade_id") for cell in notebook.cells} & answers):
            fits[name] = count
    best = [name for name, count in fits.items() if count == max(fits.values())]
    if len(best) > 1:
        raise NotGradable(f"two notebooks could be meant, {best[0]} and {best[1]}: ask which one counts")
    if not best:
        if len(files) == 1:  # let what is wrong with it be said
            return next(iter(files.values()))
        return None
    remarks.append(f'the notebook was called "{plain_text(best[0])}"')
    return files[best[0]]


def as_notebook(data: bytes) -> NotebookNode:
    """The cells' text and nbgrader marks of a notebook file; NotGradable where it is none."""
    if data.count(b"{") + data.count(b"[") > MOST_CONTAINERS:
        raise NotGradable(
            "it has more parts than a notebook has: ask for the notebook after *Edit, Clear Outputs of "
            "All Cells*"
        )
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except RecursionError:
        raise NotGradable("it is nested too deeply to be a notebook: ask for the file again") from None
    except ValueError:
        what = "is empty" if not data.strip() else "cannot be read as a notebook (its JSON is damaged)"
        raise NotGradable(f"the file {what}: ask for the file again") from None
    cells = found.get("cells") if isinstance(found, dict) else None
    if not isinstance(cells, list):
        old = isinstance(found, dict) and "worksheets" in found
        more = (
            "it is in the format of 2014: have it opened and saved in JupyterLab"
            if old
            else "ask for the notebook"
        )
        raise NotGradable(f"the file is not a notebook: {more}")
    if len(cells) > MOST_CELLS:
        raise NotGradable(
            f"it has {len(cells):,} cells, at most {MOST_CELLS:,} are read: ask for the notebook"
        )
    read = [_cell(cell) for cell in cells]
    if len({cell.id for cell in read}) < len(read):  # a copied cell takes its id along; files have each once
        seen: set[str] = set()
        for cell in read:
            if cell.id in seen:
                cell.id = new_cell("code", "").id
            seen.add(cell.id)
    if sum(len(cell.source) for cell in read) > MOST_SOURCE:
        raise NotGradable(f"its cells hold more than {MOST_SOURCE:,} characters: ask for the notebook")
    return new_notebook(read)


def _cell(found: Any) -> NotebookNode:
    found = found if isinstance(found, dict) else {}
    kind = found.get("cell_type")
    source = found.get("source", "")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    cell = new_cell(
        "code" if kind == "code" else "markdown", plain_text(source if isinstance(source, str) else "")
    )
    if kind == "raw":
        cell.cell_type = "raw"
    if isinstance(found.get("id"), str) and _CELL_ID.fullmatch(found["id"]):
        cell.id = found["id"]
    about = found.get("metadata")
    mark = about.get("nbgrader") if isinstance(about, dict) else None
    if isinstance(mark, dict):
        kept = {key: mark[key] for key, kind in MARKS.items() if type(mark.get(key)) is kind}
        if "grade_id" in kept:
            kept["grade_id"] = plain_text(kept["grade_id"])[:200]
        cell.metadata.nbgrader = new_node(**kept)
    if kind == "markdown" and (pictures := _attachments(found.get("attachments"))):
        cell.attachments = pictures
    return cell


def _attachments(found: Any) -> NotebookNode:
    """Pictures pasted into a Markdown cell."""
    kept = new_node()
    for name, bundle in (found if isinstance(found, dict) else {}).items():
        for kind in PICTURES:
            data = bundle.get(kind) if isinstance(bundle, dict) else None
            if isinstance(data, str) and _BASE64.fullmatch(data):
                kept[plain_text(name)[:200]] = new_node(**{kind: data})
    return kept
