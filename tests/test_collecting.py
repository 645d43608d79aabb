"""`tlkit collect`: what each platform gives is recognised, matched, placed and reported."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from downloads import LESSON, OTHER, Desk, dated, moodle, notebook, small_course, the_row

from tlkit.cli import main
from tlkit.collecting import place as placing
from tlkit.collecting.entries import SourceError
from tlkit.collecting.platforms import utc
from tlkit.collecting.report import MISSING, NOT_PLACED, PLACED, REPLACED, UNCHANGED
from tlkit.collecting.roster import Student, read_roster

JANE = Student("s001", "Jane", "Doe", "jane@uni.example", (), {"moodle": "12345", "canvas": "4321"})
BOB = Student("s002", "Bob", "Roe", "bob@uni.example")
JURGEN = Student("s003", "Jürgen", "O'Brien Smith", "j@uni.example")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "downloads").mkdir()
    return Desk(small_course(tmp_path / "course"), tmp_path / "downloads", [JANE, BOB, JURGEN])


def test_a_moodle_zip_with_folders(desk: Desk) -> None:
    """Folders "Name_number_assignsubmission_file_", with the trailing "_" of older versions and without."""
    members = [
        (moodle("Jane Doe", 12345, "03.ipynb"), notebook("jane")),
        (f"Bob Roe_7_assignsubmission_file/{LESSON}.ipynb", notebook("bob")),
        (f"Jürgen OBrien Smith_8_assignsubmission_file_/deep/er/{LESSON}.ipynb", notebook("j")),
        ("Jane Doe_12345_assignsubmission_onlinetext_/onlinetext.html", b"<p>done</p>"),
    ]
    report = desk.collect(desk.zip(members))
    assert report.platform == "moodle"
    assert "Moodle" in report.notes[0]
    assert desk.collected() == {"s001": notebook("jane"), "s002": notebook("bob"), "s003": notebook("j")}
    assert report.complete
    assert [row.student for row in report.of(PLACED)] == ["s001", "s002", "s003"]


def test_the_flat_moodle_zip_of_older_versions(desk: Desk) -> None:
    """Everything in one name; also packed again with a folder around."""
    flat = f"Jane Doe_12345_assignsubmission_file_{LESSON}.ipynb"
    assert desk.collect(desk.zip([(flat, notebook())]), dry_run=True).platform == "moodle"
    report = desk.collect(desk.zip([(f"download/{flat}", notebook("x"))]))
    assert (report.platform, desk.collected()) == ("moodle", {"s001": notebook("x")})


def test_a_canvas_zip(desk: Desk) -> None:
    """Names are last and first in one, then LATE, the user, the attachment; the number finds the student."""
    members = [
        (f"doejane_LATE_4321_98765_{LESSON}-1.ipynb", notebook("jane")),
        (f"roebob_77_98766_{LESSON}.ipynb", notebook("bob")),
        (f"obriensmithjurgen_78_98767_{LESSON}.ipynb", notebook("ascii is another name")),
        ("roebob_77_text.html", b"hello"),
    ]
    report = desk.collect(desk.zip(members))
    assert report.platform == "canvas"
    assert desk.collected() == {"s001": notebook("jane"), "s002": notebook("bob")}
    assert "late" in next(row.reason for row in report.of(PLACED) if row.student == "s001")
    row = the_row(report, NOT_PLACED)
    assert "nobody in the roster has this name" in row.reason
    assert "lms_user_id" in row.ask


def test_canvas_counts_attempts_by_attachment_then_by_suffix(desk: Desk) -> None:
    """The newest attachment is taken, wherever it stands in the zip, and the others are named."""
    members = [
        (f"doejane_4321_200_{LESSON}-2.ipynb", notebook("third")),
        (f"doejane_4321_100_{LESSON}.ipynb", notebook("first")),
        ("doejane_4321_150_renamed.ipynb", notebook("second")),
        ("roebob_77_9_a-1.ipynb", notebook("newer")),
        ("roebob_77_9_a.ipynb", notebook("older")),
    ]
    report = desk.collect(desk.zip(members))
    assert desk.collected() == {"s001": notebook("third"), "s002": notebook("newer")}
    jane, bob = report.of(PLACED)
    assert "renamed.ipynb" in jane.reason
    assert "a.ipynb" in bob.reason


def test_a_folder_of_notebooks_or_of_students_folders(desk: Desk) -> None:
    """The student is the folder, or the notebook's name, with the lesson's name behind it or not."""
    folder = desk.folder / "class"
    (folder / "s001" / "work").mkdir(parents=True)
    (folder / "s001" / "work" / "mine.ipynb").write_bytes(notebook("jane"))
    (folder / f"Roe, Bob_{LESSON}.ipynb").write_bytes(notebook("bob"))
    (folder / "J@uni.example.ipynb").write_bytes(notebook("j"))
    (folder / ".DS_Store").write_bytes(b"junk")
    (folder / f"{LESSON}.ipynb").write_bytes(notebook("whose?"))
    report = desk.collect(folder)
    assert report.platform == "folder"
    assert desk.collected() == {"s001": notebook("jane"), "s002": notebook("bob"), "s003": notebook("j")}
    assert "does not say whose" in the_row(report, NOT_PLACED).reason


def test_a_packed_folder_of_students(desk: Desk) -> None:
    """Of a folder around all students' folders nothing is read; a single student's folder is theirs."""
    desk.collect(
        desk.zip([("class/s001/x.ipynb", notebook("jane")), ("class/Bob Roe.ipynb", notebook("bob"))])
    )
    assert desk.collected() == {"s001": notebook("jane"), "s002": notebook("bob")}
    desk.collect(desk.zip([("Jürgen O'Brien Smith/s001/x.ipynb", notebook("j"))]))
    assert desk.collected()["s003"] == notebook("j")


def test_a_lesson_that_is_not_built(desk: Desk) -> None:
    """Collecting works all the same, and says what it cannot check."""
    (desk.lesson.released / desk.lesson.notebook.name).unlink()
    report = desk.collect(desk.zip([(moodle("Jane Doe", 12345), notebook())]))
    assert any("not built" in note for note in report.notes)
    assert list(desk.collected()) == ["s001"]


def test_the_exchange(desk: Desk) -> None:
    """The newest attempt of this lesson, with its time as nbgrader writes it; others are left alone."""
    for name, text in {
        f"s001+{LESSON}+2026-11-20 09:00:00.000001 UTC+aB-_9": "early",
        f"s001+{LESSON}+2026-11-20 10:00:00.500000 UTC+zz": "last",
        f"s002+{OTHER}+2026-11-20 11:00:00.000000 UTC+zz": "other",
        f"s003+{LESSON}+2026-11-20 11:00:00 CET": "no letters",
    }.items():
        folder = desk.folder / "inbound" / name
        folder.mkdir(parents=True)
        (folder / f"{LESSON}.ipynb").write_bytes(notebook(text))
        (folder / "timestamp.txt").write_text("1999-01-01 00:00:00 UTC")
    report = desk.collect(desk.folder / "inbound")
    assert report.platform == "exchange"
    assert desk.collected() == {"s001": notebook("last"), "s003": notebook("no letters")}
    stamp = desk.submitted / "s001" / LESSON / "timestamp.txt"
    assert stamp.read_text() == "2026-11-20 10:00:00.500000 UTC"
    assert (
        desk.submitted / "s003" / LESSON / "timestamp.txt"
    ).read_text() == "2026-11-20 10:00:00.000000 UTC"
    assert f"Left alone: {OTHER}." in report.notes
    assert the_row(report, MISSING).student == "s002"


@pytest.mark.parametrize("zone", [" UTC", " CET", " EST", "", " Europe/Berlin", " unheard-of"])
def test_times_mean_what_they_mean_to_nbgrader(zone: str) -> None:
    """Whatever zone an exchange was set to, summer and winter."""
    from nbgrader.utils import parse_utc

    for text in ("2026-07-20 10:00:00", "2026-11-20 10:00:00.123456"):
        assert utc(text + zone) == parse_utc(text + zone)


def test_nbgrader_reads_what_was_collected(desk: Desk) -> None:
    """nbgrader itself finds the student and the moment that the exchange's folder is named after, no more."""
    from nbgrader.apps import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory

    folder = desk.folder / "inbound" / f"s001+{LESSON}+2026-11-20 10:00:00.500000 UTC+zz"
    folder.mkdir(parents=True)
    (folder / "x.ipynb").write_bytes(notebook())
    (desk.submitted / "s001" / LESSON).mkdir(parents=True)
    (desk.submitted / "s001" / LESSON / "x.ipynb").write_bytes(b"replaced")
    desk.collect(desk.folder / "inbound", replacing=True)
    course = CourseDirectory(root=str(desk.lesson.root))
    assert NbGraderAPI(course).get_submitted_students(LESSON) == {"s001"}
    read = course.get_existing_timestamp(str(desk.submitted / "s001" / LESSON))
    assert str(read) == "2026-11-20 10:00:00.500000"


