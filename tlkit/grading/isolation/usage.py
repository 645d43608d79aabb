"""What a worker and all it started use, seen from outside: memory, processes, open files, disk."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from tlkit.grading.isolation.limits import OPEN_FILES, Limits

_COUNTED = ("RssAnon:", "RssShmem:", "VmSwap:", "VmPTE:")
_SHARES = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")
_DEEPEST = 2_000  # characters of a path


def memory(family: list[int], base: int) -> int:
    """Bytes that these processes hold beyond `base`, which they were forked with."""
    if len(family) == 1:
        return max(0, private_bytes(family[0]) - base)
    return max(0, sum(map(_share, family)) - base)  # what they hold together counts once


def private_bytes(process: int) -> int:
    """Memory that is not backed by files: what a process holds of its own, shared memory included."""
    return _status(process, _COUNTED)


def _status(process: int, names: tuple[str, ...]) -> int:
    try:
        return _sum(f"/proc/{process}/status", names)
    except OSError:  # it ended meanwhile
        return 0


def _share(process: int) -> int:
    try:
        return _sum(f"/proc/{process}/smaps_rollup", _SHARES) + _status(process, ("VmPTE:",))
    except PermissionError:
        return private_bytes(process)
    except OSError:  # it ended meanwhile
        return 0


def _sum(path: str, names: tuple[str, ...]) -> int:
    lines = Path(path).read_text(encoding="ascii", errors="replace").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(names)) * 1024


def excess(family: list[int], folder: Path, limits: Limits) -> str:
    """ "processes" or "disk" where more is used than the limits allow, else ""."""
    if sum(_count(one, "task", 1) for one in family) > limits.processes:
        return "processes"
    if sum(_count(one, "fd", OPEN_FILES) for one in family) > 4 * OPEN_FILES:
        return "processes"
    try:
        sizes = dict(_files(folder, limits.files))
    except OSError:  # too many, too deep, or without permission to look
        return "disk"
    device = os.stat(folder).st_dev
    for one in family:
        sizes |= _open_files(one, device) | _mapped_files(one, str(folder))
    return "disk" if sum(sizes.values()) > limits.disk_bytes else ""


def _count(process: int, what: str, unknown: int) -> int:
    try:
        return len(os.listdir(f"/proc/{process}/{what}"))
    except PermissionError:
        return unknown
    except OSError:
        return 0


def _files(folder: Path, most: int) -> Iterator[tuple[int, int]]:
    """(number, bytes) of the files in a folder; OSError where they cannot be counted."""
    folders = [str(folder)]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except FileNotFoundError:
            continue
        for entry in entries:
            most -= 1
            if most < 0 or len(entry.path) > _DEEPEST:
                raise OSError("too many files")
            try:
                about = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(about.st_mode):
                folders.append(entry.path)
            yield about.st_ino, about.st_blocks * 512


def _open_files(process: int, device: int) -> dict[int, int]:
    """Files that are open and have no name any more."""
    found = {}
    try:
        for number in os.listdir(f"/proc/{process}/fd"):
            about = os.stat(f"/proc/{process}/fd/{number}")
            if stat.S_ISREG(about.st_mode) and about.st_dev == device and about.st_nlink == 0:
                found[about.st_ino] = about.st_blocks * 512
    except OSError:  # it ended or closed the file meanwhile
        pass
    return found


def _mapped_files(process: int, folder: str) -> dict[int, int]:
    """Files of the folder that are in memory and have no name any more, by what is in memory of them."""
    found: dict[int, int] = {}
    try:
        text = Path(f"/proc/{process}/maps").read_text(errors="replace")
    except OSError:
        return found
    for line in re.findall(rf"^.*{re.escape(folder)}/.* \(deleted\)$", text, re.MULTILINE):
        span, _, _, _, number, *_ = line.split()
        first, last = (int(end, 16) for end in span.split("-"))
        found[int(number)] = found.get(int(number), 0) + last - first
    return found
