"""What a source holds: files by name, each read only when asked for and never beyond the limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

ASK_AGAIN = "Ask for the notebook itself, the .ipynb file that JupyterLab saves."


class SourceError(Exception):
    """The source as a whole cannot be used; the message says why and what to do."""


class Refused(Exception):
    """One file is not taken: why, and what to ask for."""

    def __init__(self, reason: str, ask: str = ASK_AGAIN) -> None:
        super().__init__(reason)
        self.reason = reason
        self.ask = ask


class OtherLesson(Refused):
    """A notebook, but of another lesson than the one that is collected."""


@dataclass(frozen=True)
class Limits:
    """What no honest class comes near."""

    members: int = 20_000  # files in the source
    size: int = 20_000_000  # bytes of one notebook
    total: int = 4_000_000_000  # bytes read in one run
    ratio: int = 200  # how much smaller than its content a packed file above 1 MB may be
    depth: int = 12  # folders in folders
    nodes: int = 500_000  # lists and objects in a notebook: what JSON needs memory for


@dataclass
class Budget:
    """Counts the bytes of all files that are read."""

    limits: Limits
    read: int = 0

    def spend(self, size: int) -> None:
        """Before reading a file of this size, which is then the most that is read of it."""
        if self.read + size > self.limits.total:
            raise Refused(
                f"{megabytes(self.read)} have been read already: no more is read in one run",
                "Collect the rest from a folder of its own.",
            )
        self.read += size


@dataclass(frozen=True)
class Entry:
    """A file of the source; `path` has "/" between folders, `date` is whatever the source says."""

    path: str
    size: int
    date: datetime | None
    read: Callable[[], bytes]  # raises Refused
    owner: str = ""  # the account that owns the file, where that is known


@dataclass(frozen=True)
class Problem:
    """A file that was not taken."""

    path: str
    reason: str
    ask: str


@dataclass
class Listing:
    """All files of a source and those refused by their name or kind."""

    entries: list[Entry] = field(default_factory=list)
    refused: list[Problem] = field(default_factory=list)


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"


def too_large(size: int, limits: Limits) -> Refused:
    return Refused(
        f"larger than {megabytes(limits.size)} ({megabytes(size)})" if size else "too large",
        "Ask for the notebook with its outputs cleared (Kernel, Restart Kernel and Clear Outputs).",
    )
