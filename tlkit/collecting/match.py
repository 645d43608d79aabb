"""Who hands in for whom: each student has one uploader, or none that counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from tlkit.collecting.names import key, student_from, student_problem
from tlkit.collecting.place import SUBMITTED
from tlkit.collecting.platforms import Uploader
from tlkit.collecting.roster import Roster, Unknown

ASK_WHO = "Find out on the platform who handed in which, and collect theirs from a folder."


def match(
    uploaders: Mapping[Uploader, set[str]], roster: Roster | None, there: Iterable[str]
) -> tuple[dict[Uploader, str], dict[Uploader, Unknown]]:
    """({uploader: student's id}, {uploader: why nobody}).

    `uploaders` has the accounts that own their files, where accounts mean something; `there` are the
    students' folders that are in submitted/ already.
    """
    matched: dict[Uploader, str] = {}
    unknown: dict[Uploader, Unknown] = {}
    spelled = {key(name): name for name in there}
    classmates = set(roster.students) if roster else {uploader.student for uploader in uploaders}
    for uploader, owners in uploaders.items():
        try:
            student = roster.find(uploader).id if roster else _student(uploader)
            _same_folder(student, spelled)
            _own_account(student, owners, classmates)
            matched[uploader] = student
        except Unknown as error:
            unknown[uploader] = error
    rivals: dict[str, list[Uploader]] = defaultdict(list)
    for uploader, student in matched.items():
        rivals[key(student)].append(uploader)
    for several in rivals.values():
        if len(several) > 1:
            unknown |= {uploader: _impostor(uploader, matched.pop(uploader), several) for uploader in several}
    return matched, unknown


def _student(uploader: Uploader) -> str:
    """Without a roster the name in the file is the student, if it can be one."""
    student = uploader.student or student_from(uploader.name or uploader.number)
    if problem := student_problem(student):
        raise Unknown(f'"{student}" cannot be a student\'s id: {problem}', "Give a roster (--roster).")
    return student


def _same_folder(student: str, spelled: Mapping[str, str]) -> None:
    """Some file systems take "Jane" and "JANE" for one folder, others do not."""
    there = spelled.get(key(student), student)
    if there != student:
        raise Unknown(
            f"{SUBMITTED}/{there} is there: the same name, written in another way",
            "Give a roster that says how this student's id is written.",
            [student],
        )


def _own_account(student: str, owners: set[str], classmates: set[str]) -> None:
    """Anybody can make a folder in a classmate's name: its owner tells. An instructor's copy does not."""
    others = sorted(owners & (classmates - {student}))
    if others:
        raise Unknown(f"the account {others[0]} handed it in under this name", ASK_WHO, [student])
    if len(owners) > 1:
        raise Unknown(f"accounts {', '.join(sorted(owners))} handed in under this name", ASK_WHO, [student])


def _impostor(uploader: Uploader, student: str, several: list[Uploader]) -> Unknown:
    """Nobody can say from here which of them is the student."""
    others = ", ".join(one.label for one in several if one != uploader)
    reason = f"{len(several)} uploads count as {student}'s, also that of {others}: none was taken"
    return Unknown(reason, ASK_WHO, [student])
