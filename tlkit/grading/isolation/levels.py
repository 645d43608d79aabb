"""How well a worker can be shut in on this machine: the best level is found by trying, once, at the start."""

from __future__ import annotations

import enum
import os
from pathlib import Path

from tlkit.grading.isolation import linux, namespaces
from tlkit.grading.isolation.limits import Limits


class Level(enum.IntEnum):
    """From none to best; a higher level does all that a lower one does, or better."""

    limits = 1  # time, memory and output are limited; files, network and other processes are in reach
    landlock = 2  # besides, files outside, network and signals to others are refused by the kernel
    namespaces = 3  # besides, there is no path to anything outside at all

    def __str__(self) -> str:
        return self.name


MEANING = {
    Level.namespaces: "own users, processes, network and files (namespaces)",
    Level.landlock: "files, network and signals restricted (Landlock, seccomp)",
    Level.limits: "NO ISOLATION, only limits on time and memory",
}


def prepare(level: Level) -> None:
    """In the keeper, before it forks the worker."""
    if level is Level.namespaces:
        namespaces.enter()


def shut_in(level: Level, hidden: list[Path], limits: Limits) -> None:
    """In the worker, before it reads its job; afterwards there is no way back."""
    if level is Level.namespaces:
        namespaces.furnish(namespaces.python_folders(), hidden, limits)
        namespaces.resign()
        os.environ["HOME"] = "/tmp"
        os.environ["TMPDIR"] = "/tmp"


def best(hidden: list[Path]) -> Level:
    """The best level that works here, found by shutting in a child that does nothing."""
    for level in (Level.namespaces, Level.landlock):
        if linux.supported() and _works(level, hidden):
            return level
    return Level.limits


def _works(level: Level, hidden: list[Path]) -> bool:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            prepare(level)
            inner = os.fork()
            if inner == 0:
                code = 1
                shut_in(level, hidden, Limits())
                code = 0
            else:
                code = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
        except BaseException:
            code = 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
