"""The few Linux calls that Python 3.11 does not offer: mount, unshare, pivot_root, prctl, capset …"""

from __future__ import annotations

import ctypes
import os
import platform

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    *(0x00020000, 0x04000000, 0x08000000),
    *(0x10000000, 0x20000000, 0x40000000),
)
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
DETACH = 2  # of umount2
PDEATHSIG, SET_DUMPABLE, SET_KEEPCAPS, CAPBSET_DROP, SET_SUBREAPER, SET_NO_NEW_PRIVS = 1, 4, 8, 24, 36, 38
READ_ANYTHING = 1 << 2  # the capability to read files and enter folders that belong to others

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_libc = ctypes.CDLL(None, use_errno=True)


def supported() -> bool:
    """Is this a Linux whose system call numbers are known here?"""
    return platform.system() == "Linux" and platform.machine() in _PIVOT_ROOT


def call(number: int, *arguments: int | bytes | None) -> int:
    """A system call by its number; -1 on failure, for `check`."""
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return int(_libc.syscall(ctypes.c_long(number), *passed))


def check(result: int, what: str) -> int:
    """The result, or OSError where a call failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Move this process into namespaces of its own; OSError where the system forbids it."""
    check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    texts = [text.encode() or None for text in (source, target, kind)]
    check(_libc.mount(*texts, ctypes.c_ulong(flags), data.encode() or None), f"mount {target}")


def unmount(target: str) -> None:
    check(_libc.umount2(target.encode(), DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    number = _PIVOT_ROOT[platform.machine()]
    check(_libc.syscall(number, new.encode(), old.encode()), "pivot_root")


def prctl(option: int, *arguments: int) -> int:
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)][:4]
    return check(_libc.prctl(option, *padded), f"prctl {option}")


def drop_capabilities(kept: int = 0) -> None:
    """Give up every privilege but `kept`, for good; that one too with the next program that is executed."""
    prctl(SET_NO_NEW_PRIVS, 1)
    drop_bounds()
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    check(_libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept)), "capset")


def drop_bounds() -> None:
    """Never regain a privilege by executing a program."""
    for capability in range(64):
        try:
            prctl(CAPBSET_DROP, capability)
        except OSError:  # past the last capability that this kernel knows, or not ours to drop
            continue
