"""`tlkit grade` beyond one machine and beyond SQLite: a Dask cluster, a PostgreSQL gradebook."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from course_for_tests import environment, grades, nbgrader, sample_course
from submissions import Kit, hand_in, own_cell
from test_grading_survives import family, run, start, wait_for

from tlkit.grading.records import Record, Records

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
LESSON, NAME = "00_sample", "center_sample"
ROWS = "def center_sample(features):\n    return features - features.mean(dim=1, keepdim=True)\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small class: right, wrong, dying, raising and unreadable work; nothing graded."""
    lesson = sample_course(tmp_path_factory, "cluster")
    root, kit = lesson.root, Kit(lesson)
    slow = "import time\ntime.sleep(1)"
    for number in range(4):
        hand_in(root, f"right{number}", LESSON, own_cell(kit.notebook(kit.right), slow, before=NAME))
    hand_in(root, "rows", LESSON, kit.notebook({NAME: ROWS}))
    hand_in(root, "dies", LESSON, own_cell(kit.notebook(kit.right), "import os; os._exit(1)", before=NAME))
    hand_in(root, "raises", LESSON, own_cell(kit.notebook(kit.right), "1 / 0", before=NAME))
    hand_in(root, "broken", LESSON, "{")
    return root


def states(root: Path) -> dict[str, tuple[str, float, list[str], list[str]]]:
    """What must be the same wherever it was graded: state, points, remarks, recognised misconceptions."""

    def known(record: Record) -> list[str]:
        return [one["key"] for entry in record.exercises.values() for one in entry["misconceptions"]]

    found = Records(root, LESSON).all()
    return {one.student: (one.state, one.points, one.remarks, known(one)) for one in found}


@pytest.fixture(scope="module")
def here(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The class graded on this machine."""
    root = tmp_path_factory.mktemp("here") / "course"
    shutil.copytree(template, root)
    run(root, expect=1)
    return root


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler and two workers with a nanny each, as processes; its address and the workers."""
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    address = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    more: dict[str, Any] = {"env": environment(), "cwd": tmp_path, **quiet}
    options = ["--port", "0", "--no-dashboard", "--host", "127.0.0.1"]
    processes = [subprocess.Popen([*dask, *options, "--scheduler-file", str(address)], **more)]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(address)]
    worker += ["--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
    try:
        until = time.monotonic() + 60
        while not address.is_file() and time.monotonic() < until:
            time.sleep(0.1)
        processes += [subprocess.Popen(worker, **more) for _ in range(2)]
        yield json.loads(address.read_text())["address"], processes[1:]
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(30)


def test_a_cluster_gives_the_same_results_even_when_a_worker_is_killed(
    here: Path, template: Path, tmp_path: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    """States, points, remarks and hints are those of one machine; a killed worker changes nothing."""
    root = tmp_path / "course"
    shutil.copytree(template, root)
    address, workers = cluster
    process = start(root, "--scheduler", address)
    wait_for(lambda: len(Records(root, LESSON).all()) >= 2, process)
    for child in family(workers[0].pid):  # the worker below its nanny, and the zygote below that
        os.kill(child, signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1, output[-4000:]
    assert "Isolation on the cluster: " in output
    assert states(root) == states(here)
    assert states(here)["rows"][3] == ["rows_instead_of_columns"]


def test_no_scheduler_is_a_sentence(template: Path, tmp_path: Path) -> None:
    """A wrong address: exit code 2, and how to start a cluster."""
    root = tmp_path / "course"
    shutil.copytree(template, root)
    output = run(root, "--scheduler", "tcp://127.0.0.1:1", expect=2)
    assert "No Dask scheduler answers at tcp://127.0.0.1:1" in output
    assert "dask worker" in output


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A PostgreSQL server in a temporary folder, reached through a socket file; its database's address."""
    pg_ctl = shutil.which("pg_ctl") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")), None)
    if pg_ctl is None:
        pytest.skip("needs PostgreSQL's pg_ctl")
    folder = tmp_path / "postgres"
    folder.mkdir()
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "nobody")
        for parent in [tmp_path, *list(tmp_path.parents)[:3]]:
            parent.chmod(parent.stat().st_mode | 0o011)
        as_user = ["setpriv", "--reuid", "nobody", "--clear-groups"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    init = [*as_user, pg_ctl, "init", "-D", str(folder / "data"), "-o", "-U tlkit -A trust"]
    if subprocess.run(init, **quiet).returncode:
        pytest.skip("PostgreSQL could not make a database here")
    options = f"-c listen_addresses= -c unix_socket_directories={folder}"
    command = [*as_user, pg_ctl, "start", "-w", "-D", str(folder / "data"), "-o", options]
    subprocess.run(command, check=True, **quiet)
    try:
        yield f"postgresql://tlkit@/postgres?host={folder}"
    finally:
        stop = [*as_user, pg_ctl, "stop", "-m", "immediate", "-D", str(folder / "data")]
        subprocess.run(stop, check=True, **quiet)


def test_a_postgresql_gradebook_gives_the_same_results(
    here: Path, template: Path, tmp_path: Path, server: str
) -> None:
    """nbgrader's db_url names a server: everything is entered there, and exported as from SQLite."""
    root = tmp_path / "course"
    shutil.copytree(template, root)
    config = root / "nbgrader_config.py"
    config.write_text(config.read_text() + f"\nc.CourseDirectory.db_url = {server!r}\n")
    (root / "gradebook.db").unlink()
    nbgrader(root, "generate_assignment", LESSON, "--force")
    run(root, expect=1)
    assert not (root / "gradebook.db").exists()
    assert states(root) == states(here)
    for one in (root, here):
        nbgrader(one, "export", "--to", "grades.csv")
    assert grades(root / "grades.csv") == grades(here / "grades.csv")
