"""The machine underneath: CPU quota, memory limit, thread counts, device, seeds.

PyTorch starts one thread for each core it sees. In a container it sees the host's cores, not the share it
may use: small convolutions on 2 CPUs' worth of time and 64 threads ran twenty times slower.

PyTorch is imported where it is used: `tlkit lab` needs the quota, and its server no PyTorch in its memory.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def cpu_quota(cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> float:
    """CPUs this process may use at once, e.g. 1.5: the least of affinity and the cgroup quotas above it.

    Reads cgroup v2 (`cpu.max`) and v1 (`cpu.cfs_quota_us` over `cpu.cfs_period_us`); where neither sets a
    limit, or there is no such file (macOS, Windows), the number of CPUs the process may be scheduled on.
    """
    limits = [_affinity()]
    for folder in _cgroup_folders(cgroups, own):
        limits += [limit for limit in (_limit_v2(folder), _limit_v1(folder)) if limit is not None]
    return min(limits)


def memory_limit(cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> int | None:
    """Bytes of memory this process may use: the least of the machine's and the cgroup limits; None: unknown.

    Reads cgroup v2 (`memory.max`) and v1 (`memory.limit_in_bytes`).
    """
    limits = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for folder in _cgroup_folders(cgroups, own, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(folder / name).strip()
            if text.isdigit() and int(text) > 0:
                limits.append(int(text))
    return min(limits, default=None)


def set_threads(count: int | None = None) -> int:
    """Give PyTorch `count` threads (default: the whole CPUs of the quota, at least 1); returns the number.

    The default never raises a count that was set lower, e.g. by the environment variable OMP_NUM_THREADS.
    """
    import torch

    if count is not None and count < 1:
        raise ValueError(f"count={count}: PyTorch needs at least one thread")
    wanted = count or min(max(1, math.floor(cpu_quota())), torch.get_num_threads())
    if wanted != torch.get_num_threads():
        torch.set_num_threads(wanted)
    return wanted


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch with one thread, for layers so small that two would wait for each other, or to compare times.

    Also a decorator. Afterwards there are as many threads as before.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def best_device() -> torch.device:
    """The first there is of: an NVIDIA GPU ("cuda"), an Apple GPU ("mps"), the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def set_seed(seed: int) -> None:
    """Seed the global random generators of Python, NumPy and PyTorch (all devices)."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _affinity() -> float:
    if hasattr(os, "sched_getaffinity"):
        return float(len(os.sched_getaffinity(0)))
    return float(os.cpu_count() or 1)


def _cgroup_folders(cgroups: Path, own: Path, controller: str = "cpu") -> Iterable[Path]:
    """Folders that may hold a limit of this process: its own group's and all above, in both versions."""
    roots = [(cgroups, "/")]  # inside a container the group's own folder is often mounted as the root
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            roots += [(cgroups, path), (cgroups / "unified", path)]
        elif controller in controllers.split(","):
            roots += [(cgroups / controllers, path), (cgroups / controller, path)]
    roots += [(cgroups / controller, "/"), (cgroups / f"{controller},cpuacct", "/")]
    for root, path in roots:
        inside = Path(path.lstrip("/"))
        if ".." not in inside.parts:  # the group of the process lies outside what is mounted here
            yield from (root / part for part in (inside, *inside.parents))


def _limit_v2(folder: Path) -> float | None:
    """`cpu.max` holds "quota period" in microseconds, or "max period" for no limit."""
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    return _ratio(quota, period or "100000")


def _limit_v1(folder: Path) -> float | None:
    """`cpu.cfs_quota_us` is -1 for no limit."""
    return _ratio(_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip())


def _ratio(quota: str, period: str) -> float | None:
    if not (quota.isdigit() and period.isdigit() and int(period) > 0 and int(quota) > 0):
        return None
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
