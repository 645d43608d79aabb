"""`tlkit doctor`: each thing it looks at is seen both well and broken."""

from __future__ import annotations

import json
import shutil
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from tlkit import doctor
from tlkit.doctor import NOTE, OK, PROBLEM, Finding, Findings
from tlkit.system import memory_limit

GB = 10**9


def test_this_environment_is_as_pinned() -> None:
    """The environment that runs the tests has every package in the version that pyproject.toml states."""
    assert doctor.check_versions() == Finding("packages", OK, "installed as pinned")


def test_a_package_in_another_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The finding names the package, what is there and what should be; the fix is one command."""
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "1.0" if name == "tqdm" else real(name))
    found = doctor.check_versions()
    assert found.status == PROBLEM
    assert found.message.startswith("tqdm: 1.0 instead of 4.")
    assert "uv sync" in found.fix


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is not installed is a finding, not an exception."""

    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    assert "nbgrader: nothing instead of" in doctor.check_versions().message
    assert doctor.check_widgets().status == PROBLEM


@pytest.mark.parametrize(
    ("version", "status"), [((3, 10, 9), PROBLEM), ((3, 12, 1), OK), ((3, 15, 0), PROBLEM)]
)
def test_python_must_have_wheels(
    version: tuple[int, ...], status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.11 to 3.14 pass; older and newer ones do not."""
    monkeypatch.setattr(sys, "version_info", version)
    assert doctor.check_python().status == status


def test_torch_and_torchvision_belong_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pair installed here runs torchvision's compiled nms; a torchvision without it is a problem."""
    import torchvision

    assert doctor.check_torch().status == OK

    def broken(*args: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(torchvision.ops, "nms", broken)
    found = doctor.check_torch()
    assert found.status == PROBLEM
    assert "nms does not exist" in found.message
    assert found.fix


def test_widgets_need_their_browser_half(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where JupyterLab does not find the widget manager, widgets would show as text: a problem."""
    assert doctor.check_widgets().status == OK
    import jupyter_core.paths

    monkeypatch.setattr(jupyter_core.paths, "jupyter_path", lambda *parts: [str(tmp_path)])
    assert "@jupyter-widgets/jupyterlab-manager" in doctor.check_widgets().message


def test_a_foreign_kernel_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A python3 kernel in the user's folder that starts another Python is found out."""
    assert doctor.check_kernel().status == OK
    spec = tmp_path / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    foreign = {"argv": ["/opt/other/bin/python", "-m", "x"], "display_name": "x", "language": "python"}
    spec.write_text(json.dumps(foreign))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    found = doctor.check_kernel()
    assert found.status == PROBLEM
    assert "/opt/other/bin/python" in found.message


@pytest.mark.parametrize(("limit", "status"), [(None, NOTE), (GB // 2, PROBLEM), (2 * GB, OK)])
def test_memory(limit: int | None, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a GB is too little for a lesson, Binder's 2 GB are enough."""
    monkeypatch.setattr(doctor, "memory_limit", lambda: limit)
    assert doctor.check_memory().status == status


@pytest.mark.parametrize(
    ("group", "file"), [("0::/box", "box/memory.max"), ("4:memory:/box", "memory/box/memory.limit_in_bytes")]
)
def test_a_containers_memory_limit_counts(group: str, file: str, tmp_path: Path) -> None:
    """The limit of the process's own cgroup, version 2 or 1, counts, and not the host's memory."""
    own, limit = tmp_path / "own", tmp_path / "cgroup" / file
    own.write_text(f"{group}\n")
    limit.parent.mkdir(parents=True)
    limit.write_text("300000000\n")
    assert memory_limit(tmp_path / "cgroup", own) == 300_000_000
    limit.write_text("max\n")
    assert memory_limit(tmp_path / "cgroup", own) == memory_limit(tmp_path / "nothing", own)


@pytest.mark.parametrize(("quota", "status"), [(0.5, OK), (1.0, OK), (1.5, OK), (8.0, OK)])
def test_one_thread_suits_every_quota(quota: float, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread is never too many, even where less than one CPU is granted."""
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(doctor, "cpu_quota", lambda: quota)
    assert doctor.check_threads().status == status


def test_more_threads_than_cpus_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 threads on 2 CPUs get a note with a fix."""
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr(doctor, "cpu_quota", lambda: 2.0)
    found = doctor.check_threads()
    assert (found.status, found.message) == (NOTE, "2 granted, PyTorch uses 64 thread(s)")
    assert "OMP_NUM_THREADS" in found.fix


def test_a_full_disk_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than half a GB free is a problem."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=GB // 10))
    assert doctor.check_disk() == Finding("disk", PROBLEM, "0.1 GB free here", "free at least 0.5 GB")


def test_the_course_and_its_weights_are_here() -> None:
    """This checkout has lessons, and weights that can be read."""
    assert doctor.check_course().status == OK
    assert doctor.check_weights().status == OK


def test_damaged_weights_are_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that is no safetensors file (a download cut short, an unfetched pointer) is found out."""
    damaged = tmp_path / "tlkit" / "backbones" / "glyphnet.safetensors"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("version 1 of something else")
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "tlkit" / "doctor.py"))
    found = doctor.check_weights()
    assert found.status == PROBLEM
    assert "git checkout" in found.fix


@pytest.mark.parametrize(
    ("level", "status", "word"),
    [
        ("namespaces", "ok", "namespaces"),
        ("landlock", "note", "Landlock"),
        ("limits", "note", "NO ISOLATION"),
    ],
)
def test_the_sandbox_of_this_machine(
    level: str, status: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instructors are told how well submissions are shut in here, and how to have it better."""
    from tlkit.grading.isolation import levels

    monkeypatch.setattr(doctor.sys, "platform", "linux")
    monkeypatch.setattr(levels, "best", lambda hidden: levels.Level[level])
    found = doctor.check_isolation()
    assert (found.status, bool(found.fix)) == (status, status == "note")
    assert word in found.message


def test_a_browser_named_in_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """$CHROMIUM names the browser; a wrong name means none, not another one."""
    browser = tmp_path / "my-browser"
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(browser))
    assert doctor.find_browser() == browser
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "nothing"))
    assert doctor.find_browser() is None
    assert doctor.check_browser().status == NOTE


def test_playwrights_own_browser_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With no browser on PATH, the one that `playwright install chromium` fetched is used."""
    own = tmp_path / "chromium-1200" / "chrome-linux64" / "chrome"
    own.parent.mkdir(parents=True)
    own.touch()
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    found = doctor.find_browser()
    assert found == own or "Applications" in str(found)


SAMPLE = Findings([Finding("disk", OK, "9 GB"), Finding("browser", NOTE, "none <here>", "install one")])


def test_findings_read_as_text() -> None:
    """One line a finding with icon and word; its fix below it, aligned."""
    assert str(SAMPLE).splitlines() == [
        "✓ ok       disk     9 GB",
        "• note     browser  none <here>",
        "                    → install one",
    ]


def test_findings_read_as_a_table() -> None:
    """In a notebook the findings are a table, with text escaped."""
    table = SAMPLE._repr_html_()
    assert table.count("<tr>") == 2
    assert "none &lt;here&gt;<br>→ install one" in table


@pytest.mark.parametrize(("status", "code"), [(OK, 0), (NOTE, 0), (PROBLEM, 1)])
def test_exit_code(
    status: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what the course needs makes the command fail."""
    monkeypatch.setattr(doctor, "CHECKS", (lambda: Finding("thing", status, "seen", "do that"),))
    assert doctor.run(SimpleNamespace()) == code
    shown = capsys.readouterr().out
    assert "thing" in shown
    assert "→ do that" in shown
