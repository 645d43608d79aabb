"""`tlkit grade` loses nothing: killed, locked out, out of disk space, the next run goes on."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from course_for_tests import environment, sample_course
from submissions import Kit, hand_in, own_cell

from tlkit.grading.records import Record, Records

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
LESSON, NAME = "00_sample", "center_sample"
CLASS = [f"s{number:02}" for number in range(8)]
SLOW = "import time\ntime.sleep(1.5)"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with a class of eight, each of whose notebooks takes a second and a half; nothing graded."""
    lesson = sample_course(tmp_path_factory, "survives")
    root, kit = lesson.root, Kit(lesson)
    for number, student in enumerate(CLASS):
        notebook = kit.notebook(kit.right if number % 2 else {})
        hand_in(root, student, LESSON, own_cell(notebook, SLOW, before=NAME))
    return root


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    """A copy of the course for one test."""
    copy = tmp_path / "course"
    shutil.copytree(template, copy)
    return copy


def start(root: Path, *arguments: str) -> subprocess.Popen[str]:
    """`tlkit grade` in the background, in a process group of its own."""
    command = [sys.executable, "-m", "tlkit", "grade", LESSON, "--jobs", "2", *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=root, env=environment(), start_new_session=True, **pipes)


def run(root: Path, *arguments: str, expect: int = 0) -> str:
    """`tlkit grade` to its end."""
    process = start(root, *arguments)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == expect, output[-4000:]
    return output


def records(root: Path) -> dict[str, Record]:
    return {record.student: record for record in Records(root, LESSON).all()}


def wait_for(what: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    """Poll until `what` gives something; fails when grading ends before."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if found := what():
            return found
        assert process.poll() is None, process.communicate()[0][-4000:]
        time.sleep(0.05)
    raise AssertionError("it did not happen within two minutes")


def family(process: int) -> list[int]:
    """All descendants of a process, the nearest first."""
    found: list[int] = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *family(child)]
    return found


def gone(processes: list[int]) -> bool:
    """Have all ended? A zombie has."""

    def running(process: int) -> bool:
        try:
            return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    return not any(running(process) for process in processes)


def scores(root: Path) -> dict[str, float]:
    """{student: points in the gradebook}, and nobody twice."""
    query = (
        "select sa.student_id, sum(g.auto_score) from grade g "
        "join submitted_notebook sn on sn.id = g.notebook_id "
        "join submitted_assignment sa on sa.id = sn.assignment_id group by sa.id"
    )
    with sqlite3.connect(root / "gradebook.db") as database:
        rows = database.execute(query).fetchall()
    assert len({student for student, _ in rows}) == len(rows)
    return {student: points for student, points in rows if points is not None}


def everything_is_graded(root: Path) -> None:
    """All eight have their points, their record and their graded notebook."""
    right = {student: 2.0 if number % 2 else 0.0 for number, student in enumerate(CLASS)}
    assert scores(root) == right
    assert {student: record.state for student, record in records(root).items()} == dict.fromkeys(
        CLASS, "graded"
    )
    for student in CLASS:
        assert (root / "autograded" / student / LESSON / f"{LESSON}.ipynb").is_file()
    assert not list(root.rglob(".tlkit-*tmp*"))


def test_the_grader_killed_in_mid_run_goes_on_where_it_was(root: Path) -> None:
    """kill -9 of the grader ends all it started; the next run grades the rest and nothing twice."""
    process = start(root)
    wait_for(lambda: len(records(root)) >= 2, process)
    started = family(process.pid)
    assert len(started) >= 3  # zygote, keeper, worker
    process.kill()
    process.wait()
    until = time.monotonic() + 20
    while not gone(started) and time.monotonic() < until:
        time.sleep(0.05)
    assert gone(started)
    before = records(root)
    times = {s: (root / "autograded" / s / LESSON / f"{LESSON}.ipynb").stat().st_mtime_ns for s in before}
    output = run(root)
    assert f"{len(CLASS) - len(before)} to grade, {len(before)} unchanged" in output
    for student, then in times.items():
        assert (root / "autograded" / student / LESSON / f"{LESSON}.ipynb").stat().st_mtime_ns == then
    everything_is_graded(root)


def test_the_zygote_killed_in_mid_run_is_replaced(root: Path) -> None:
    """kill -9 of the process that workers are forked from costs time, and nobody a point."""
    process = start(root)
    wait_for(lambda: len(records(root)) >= 1, process)
    os.kill(family(process.pid)[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-4000:]
    everything_is_graded(root)


def test_a_worker_killed_from_outside_is_run_again(root: Path) -> None:
    """Whatever killed it, the system for want of memory perhaps, it was not the student's doing."""
    process = start(root)
    workers = wait_for(lambda: family(process.pid)[2:3] if len(records(root)) >= 1 else [], process)
    os.kill(workers[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-4000:]
    everything_is_graded(root)


def test_ctrl_c_stops_at_once_and_keeps_what_is_done(root: Path) -> None:
    """An interrupt ends the run within seconds; the next one goes on."""
    process = start(root)
    wait_for(lambda: len(records(root)) >= 1, process)
    started = family(process.pid)
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert process.returncode == 130
    assert gone(started)
    run(root)
    everything_is_graded(root)


@pytest.fixture
def held(root: Path) -> Iterator[Path]:
    """The course while another program holds the gradebook."""
    database = sqlite3.connect(root / "gradebook.db", isolation_level=None)
    database.execute("begin exclusive")
    yield root
    database.close()


def test_a_locked_gradebook_is_a_sentence_and_the_next_run_works(held: Path) -> None:
    """Another program holds the database: exit code 2, why, and what to do."""
    output = run(held, expect=2)
    assert "The gradebook cannot be used (database is locked)" in output
    assert "it goes on where it stopped" in output


def test_a_full_disk_is_a_sentence_and_the_next_run_goes_on(template: Path, tmp_path: Path) -> None:
    """On a full file system grading stops with a word; with room again it goes on, and all is whole."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(small)]
    mounted = subprocess.run(mount, capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        root = small / "course"
        shutil.copytree(template, root)
        room = os.statvfs(small)
        (small / "ballast").write_bytes(b"x" * (room.f_bavail * room.f_frsize - 120_000))
        output = run(root, expect=2)
        assert "Stopped: " in output
        assert "goes on where it stopped" in output
        done = records(root)
        assert len(done) < len(CLASS)
        (small / "ballast").unlink()
        run(root)
        everything_is_graded(root)
    finally:
        subprocess.run(["umount", "-l", small], check=True)
