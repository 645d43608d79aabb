"""A room with a private view of the machine: own users, processes, network, files.

Everything outside is not hidden but absent: there is no path to it, no process number, no network device.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from tlkit.grading.isolation import linux
from tlkit.grading.isolation.limits import Limits

SPACES = linux.NEWPID | linux.NEWNET | linux.NEWIPC | linux.NEWUTS
NOBODY = 65534
_ROOT = "/mnt"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "fonts", "alternatives", "ssl/certs")
DEVICES = ("null", "full", "random", "urandom")  # not zero: mapped, it is memory that nobody counts


def enter() -> None:
    """Leave the machine's namespaces; the next child of this process is the first in the new ones.

    Root keeps its user until the room is furnished, so that it can show folders that only root may enter;
    anybody else needs a user namespace of their own to be allowed to mount anything.
    """
    user, group = os.geteuid(), os.getegid()  # afterwards nobody can tell
    linux.unshare(SPACES if user == 0 else SPACES | linux.NEWUSER)
    if user != 0:
        _become(user, group)


def resign() -> None:
    """In the furnished room: become nobody, for good, with a count of processes of one's own."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        linux.prctl(linux.SET_DUMPABLE, 1)  # else /proc/self belongs to root and cannot be written
        linux.unshare(linux.NEWUSER)
        _become(NOBODY, NOBODY)
    linux.drop_capabilities()


def _become(uid: int, gid: int) -> None:
    """In a new user namespace: that user outside is nobody inside."""
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{NOBODY} {uid} 1")
    _write("/proc/self/gid_map", f"{NOBODY} {gid} 1")


def furnish(readable: Iterable[Path], hidden: Iterable[Path], limits: Limits) -> None:
    """Build the room's files, in its first process: read-only system and Python, an empty small /tmp.

    `readable` is seen as it is; of the folders `hidden` nothing is seen but what `readable` names in them.
    """
    shown = system_files()
    readable, hidden = list(readable), [path.resolve() for path in hidden]
    inner = [path for path in readable if any(path.is_relative_to(veil) for veil in hidden)]
    outer = shown + [path for path in readable if path not in inner]
    linux.unshare(linux.NEWNS)  # here, so that whoever watches from outside keeps the machine's files
    root = _ROOT  # a folder that is on every system, and that nothing shown lies below
    linux.mount("", "/", flags=linux.REC | linux.PRIVATE)
    linux.mount("tmpfs", root, "tmpfs", linux.NOSUID | linux.NODEV, "size=1m,nr_inodes=4k,mode=0755")
    size = f"size={limits.disk_bytes},nr_inodes={limits.files},mode=0700,uid={NOBODY},gid={NOBODY}"
    for name in ("tmp", "dev/shm"):
        os.makedirs(f"{root}/{name}", exist_ok=True)
        linux.mount("tmpfs", f"{root}/{name}", "tmpfs", linux.NOSUID | linux.NODEV, size)
    for path in outer:
        _show(path, root)
    for veil in (veil for veil in hidden if any(veil.is_relative_to(path) for path in outer)):
        linux.mount("tmpfs", f"{root}{veil}", "tmpfs", linux.NOSUID | linux.NODEV, "size=64k,mode=0755")
    for path in inner:
        _show(path, root)
    _devices(root)
    os.makedirs(f"{root}/etc", exist_ok=True)
    _write(f"{root}/etc/passwd", f"nobody:x:{NOBODY}:{NOBODY}::/tmp:/bin/false\n")
    os.makedirs(f"{root}/proc")
    linux.mount("proc", f"{root}/proc", "proc", linux.NOSUID | linux.NODEV | linux.NOEXEC)
    os.makedirs(f"{root}/old")
    linux.pivot_root(root, f"{root}/old")
    os.chdir("/")
    linux.unmount("/old")
    os.rmdir("/old")
    linux.mount("", "/", flags=linux.REMOUNT | linux.BIND | linux.RDONLY | linux.NOSUID | linux.NODEV)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _show(path: Path, root: str) -> None:
    """The file or folder at the same place in the new root, read-only."""
    target = f"{root}{path}"
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if path.is_symlink():
        os.symlink(os.readlink(path), target)
        return
    if path.is_dir():
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        _write(target, "")
    linux.mount(str(path), target, flags=linux.BIND | linux.REC)
    _read_only(target)


def _read_only(target: str) -> None:
    """Remount a bind; flags that its file system came with may not be taken off by a user's namespace."""
    state = os.statvfs(target).f_flag
    kept = state & (linux.NOSUID | linux.NODEV | linux.NOEXEC)
    kept |= sum(flag for seen, flag in ((1024, 1024), (2048, 2048), (4096, 1 << 21)) if state & seen)  # atime
    linux.mount("", target, flags=linux.REMOUNT | linux.BIND | linux.RDONLY | linux.NOSUID | kept)


def _devices(root: str) -> None:
    for name in DEVICES:
        _write(f"{root}/dev/{name}", "")
        linux.mount(f"/dev/{name}", f"{root}/dev/{name}", flags=linux.BIND)
    os.symlink("/proc/self/fd", f"{root}/dev/fd")


def system_files() -> list[Path]:
    """What programs need to read of the system; nothing in it is about this machine's users."""
    settings = [f"/etc/{name}" for name in _SETTINGS]
    return [Path(path) for path in (*_SYSTEM, *settings) if os.path.exists(path)]


def python_folders() -> list[Path]:
    """What Python needs to read: its installation, the environment, and tlkit alone of the course's clone."""
    here = {
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(sys.exec_prefix),
        Path(__file__).resolve().parents[2],
    }
    here |= {path.resolve() for path in here}
    return sorted(here)