def test_the_platform_can_be_given(desk: Desk) -> None:
    """--from canvas reads names as Canvas's, whatever most of them look like."""
    members = [(f"doejane_4321_9_{LESSON}.ipynb", notebook()), ("a.ipynb", b"{}"), ("b.ipynb", b"{}")]
    assert desk.collect(desk.zip(members), dry_run=True).platform == "folder"
    report = desk.collect(desk.zip(members), platform="canvas")
    assert list(desk.collected()) == ["s001"]
    assert len(report.of(NOT_PLACED)) == 2


# --- who is who ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    ["Jane Doe", "jane  doe", "JANE DOE", "Doe Jane", "Ｊａｎｅ Doe", "Jane\u200c Doe"],
    ids=["plain", "spaces", "case", "order", "full width", "joiner"],
)
def test_names_match_but_for_case_spaces_and_unicode(desk: Desk, written: str) -> None:
    """The same name, stored or typed in another way, is the same student."""
    desk.collect(desk.zip([(moodle(written, 12345), notebook())]))
    assert list(desk.collected()) == ["s001"]


def test_accents_match_however_they_are_stored(desk: Desk) -> None:
    """ü as one letter or as u and dots; Moodle takes the apostrophe away."""
    desk.collect(desk.zip([(moodle("Ju\u0308rgen OBrien Smith", 8), notebook())]))
    assert list(desk.collected()) == ["s003"]


