"""Who handed in a file, read from the name that each platform gives it.

Moodle: "<full name>_<participant>_assignsubmission_file_/<file>", or all in one name. Moodle writes spaces
for "_" in names, so the first "_" ends the name. The participant's number is drawn anew for each assignment;
it is not the user's number. The dates in the zip are those of the download.

Canvas: "<lastfirst>[_LATE]_<user>_<attachment>_<file>", without folders. Attachments are numbered as they
come in, and a file of a name that is there already gets "-1", "-2"… before its ending. Dates as with Moodle.

nbgrader's exchange: folders "<student>+<lesson>+<time>[+<random letters>]".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dateutil.tz import gettz

from tlkit.collecting.names import key


@dataclass(frozen=True)
class Uploader:
    """Whose a file is, as the platform says it."""

    label: str  # for people; different for different uploaders
    name: str = ""
    number: str = ""
    student: str = ""  # nbgrader's id, where the platform knows it


@dataclass(frozen=True)
class Upload:
    """What a file's path says."""

    uploader: Uploader
    file: str  # the name that the student gave it
    attempt: tuple[int, ...] = ()  # the larger, the later; empty if the platform does not say
    time: datetime | None = None  # of handing in, UTC
    late: bool = False
    lesson: str = ""


Reader = Callable[[str], Upload | None]

MOODLE = re.compile(
    r"(?P<name>[^_/]+)_(?P<number>\d+)_assignsubmission_[a-z]+(?:_?/|_)(?P<file>.+)", re.DOTALL
)
CANVAS = re.compile(
    r"(?:(?P<name>(?!\d+_)[^/]+?)_)??(?P<late>LATE_)?(?P<user>[1-9]\d*)_(?P<attachment>[1-9]\d*)_(?P<file>[^/]+)"
)
CANVAS_TEXT = re.compile(
    r"(?:(?P<name>[^/]+?)_)??(?P<late>LATE_)?(?P<user>[1-9]\d*)_(?P<file>(?:text|link)\.html)"
)
CANVAS_AGAIN = re.compile(r"-(\d+)(?=\.|$)")
EXCHANGE = re.compile(
    r"(?P<student>[^/]+)\+(?P<lesson>[^+/]+)"
    r"\+(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^+/]*)(?:\+[^+/]*)?/(?P<file>.+)"
)


def from_moodle(path: str) -> Upload | None:
    if not (match := MOODLE.fullmatch(path)):
        return None
    name, number = match["name"].strip(), match["number"]
    return Upload(Uploader(f"{name} ({number})", name, number), match["file"])


def from_canvas(path: str) -> Upload | None:
    if match := CANVAS_TEXT.fullmatch(path):
        attempt: tuple[int, ...] = ()
    elif match := CANVAS.fullmatch(path):
        again = CANVAS_AGAIN.findall(match["file"])
        attempt = (int(match["attachment"]), int(again[-1]) if again else 0)
    else:
        return None
    name, number = match["name"] or "", match["user"]
    uploader = Uploader(f"{name} ({number})" if name else number, name, number)
    return Upload(uploader, match["file"], attempt, late=bool(match["late"]))


def from_exchange(path: str) -> Upload | None:
    if not (match := EXCHANGE.fullmatch(path)):
        return None
    try:
        time = utc(match["time"])
    except (ValueError, OverflowError):
        return None
    student = match["student"]
    attempt = ((time - datetime(1970, 1, 1)) // timedelta(microseconds=1),)
    return Upload(Uploader(student, student=student), match["file"], attempt, time, lesson=match["lesson"])


def utc(text: str) -> datetime:
    """A time as nbgrader writes and reads it ("2026-11-21 18:00:00 UTC"), in UTC without a zone."""
    day, clock, *zone = text.split()
    time = datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=gettz(zone[0]) if zone else UTC)
    return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC).replace(tzinfo=None)


def folder_reader(lesson: str) -> Reader:
    """A folder a student, or a notebook a student: "s001/….ipynb", "s001.ipynb", "s001_<lesson>.ipynb"."""
    tail = re.compile(rf"(.+?)[ _-]+{re.escape(lesson)}")

    def read(path: str) -> Upload | None:
        first, _, file = path.partition("/")
        if file:
            return Upload(Uploader(f"{first}/", first), file)
        stem = first.rsplit("/", 1)[-1].split(".ipynb")[0]
        if match := tail.fullmatch(stem):
            stem = match[1]
        return None if key(stem) == key(lesson) else Upload(Uploader(first, stem), first)

    return read


READERS: dict[str, Reader] = {"moodle": from_moodle, "canvas": from_canvas, "exchange": from_exchange}
NAMES = {
    "moodle": "Moodle's “download all submissions”",
    "canvas": "Canvas's “download submissions”",
    "exchange": "nbgrader's exchange",
    "folder": "a folder or notebook a student",
}


def without_wrapper(paths: list[str], reader: Reader) -> str:
    """The folder around everything, as from packing an unpacked download again; "" if there is none."""
    firsts = {path.split("/")[0] for path in paths}
    wrapped = len(firsts) == 1 and all("/" in path for path in paths)
    if not wrapped or any(reader(path) for path in paths):
        return ""
    prefix = f"{firsts.pop()}/"
    return prefix if any(reader(path.removeprefix(prefix)) for path in paths) else ""


def recognise(paths: Iterable[str]) -> str:
    """Which platform names files so: the one that explains most of them, "folder" if none explains half."""
    paths = list(paths)
    fits = {}
    for name, reader in READERS.items():
        prefix = without_wrapper(paths, reader)
        fits[name] = sum(reader(path.removeprefix(prefix)) is not None for path in paths)
    best = max(fits, key=lambda name: fits[name])
    return best if fits[best] * 2 > len(paths) else "folder"
