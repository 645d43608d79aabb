"""Downloads from learning platforms, as tests make them: zips with any names, attributes and headers."""

from __future__ import annotations

import io
import json
import stat
import struct
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tlkit.build.course import Lesson
from tlkit.collecting.collect import collect
from tlkit.collecting.entries import Limits
from tlkit.collecting.report import Report, Row
from tlkit.collecting.roster import Student

LESSON, OTHER = "01_feature_extraction", "02_fine_tuning"


def notebook(text: str = "", lesson: str | None = LESSON) -> bytes:
    """A notebook with one answer; with the lesson's mark unless `lesson` is None."""
    mark = {"nbgrader": {"grade_id": f"answer_of_{lesson}", "solution": True}} if lesson else {}
    cell = {"cell_type": "code", "id": "a", "metadata": mark, "source": text, "outputs": []}
    plain = {"cell_type": "markdown", "id": "shared", "metadata": {}, "source": "# Title"}
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [plain, cell]}
    return json.dumps(content).encode()


def small_course(root: Path) -> Lesson:
    """Two released lessons, as far as collecting looks at them."""
    for name in (LESSON, OTHER):
        (root / "solutions" / name).mkdir(parents=True)
        (root / "course" / name).mkdir(parents=True)
        (root / "course" / name / f"{name}.ipynb").write_bytes(notebook(lesson=name))
    (root / "nbgrader_config.py").write_text("c = get_config()\n")
    return Lesson(root, LESSON)


Members = Iterable[tuple[str | zipfile.ZipInfo, bytes]]


def zipped(path: Path, members: Members) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def moodle(name: str, number: int, file: str = f"{LESSON}.ipynb") -> str:
    return f"{name}_{number}_assignsubmission_file_/{file}"


def dated(name: str, *when: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (*when, 0, 0, 0, 0, 0)[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def special(name: str, kind: int = stat.S_IFLNK) -> zipfile.ZipInfo:
    """A member that unpacks to a link, a device, …"""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    return info


def patched(path: Path, name: str, **fields: int) -> Path:
    """Change fields of one member's headers: flags, method, crc, packed, size; the local one's too."""
    at = {"flags": (8, "H"), "method": (10, "H"), "crc": (16, "I"), "packed": (20, "I"), "size": (24, "I")}
    data = bytearray(path.read_bytes())
    central = data.index(name.encode(), data.index(b"PK\1\2")) - 46
    local = data.index(name.encode()) - 30
    for key, value in fields.items():
        offset, kind = at[key]
        struct.pack_into(f"<{kind}", data, central + offset, value)
        struct.pack_into(f"<{kind}", data, local + offset - 2, value)
    path.write_bytes(bytes(data))
    return path


def raw_names(path: Path, members: list[tuple[bytes, bytes]], flags: int = 0) -> Path:
    """A zip whose names are these bytes, with the UTF-8 flag or without."""
    buffer = io.BytesIO()
    placeholders = [f"{'x' * (len(name) - 4)}{number:04}" for number, (name, _) in enumerate(members)]
    with zipfile.ZipFile(buffer, "w") as archive:
        for placeholder, (_, data) in zip(placeholders, members, strict=True):
            archive.writestr(placeholder, data)
    path.write_bytes(buffer.getvalue())
    for placeholder, (name, _) in zip(placeholders, members, strict=True):
        patched(path, placeholder, flags=flags)
        path.write_bytes(path.read_bytes().replace(placeholder.encode(), name))
    return path


@dataclass
class Desk:
    """An instructor's course, a roster and what came of collecting."""

    lesson: Lesson
    folder: Path
    students: list[Student] | None = field(default_factory=list)

    @property
    def submitted(self) -> Path:
        return self.lesson.root / "submitted"

    def zip(self, members: Members, name: str = "download.zip") -> Path:
        return zipped(self.folder / name, members)

    def collect(self, source: Path, limits: Limits | None = None, **options: Any) -> Report:
        options.setdefault("students", self.students)
        return collect(self.lesson, source, limits=limits, **options)

    def collected(self) -> dict[str, bytes]:
        """{student: the notebook that is there}."""
        found = self.submitted.glob(f"[!.]*/{LESSON}/{LESSON}.ipynb")
        return {path.parent.parent.name: path.read_bytes() for path in found}

    def everything(self) -> dict[str, bytes]:
        """Every file in the course folder, to see that nothing else was written."""
        root = self.lesson.root
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def the_row(report: Report, state: str) -> Row:
    (row,) = report.of(state)
    return row