@pytest.mark.parametrize("written", ["Jane Do", "Jan Doe", "Jane M. Doe", "Jurgen OBrien Smith", "Jane"])
def test_matching_is_never_fuzzy(desk: Desk, written: str) -> None:
    """A name that is nearly somebody's is nobody's."""
    report = desk.collect(desk.zip([(moodle(written, 99), notebook())]))
    assert desk.collected() == {}
    assert "nobody in the roster" in the_row(report, NOT_PLACED).reason
    assert not desk.submitted.exists()


def test_two_students_of_one_name_are_told_apart_by_number_or_not_at_all(desk: Desk) -> None:
    """Without the number in the roster neither is placed; with it each gets theirs."""
    twins = [Student("t1", "Jane", "Doe"), Student("t2", "Jane", "Doe")]
    source = desk.zip([(moodle("Jane Doe", 1), notebook("1")), (moodle("Jane Doe", 2), notebook("2"))])
    report = desk.collect(source, students=twins)
    assert desk.collected() == {}
    assert {row.reason for row in report.of(NOT_PLACED)} == {"t1 and t2 have this name"}
    assert report.of(MISSING) == []
    assert "moodle_id" in report.of(NOT_PLACED)[0].ask
    numbered = [
        Student(one.id, "Jane", "Doe", numbers={"moodle": n}) for one, n in zip(twins, "12", strict=True)
    ]
    desk.collect(source, students=numbered)
    assert desk.collected() == {"t1": notebook("1"), "t2": notebook("2")}


def test_name_and_number_that_disagree_are_a_question_for_a_person(desk: Desk) -> None:
    """Jane's number under Bob's name, or Jane's name under another number, is not placed."""
    report = desk.collect(desk.zip([(moodle("Bob Roe", 12345), notebook())]))
    assert the_row(report, NOT_PLACED).reason == "its number is s001's, its name that of s002"
    report = desk.collect(desk.zip([(moodle("Jane Doe", 99), notebook())]))
    assert the_row(report, NOT_PLACED).reason == "s001 has this name, but the number 12345"
    assert desk.collected() == {}


