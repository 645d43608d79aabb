"""How well a worker can be shut in on this machine: the best level is found by trying, once, at the start."""

from __future__ import annotations

import enum
import os
import signal
import socket
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from tlkit.grading.isolation import landlock, linux, namespaces, seccomp, users
from tlkit.grading.isolation import limits as resource_limits
from tlkit.grading.isolation.limits import Limits


class Level(enum.IntEnum):
    """From none to best; a higher level does all that a lower one does, or better."""

    limits = 1  # time, memory and output are limited; files of the same user are in reach
    landlock = 2  # besides, files outside, network and signals to others are refused by the kernel
    namespaces = 3  # besides, there is no path to anything outside at all

    def __str__(self) -> str:
        return self.name


MEANING = {
    Level.namespaces: "own users, processes, network and files (namespaces)",
    Level.landlock: "files, network and signals restricted (Landlock, seccomp); "
    "whether a file exists, and its size, can be found out",
    Level.limits: "NO ISOLATION, only limits on time and memory",
}

_PROC = ("self", "cpuinfo", "meminfo", "stat", "loadavg", "uptime", "version", "filesystems")


def prepare(level: Level) -> bool:
    """In the keeper, before it forks the worker. True: from now on it can signal what it forks alone."""
    if level is Level.namespaces:
        namespaces.enter()
    return level is Level.landlock and landlock.surround()


def shut_in(level: Level, hidden: list[Path], limits: Limits, folder: Path, user: int | None = None) -> None:
    """In the worker, before it reads its job; afterwards there is no way back.

    folder: private, empty, the only one to write to, where the level has no file system of its own.
    user: what `users.own_number` said in the keeper.
    """
    readable = namespaces.python_folders()
    others = 0
    if level is Level.namespaces:
        namespaces.furnish(readable, hidden, limits)
        namespaces.resign()
        folder = Path("/tmp")
    else:
        os.chdir(folder)
        if user is not None:
            os.chown(folder, user, user)
        else:
            others = users.processes_of(os.geteuid())
        made = _rules(readable, hidden, folder) if level is Level.landlock else None
        users.resign(user, [*readable, folder.parent])
        if made is not None:
            landlock.restrict(made)
    for name in ("HOME", "TMPDIR"):
        os.environ[name] = str(folder)
    for name in ("IPYTHONDIR", "MPLCONFIGDIR", "TLKIT_HOME"):
        os.environ[name] = str(folder / f".{name.lower()}")
    tempfile.tempdir = None  # where it was before
    linux.prctl(linux.PDEATHSIG, signal.SIGKILL)  # forgotten at every change of user
    resource_limits.apply(limits, others)
    _filter(level, user)


def _rules(readable: list[Path], hidden: list[Path], folder: Path) -> int:
    devices = [f"/dev/{name}" for name in namespaces.DEVICES] + [f"/proc/{name}" for name in _PROC]
    return landlock.rules([*namespaces.system_files(), *readable], folder, devices, hidden)


def _filter(level: Level, user: int | None) -> None:
    outside = level is not Level.namespaces
    reached = user is None and not (level is Level.landlock and landlock.scopes())
    try:
        seccomp.install(outside, outside and reached)
    except OSError:
        if level is Level.landlock:  # whose network and signals are guarded by nothing else
            raise


def best(hidden: list[Path]) -> Level:
    """The best level that works here: found by shutting in a child, and having it try to get out."""
    if linux.supported():
        for level in (Level.namespaces, Level.landlock):
            if _works(level, hidden):
                return level
    return Level.limits


def _works(level: Level, hidden: list[Path]) -> bool:
    with tempfile.TemporaryDirectory(prefix="tlkit-grading-") as name:
        os.chmod(name, 0o711)
        folder = Path(name, "room")
        folder.mkdir(0o700)
        with (
            warnings.catch_warnings()
        ):  # of threads, which a child that only makes system calls can do without
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 1
            try:
                os.dup2(os.open(os.devnull, os.O_RDWR), 2)
                prepare(level)
                user = users.own_number()
                inner = os.fork()
                if inner == 0:
                    code = 1
                    shut_in(level, hidden, Limits(), folder, user)
                    code = 0 if _holds(namespaces.python_folders(), hidden) else 1
                else:
                    code = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
            except BaseException:
                code = 1
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _holds(readable: list[Path], hidden: list[Path]) -> bool:
    """In a worker: is everything in reach that is needed, and nothing else?"""
    Path(os.environ["HOME"], "file").write_text("can be written", encoding="utf-8")
    if not all(os.listdir(path) for path in readable):
        return False
    for veil in (path.resolve() for path in hidden):
        inner = {path.relative_to(veil).parts[:1] for path in readable if path.is_relative_to(veil)}
        if () not in inner and not _refused(_find_more, veil, inner):
            return False
    nobody = ("192.0.2.1", 9)  # an address for examples; connecting so sends nothing
    if not _refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(nobody)):
        return False
    return os.getpid() == 1 or _refused(os.kill, os.getppid(), 0)


def _find_more(folder: Path, known: set[tuple[str, ...]]) -> None:
    if {(name,) for name in os.listdir(folder)} <= known:
        raise FileNotFoundError(folder)


def _refused(attempt: Callable[..., object], *arguments: object) -> bool:
    try:
        attempt(*arguments)
    except OSError:
        return True
    return False
