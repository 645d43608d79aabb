"""What strangers put into a download to reach other files, students or the machine: refused and reported."""

from __future__ import annotations

import io
import os
import stat
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from downloads import (
    LESSON,
    Desk,
    dated,
    moodle,
    notebook,
    patched,
    raw_names,
    small_course,
    special,
    the_row,
)

from tlkit.collecting.entries import Limits, SourceError
from tlkit.collecting.names import name_problem, shown, student_problem
from tlkit.collecting.report import MISSING, NOT_PLACED, PLACED
from tlkit.collecting.roster import Student

JANE, BOB = Student("s001", "Jane", "Doe"), Student("s002", "Bob", "Roe")
GOOD = (moodle("Bob Roe", 7), notebook("bob"))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "downloads").mkdir()
    return Desk(small_course(tmp_path / "course"), tmp_path / "downloads", [JANE, BOB])


def only_bob(desk: Desk, source: Path, limits: Limits | None = None) -> str:
    """Collect; Bob's good notebook and nothing else is written. Returns why the other was not."""
    before = {path for path in desk.folder.parent.rglob("*") if path.is_file()}
    report = desk.collect(source, limits)
    after = {path for path in desk.folder.parent.rglob("*") if path.is_file()}
    assert after - before == {desk.submitted / "s002" / LESSON / f"{LESSON}.ipynb"}
    assert desk.collected() == {"s002": notebook("bob")}
    assert the_row(report, PLACED).student == "s002"
    row = the_row(report, NOT_PLACED)
    assert row.ask
    assert len(report.of(MISSING)) == (row.student != "s001")
    return row.reason


@pytest.mark.parametrize(
    "name",
    [
        f"../{moodle('Jane Doe', 1)}",
        moodle("Jane Doe", 1, "../../../../s001/x.ipynb"),
        moodle("Jane Doe", 1, "a/../../x.ipynb"),
        moodle("Jane Doe", 1, "．．/x.ipynb"),
        moodle("Jane Doe", 1, "․․/x.ipynb"),
        f"/{moodle('Jane Doe', 1)}",
        f"C:{moodle('Jane Doe', 1)}",
        moodle("Jane Doe", 1, "..\\..\\x.ipynb"),
        moodle("Jane Doe", 1, "a∕x.ipynb"),
        moodle("Jane Doe", 1, "a⁄x.ipynb"),
        moodle("Jane Doe", 1, "a＼x.ipynb"),
        moodle("Jane Doe", 1, "a\nb.ipynb"),
        moodle("Jane Doe", 1, "a\x1b[2Jb.ipynb"),
        moodle("Jane Doe", 1, "bnpyi\u202e.ipynb"),
        moodle("Jane Doe", 1, "a//b.ipynb"),
        moodle("Jane Doe", 1, f"{'x' * 300}.ipynb"),
    ],
)
def test_names_that_lead_elsewhere(desk: Desk, name: str) -> None:
    """Paths up, absolute paths, drives, backslashes, control characters and letters that look like "/"."""
    assert "name" in only_bob(desk, desk.zip([GOOD, (name, notebook("jane"))]))


def test_a_name_cut_by_a_null(desk: Desk) -> None:
    """Python stops reading a name at a null character; the whole name is judged."""
    source = desk.folder / "null.zip"
    name = moodle("Jane Doe", 1, "x.ipynb").encode() + b"\0.png"
    raw_names(source, [(name, notebook("jane")), (GOOD[0].encode(), GOOD[1])])
    assert "control characters" in only_bob(desk, source)


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK], ids=hex
)
def test_links_and_devices_in_a_zip(desk: Desk, kind: int) -> None:
    """A member that would unpack to anything but a file."""
    link = special(moodle("Jane Doe", 1), kind)
    reason = only_bob(desk, desk.zip([GOOD, (link, b"/etc/passwd")]))
    assert ("link" in reason) == (kind == stat.S_IFLNK)


def test_links_and_pipes_in_a_folder(desk: Desk) -> None:
    """A linked notebook, a linked folder and a pipe are named, not followed or waited for."""
    secret = desk.folder / "secret.ipynb"
    secret.write_bytes(notebook("secret"))
    folder = desk.folder / "class"
    (folder / "s002").mkdir(parents=True)
    (folder / "s002" / "x.ipynb").write_bytes(notebook("bob"))
    (folder / "s001.ipynb").symlink_to(secret)
    (folder / "s003").symlink_to(desk.folder, target_is_directory=True)
    os.mkfifo(folder / "s004.ipynb")
    report = desk.collect(folder)
    assert desk.collected() == {"s002": notebook("bob")}
    assert [row.reason for row in report.of(NOT_PLACED)] == [
        "a link to another file",
        "a link to another file",
        "not an ordinary file",
    ]


