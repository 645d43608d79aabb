"""What all tests share: one thread, Jupyter folders of their own, a JupyterLab, a browser, the real files."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_driver import Lab, Notebook, running_lab
from playwright.sync_api import Page

from tlkit.doctor import find_browser
from tlkit.lab import THREAD_VARIABLES
from tlkit.system import cpu_quota

# Inherited by every kernel that a test starts: pytest-xdist already uses all CPUs, and more threads than CPUs
# slow small convolutions down many times. Nothing imported above imports PyTorch.
for _name in THREAD_VARIABLES:
    os.environ[_name] = "1"

# A shell has what it runs in the background ignore Ctrl-C, and so do its children: Jupyter would never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
REAL = ROOT.parent / "shared" / "real"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker a CPU that is really granted, four at most: each imports PyTorch. None for named files."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    return max(1, min(4, int(cpu_quota())))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser or real files; start slow files first and browsers last.

    The tests of a file run on one worker (`--dist loadfile`), for they share fixtures.
    """
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "page" in names or "lab" in names:
            item.add_marker(pytest.mark.browser)
        if "real_files" in names:
            item.add_marker(pytest.mark.real)
    rank: dict[Path, int] = {}
    for item in items:
        own = 0 if item.get_closest_marker("slow") else 2 if item.get_closest_marker("browser") else 1
        rank[item.path] = min(own, rank.get(item.path, own))
    items.sort(key=lambda item: rank[item.path])


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Jupyter's folders, away from the user's own; the environment's programs first on PATH."""
    base = tmp_path_factory.mktemp("jupyter")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
            patch.setenv(f"JUPYTER_{name}", str(base / name.lower()))
        patch.setenv("IPYTHONDIR", str(base / "ipython"))
        patch.setenv("TLKIT_HOME", str(base / "tlkit"))  # whoever runs the tests keeps their points
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        for name in ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH", "NBGRADER_EXECUTION"):
            patch.delenv(name, raising=False)
        yield base


@pytest.fixture(scope="session")
def real_files() -> Path:
    """Folder with ImageNet weights (torch_home/), MNIST/ and hymenoptera_data/; $TLKIT_DATA names another."""
    folder = Path(os.environ.get("TLKIT_DATA", REAL))
    if not folder.is_dir():
        pytest.skip(f"no real files in {folder}; set TLKIT_DATA to a folder that has them")
    return folder


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, object]) -> dict[str, object]:
    """pytest-playwright starts the browser that this machine has."""
    browser = find_browser()
    if browser is None:
        reason = "no Chromium or Chrome found: install one (`tlkit doctor` says how) or set CHROMIUM"
        (pytest.fail if os.environ.get("TLKIT_REQUIRE_BROWSER") else pytest.skip)(reason)
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
    return {**browser_type_launch_args, "executable_path": str(browser), "args": flags}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, object]) -> dict[str, object]:
    """A laptop's window, without animations."""
    window = {"width": 1280, "height": 900}
    return {**browser_context_args, "viewport": window, "reduced_motion": "reduce"}


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, browser_type_launch_args: object) -> Iterator[Lab]:
    """`tlkit lab` serving a copy of the course; `lab.root` is its folder, to write more notebooks into."""
    base = tmp_path_factory.mktemp("lab")
    root = base / "checkout"
    shutil.copytree(ROOT / "course", root / "course")
    shutil.copy(ROOT / "nbgrader_config.py", root)
    with running_lab(root, base) as server:
        yield server


@pytest.fixture
def open_notebook(lab: Lab, page: Page) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook of `lab` by its path (none: lesson 00); an error on the page fails the test."""
    opened: list[Notebook] = []

    def open_(path: str | None = None) -> Notebook:
        opened.append(Notebook(lab, page, path))
        return opened[-1]

    yield open_
    for notebook in opened:
        notebook.close()
    errors = [error for notebook in opened for error in notebook.page_errors]
    assert not errors, errors
