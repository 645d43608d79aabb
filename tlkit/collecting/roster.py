"""The class list, and who of it is meant by a name or number: exactly, but for case, spaces and the like."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tlkit.collecting.entries import SourceError
from tlkit.collecting.names import key, letters, shown, student_problem
from tlkit.collecting.platforms import Uploader

# column -> what it may be called
COLUMNS = {
    "id": "id student_id",
    "first": "first_name firstname given_name",
    "last": "last_name lastname surname family_name",
    "email": "email email_address e_mail",
    "name": "name full_name fullname student canvas_name sortable_name display_name",
    "canvas": "lms_user_id canvas_id canvas_user_id",
    "moodle": "moodle_id identifier participant",
}
CALLED = {alias: column for column, aliases in COLUMNS.items() for alias in aliases.split()}


@dataclass(frozen=True)
class Student:
    """One line of the roster."""

    id: str
    first: str = ""
    last: str = ""
    email: str = ""
    names: tuple[str, ...] = ()
    numbers: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def shown(self) -> str:
        return " ".join(part for part in (self.first, self.last) if part) or (*self.names, "")[0]

    def written(self, platform: str) -> set[str]:
        """The ways in which this platform, or an instructor's folder, can write the student's name."""
        both = [f"{self.first} {self.last}", f"{self.last} {self.first}", f"{self.last}, {self.first}"]
        own = list(self.names) + (both if self.first and self.last else [self.first or self.last])
        if platform == "canvas":
            return {letters(name) for name in (f"{self.last}{self.first}", *self.names)} - {""}
        if platform == "folder":
            own += [self.id, self.email]
        return {key(name) for name in own} - {""}


class Unknown(Exception):
    """No single student is meant; the message says why, `ask` what to do, `perhaps` who may be."""

    def __init__(self, reason: str, ask: str, perhaps: Iterable[str] = ()) -> None:
        super().__init__(reason)
        self.ask = ask
        self.perhaps = set(perhaps)


class Roster:
    """Students, found by what a platform says about them."""

    def __init__(self, students: Iterable[Student], platform: str) -> None:
        self.platform = platform
        self.students = {student.id: student for student in students}
        self._names: dict[str, list[Student]] = defaultdict(list)
        self._numbers: dict[str, list[Student]] = defaultdict(list)
        for student in self.students.values():
            for name in student.written(platform):
                self._names[name].append(student)
            if number := student.numbers.get(platform):
                self._numbers[number].append(student)

    def find(self, uploader: Uploader) -> Student:
        """The student who is meant; Unknown if that is nobody, or not certain."""
        if uploader.student:
            if uploader.student in self.students:
                return self.students[uploader.student]
            raise Unknown("not in the roster", "Add the student to the roster, or ask who this is.")
        name = letters(uploader.name) if self.platform == "canvas" else key(uploader.name)
        named = self._names.get(name, [])
        numbered = self._numbers.get(uploader.number, [])
        if len(numbered) == 1:
            if named and numbered[0] not in named:
                raise Unknown(
                    f"its number is {numbered[0].id}'s, its name that of {_listed(named)}",
                    "Look at who handed it in on the platform; put the roster's number right.",
                    _ids([*named, *numbered]),
                )
            return numbered[0]
        if len(numbered) > 1:
            raise Unknown(f"{_listed(numbered)} have its number", "Put the roster's numbers right.")
        if len(named) > 1:
            raise Unknown(
                f"{_listed(named)} have this name",
                f"Write the number in the file's name {self._into()}.",
                _ids(named),
            )
        if not named:
            raise Unknown(
                "nobody in the roster has this name" + (" or number" if uploader.number else ""),
                f"Write the name as it is here into the roster's column name, or the number {self._into()}.",
            )
        number = named[0].numbers.get(self.platform)
        if number and uploader.number:
            raise Unknown(
                f"{named[0].id} has this name, but the number {number}",
                "Look at who handed it in on the platform; put the roster's number right.",
                _ids(named),
            )
        return named[0]

    def knows_name(self, uploader: Uploader) -> bool:
        """Does somebody have this name, or need none: the platform gave the id?"""
        name = letters(uploader.name) if self.platform == "canvas" else key(uploader.name)
        return bool(uploader.student) or name in self._names

    def _into(self) -> str:
        column = {"moodle": "moodle_id", "canvas": "lms_user_id"}.get(self.platform)
        return f"into the roster's column {column}" if column else "or the id into the file's name"


def _ids(students: list[Student]) -> list[str]:
    return sorted({student.id for student in students})


def _listed(students: list[Student]) -> str:
    return " and ".join(_ids(students))


def read_roster(path: Path) -> list[Student]:
    """A CSV with a column id and any of the others; SourceError says which line is wrong."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"The roster {path} cannot be read as UTF-8 text: {error}") from error
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise SourceError(f"The roster {path.name} is no CSV: {error}") from error
    header = (
        [CALLED.get(re.sub(r"[\s-]+", "_", name.strip().lower()), "") for name in rows[0]] if rows else []
    )
    if "id" not in header:
        raise SourceError(f"The roster {path.name} has no column id in its first line: {first[:80]}")
    students, known = [], dict[str, int]()
    for line, row in enumerate(rows[1:], start=2):
        if any(cell.strip() for cell in row):
            student = _student(header, row)
            if problem := student_problem(student.id):
                raise SourceError(f'{path.name}, line {line}: "{shown(student.id)}" is no id: {problem}.')
            if (earlier := known.setdefault(key(student.id), line)) != line:
                raise SourceError(
                    f'{path.name}, lines {earlier} and {line}: the id "{student.id}" is there twice.'
                )
            students.append(student)
    return students


def _student(header: list[str], row: list[str]) -> Student:
    cells: dict[str, list[str]] = defaultdict(list)
    for column, cell in zip(header, row, strict=False):
        if column and cell.strip():
            cells[column].append(cell.strip())
    one = {column: values[0] for column, values in cells.items()}
    numbers = {}
    for platform in ("moodle", "canvas"):
        if match := re.search(
            r"\d+$", one.get(platform, "")
        ):  # "Participant 123", as Moodle's worksheet has it
            numbers[platform] = match[0]
    return Student(
        one.get("id", ""),
        one.get("first", ""),
        one.get("last", ""),
        one.get("email", ""),
        tuple(cells["name"]),
        numbers,
    )