def test_a_folder_exchanged_for_a_link_while_collecting(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was a folder when it was listed and is a link when it is read is not followed."""
    from tlkit.collecting import collect as collecting

    folder = desk.folder / "class"
    for student in ("s001", "s002"):
        (folder / student).mkdir(parents=True)
        (folder / student / "x.ipynb").write_bytes(notebook("bob"))
    other = desk.folder / "other"
    other.mkdir()
    (other / "x.ipynb").write_bytes(notebook("a classmate's"))
    listing = collecting.list_folder

    def listed_then_changed(*args: object) -> object:
        found = listing(*args)
        (folder / "s001" / "x.ipynb").unlink()
        (folder / "s001").rmdir()
        (folder / "s001").symlink_to(other, target_is_directory=True)
        return found

    monkeypatch.setattr(collecting, "list_folder", listed_then_changed)
    report = desk.collect(folder)
    assert desk.collected() == {"s002": notebook("bob")}
    assert "cannot be opened" in the_row(report, NOT_PLACED).reason


def test_a_file_changed_after_it_was_looked_at(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was judged is what is placed, or nothing is."""
    from tlkit.collecting import choose as choosing

    folder = desk.folder / "class"
    for student in ("s001", "s002"):
        (folder / student).mkdir(parents=True)
        (folder / student / "x.ipynb").write_bytes(notebook("bob"))
    parse, calls = choosing.parse, iter(range(9))

    def parsed_then_changed(*args: object) -> object:
        found = parse(*args)
        if next(calls) == 0:
            (folder / "s001" / "x.ipynb").write_bytes(b"x" * len(notebook("bob")))
        return found

    monkeypatch.setattr(choosing, "parse", parsed_then_changed)
    report = desk.collect(folder)
    assert desk.collected() == {"s002": notebook("bob")}
    assert "changed" in the_row(report, NOT_PLACED).reason


def test_a_bomb_by_ratio(desk: Desk) -> None:
    """19 MB of zeros in 19 kB."""
    assert "bomb" in only_bob(desk, desk.zip([GOOD, (moodle("Jane Doe", 1), b"0" * 19_000_000)]))


def test_a_declared_size_above_the_limit(desk: Desk) -> None:
    """Not even opened; the advice is to clear the outputs."""
    source = desk.zip([GOOD, (moodle("Jane Doe", 1), os.urandom(30_000))])
    assert "larger than 20 kB" in only_bob(desk, source, Limits(size=20_000))


@pytest.mark.parametrize("crc", [None, 0])
def test_a_bomb_with_a_lying_header(desk: Desk, crc: int | None) -> None:
    """It declares 500 bytes and unpacks to 300 MB: the little that is unpacked is refused."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(GOOD[0], GOOD[1])
        with archive.open(moodle("Jane Doe", 1), "w") as member:
            for _ in range(300):
                member.write(b" " * 1_000_000)
    source = desk.folder / "liar.zip"
    source.write_bytes(buffer.getvalue())
    fields = {"size": 500} if crc is None else {"size": 500, "crc": crc}
    patched(source, moodle("Jane Doe", 1), **fields)
    tracemalloc.start()
    reason = only_bob(desk, source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "not what the zip says" in reason
    assert peak < 5_000_000


def test_a_packing_that_cannot_be_limited(desk: Desk) -> None:
    """bzip2 and LZMA unpack without a limit on memory in Python: refused unopened."""
    info = zipfile.ZipInfo(moodle("Jane Doe", 1))
    info.compress_type = zipfile.ZIP_BZIP2
    source = desk.folder / "bz.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr(*GOOD)
        archive.writestr(info, b"0" * 500_000)
    assert "no platform" in only_bob(desk, source)


def test_too_many_members_and_too_much_in_all(desk: Desk) -> None:
    """More files than any class are not looked at; after too many bytes no more are read."""
    source = desk.zip([(f"{number}.ipynb", b"") for number in range(51)])
    with pytest.raises(SourceError, match="51 files"):
        desk.collect(source, Limits(members=50))
    students = [Student(f"s{number}") for number in range(9)]
    source = desk.zip([(f"s{number}.ipynb", notebook("x" * 10_000)) for number in range(9)])
    report = desk.collect(source, Limits(total=50_000), students=students)
    assert len(desk.collected()) == len(report.of(PLACED)) == 2  # each is read twice
    assert len(report.of(NOT_PLACED)) == 7
    assert all("no more is read" in row.reason for row in report.of(NOT_PLACED))


def test_members_that_are_locked_damaged_or_torn(desk: Desk) -> None:
    """A password's flag, a wrong checksum, an unknown method: each is one student's problem."""
    for fields, words in (
        ({"flags": 1}, "password"),
        ({"crc": 1}, "damaged"),
        ({"method": 99}, "no platform"),
    ):
        source = patched(
            desk.zip([GOOD, (moodle("Jane Doe", 1), notebook())]), moodle("Jane Doe", 1), **fields
        )
        report = desk.collect(source)
        assert words in the_row(report, NOT_PLACED).reason
        assert list(desk.collected()) == ["s002"]


def test_a_member_that_begins_behind_the_end(desk: Desk) -> None:
    """A directory that points nowhere: zipfile's own error for it is none of its usual ones."""
    source = desk.zip([GOOD, (moodle("Jane Doe", 1), notebook())])
    data = bytearray(source.read_bytes())
    at = data.rindex(moodle("Jane Doe", 1).encode())
    data[at - 4 : at] = (len(data) - 9).to_bytes(4, "little")
    source.write_bytes(bytes(data))
    assert "damaged" in only_bob(desk, source)


@pytest.mark.parametrize("keep", [0, 10, 100, -1, -30])
def test_a_truncated_zip_is_refused_as_a_whole(desk: Desk, keep: int) -> None:
    """Cut anywhere, the zip is not used, and the advice is to download it again."""
    source = desk.zip([GOOD])
    source.write_bytes(source.read_bytes()[:keep])
    with pytest.raises(SourceError, match="download it again"):
        desk.collect(source)
    assert desk.collected() == {}


def test_names_that_are_not_utf8(desk: Desk) -> None:
    """UTF-8 without its flag is understood; an old code page is nobody's; a lying flag spoils the zip."""
    jurgen = Student("s003", "Jürgen", "Roe")
    source = desk.folder / "names.zip"
    raw_names(
        source,
        [
            (moodle("Jürgen Roe", 1).encode("utf-8"), notebook("utf-8")),
            (moodle("Jörg Roe", 2).encode("latin-1"), notebook("latin-1")),
        ],
    )
    report = desk.collect(source, students=[jurgen, Student("s004", "Jörg", "Roe")])
    assert desk.collected() == {"s003": notebook("utf-8")}
    assert "nobody" in the_row(report, NOT_PLACED).reason
    raw_names(source, [(moodle("Jörg Roe", 2).encode("latin-1"), notebook())], flags=0x800)
    with pytest.raises(SourceError, match="give the folder"):
        desk.collect(source)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<html>", "no JSON"),
        (notebook()[:-9], "no JSON"),
        (b"\xff\xfe" + notebook(), "UTF-8"),
        (b'{"a": 1}', "though it is JSON"),
        (b'{"cells": 1, "nbformat": 4}', "though it is JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[" * 600_000, "hundreds of thousands"),
        (b'{"cells": [], "nbformat": ' + b"9" * 5000 + b"}", "no JSON"),
        (b"PK\3\4....", "a zip that is called a notebook"),
    ],
)
def test_files_that_are_no_notebooks(desk: Desk, data: bytes, words: str) -> None:
    """Empty, torn, of another kind, or made to exhaust a reader of JSON."""
    assert words in only_bob(desk, desk.zip([GOOD, (moodle("Jane Doe", 1), data)]))


