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
from tlkit.collecting.entries import Limits, Listing, Problem, Refused, SourceError
from tlkit.collecting.folder import ignored, list_folder
from tlkit.collecting.match import match
from tlkit.collecting.names import name_problem, shown
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
        owners = {uploader: self._owners(own) for uploader, own in files.items()}
        there = [path.name for path in self.submitted.glob("*") if path.is_dir()]
        matched, unknown = match(owners, self.roster, there)
        for uploader, why in unknown.items():
            self._unmatched(uploader, files[uploader], why)
        for uploader, student in tqdm(matched.items(), unit="student", disable=None, leave=False):
            choice = choose(files[uploader], self.lesson.name, self.known, self.limits)
            self._settle(student, uploader, choice)
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
                reason = f"its name does not say whose it is ({NAMES[self.platform]})"
                self._not_placed(Problem(entry.path, reason, ASK_NAME))
            elif upload.lesson and upload.lesson != self.lesson.name:
                elsewhere.add(upload.lesson)
            else:
                files[upload.uploader].append(File(entry, upload))
        if elsewhere:
            self.report.notes.append(f"Left alone: {', '.join(shown(name) for name in sorted(elsewhere))}.")
        return dict(files)

    def _owners(self, files: list[File]) -> set[str]:
        """The accounts that handed these in; only the exchange's folders belong to students' accounts."""
        return {one.entry.owner for one in files} - {""} if self.platform == "exchange" else set()

    def _unmatched(self, uploader: Uploader, files: list[File], unknown: Unknown) -> None:
        self.tried |= unknown.perhaps
        student = next(iter(unknown.perhaps)) if len(unknown.perhaps) == 1 else ""
        self._not_placed(Problem(_paths(files), str(unknown), unknown.ask), student, uploader.label)

    def _settle(self, student: str, uploader: Uploader, choice: Choice) -> None:
        for problem in choice.problems:
            self._not_placed(problem, student, uploader.label)
        if choice.file is None:
            return
        upload = choice.file.upload
        files = contents(self.lesson.name, choice.data, upload.time)
        remarks = choice.remarks
        if self.roster and not self.roster.knows_name(uploader):
            remarks.append(f"found by its number: {uploader.name or 'no name'} is not in the roster")
        if upload.late:
            remarks.append("late, says the platform; its zip does not say when")
        self.tried.add(student)
        path = choice.file.entry.path
        try:
            state = self._put(student, files)
        except Refused as refused:
            self._not_placed(Problem(path, refused.reason, refused.ask), student, uploader.label)
        except OSError as error:
            reason = f"it could not be written ({error.strerror or error})"
            problem = Problem(path, reason, "Look at the disk, then run this again.")
            self._not_placed(problem, student, uploader.label)
        else:
            self.report.rows.append(Row(state, student, uploader.label, path, "; ".join(remarks)))

    def _put(self, student: str, files: dict[str, bytes]) -> str:
        """Place these files, unless they are there already; returns the state."""
        found = compare(self.submitted / student / self.lesson.name, files)
        if found == "different" and not self.replacing:
            raise Refused(
                "another submission of this student is there, and is left as it is",
                "Collect again with --replace; the old one is kept aside.",
            )
        if found == "nothing" and not self.dry_run:
            self.submitted.mkdir(exist_ok=True)
            place(self.submitted, student, self.lesson.name, files)
        elif found == "different" and not self.dry_run:
            replace(self.submitted, student, self.lesson.name, files, self.aside)
        return {"nothing": PLACED, "same": UNCHANGED, "different": REPLACED}[found]

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


def _paths(files: list[File]) -> str:
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{files[0].entry.path}{more}"
