"""`tlkit lab`: started as a student starts it, looked at in a browser, ended with Ctrl-C."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_driver import Lab, Notebook, running_lab
from playwright.sync_api import expect

from tlkit import lab as tlkit_lab

ROOT = Path(__file__).resolve().parent.parent
LESSON = "course/00_start_here/00_start_here.ipynb"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like a clone of the course: two lessons and nbgrader's configuration."""
    root = tmp_path / "checkout"
    for lesson in ("00_start_here", "01_features"):
        (root / "course" / lesson).mkdir(parents=True)
        (root / "course" / lesson / f"{lesson}.ipynb").write_text("{}")
    (root / "nbgrader_config.py").write_text("")
    return root


def test_lesson_00_opens(lab: Lab, open_notebook: Callable[..., Notebook]) -> None:
    """The printed address shows lesson 00 with a kernel of this environment, and nothing in the way."""
    assert lab.first_page == f"/lab/tree/{LESSON}"
    notebook = open_notebook()
    page = notebook.page
    expect(page.locator(".lm-TabBar-tab.jp-mod-current")).to_contain_text("00_start_here.ipynb")
    assert notebook.ask("__import__('sys').prefix") == sys.prefix
    programs = Path(sys.executable).parent
    assert notebook.ask("__import__('shutil').which('alembic')") == str(programs / "alembic")
    threads = notebook.ask("__import__('os').environ['OMP_NUM_THREADS']")
    assert threads == os.environ["OMP_NUM_THREADS"]
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    expect(page.locator(".jp-toast-message, .Toastify__toast")).to_have_count(0)
    notebook.screenshot("lab_light")
    notebook.theme("JupyterLab Dark")
    notebook.screenshot("lab_dark")
    notebook.theme("JupyterLab Light")
    assert not notebook.page_errors


def test_other_lessons_are_in_sight(lab: Lab) -> None:
    """The server's root is the checkout: every lesson of the course can be opened from it."""
    listed = {entry["name"] for entry in lab.api("/api/contents/course")["content"]}
    assert {path.name for path in (ROOT / "course").iterdir() if path.is_dir()} <= listed


def test_a_cell_runs_and_its_kernel_can_be_asked(lab: Lab, open_notebook: Callable[..., Notebook]) -> None:
    """The driver itself: cells run in order, an error is reported by name, the kernel answers."""
    path = lab.write_notebook("scratch/driver.ipynb", "x = 6", "y = x * 7", "1 / 0")
    notebook = open_notebook(path).run_all(errors=True)
    assert notebook.errors() == ["ZeroDivisionError: division by zero"]
    assert notebook.ask("[x, y]") == [6, 42]


def test_odd_configuration_does_not_matter(checkout: Path, tmp_path: Path) -> None:
    """A user's broken configuration, missing token, foreign kernel and taken port do no harm."""
    config, kernel = tmp_path / "lab" / "config", tmp_path / "lab" / "data" / "kernels" / "python3"
    config.mkdir(parents=True)
    (config / "jupyter_server_config.py").write_text("raise RuntimeError('from another project')")
    (config / "jupyter_server_config.json").write_text('{"IdentityProvider": {"token": ""}}')
    kernel.mkdir(parents=True)
    foreign = {"argv": ["/nowhere/python"], "display_name": "odd", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(foreign))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        odd = {"JUPYTER_PORT": port, "JUPYTER_TOKEN": "", "JUPYTER_PATH": str(kernel.parents[1])}
        with running_lab(checkout, tmp_path / "lab", "01", environment=odd) as server:
            assert server.first_page == "/lab/tree/course/01_features/01_features.ipynb"
            spec = server.api("/api/kernelspecs")["kernelspecs"]["python3"]["spec"]
            assert spec["argv"][0] in {"python", sys.executable}
            assert len(server.token) == 32
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(f"{server.url}/api/kernelspecs", timeout=20)


def test_a_taken_port_is_named(checkout: Path) -> None:
    """`--port` with a port in use ends with code 1 and says which port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "tlkit", "lab", "--no-browser", "--port", port]
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert port in done.stderr
    assert "Traceback" not in done.stderr


def test_the_course_is_found_from_inside_it(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a lesson's folder the course above it is meant; elsewhere, the checkout tlkit runs from."""
    monkeypatch.chdir(checkout / "course" / "01_features")
    assert tlkit_lab.course_root() == checkout
    monkeypatch.chdir(checkout.parent)
    assert tlkit_lab.course_root() == ROOT


def test_no_course_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a course anywhere the command says where it looked and what to do, and ends with code 1."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tlkit_lab, "__file__", str(tmp_path / "site-packages" / "tlkit" / "lab.py"))
    assert tlkit_lab.run(argparse.Namespace(lesson="00")) == 1
    said = capsys.readouterr().err
    assert str(tmp_path) in said
    assert "clone of the course" in said


def test_a_lesson_is_named_by_its_start(checkout: Path) -> None:
    """`01` is the lesson whose folder starts so; a start that no lesson has means the course folder."""
    assert tlkit_lab.lesson_notebook(checkout, "01") == Path("course/01_features/01_features.ipynb")
    assert tlkit_lab.lesson_notebook(checkout, "07") == Path("course")
    shutil.rmtree(checkout / "course" / "00_start_here")
    assert tlkit_lab.lesson_notebook(checkout, "00") == Path("course")


@pytest.mark.parametrize(("quota", "threads"), [(0.5, 1), (1.0, 1), (1.9, 1), (2.0, 2), (63.0, 63)])
def test_threads_are_whole_cpus_of_the_quota(
    quota: float, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels get as many threads as whole CPUs are granted, at least one; a user's own choice stays."""
    monkeypatch.setattr(tlkit_lab, "cpu_quota", lambda: quota)
    environment = {"MKL_NUM_THREADS": "7"}
    tlkit_lab.prepare_environment(tmp_path, environment)
    assert environment["OMP_NUM_THREADS"] == str(threads)
    assert environment["MKL_NUM_THREADS"] == "7"


def test_a_home_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container whose home is read-only, settings and runtime files go to a temporary folder."""
    (tmp_path / "file").touch()  # nothing can be made below a file, not even by root
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "file" / name))
    state = tlkit_lab._state_folder()
    environment: dict[str, str] = {}
    tlkit_lab.prepare_environment(state, environment)
    assert environment["JUPYTER_CONFIG_DIR"] == str(state)
    assert environment["JUPYTER_RUNTIME_DIR"] == str(state / "runtime")
    assert (state / "labconfig" / "page_config.json").is_file()
    assert "JUPYTERLAB_SETTINGS_DIR" not in environment
    shutil.rmtree(state)


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"WSL_DISTRO_NAME": "Debian"}, "linux", True),
        ({"BROWSER": "w3m"}, "linux", True),
        ({}, "darwin", True),
        ({}, "win32", True),
    ],
)
def test_no_text_browser_takes_the_terminal(
    environment: dict[str, str], platform: str, expected: bool
) -> None:
    """A browser is opened only where there is a desktop, or where the user named one."""
    assert tlkit_lab.can_open_browser(environment, platform) is expected
