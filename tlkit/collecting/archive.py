"""A zip from a platform, with files in it that strangers named and packed."""

from __future__ import annotations

import stat
import struct
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from tlkit.collecting.entries import (
    ASK_AGAIN,
    Budget,
    Entry,
    Limits,
    Listing,
    Problem,
    Refused,
    SourceError,
    too_large,
)
from tlkit.collecting.names import name_problem

UTF8_NAME, ENCRYPTED = 0x800, 0x1 | 0x40 | 0x2000
# The others unpack without a limit on memory, and no platform uses them.
PACKED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# What zipfile raises on files made to break it
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(ValueError, LookupError, OverflowError, NotImplementedError, RuntimeError),
)


@contextmanager
def open_archive(path: Path, limits: Limits) -> Iterator[Listing]:
    """The files of a zip; SourceError if it is none, or not whole."""
    try:
        archive = zipfile.ZipFile(path)
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{path.name} has a name in it that is not the UTF-8 it claims to be: unpack it with another "
            "program and give the folder."
        ) from error
    except BROKEN as error:
        raise SourceError(
            f"{path.name} is no zip, or not a whole one ({error}): download it again."
        ) from error
    with archive:
        infos = archive.infolist()
        if len(infos) > limits.members:
            raise SourceError(f"{path.name} holds {len(infos)} files, more than {limits.members}: not read.")
        yield _listing(archive, infos, limits)


def _listing(archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo], limits: Limits) -> Listing:
    listing = Listing()
    budget = Budget(limits)
    times_there = Counter(_same(_name(info)) for info in infos)
    for info in infos:
        name = _name(info)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if name.endswith("/") and kind in (0, stat.S_IFDIR) and not info.file_size:
            if problem := name_problem(name.rstrip("/")):
                listing.refused.append(Problem(name, problem, "No file of a lesson is called so."))
            continue
        problem = name_problem(name) or _kind_problem(kind)
        if problem is None and times_there[_same(name)] > 1:
            problem = "there are several files of this name in the zip"
        if problem is None and info.flag_bits & ENCRYPTED:
            problem = "locked with a password"
        if problem is not None:
            listing.refused.append(Problem(name, problem, ASK_AGAIN))
            continue
        read = partial(_read, archive, info, budget)
        listing.entries.append(Entry(name, info.file_size, _date(info), read))
    return listing


def _name(info: zipfile.ZipInfo) -> str:
    """The member's whole name: a zip without the UTF-8 flag often holds UTF-8 all the same."""
    name = info.orig_filename
    if not info.flag_bits & UTF8_NAME:
        with suppress(UnicodeError):  # an old code page: the letters up to 127 are right in any
            name = name.encode("cp437").decode("utf-8")
    return name.removeprefix("./")


def _same(name: str) -> str:
    """Equal for names that are one file where case, or how accents are stored, does not count."""
    return unicodedata.normalize("NFKC", name).casefold()


def _kind_problem(kind: int) -> str | None:
    if kind in (0, stat.S_IFREG):
        return None
    return "a link to another file" if kind == stat.S_IFLNK else "not an ordinary file"


def _date(info: zipfile.ZipInfo) -> datetime | None:
    try:
        return datetime(*info.date_time)
    except ValueError:
        return None


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> bytes:
    limits = budget.limits
    if info.file_size > limits.size:
        raise too_large(info.file_size, limits)
    if info.file_size > 1_000_000 and info.file_size > limits.ratio * max(info.compress_size, 1):
        raise Refused("a zip bomb: it unpacks to hundreds of times its size")
    if info.compress_type not in PACKED:
        raise Refused("packed in a way that no platform uses")
    budget.spend(info.file_size)
    try:
        with archive.open(info) as file:
            data = file.read(info.file_size + 1)  # which is all that is unpacked of a member that holds more
    except BROKEN as error:
        raise Refused(f"damaged, or not what the zip says it is ({error})") from error
    if len(data) != info.file_size:
        raise Refused("damaged, or not what the zip says it is (its size is another one)")
    return data
