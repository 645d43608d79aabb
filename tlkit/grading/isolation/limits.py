"""How much a submission may use: time, memory, processes, output, files."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass

OPEN_FILES = 512  # of one process; all of a submission together may have four times as many


@dataclass(frozen=True)
class Limits:
    """Of one submission.

    cell_seconds: one cell of the student's. total_seconds: everything together. memory_bytes: what its
    processes hold beyond the libraries that are loaded anyway. processes: at one time, threads counted.
    output_bytes: what it may send back. disk_bytes, files: of its private /tmp;
    below the level of namespaces that is a folder, looked at three times a second.
    """

    cell_seconds: float = 60.0
    total_seconds: float = 600.0
    memory_bytes: int = 3 << 30
    processes: int = 64
    output_bytes: int = 32 << 20
    disk_bytes: int = 256 << 20
    files: int = 5_000


def apply(limits: Limits, others: int = 0) -> None:
    """Set the limits that the kernel enforces on this process and all it starts.

    others: processes of the same user that the kernel counts too, and that come and go.
    """
    processes = others + 4 * limits.processes if others else limits.processes
    for what, value in (
        (resource.RLIMIT_DATA, _data_bytes() + limits.memory_bytes),
        (resource.RLIMIT_CPU, int(limits.total_seconds * 2) + 5),
        (resource.RLIMIT_FSIZE, limits.disk_bytes),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_STACK, 64 << 20),
    ):
        hard = resource.getrlimit(what)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))


def _data_bytes() -> int:
    """Private writable memory that this process has already: PyTorch's, shared with all other workers."""
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[5])
    return pages * os.sysconf("SC_PAGE_SIZE")
