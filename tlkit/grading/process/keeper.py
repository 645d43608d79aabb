"""Between zygote and worker: puts the worker into its room, watches it.

And takes all of it down at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tlkit.grading.isolation import linux, usage, users
from tlkit.grading.isolation.levels import Level, prepare, shut_in
from tlkit.grading.isolation.limits import Limits

TICK = 0.1  # seconds between two looks at the memory


def keep(
    channel: socket.socket, leash: socket.socket, shell: Any, level: str, hidden: list[Path], limits: Limits
) -> None:
    """Fork the worker and wait; a closed leash, or the use of more than it may, ends it.

    The last word on the leash is {"ended": …, …}: "exit", "memory", "disk", "processes", "leash", "no room".
    """
    linux.prctl(linux.SET_SUBREAPER, 1)
    os.setsid()
    chosen = Level[level]
    user = users.own_number() if chosen is not Level.namespaces else None
    try:
        folder = _private_folder()
        alone = prepare(chosen)
    except OSError as error:
        _say(leash, {"ended": "no room", "why": str(error)})
        return
    base = usage.private_bytes(os.getpid())
    worker = os.fork()
    if worker == 0:
        leash.close()
        _be_worker(channel, shell, lambda: shut_in(chosen, hidden, limits, folder, user))
    channel.close()
    why, peak = _watch(worker, leash, base, limits, folder)
    code = _take_down(worker, user, alone)
    _remove(folder)
    _say(leash, {"ended": why, "code": code, "peak": peak})


def _private_folder() -> Path:
    """For a worker that shares the machine's files; below the zygote's own, which goes at the end anyway."""
    home = os.environ["HOME"]
    if os.geteuid() == 0:  # whose workers are somebody else
        Path(home).chmod(0o711)
    return Path(tempfile.mkdtemp(prefix="room-", dir=home))


def _remove(folder: Path) -> None:
    """By programs that folders within a thousand folders, or without permissions, do not stop."""
    with contextlib.suppress(OSError):
        return folder.rmdir()
    for command in (["chmod", "-R", "u+rwX", "--"], ["rm", "-rf", "--"]):
        subprocess.run(
            [*command, str(folder)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )


def _be_worker(channel: socket.socket, shell: Any, shut_in: Callable[[], object]) -> None:
    code = 1
    try:
        os.setsid()  # else the keeper is in the group that the worker can signal
        Path("/proc/self/oom_score_adj").write_text("900")  # where memory runs out, this one is to go
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        for one in (1, 2):
            os.dup2(0, one)
        channel_number = channel.detach()
        os.dup2(channel_number, 3)
        os.closerange(4, 4096)
        channel = socket.socket(fileno=3)
        shut_in()
        from tlkit.grading.process.worker import work

        work(channel, shell)
        code = 0
    except BaseException:
        try:
            text = traceback.format_exc()[-2_000:]
            channel.sendall(json.dumps({"broken": text}).encode() + b"\n")
        except BaseException:
            pass
    finally:
        os._exit(code)


def _watch(worker: int, leash: socket.socket, base: int, limits: Limits, folder: Path) -> tuple[str, int]:
    """Wait until the worker ends by itself or must be ended; returns which, and the most memory seen."""
    ended: Any = os.pidfd_open(worker)
    peak = looks = 0
    try:
        while True:
            ready, _, _ = select.select([ended, leash], [], [], TICK)
            if ended in ready:
                return "exit", peak
            if leash in ready:
                return "leash", peak
            family = list(_family(os.getpid()))[1:]  # orphans included
            if len(family) > limits.processes:
                return "processes", peak
            held = usage.memory(family, base)
            peak = max(peak, held)
            if held > limits.memory_bytes:
                return "memory", peak
            looks += 1
            if looks % 3 == 0 and (excess := usage.excess(family, folder, limits)):
                return excess, peak
    finally:
        os.close(ended)


def _take_down(worker: int, user: int | None, alone: bool) -> int:
    """Kill the worker and everything it started; returns its exit code.

    alone: the kernel lets this process signal nothing else. user: nobody else is.
    """
    os.kill(worker, signal.SIGKILL)
    _sweep(user, alone)
    code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    while True:  # without a process namespace, orphans have become this process's children
        for one in list(_family(os.getpid()))[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return code


def _sweep(user: int | None, alone: bool) -> None:
    """Kill all at once what can be told from others by more than its parents, so that no fork escapes."""
    if alone and _out_of_reach(os.getppid()):
        os.kill(-1, signal.SIGKILL)
    elif user is not None:
        helper = os.fork()
        if helper == 0:
            try:
                os.setresuid(user, user, user)
                os.kill(-1, signal.SIGKILL)
            finally:
                os._exit(0)
        os.waitpid(helper, 0)


def _out_of_reach(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return True
    return False


def _family(root: int) -> Iterator[int]:
    """The process and all its descendants."""
    yield root
    try:
        for children in Path(f"/proc/{root}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from _family(int(child))
    except OSError:  # it ended meanwhile
        return


def _say(leash: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        leash.sendall(json.dumps(message).encode() + b"\n")
