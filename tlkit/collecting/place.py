"""One submission put into submitted/<student>/<lesson>/, so that a stop at any moment leaves it whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

SUBMITTED = "submitted"
UNFINISHED = ".collecting"  # in submitted/: nbgrader does not look into folders that begin with a dot
REPLACED = ".replaced"
TIMESTAMP = "timestamp.txt"


def contents(lesson: str, data: bytes, handed_in: datetime | None) -> dict[str, bytes]:
    """{file name: content} of a submission; the time in UTC, as nbgrader writes it."""
    files = {f"{lesson}.ipynb": data}
    if handed_in is not None:
        files[TIMESTAMP] = f"{handed_in:%Y-%m-%d %H:%M:%S.%f} UTC".encode()
    return files


def compare(target: Path, files: dict[str, bytes]) -> str:
    """What is there already: "nothing", "same" or "different"."""
    if not target.is_symlink() and (not target.exists() or (target.is_dir() and not any(target.iterdir()))):
        return "nothing"
    for name, data in files.items():
        path = target / name
        if not path.is_file() or path.stat().st_size != len(data) or path.read_bytes() != data:
            return "different"
    return "same"


def place(submitted: Path, student: str, lesson: str, files: dict[str, bytes]) -> None:
    """A submission where there was none: written beside, then renamed."""
    target = submitted / student / lesson
    with _beside(submitted) as folder:
        _write(folder, files)
        target.parent.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            target.rmdir()  # an empty one is in the way on Windows
        folder.rename(target)


def aside(submitted: Path) -> Path:
    """Where a run that begins now keeps what it replaces."""
    return submitted / REPLACED / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def replace(submitted: Path, student: str, lesson: str, files: dict[str, bytes], kept_in: Path) -> None:
    """Another submission than was there; the old one is first copied into the folder `kept_in`.

    The notebook is the old or the new one at every moment. The old time of handing in goes before, the new
    one comes after: never is a time beside a notebook that it does not belong to.
    """
    target = submitted / student / lesson
    kept = kept_in / student / lesson
    while kept.exists():
        kept = kept.with_name(f"{lesson}-{uuid.uuid4().hex[:6]}")
    with _beside(submitted) as folder:
        _write(folder / "new", files)
        shutil.copytree(target, folder / "old", symlinks=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        (folder / "old").rename(kept)
        (target / TIMESTAMP).unlink(missing_ok=True)
        for name in sorted(files, key=lambda name: name == TIMESTAMP):
            (folder / "new" / name).replace(target / name)
    for path in target.iterdir():
        if path.name not in files:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def sweep(submitted: Path, older_than: float = 3600) -> None:
    """Take away what a run that was killed left unfinished."""
    for path in (submitted / UNFINISHED).glob("*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > older_than:
                shutil.rmtree(path)


@contextlib.contextmanager
def _beside(submitted: Path) -> Iterator[Path]:
    folder = submitted / UNFINISHED / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def _write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        with (folder / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
