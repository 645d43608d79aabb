"""A folder of files, some of which others may change while it is read: links are never followed."""

from __future__ import annotations

import os
import stat
from datetime import datetime
from functools import partial
from pathlib import Path

from tlkit.collecting.entries import (
    ASK_AGAIN,
    Budget,
    Entry,
    Limits,
    Listing,
    Problem,
    Refused,
    SourceError,
    too_large,
)
from tlkit.collecting.names import name_problem

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
IGNORED = {"__MACOSX", ".ipynb_checkpoints", "__pycache__"}


def list_folder(root: Path, limits: Limits) -> Listing:
    """All files at or under `root`, sorted by name."""
    listing = Listing()
    budget = Budget(limits)
    todo = [""]
    seen = 0
    while todo:
        prefix = todo.pop()
        try:
            found = sorted(os.scandir(root / prefix), key=lambda one: one.name)
        except OSError as error:
            listing.refused.append(Problem(prefix, f"cannot be opened ({error.strerror})", ASK_AGAIN))
            continue
        for one in found:
            seen += 1
            if seen > limits.members:
                raise SourceError(f"{root} holds more than {limits.members} files: not read.")
            path = f"{prefix}{one.name}"
            if ignored(path):
                continue
            if problem := name_problem(path):
                listing.refused.append(Problem(path, problem, ASK_AGAIN))
            elif one.is_symlink():
                listing.refused.append(Problem(path, "a link to another file", ASK_AGAIN))
            elif one.is_dir(follow_symlinks=False):
                if path.count("/") < limits.depth:
                    todo.append(f"{path}/")
                else:
                    listing.refused.append(Problem(path, "too many folders in folders", ASK_AGAIN))
            elif one.is_file(follow_symlinks=False):
                about = one.stat(follow_symlinks=False)
                date = datetime.fromtimestamp(about.st_mtime)
                read = partial(_read, root, path, budget)
                listing.entries.append(Entry(path, about.st_size, date, read, owner_of(root, path)))
            else:
                listing.refused.append(Problem(path, "not an ordinary file", ASK_AGAIN))
    listing.entries.sort(key=lambda entry: entry.path)
    return listing


def ignored(path: str) -> bool:
    """What operating systems and editors leave behind."""
    return any(part in IGNORED or part.startswith((".", "~$")) for part in path.split("/"))


def owner_of(root: Path, path: str) -> str:
    """The account that owns the topmost folder of `path` in `root`; "" where accounts have no names."""
    try:
        return (root / path.split("/")[0]).owner()
    except (KeyError, OSError, NotImplementedError):
        return ""


def _read(root: Path, path: str, budget: Budget) -> bytes:
    limits = budget.limits
    try:
        descriptor = _open(root, path)
    except OSError as error:
        raise Refused(f"cannot be opened ({error.strerror})") from error
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise Refused("not an ordinary file")
        if about.st_size > limits.size:
            raise too_large(about.st_size, limits)
        budget.spend(about.st_size)
        data = file.read(about.st_size + 1)
    if len(data) != about.st_size:
        raise Refused("it was changed while it was read", "Collect again.")
    return data


def _open(root: Path, path: str) -> int:
    """Open folder by folder, so that none of them can be exchanged for a link on the way."""
    if os.open not in os.supports_dir_fd:
        return os.open(root / path, os.O_RDONLY | NO_FOLLOW)
    *folders, name = path.split("/")
    here = os.open(root, os.O_RDONLY)
    try:
        for folder in folders:
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | NO_FOLLOW, dir_fd=here)
            os.close(here)
            here = below
        return os.open(name, os.O_RDONLY | NO_FOLLOW, dir_fd=here)
    finally:
        os.close(here)