def test_a_number_alone_finds_its_student_and_says_so(desk: Desk) -> None:
    """Anonymous marking, or a name the roster does not know: placed by the number, with a remark."""
    report = desk.collect(desk.zip([(moodle("Participant", 12345), notebook())]))
    assert the_row(report, PLACED).student == "s001"
    assert "found by its number" in the_row(report, PLACED).reason


def test_moodles_number_is_not_the_users_number(desk: Desk) -> None:
    """lms_user_id finds students in Canvas only: Moodle's zip has a number drawn for each assignment."""
    desk.collect(desk.zip([(moodle("Bob Roe", 4321), notebook("bob"))]))
    assert desk.collected() == {"s002": notebook("bob")}


def test_without_a_roster_the_names_in_the_files_are_the_students(desk: Desk) -> None:
    """Said so; a name that cannot be a folder's is not placed."""
    members = [
        (moodle("Jane Doe", 1), notebook("a")),
        (moodle("A+B", 2), notebook("b")),
        (moodle("con", 3), notebook("c")),
        (moodle("-rf", 4), notebook("d")),
        (moodle("{0}", 5), notebook("e")),
    ]
    report = desk.collect(desk.zip(members), students=None)
    assert list(desk.collected()) == ["Jane_Doe"]
    assert any("No roster" in note for note in report.notes)
    assert [row.who for row in report.of(NOT_PLACED)] == [
        "A+B (2)",
        "con (3)",
        "-rf (4)",
        "{0} (5)",
    ]


def test_nbgraders_own_students_csv_is_a_roster(tmp_path: Path) -> None:
    """nbgrader's columns work as they are; so do a spreadsheet's mark, semicolons and Moodle's Identifier."""
    path = tmp_path / "students.csv"
    path.write_text("id,first_name,last_name,email,lms_user_id\ns001,Jane,Doe,j@x,4321\n\n", "utf-8")
    (student,) = read_roster(path)
    assert (student.id, student.shown, student.numbers) == ("s001", "Jane Doe", {"canvas": "4321"})
    path.write_text("\ufeffStudent ID;Full name;Identifier\ns1;Doe, Jane;Participant 17\n", "utf-8")
    (student,) = read_roster(path)
    assert (student.id, student.names, student.numbers) == ("s1", ("Doe, Jane",), {"moodle": "17"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name\nJane\n", "no column id"),
        ("id\na\nA\n", "lines 2 and 3"),
        ("id\n../x\n", "line 2"),
        ("id\na+b\n", 'there is "+"'),
        ("id,name\n,Jane\n", "empty"),
    ],
)
def test_a_roster_that_is_wrong_is_refused_as_a_whole(tmp_path: Path, text: str, said: str) -> None:
    """The message names the line."""
    path = tmp_path / "roster.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(SourceError, match=r"roster\.csv") as error:
        read_roster(path)
    assert said in str(error.value)


# --- which notebook -----------------------------------------------------------------------------------------


def test_the_newest_by_date_where_dates_mean_something(desk: Desk) -> None:
    """A day apart: the newer one. Seconds apart, as in downloads: the one with the lesson's name, or none."""
    jane = "Jane Doe_12345_assignsubmission_file_/"
    bob, third = "Bob Roe_7_assignsubmission_file_/", "Jürgen OBrien Smith_8_assignsubmission_file_/"
    members = [
        (dated(f"{jane}{LESSON}.ipynb", 2026, 11, 19, 10, 0, 0), notebook("old")),
        (dated(f"{jane}new.ipynb", 2026, 11, 20, 10, 0, 0), notebook("new")),
        (dated(f"{bob}{LESSON}.ipynb", 2026, 11, 20, 10, 0, 0), notebook("by name")),
        (dated(f"{bob}copy.ipynb", 2026, 11, 20, 10, 0, 4), notebook("copy")),
        (dated(f"{third}a.ipynb", 2026, 11, 20, 10, 0, 0), notebook("a")),
        (dated(f"{third}b.ipynb", 2026, 11, 20, 10, 0, 4), notebook("b")),
    ]
    report = desk.collect(desk.zip(members))
    assert desk.collected() == {"s001": notebook("new"), "s002": notebook("by name")}
    assert f"not taken: {LESSON}.ipynb" in report.of(PLACED)[0].reason
    row = the_row(report, NOT_PLACED)
    assert (row.student, "2 different notebooks" in row.reason) == ("s003", True)


