"""Which of several files of one student counts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from tlkit.collecting.entries import Entry, Limits, OtherLesson, Problem, Refused
from tlkit.collecting.names import shown
from tlkit.collecting.notebook import check_lesson, is_notebook_name, parse
from tlkit.collecting.platforms import Upload

# The dates in a platform's zip are those of the download, a moment apart: no sign of which file is newer.
MOMENT = timedelta(minutes=1)
MANY = 50  # notebooks of one student


@dataclass(frozen=True)
class File:
    """One file of a student."""

    entry: Entry
    upload: Upload


@dataclass
class Choice:
    """The file that counts, if any, with its content; what to say about the others."""

    file: File | None = None
    data: bytes = b""
    remarks: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class _Fit:
    file: File
    digest: bytes
    certain: bool


def choose(files: list[File], lesson: str, known: Mapping[str, set[str]], limits: Limits) -> Choice:
    """Of one student's files the newest notebook of the lesson."""
    choice = Choice()
    fits: list[_Fit] = []
    others: list[Problem] = []
    notebooks = [one for one in files if is_notebook_name(one.upload.file)]
    for one in notebooks[:MANY]:
        try:
            data = one.entry.read()
            certain = check_lesson(parse(data, limits), one.upload.file, lesson, known)
        except Refused as refused:
            problem = Problem(one.entry.path, refused.reason, refused.ask)
            (others if isinstance(refused, OtherLesson) else choice.problems).append(problem)
            continue
        fits.append(_Fit(one, hashlib.sha256(data).digest(), certain))
    if len(notebooks) > MANY:
        choice.remarks.append(f"{len(notebooks)} notebooks: only the first {MANY} were looked at")
    fits = [one for one in fits if one.certain] or fits
    best = _newest(fits, lesson)
    if best is None:
        choice.problems += others
        choice.problems += [_undecided(fits)] if fits else [] if notebooks else [_no_notebook(files)]
        return choice
    try:
        choice.data = best.file.entry.read()
    except Refused as refused:
        choice.problems.append(Problem(best.file.entry.path, refused.reason, refused.ask))
        return choice
    if hashlib.sha256(choice.data).digest() != best.digest:
        choice.problems.append(
            Problem(best.file.entry.path, "it was changed while it was read", "Collect again.")
        )
        return choice
    choice.file = best.file
    if not best.certain:
        choice.remarks.append("nothing in it says which lesson it is of")
    if older := [shown(one.file.upload.file) for one in fits if one.digest != best.digest]:
        choice.remarks.append(f"of {len(older) + 1} notebooks the newest; not taken: {', '.join(older)}")
    return choice


def _newest(fits: list[_Fit], lesson: str) -> _Fit | None:
    """The last by the platform's count, else by date, else the one that has the lesson's name."""
    if len({one.digest for one in fits}) < 2:
        return fits[0] if fits else None
    if all(one.file.upload.attempt for one in fits):
        last = max(one.file.upload.attempt for one in fits)
        fits = [one for one in fits if one.file.upload.attempt == last]
    elif all(one.file.entry.date for one in fits):
        dated = sorted(fits, key=lambda one: str(one.file.entry.date))
        newest, before = dated[-1].file.entry.date, dated[-2].file.entry.date
        if newest and before and newest - before > MOMENT:
            return dated[-1]
    if len({one.digest for one in fits}) > 1:
        fits = [one for one in fits if one.file.upload.file.rsplit("/", 1)[-1] == f"{lesson}.ipynb"]
    return fits[0] if len({one.digest for one in fits}) == 1 else None


def _undecided(fits: list[_Fit]) -> Problem:
    names = ", ".join(shown(one.file.upload.file) for one in fits)
    return Problem(
        fits[0].file.entry.path,
        f"{len(fits)} different notebooks, and nothing says which is the newest: {names}",
        "Ask which one counts, and collect it from a folder of its own.",
    )


def _no_notebook(files: list[File]) -> Problem:
    names = sorted(one.upload.file for one in files)
    found = ", ".join(shown(name) for name in names[:3])
    if any(name.lower().endswith(".zip") for name in names):
        return Problem(
            files[0].entry.path,
            f"a zip inside, which is not opened: {found}",
            "Ask for the notebook itself, not packed.",
        )
    return Problem(files[0].entry.path, f"no notebook, only {found}", "Ask for the .ipynb file.")
