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
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tlkit.grading.isolation import limits as resource_limits
from tlkit.grading.isolation import linux
from tlkit.grading.isolation.levels import Level, prepare, shut_in
from tlkit.grading.isolation.limits import Limits

TICK = 0.1  # seconds between two looks at the memory


def keep(
    channel: socket.socket, leash: socket.socket, shell: Any, level: str, hidden: list[Path], limits: Limits
) -> None:
    """Fork the worker and wait; a closed leash, or too much memory, ends it.

    The last word on the leash is {"ended": "exit" | "memory" | "leash" | "no room", …}.
    """
    linux.prctl(linux.PDEATHSIG, signal.SIGKILL)
    linux.prctl(linux.SET_SUBREAPER, 1)
    os.setsid()
    chosen = Level[level]
    try:
        prepare(chosen)
    except OSError as error:
        _say(leash, {"ended": "no room", "why": str(error)})
        return
    base = _private_bytes(os.getpid())
    worker = os.fork()
    if worker == 0:
        leash.close()
        _be_worker(channel, shell, chosen, hidden, limits)
    channel.close()
    why, peak = _watch(worker, leash, base, limits)
    code = _take_down(worker)
    _say(leash, {"ended": why, "code": code, "peak": peak})


def _be_worker(channel: socket.socket, shell: Any, level: Level, hidden: list[Path], limits: Limits) -> None:
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        for one in (1, 2):
            os.dup2(0, one)
        channel_number = channel.detach()
        os.dup2(channel_number, 3)
        os.closerange(4, 4096)
        channel = socket.socket(fileno=3)
        shut_in(level, hidden, limits)
        linux.prctl(linux.PDEATHSIG, signal.SIGKILL)
        resource_limits.apply(limits)
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


def _watch(worker: int, leash: socket.socket, base: int, limits: Limits) -> tuple[str, int]:
    """Wait until the worker ends by itself or must be ended; returns which, and the most memory seen."""
    ended: Any = os.pidfd_open(worker)
    peak = 0
    try:
        while True:
            ready, _, _ = select.select([ended, leash], [], [], TICK)
            if ended in ready:
                return "exit", peak
            if leash in ready:
                return "leash", peak
            held = sum(max(0, _private_bytes(one) - base) for one in _family(worker))
            peak = max(peak, held)
            if held > limits.memory_bytes:
                return "memory", peak
    finally:
        os.close(ended)


def _take_down(worker: int) -> int:
    """Kill the worker and everything it started; returns its exit code."""
    os.kill(worker, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    while True:  # without a process namespace, orphans have become this process's children
        for one in list(_family(os.getpid()))[1:]:
            os.kill(one, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return code


def _family(root: int) -> Iterator[int]:
    """The process and all its descendants."""
    yield root
    try:
        for children in Path(f"/proc/{root}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from _family(int(child))
    except OSError:  # it ended meanwhile
        return


def _private_bytes(process: int) -> int:
    """Memory that is not backed by files: what a process holds of its own, shared memory included."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    found = [int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:", "VmSwap:"))]
    return sum(found) * 1024


def _say(leash: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        leash.sendall(json.dumps(message).encode() + b"\n")
