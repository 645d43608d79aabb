"""Landlock: a process gives up, for itself and all it starts, every file but those that it names.

And TCP, and signals to processes that have not given up the same. Needs no privilege; Linux 5.13 and later,
each version of it adds something. What it does not cover: that a file exists, its size and times can be
seen by whoever guesses its name.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from tlkit.grading.isolation import linux

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every processor
_EXECUTE, _WRITE, _READ, _LIST = (1 << bit for bit in range(4))
_CHARACTER, _SOCKET, _BLOCK, _TRUNCATE = (1 << bit for bit in (6, 9, 11, 14))
_OF_A_FILE = _EXECUTE | _WRITE | _READ | _TRUNCATE
_TCP, _SCOPES, _SIGNALS = 3, 3, 2  # bind and connect; abstract sockets and signals; signals alone

_LOOK, _USE = _EXECUTE | _READ | _LIST, _READ | _WRITE
_EVERYTHING = (1 << 15) - 1 & ~(_CHARACTER | _BLOCK | _SOCKET)


def version() -> int:
    """What this kernel's Landlock can do: 1 files, 3 truncating, 4 TCP, 6 signals; 0 without Landlock."""
    return max(0, linux.call(_CREATE, None, 0, 1))


def scopes() -> bool:
    """Can this kernel keep signals to outside away?"""
    return version() >= 6


def surround() -> bool:
    """From now on this process and what it starts signal each other alone; False where the kernel cannot."""
    if not scopes():
        return False
    linux.prctl(linux.SET_NO_NEW_PRIVS, 1)
    restrict(_create(0, 0, _SIGNALS))
    return True


def rules(readable: Iterable[Path], writable: Path, devices: Iterable[str], hidden: Iterable[Path]) -> int:
    """The rules, as a descriptor: files below `readable` but not below `hidden`, all of `writable`."""
    known = version()
    files = (1 << {1: 13, 2: 14}.get(known, 15 if known < 5 else 16)) - 1
    made = _create(files, _TCP if known >= 4 else 0, _SCOPES if known >= 6 else 0)
    hidden = [path.resolve() for path in hidden]
    for path in readable:
        for part in without(path, hidden):
            _allow(made, part, _LOOK & files)
    for name in devices:
        _allow(made, Path(name), (_USE if name.startswith("/dev/") else _LOOK) & files)
    _allow(made, writable, _EVERYTHING & files)
    return made


def restrict(made: int) -> None:
    """Give up all that the rules do not name; needs no_new_privs."""
    linux.check(linux.call(_RESTRICT, made, 0), "landlock_restrict_self")
    os.close(made)


def without(path: Path, hidden: list[Path]) -> Iterator[Path]:
    """The folder, or, if something hidden lies in it, all around that."""
    path = path.resolve()
    if not any(veil != path and veil.is_relative_to(path) for veil in hidden):
        yield path
        return
    for name in sorted(os.listdir(path)):
        inner = path / name
        if inner not in hidden and not inner.is_symlink():
            yield from without(inner, hidden)


def _create(files: int, network: int, scope: int) -> int:
    known = version()
    if not known:
        raise OSError("this kernel has no Landlock")
    size = 8 if known < 4 else 16 if known < 6 else 24
    wanted = struct.pack("QQQ", files, network, scope)[:size]
    return linux.check(linux.call(_CREATE, wanted, size, 0), "landlock_create_ruleset")


def _allow(made: int, path: Path, rights: int) -> None:
    try:
        there = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not there, or not ours to enter: nothing to allow
        return
    try:
        if not stat.S_ISDIR(os.fstat(there).st_mode):
            rights &= _OF_A_FILE
        linux.check(linux.call(_ADD, made, 1, struct.pack("=Qi", rights, there), 0), f"landlock {path}")
    finally:
        # the kernel forgets its made-up files in /proc when nobody holds them, and the rule with them
        if not str(path).startswith("/proc/"):
            os.close(there)
