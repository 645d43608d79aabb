"""What became of every file and student: a table for the terminal, a CSV for the record."""

from __future__ import annotations

import csv
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from tlkit.collecting.names import shown

PLACED, UNCHANGED, REPLACED, NOT_PLACED, MISSING = (
    "placed",
    "unchanged",
    "replaced",
    "not placed",
    "no submission",
)
STATES = (PLACED, REPLACED, UNCHANGED, NOT_PLACED, MISSING)


@dataclass(frozen=True)
class Row:
    """One line of the report."""

    state: str
    student: str = ""
    who: str = ""  # as the platform or the roster calls the student
    file: str = ""
    reason: str = ""
    ask: str = ""


@dataclass
class Report:
    """Everything that a run of `tlkit collect` has to say."""

    lesson: str
    platform: str
    notes: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    dry_run: bool = False

    def of(self, state: str) -> list[Row]:
        return [row for row in self.rows if row.state == state]

    @property
    def complete(self) -> bool:
        return not self.of(NOT_PLACED)

    def text(self, width: int = 110) -> str:
        """The table: counts first, then everything that a person has to look at."""
        lines = [*self.notes, ""] if self.notes else []
        would = "would be " if self.dry_run else ""
        for state in STATES:
            if state in (PLACED, NOT_PLACED):
                lines.append(f"{would + state:>20} {len(self.of(state)):5}")
            elif self.of(state):
                lines.append(f"{(would if state == REPLACED else '') + state:>20} {len(self.of(state)):5}")
        remarked = [row for row in self.rows if row.reason and row.state not in (NOT_PLACED, MISSING)]
        if remarked:
            lines += ["", "Remarks:"]
            lines += [line for row in remarked for line in _wrapped(row.student, [shown(row.reason)], width)]
        if self.of(NOT_PLACED):
            lines += ["", "Not placed:"]
            for row in self.of(NOT_PLACED):
                head = " ".join(part for part in (row.student, f"[{row.who}]" if row.who else "") if part)
                head = shown(head or row.file)
                file = [f"file: {shown(row.file)}"] if row.file and head != row.file else []
                lines += _wrapped(head, [shown(row.reason), *file, shown(row.ask)], width)
        if self.of(MISSING):
            names = [f"{row.student} ({row.who})" if row.who else row.student for row in self.of(MISSING)]
            lines += ["", "In the roster, nothing from them:"]
            lines += textwrap.wrap(
                shown(", ".join(names)), width, initial_indent="  ", subsequent_indent="  "
            )
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """The same as CSV; a cell that a spreadsheet would take for a formula gets an apostrophe."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["lesson", "state", "student", "who", "file", "reason", "ask"])
            for row in sorted(self.rows, key=lambda row: (STATES.index(row.state), row.student, row.file)):
                cells = [self.lesson, row.state, row.student, row.who, row.file, row.reason, row.ask]
                writer.writerow([_harmless(cell) for cell in cells])


def _harmless(cell: str) -> str:
    return f"'{shown(cell)}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else shown(cell)


def _wrapped(head: str, parts: list[str], width: int) -> list[str]:
    lines = [f"  {head}"]
    for part in parts:
        lines += textwrap.wrap(
            part, width, initial_indent="      ", subsequent_indent="      ", break_long_words=True
        )
    return lines