def test_strange_metadata_is_no_trouble(desk: Desk) -> None:
    """Cells and marks of any type are read past, not relied on."""
    data = (
        b'{"nbformat": 4, "metadata": 7, "cells": [1, null, {"id": 5}, {"metadata": []},'
        b' {"metadata": {"nbgrader": "x"}}, {"metadata": {"nbgrader": {"grade_id": []}}}]}'
    )
    report = desk.collect(desk.zip([(moodle("Jane Doe", 1, "x.ipynb"), data)]))
    assert desk.collected() == {"s001": data}
    assert "which lesson" in the_row(report, PLACED).reason


def test_a_zip_inside_and_other_files(desk: Desk) -> None:
    """Not opened; what to ask for is said."""
    source = desk.zip([GOOD, (moodle("Jane Doe", 1, "work.zip"), b"PK\3\4")])
    assert "a zip inside" in only_bob(desk, source)
    report = desk.collect(desk.zip([(moodle("Jane Doe", 1, "work.pdf"), b"%PDF")]))
    assert the_row(report, NOT_PLACED).reason == "no notebook, only work.pdf"


def test_a_member_named_like_a_classmate(desk: Desk) -> None:
    """Within Jane's folder, or behind Jane's prefix, any name stays Jane's."""
    for number, name in enumerate(
        (
            moodle("Jane Doe", 1, moodle("Bob Roe", 7)),
            f"Jane Doe_1_assignsubmission_file_Bob Roe_7_assignsubmission_file_{LESSON}.ipynb",
            moodle("Jane Doe", 1, f"s002/{LESSON}/{LESSON}.ipynb"),
        )
    ):
        desk.collect(desk.zip([(name, notebook(f"jane {number}")), GOOD]), replacing=True)
        assert desk.collected() == {"s001": notebook(f"jane {number}"), "s002": notebook("bob")}


