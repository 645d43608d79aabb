"""The whole way from a source to submitted/: recognise, match, choose, place, report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

from tlkit.build.course import Lesson, find_lessons
from tlkit.collecting.archive import open_archive
from tlkit.collecting.choose import Choice, File, choose
from tlkit.collecting.entries import Limits, Listing, Problem, SourceError
from tlkit.collecting.folder import ignored, list_folder
from tlkit.collecting.names import key, name_problem, shown, student_from, student_problem
from tlkit.collecting.notebook import lesson_marks
from tlkit.collecting.place import SUBMITTED, aside, compare, contents, place, replace, sweep
from tlkit.collecting.platforms import (
    NAMES,
    READERS,
    Reader,
    Uploader,
    folder_reader,
    recognise,
    without_wrapper,
)
from tlkit.collecting.report import MISSING, NOT_PLACED, PLACED, REPLACED, UNCHANGED, Report, Row
from tlkit.collecting.roster import Roster, Student, Unknown


def collect(
    lesson: Lesson,
    source: Path,
    *,
    students: list[Student] | None = None,
    platform: str | None = None,
    dry_run: bool = False,
    replacing: bool = False,
    limits: Limits | None = None,
) -> Report:
    """Fill submitted/ of the lesson's course from `source`; SourceError where none of it can be used."""
    limits = limits or Limits()
    with _opened(source, limits) as listing:
        return _Run(lesson, listing, students, platform, dry_run, replacing, limits).go()


@contextmanager
def _opened(source: Path, limits: Limits) -> Iterator[Listing]:
    if source.is_dir():
        yield list_folder(source, limits)
    elif source.is_file():
        with open_archive(source, limits) as listing:
            yield listing
    else:
        raise SourceError(f"There is no {source}.")