def test_two_copies_of_one_notebook_are_one(desk: Desk) -> None:
    """Equal bytes need no choice."""
    members = [(moodle("Jane Doe", 12345, name), notebook()) for name in ("a.ipynb", "a (1).ipynb")]
    assert desk.collect(desk.zip(members)).complete
    assert list(desk.collected()) == ["s001"]


def test_another_lessons_notebook_is_reported_and_not_placed(desk: Desk) -> None:
    """Its cells decide, whatever it is called; where they say nothing, the name does."""
    members = [
        (moodle("Jane Doe", 12345, f"{LESSON}.ipynb"), notebook("x", OTHER)),
        (moodle("Bob Roe", 7, f"{OTHER}.ipynb"), notebook("y", None)),
        (moodle("Jürgen OBrien Smith", 8, f"{OTHER}.ipynb"), notebook("right cells", LESSON)),
    ]
    report = desk.collect(desk.zip(members))
    assert desk.collected() == {"s003": notebook("right cells")}
    assert [row.student for row in report.of(NOT_PLACED)] == ["s001", "s002"]
    assert all(OTHER in row.reason and f"{LESSON}.ipynb" in row.ask for row in report.of(NOT_PLACED))


def test_the_right_one_of_two_lessons_handed_in_together(desk: Desk) -> None:
    """A newer notebook of another lesson does not hide this one's, and is no problem."""
    members = [
        (f"doejane_4321_1_{LESSON}.ipynb", notebook("this")),
        (f"doejane_4321_2_{OTHER}.ipynb", notebook("that", OTHER)),
    ]
    assert desk.collect(desk.zip(members)).complete
    assert desk.collected() == {"s001": notebook("this")}


def test_a_notebook_that_says_nothing_is_placed_with_a_remark(desk: Desk) -> None:
    """All marks lost and renamed: grading will say more."""
    report = desk.collect(desk.zip([(moodle("Jane Doe", 12345, "work.ipynb.txt"), notebook("x", None))]))
    assert "which lesson" in the_row(report, PLACED).reason
    assert desk.collected() == {"s001": notebook("x", None)}


def test_a_broken_newer_file_leaves_the_older_one_and_is_reported(desk: Desk) -> None:
    """The older attempt is placed; the newer one is on the list of what to ask for."""
    members = [
        (f"doejane_4321_1_{LESSON}.ipynb", notebook("good")),
        (f"doejane_4321_2_{LESSON}-1.ipynb", notebook("cut off")[:-30]),
    ]
    report = desk.collect(desk.zip(members))
    assert desk.collected() == {"s001": notebook("good")}
    assert "no JSON" in the_row(report, NOT_PLACED).reason
    assert the_row(report, PLACED).student == "s001"


# --- placing ------------------------------------------------------------------------------------------------


def test_the_second_run_changes_nothing(desk: Desk) -> None:
    """The same files, byte for byte and untouched; said as unchanged."""
    source = desk.zip([(moodle("Jane Doe", 12345), notebook("a"))])
    desk.collect(source)
    before = desk.everything()
    path = desk.submitted / "s001" / LESSON / f"{LESSON}.ipynb"
    touched = path.stat().st_mtime_ns
    report = desk.collect(source, replacing=True)
    assert (the_row(report, UNCHANGED).student, report.of(PLACED), report.complete) == ("s001", [], True)
    assert desk.everything() == before
    assert path.stat().st_mtime_ns == touched


def test_a_dry_run_says_the_same_and_writes_nothing(desk: Desk) -> None:
    """Its report equals the real one's but for "would be"."""
    members = [(moodle("Jane Doe", 12345), notebook()), (moodle("Nobody", 1), notebook())]
    source = desk.zip(members)
    before = desk.everything()
    dry = desk.collect(source, dry_run=True)
    assert desk.everything() == before
    assert "would be placed" in dry.text()
    assert dry.rows == desk.collect(source).rows


