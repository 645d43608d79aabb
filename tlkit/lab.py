"""`tlkit lab`: the course in JupyterLab, open at lesson 00.

The server runs in this process, on the loopback address, with a fresh token. It reads no server
configuration of the user's: what was set for other work (a password, a port) must not stop a course.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import tempfile
import warnings
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from tlkit.system import cpu_quota

COURSE = "course"
FIRST_LESSON = "00"
# What would distract: JupyterLab's question about its news, and Voilà (here for the tests, and noisy).
SETTINGS = {
    "labconfig/page_config.json": {
        "disabledExtensions": {
            "@jupyterlab/apputils-extension:announcements": True,
            "@voila-dashboards/jupyterlab-preview": True,
        }
    },
    "jupyter_server_config.d/tlkit.json": {
        "ServerApp": {"jpserver_extensions": {"voila.server_extension": False}}
    },
}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tlkit lab`."""
    parser.add_argument(
        "lesson", nargs="?", default=FIRST_LESSON, help="start of the lesson's name, such as 01 (default 00)"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument("--port", type=int, help="use this port (default: the first free one from 8888)")
    parser.add_argument(
        "--ip", default="127.0.0.1", help="listen here; 0.0.0.0 inside a container whose port is published"
    )
    parser.add_argument("--verbose", action="store_true", help="show the server's log")


def course_root() -> Path:
    """The folder that holds course/: above the working directory, else the checkout that tlkit runs from.

    Raises FileNotFoundError, saying where it looked, when there is none.
    """
    here = Path.cwd()
    candidates = [here, *here.parents, Path(__file__).resolve().parent.parent]
    for folder in candidates:
        if (folder / COURSE).is_dir() and (folder / "nbgrader_config.py").is_file():
            return folder
    raise FileNotFoundError(
        f"no folder {COURSE}/ with nbgrader_config.py beside it, neither in {here} or above it nor in "
        f"{candidates[-1]}; run this inside a clone of the course."
    )


def lesson_notebook(root: Path, lesson: str) -> Path:
    """The notebook of the lesson whose name starts with `lesson`, relative to `root`; else course/."""
    for folder in sorted((root / COURSE).glob(f"{lesson}*")):
        notebooks = [folder / f"{folder.name}.ipynb", *sorted(folder.glob("*.ipynb"))]
        for notebook in notebooks:
            if notebook.is_file():
                return notebook.relative_to(root)
    return Path(COURSE)


def threads() -> int:
    """Threads a kernel may use: whole CPUs of the quota, at least one; more only slow each other down."""
    return max(1, int(cpu_quota()))


def can_open_browser(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> bool:
    """Is there a desktop to open a browser on? Without one, Linux starts a text browser right here."""
    if environ.get("BROWSER") or not platform.startswith("linux"):
        return True
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY") or environ.get("WSL_DISTRO_NAME"))


def browser_reads_files(environ: Mapping[str, str] = os.environ) -> bool:
    """Can the browser read the private file that Jupyter sends it to? Not Snap's, nor Windows' from WSL."""
    return not (Path("/snap/bin/firefox").exists() or environ.get("WSL_DISTRO_NAME"))


def _state_folder() -> Path:
    """A folder for what JupyterLab remembers; a temporary one where the home folder cannot be written to."""
    from jupyter_core.paths import jupyter_config_dir

    folder = Path(jupyter_config_dir()) / "tlkit"
    return folder if _writable(folder) else Path(tempfile.mkdtemp(prefix="tlkit-lab-"))


def _writable(folder: Path) -> bool:
    """Can files be written into `folder`? Makes it if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def prepare_environment(state: Path, environ: MutableMapping[str, str]) -> None:
    """Set what the server and its kernels inherit: this environment first, own configuration, threads.

    The look of JupyterLab that the user chose for other work (theme, shortcuts) is kept.
    """
    from jupyter_core.paths import jupyter_config_dir, jupyter_runtime_dir

    if "JUPYTERLAB_SETTINGS_DIR" not in environ and state.parent == Path(jupyter_config_dir()):
        environ["JUPYTERLAB_SETTINGS_DIR"] = str(state.parent / "lab" / "user-settings")
    if not _writable(Path(jupyter_runtime_dir())):
        environ["JUPYTER_RUNTIME_DIR"] = str(state / "runtime")
    environ["JUPYTER_CONFIG_DIR"] = environ["JUPYTER_CONFIG_PATH"] = str(state)
    environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # the kernel python3 is this Python, not one in the home folder
    for name in ("JUPYTER_PATH", "JUPYTER_NO_CONFIG", "JUPYTER_TOKEN", "JUPYTER_PORT"):
        environ.pop(name, None)
    # nbgrader starts `alembic`, and a kernel's `!tlkit` should be this one
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    for name in THREAD_VARIABLES:
        environ.setdefault(name, str(threads()))
    for name, content in SETTINGS.items():
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_text(json.dumps(content))


def server_arguments(
    root: Path, page: Path, args: argparse.Namespace, token: str, open_browser: bool
) -> list[str]:
    """Arguments for JupyterLab. Each setting that a configuration file could spoil is stated."""
    settings = {
        "ServerApp.root_dir": root,
        "LabApp.default_url": f"/lab/tree/{page.as_posix()}",
        "ServerApp.base_url": "/",
        "ServerApp.ip": args.ip,
        "ServerApp.port": args.port or 8888,
        "ServerApp.port_retries": 0 if args.port else 100,
        "ServerApp.allow_root": True,
        "ServerApp.answer_yes": True,  # Ctrl-C ends at once instead of asking
        "ServerApp.open_browser": open_browser,
        "ServerApp.use_redirect_file": browser_reads_files(),
        "IdentityProvider.token": token,
        "PasswordIdentityProvider.hashed_password": "",
        "LanguageServerManager.autodetect": False,
    }
    level = "INFO" if args.verbose else "ERROR"
    settings |= {"Application.log_level": level, "ServerApp.log_level": level, "LabApp.log_level": level}
    return [f"--{name}={value}" for name, value in settings.items()]


def banner(url: str, port: int, root: Path, open_browser: bool) -> str:
    """What a user needs to know while the server runs. The address is alone on its line."""
    opened = "It opens in your browser. If not, copy this address into one"
    if not open_browser:
        opened = "Open this address in a browser"
    return f"""
JupyterLab serves {root}
(each notebook uses {os.environ[THREAD_VARIABLES[0]]} thread(s); this machine grants {cpu_quota():g} CPU)

{opened}:

    {url}

Is this terminal on another machine? Then run on your own: ssh -N -L {port}:127.0.0.1:{port} USER@MACHINE
and open the same address there. In a container: publish the port (-p {port}:{port}) and start
    tlkit lab --no-browser --ip 0.0.0.0 --port {port}

Ctrl-C ends it; what is saved stays in {COURSE}/.
"""


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C. Exit code 1 when there is no course or no free port."""
    try:
        root = course_root()
    except FileNotFoundError as error:
        print(f"tlkit lab: {error}", file=sys.stderr)
        return 1
    page = lesson_notebook(root, args.lesson)
    if page == Path(COURSE):
        print(f"tlkit lab: no lesson starts with {args.lesson!r}; opening {COURSE}/.", file=sys.stderr)
    print("Starting JupyterLab …", flush=True)
    prepare_environment(_state_folder(), os.environ)

    from jupyterlab.labapp import LabApp  # after the environment is set: Jupyter reads it when imported

    open_browser = not args.no_browser and can_open_browser()
    os.chdir(root)  # nbgrader looks for its configuration here
    token = secrets.token_hex(16)  # stays in this process: on no command line, in no log
    if not args.verbose:
        warnings.simplefilter("ignore")  # of packages, about one another
    server = LabApp.initialize_server(argv=server_arguments(root, page, args, token, open_browser))
    address = f"http://127.0.0.1:{server.port}/lab/tree/{page.as_posix()}?token={token}"
    # Shown by the event loop, after the server listens: the address works as soon as it is read.
    server.io_loop.add_callback(print, banner(address, server.port, root, open_browser), flush=True)
    server.start()
    print("\nJupyterLab has ended.")
    return 0