class _Run:
    def __init__(
        self,
        lesson: Lesson,
        listing: Listing,
        students: list[Student] | None,
        platform: str | None,
        dry_run: bool,
        replacing: bool,
        limits: Limits,
    ) -> None:
        self.lesson, self.limits = lesson, limits
        self.dry_run, self.replacing = dry_run, replacing
        self.submitted = lesson.root / SUBMITTED
        self.known = lesson_marks(find_lessons(lesson.root))
        self.entries = [entry for entry in listing.entries if not ignored(entry.path)]
        self.refused = [one for one in listing.refused if name_problem(one.path) or not ignored(one.path)]
        if not self.entries and not self.refused:
            raise SourceError("There is no file in it.")
        paths = [entry.path for entry in self.entries]
        if paths and all("/" not in path and path.lower().endswith(".zip") for path in paths):
            raise SourceError(f"There are only zips in it: give one of them, like {shown(paths[0])}.")
        self.platform = platform or recognise(paths)
        reader = READERS.get(self.platform) or folder_reader(lesson.name)
        self.reader: Reader = reader
        self.roster = Roster(students, self.platform) if students is not None else None
        self.prefix = self._wrapper(paths)
        self.report = Report(lesson.name, self.platform, dry_run=dry_run)
        self.aside = aside(self.submitted)
        self.tried: set[str] = set()
        self.owners: dict[Uploader, set[str]] = defaultdict(set)
        self.matched: dict[Uploader, str] = {}
        self.seen: dict[str, str] = {}  # students' folders that are there already: as compared -> as written
        if self.submitted.is_dir():
            self.seen = {key(path.name): path.name for path in self.submitted.iterdir() if path.is_dir()}

    def _wrapper(self, paths: list[str]) -> str:
        """The folder around everything, if it is nobody's: as from packing a folder of students' folders."""
        if self.platform != "folder":
            return without_wrapper(paths, self.reader)
        firsts = {path.partition("/")[0] for path in paths}
        first = firsts.pop() if len(firsts) == 1 and all("/" in path for path in paths) else ""
        nobody = first and self.roster and not self.roster.knows_name(Uploader(first, first))
        return f"{first}/" if nobody else ""

    def go(self) -> Report:
        self.report.notes.append(f"Recognised: {NAMES[self.platform]}.")
        if self.roster is None:
            self.report.notes.append(
                "No roster: students are called as in the files, and nobody can be missed. Better: --roster"
            )
        if self.lesson.name not in self.known:
            self.report.notes.append("The lesson is not built: its notebooks are known by their names only.")
        if not self.dry_run:
            sweep(self.submitted)
        files = self._by_uploader()
        self._refused_files()
        if not self.report.rows and not files:
            self.report.notes.append(f"Nothing in it is for {self.lesson.name}.")
        for uploaders in self._by_student(files).values():
            if len(uploaders) > 1:
                self._impostors(uploaders)
        for uploader, student in tqdm(self.matched.items(), unit="student", disable=None, leave=False):
            self._settle(
                student, uploader, choose(files[uploader], self.lesson.name, self.known, self.limits)
            )
        if self.report.of(REPLACED) and not self.dry_run:
            where = self.aside.relative_to(self.lesson.root).as_posix()
            self.report.notes.append(f"What was replaced is kept in {where}.")
        self._missing()
        return self.report

    def _by_uploader(self) -> dict[Uploader, list[File]]:
        """Whose each file is; files of other lessons in an exchange are no news."""
        files: dict[Uploader, list[File]] = defaultdict(list)
        elsewhere = set()
        for entry in self.entries:
            upload = self.reader(entry.path.removeprefix(self.prefix))
            if upload is None:
                self._not_placed(
                    Problem(
                        entry.path, f"its name does not say whose it is ({NAMES[self.platform]})", ASK_NAME
                    )
                )
            elif upload.lesson and upload.lesson != self.lesson.name:
                elsewhere.add(upload.lesson)
            else:
                files[upload.uploader].append(File(entry, upload))
                self.owners[upload.uploader] |= {entry.owner} - {""}
        if elsewhere:
            self.report.notes.append(f"Left alone: {', '.join(shown(name) for name in sorted(elsewhere))}.")
        return dict(files)

    def _by_student(self, files: dict[Uploader, list[File]]) -> dict[str, list[Uploader]]:
        """Match uploaders with students; several for one student are for `_impostors`."""
        for uploader in files:
            try:
                self.matched[uploader] = self._student(uploader)
            except Unknown as unknown:
                self.tried |= unknown.perhaps
                problem = Problem(_paths(files[uploader]), str(unknown), unknown.ask)
                self._not_placed(problem, who=uploader.label)
        found: dict[str, list[Uploader]] = defaultdict(list)
        for uploader, student in self.matched.items():
            found[key(student)].append(uploader)
        return found

    def _student(self, uploader: Uploader) -> str:
        if self.roster is not None:
            student = self.roster.find(uploader).id
        else:
            student = uploader.student or student_from(uploader.name or uploader.number)
            if problem := student_problem(student):
                raise Unknown(
                    f'"{student}" cannot be a student\'s id: {problem}', "Give a roster (--roster)."
                )
        there = self.seen.get(key(student), student)
        if there != student:
            raise Unknown(
                f"{SUBMITTED}/{there} is there: the same name, written in another way",
                "Give a roster that says how this student's id is written.",
            )
        owners = self.owners[uploader]
        if self.platform == "exchange" and len(owners) > 1:
            raise Unknown(f"accounts {', '.join(sorted(owners))} handed in under this name", ASK_WHO)
        if self.platform == "exchange" and owners and owners != {student}:
            owner = next(iter(owners))
            classmates = set(self.roster.students) if self.roster else {one.student for one in self.owners}
            if owner in classmates:
                raise Unknown(f"the account {owner} handed it in under this name", ASK_WHO)
        return student

    def _impostors(self, uploaders: list[Uploader]) -> None:
        """Nobody can say from here which of them is the student."""
        for uploader in uploaders:
            others = ", ".join(one.label for one in uploaders if one != uploader)
            student = self.matched.pop(uploader)
            reason = f"{len(uploaders)} uploads count as {student}'s, also that of {others}: none was taken"
            self._not_placed(Problem("", reason, ASK_WHO), student, uploader.label)

    def _settle(self, student: str, uploader: Uploader, choice: Choice) -> None:
        for problem in choice.problems:
            self._not_placed(problem, student, uploader.label)
        if choice.file is None:
            return
        upload = choice.file.upload
        files = contents(self.lesson.name, choice.data, upload.time)
        target = self.submitted / student / self.lesson.name
        found = compare(target, files)
        remarks = choice.remarks
        if self.roster and not self.roster.knows_name(uploader):
            remarks.append(f"found by its number: {uploader.name or 'no name'} is not in the roster")
        if upload.late:
            remarks.append("late, says the platform; its zip does not say when")
        self.tried.add(student)
        path = choice.file.entry.path
        if found == "different" and not self.replacing:
            self._not_placed(
                Problem(
                    path,
                    "another submission of this student is there, and is left as it is",
                    "Collect again with --replace; the old one is kept aside.",
                ),
                student,
                uploader.label,
            )
            return
        state = {"nothing": PLACED, "same": UNCHANGED, "different": REPLACED}[found]
        try:
            if found != "same" and not self.dry_run:
                self._put(student, files, found)
        except OSError as error:
            reason = f"it could not be written ({error.strerror or error})"
            self._not_placed(Problem(path, reason, "Look at the disk, then run this again."), student)
            return
        self.report.rows.append(Row(state, student, uploader.label, path, "; ".join(remarks)))

    def _put(self, student: str, files: dict[str, bytes], found: str) -> None:
        if found == "nothing":
            self.submitted.mkdir(exist_ok=True)
            place(self.submitted, student, self.lesson.name, files)
        else:
            replace(self.submitted, student, self.lesson.name, files, self.aside)

    def _refused_files(self) -> None:
        """Files refused by their name or kind, with whoever they seem to be of."""
        for problem in self.refused:
            upload = self.reader(problem.path.removeprefix(self.prefix))
            student = ""
            if upload and self.roster:
                with suppress(Unknown):
                    student = self.roster.find(upload.uploader).id
            self._not_placed(problem, student, upload.uploader.label if upload else "")

    def _not_placed(self, problem: Problem, student: str = "", who: str = "") -> None:
        if student:
            self.tried.add(student)
        self.report.rows.append(Row(NOT_PLACED, student, who, problem.path, problem.reason, problem.ask))

    def _missing(self) -> None:
        if self.roster is None:
            return
        for student in self.roster.students.values():
            there = self.submitted / student.id / self.lesson.name
            if student.id not in self.tried and not there.is_dir():
                self.report.rows.append(Row(MISSING, student.id, student.shown))


ASK_NAME = "Put it into a folder called like the student, and collect that folder."
ASK_WHO = "Find out on the platform who handed in which, and collect theirs from a folder."


def _paths(files: list[File]) -> str:
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{files[0].entry.path}{more}"
