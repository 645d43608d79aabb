"""Who a worker is where it shares the machine's files: where the grader is root, a user that nobody else is.

Such a user owns nothing, may signal nothing of others, and has a count of processes of its own.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from tlkit.grading.isolation import linux

_UNUSED = 0x7000_0000  # numbers that no distribution gives to anybody
_DYNAMIC = range(
    61_184, 65_520
)  # that systemd lends to services for a while: for containers with 65,536 users


def own_number() -> int | None:
    """In the keeper: the user that its worker becomes; None where it has to stay who it is."""
    if os.geteuid() != 0:
        return None
    wanted = (_UNUSED + os.getpid(), _DYNAMIC[os.getpid() % len(_DYNAMIC)])
    return next((number for number in wanted if all(_mapped(number, kind) for kind in ("uid", "gid"))), None)


def _mapped(number: int, kind: str) -> bool:
    """Does this number exist in the user namespace that we are in?"""
    lines = Path(f"/proc/self/{kind}_map").read_text(encoding="ascii").splitlines()
    spans = [[int(word) for word in line.split()] for line in lines]
    return any(first <= number < first + count for first, _, count in spans)


def resign(number: int | None, readable: Iterable[Path]) -> None:
    """Become that user, without any privilege, for good.

    One is kept where a folder that must be read lies in a home that only root may enter: to read whatever
    else is not refused. Programs that are started do not have it.
    """
    if number is None:
        linux.drop_capabilities()
        return
    kept = 0 if all(_open_to_all(path) for path in readable) else linux.READ_ANYTHING
    linux.drop_bounds()
    os.setgroups([])
    os.setresgid(number, number, number)
    linux.prctl(linux.SET_KEEPCAPS, 1)
    os.setresuid(number, number, number)
    linux.drop_capabilities(kept)
    linux.prctl(linux.SET_DUMPABLE, 1)  # else /proc/self belongs to root


def _open_to_all(path: Path) -> bool:
    try:
        return all(stat.S_IMODE(os.stat(one).st_mode) & 1 for one in (path, *path.resolve().parents))
    except OSError:
        return False


def processes_of(user: int) -> int:
    """Processes and threads that a user has on this machine, as far as they can be seen."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.stat(process).st_uid == user:
                count += len(os.listdir(process / "task"))
        except OSError:  # it ended meanwhile
            continue
    return count