def test_a_canvas_file_named_like_a_classmates(desk: Desk) -> None:
    """The file's own name comes after Canvas's numbers: it cannot change them."""
    members = [
        (f"doejane_11_101_roebob_22_102_{LESSON}.ipynb", notebook("jane")),
        (f"roebob_22_100_{LESSON}.ipynb", notebook("bob")),
    ]
    desk.collect(desk.zip(members))
    assert desk.collected() == {"s001": notebook("jane"), "s002": notebook("bob")}


def test_two_uploaders_for_one_student(desk: Desk) -> None:
    """A second account called Bob Roe: neither is taken, both are named."""
    report = desk.collect(desk.zip([GOOD, (moodle("bob  roe", 8), notebook("impostor"))]))
    assert desk.collected() == {}
    assert [row.who for row in report.of(NOT_PLACED)] == ["Bob Roe (7)", "bob  roe (8)"]
    assert all("2 uploads count as s002's" in row.reason for row in report.of(NOT_PLACED))


def test_names_that_only_some_file_systems_tell_apart(desk: Desk) -> None:
    """Without a roster: "Jane" and "JANE", and ü stored in two ways, are one folder somewhere."""
    members = [
        (moodle(name, number), notebook(name)) for number, name in enumerate(("Jane", "JANE", "Ann"), 1)
    ]
    report = desk.collect(desk.zip(members), students=None)
    assert list(desk.collected()) == ["Ann"]
    assert len(report.of(NOT_PLACED)) == 2
    report = desk.collect(desk.zip([(moodle("ANN", 3), notebook())]), students=None)
    assert "submitted/Ann is there" in the_row(report, NOT_PLACED).reason
    members = [(moodle("Kim", 1, name), notebook(name)) for name in ("a.ipynb", "A.ipynb", "b.ipynb")]
    report = desk.collect(desk.zip(members), students=None)
    assert [row.reason for row in report.of(NOT_PLACED)] == [
        "there are several files of this name in the zip"
    ] * 2


def test_one_member_twice(desk: Desk) -> None:
    """Which of two members of one name counts depends on the program that reads it: neither."""
    name = moodle("Jane Doe", 1)
    members = [(dated(name, 2026, 1, 1), notebook("a")), (dated(name, 2026, 1, 2), notebook("b")), GOOD]
    with pytest.warns(UserWarning, match="Duplicate name"):
        source = desk.zip(members)
    report = desk.collect(source)
    assert list(desk.collected()) == ["s002"]
    assert len(report.of(NOT_PLACED)) == 2


def test_the_exchange_knows_who_owns_a_folder(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in a classmate's name, owned by another student's account, is not the classmate's."""
    inbound = desk.folder / "inbound"
    for name in (f"s001+{LESSON}+2026-11-20 10:00:00 UTC+a", f"s002+{LESSON}+2026-11-20 10:00:00 UTC+b"):
        (inbound / name).mkdir(parents=True)
        (inbound / name / "x.ipynb").write_bytes(notebook(name[:4]))
    monkeypatch.setattr(Path, "owner", lambda self: "s001")
    report = desk.collect(inbound)
    assert desk.collected() == {"s001": notebook("s001")}
    assert the_row(report, NOT_PLACED).reason == "the account s001 handed it in under this name"
    monkeypatch.setattr(Path, "owner", lambda self: "root")  # an instructor's copy says nothing
    desk.collect(inbound)
    assert sorted(desk.collected()) == ["s001", "s002"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a+b",
        "nul",
        "COM1.txt",
        "aux",
        ".hidden",
        "-rf",
        "~",
        "a.",
        " a",
        "a*",
        "{a}",
    ],
)
def test_ids_that_are_no_folders(name: str) -> None:
    """Ids that a path, nbgrader's patterns or Windows would take for something else."""
    assert student_problem(name)


@pytest.mark.parametrize("name", ["s001", "jane.doe@uni.example", "Jürgen_Müller", "李雷", "o-brien"])
def test_honest_ids_and_names(name: str) -> None:
    """What students are really called passes."""
    assert student_problem(name) is None
    assert name_problem(f"{name}_12_assignsubmission_file_/Übung 1 (2).ipynb") is None


def test_what_is_printed_cannot_move_the_cursor() -> None:
    """Escapes and bidirectional marks are shown as what they are."""
    assert shown("a\x1b[2J\u202eb\n") == "a\\x1b[2J\\u202eb\\n"
    assert shown("Jürgen 李") == "Jürgen 李"