def test_another_submission_stays_unless_replacing_is_asked_for(desk: Desk) -> None:
    """--replace keeps the old folder aside, whole; its time and files do not stay beside the new one."""
    desk.collect(desk.zip([(moodle("Jane Doe", 12345), notebook("old"))]))
    folder = desk.submitted / "s001" / LESSON
    (folder / "timestamp.txt").write_text("2026-01-01 00:00:00 UTC")
    (folder / "data").mkdir()
    (folder / "data" / "own.csv").write_text("1")
    newer = desk.zip([(moodle("Jane Doe", 12345), notebook("new"))])
    row = the_row(desk.collect(newer), NOT_PLACED)
    assert "--replace" in row.ask
    assert desk.collected() == {"s001": notebook("old")}
    report = desk.collect(newer, replacing=True)
    assert desk.collected() == {"s001": notebook("new")}
    assert [path.name for path in folder.iterdir()] == [f"{LESSON}.ipynb"]
    assert the_row(report, REPLACED).student == "s001"
    (run,) = (desk.submitted / ".replaced").iterdir()
    assert report.notes[-1] == f"What was replaced is kept in submitted/.replaced/{run.name}."
    kept = run / "s001" / LESSON
    assert (kept / f"{LESSON}.ipynb").read_bytes() == notebook("old")
    assert (kept / "timestamp.txt").read_text() == "2026-01-01 00:00:00 UTC"
    assert (kept / "data" / "own.csv").read_text() == "1"
    assert sorted(path.name for path in desk.submitted.iterdir()) == [".replaced", "s001"]


class Killed(BaseException):
    """What no code catches."""


STEPS = ["Path.rename", "Path.replace", "Path.unlink", "os.fsync", "Path.mkdir"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("at", range(4))
def test_killed_at_any_step_the_notebook_is_the_old_or_the_new(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str, at: int
) -> None:
    """Stopped before the nth such step, then run again: whole at every moment, and as if nothing had been."""
    inbound = desk.folder / "inbound"
    for number, text in enumerate(("old", "new")):
        folder = inbound / f"s001+{LESSON}+2026-11-2{number} 10:00:00 UTC"
        folder.mkdir(parents=True)
        (folder / "x.ipynb").write_bytes(notebook(text))
        if number == 0:
            desk.collect(inbound)
    owner, name = (os, "fsync") if step == "os.fsync" else (Path, step.split(".")[1])
    original, calls = getattr(owner, name), iter(range(10_000))

    def stopping(*args: object, **options: object) -> object:
        if next(calls) == at:
            raise Killed
        return original(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, stopping)
        patch.setattr(placing.shutil, "rmtree", lambda *args, **options: None)  # a killed run cleans nothing
        try:
            desk.collect(inbound, replacing=True)
        except Killed:
            assert desk.collected()["s001"] in (notebook("old"), notebook("new"))
    stamp = desk.submitted / "s001" / LESSON / "timestamp.txt"
    if stamp.exists():
        day = 21 if desk.collected()["s001"] == notebook("new") else 20
        assert stamp.read_text().startswith(f"2026-11-{day}")
    desk.collect(inbound, replacing=True)
    assert desk.collected() == {"s001": notebook("new")}
    assert stamp.read_text() == "2026-11-21 10:00:00.000000 UTC"


def test_killed_while_placing_nothing_is_half_there(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the rename there is no submission; leftovers of a killed run are swept up later."""
    source = desk.zip([(moodle("Jane Doe", 12345), notebook())])

    def killed(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        patch.setattr(placing.shutil, "rmtree", lambda *args, **options: None)
        with pytest.raises(Killed):
            desk.collect(source)
    assert desk.collected() == {}
    (leftover,) = (desk.submitted / ".collecting").iterdir()
    os.utime(leftover, (0, 0))
    desk.collect(source)
    assert desk.collected() == {"s001": notebook()}
    assert [path.name for path in desk.submitted.iterdir()] == ["s001"]


def test_a_full_disk_costs_one_student_and_leaves_nothing_half(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write fails for the first student only; the report says so, and the next run places it."""
    source = desk.zip([(moodle("Jane Doe", 12345), notebook("a")), (moodle("Bob Roe", 7), notebook("b"))])
    original, calls = os.fsync, iter(range(100))

    def full(descriptor: int) -> None:
        if next(calls) == 0:
            raise OSError(28, "No space left on device")
        original(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        report = desk.collect(source)
    assert "No space left" in the_row(report, NOT_PLACED).reason
    assert desk.collected() == {"s002": notebook("b")}
    assert desk.collect(source).complete
    assert desk.collected() == {"s001": notebook("a"), "s002": notebook("b")}


# --- the report and the command -----------------------------------------------------------------------------


def test_three_hundred_submissions_take_seconds(desk: Desk) -> None:
    """300 notebooks of 50 kB each are matched and placed in well under half a minute."""
    body = "x" * 50_000
    students = [Student(f"s{n:03}", f"First{n}", f"Last{n}") for n in range(301)]
    members = [(moodle(f"First{n} Last{n}", 1000 + n), notebook(f"{n}{body}")) for n in range(300)]
    started = time.monotonic()
    report = desk.collect(desk.zip(members), students=students)
    assert time.monotonic() - started < 30
    assert len(desk.collected()) == len(report.of(PLACED)) == 300
    assert the_row(report, MISSING).student == "s300"


def cli(desk: Desk, *arguments: object) -> int:
    return main(["collect", *map(str, arguments), "--course", str(desk.lesson.root)])


@pytest.fixture
def roster(desk: Desk) -> Path:
    path = desk.folder / "roster.csv"
    path.write_text("id,first_name,last_name\ns001,Jane,Doe\ns002,Bob,Roe\n", "utf-8")
    return path


def test_the_command_prints_a_table_and_writes_it_as_csv(
    desk: Desk, roster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counts, what was not placed with what to ask, and who is missing; formulas in the CSV are disarmed."""
    members = [(moodle("Jane Doe", 1), notebook()), (moodle("=cmd()", 2), notebook())]
    record = desk.folder / "record.csv"
    assert cli(desk, "01", desk.zip(members), "--roster", roster, "--report", record) == 1
    printed = capsys.readouterr().out
    for words in (
        "Recognised: Moodle",
        "placed     1",
        "not placed     1",
        "nobody in the roster",
        "s002 (Bob Roe)",
    ):
        assert words in printed
    with record.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["state"], row["student"]) for row in rows] == [
        ("placed", "s001"),
        ("not placed", ""),
        ("no submission", "s002"),
    ]
    assert rows[1]["who"] == "'=cmd() (2)"


def test_exit_codes(desk: Desk, roster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 all placed, 1 some not, 2 a call, roster or source of no use."""
    good = desk.zip([(moodle("Jane Doe", 1), notebook())], "good.zip")
    assert cli(desk, "01", good, "--roster", roster) == 0
    assert cli(desk, "01", desk.zip([(moodle("X", 1), notebook())]), "--roster", roster) == 1
    zips = desk.folder / "archive"
    zips.mkdir()
    (zips / "good.zip").write_bytes(good.read_bytes())
    torn = desk.folder / "torn.zip"
    torn.write_bytes(good.read_bytes()[:-40])
    capsys.readouterr()
    for arguments in (
        ["01", desk.folder / "nothing.zip"],
        ["77", good],
        ["01", torn],
        ["01", roster],
        ["01", good, "--roster", good],
        ["01", zips],
    ):
        assert cli(desk, *arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
    assert cli(desk, "01", good, "--roster", roster, "--report", desk.folder / "no" / "where.csv") == 2
    out, err = capsys.readouterr()
    assert "unchanged" in out
    assert "could not be written" in err


def test_collecting_imports_neither_pytorch_nor_a_notebook_reader() -> None:
    """Nothing that could run or interpret what strangers wrote is loaded for it."""
    modules = "[name for name in ('torch', 'IPython', 'nbformat', 'nbclient') if name in sys.modules]"
    code = f"import sys, tlkit.collecting.command; print({modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
