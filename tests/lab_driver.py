"""Drive a real JupyterLab: start `tlkit lab`, open a notebook, run it, ask its kernel, look at it.

Every wait is for something that can be seen (a line of output, the page, a kernel's reply), never for a time.
"""

from __future__ import annotations

import ast
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import BlockingKernelClient
from playwright.sync_api import Page, Response, expect

SECONDS = 120  # a busy machine may be slow; what takes longer has failed
expect.set_options(timeout=20_000)

# In the page: is this notebook's kernel connected and idle? (JupyterLab shows "idle" before there is one.)
KERNEL_IDLE = """() => {
    const context = window.jupyterapp?.shell?.currentWidget?.sessionContext;
    const kernel = context?.session?.kernel;
    return context?.isReady && kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""
CODE_CELLS = "window.jupyterapp.shell.currentWidget.content.widgets.filter(w => w.model.type === 'code')"


class Lab:
    """A running `tlkit lab`. url: its address without path. root: the folder it serves."""

    def __init__(self, process: subprocess.Popen[str], address: str, root: Path, runtime: Path) -> None:
        self.process, self.address, self.root, self.runtime = process, address, root, runtime
        parts = re.fullmatch(r"(http://127\.0\.0\.1:\d+)(/lab\S*)\?token=(\w+)", address)
        assert parts, f"not an address of JupyterLab with a token: {address}"
        self.url, self.first_page, self.token = parts.groups()

    def api(self, path: str) -> Any:
        """Reply of the server's REST interface to GET `path`, as JSON."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"token {self.token}"})
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.load(reply)

    def write_notebook(self, path: str, *cells: str) -> str:
        """Write a notebook of code cells below `root` and return its path."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, self.root / path)
        return path


@contextmanager
def running_lab(
    root: Path, base: Path, *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[Lab]:
    """`tlkit lab --no-browser` in `root`, its settings and runtime files below `base`; ended by Ctrl-C.

    Leaving the block checks that the server ended by itself with exit code 0.
    """
    config, runtime = base / "config", base / "runtime"
    (config / "tlkit").mkdir(parents=True)
    # window.jupyterapp is what JupyterLab's own browser tests drive it with
    (config / "tlkit" / "jupyter_lab_config.json").write_text('{"LabApp": {"expose_app_in_browser": true}}')
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_DATA_DIR": str(base / "data"),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "IPYTHONDIR": str(base / "ipython"),
        **(environment or {}),
    }
    command = [sys.executable, "-m", "tlkit", "lab", "--no-browser", *arguments]
    with subprocess.Popen(
        command, cwd=root, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        lines: queue.Queue[str | None] = queue.Queue()
        printed: list[str] = []
        reader = threading.Thread(target=_read_lines, args=(process, lines), daemon=True)
        reader.start()
        try:
            yield Lab(process, _address(lines, printed), root, runtime)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                code = process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert code == 0, f"tlkit lab ended with code {code}:\n{''.join(printed)}"


def _read_lines(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    for line in process.stdout or ():
        lines.put(line)
    lines.put(None)


def _address(lines: queue.Queue[str | None], printed: list[str]) -> str:
    """The address that `tlkit lab` prints on a line of its own."""
    while (line := lines.get(timeout=SECONDS)) is not None:
        printed.append(line)
        if re.fullmatch(r"\s+http://\S+\n", line):
            return line.strip()
    raise RuntimeError("tlkit lab did not start:\n" + "".join(printed))


class Notebook:
    """A notebook open in the browser, with its kernel ready.

    path: below the lab's root; None for what `tlkit lab` itself opens. page_errors: so far, uncaught
    JavaScript errors and requests that the server refused.
    """

    def __init__(self, lab: Lab, page: Page, path: str | None = None) -> None:
        self.lab, self.page = lab, page
        self.path = path or lab.first_page.removeprefix("/lab/tree/")
        self.page_errors: list[str] = []
        page.on("pageerror", self._note)
        page.on("response", self._note_failure)
        page.goto(f"{lab.url}/lab/tree/{path}?reset&token={lab.token}" if path else lab.address)
        self.panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        self.wait_idle()

    def _note(self, error: object) -> None:
        """Keep an uncaught error, but for one of JupyterLab's own when it closes what React still draws."""
        if "removeChild" not in str(error):
            self.page_errors.append(str(error))

    def _note_failure(self, response: Response) -> None:
        if response.status >= 400 and response.url.startswith(self.lab.url):
            self.page_errors.append(f"{response.status} for {response.request.method} {response.url}")

    def wait_idle(self) -> None:
        """Wait until the kernel is connected and has nothing to do."""
        expect(self.panel.locator(".jp-Cell").first).to_be_visible(timeout=SECONDS * 1000)
        self.page.wait_for_function(KERNEL_IDLE, timeout=SECONDS * 1000)

    def run_all(self, *, errors: bool = False) -> Notebook:
        """Run every cell and wait for the end; unless `errors`, a cell that raised fails the test."""
        # not awaited: a promise that never settles must not hang the test
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
        done = f"() => {CODE_CELLS}.every(w => w.model.executionCount !== null)"
        self.page.wait_for_function(done, timeout=2 * SECONDS * 1000)
        self.page.wait_for_function(KERNEL_IDLE, timeout=SECONDS * 1000)
        if not errors:
            assert not self.errors(), self.errors()
        return self

    def errors(self) -> list[str]:
        """What cells raised, as `Name: message`."""
        return self.page.evaluate(
            f"""() => {CODE_CELLS}.flatMap(w => w.model.outputs.toJSON())
                .filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue)"""
        )

    def ask(self, expression: str) -> Any:
        """Value of a Python expression in the notebook's own kernel, through a second client, as JSON."""
        client = BlockingKernelClient(connection_file=str(self.lab.runtime / f"kernel-{self._kernel()}.json"))
        client.load_connection_file()
        client.start_channels()  # not wait_for_ready: it never ends while a widget keeps sending
        try:
            asked = {"value": f"__import__('json').dumps({expression})"}
            reply = client.execute("", silent=True, user_expressions=asked, reply=True, timeout=SECONDS)
            value = reply["content"]["user_expressions"]["value"]
            assert value["status"] == "ok", value
            return json.loads(_unquote(value["data"]["text/plain"]))
        finally:
            client.stop_channels()

    def _kernel(self) -> str:
        """The id of the kernel; on a busy machine the page is there before the server knows of it."""
        until = time.monotonic() + SECONDS
        while True:
            sessions = self.lab.api("/api/sessions")
            if found := [one["kernel"]["id"] for one in sessions if one["path"] == self.path]:
                return str(found[0])
            assert time.monotonic() < until, f"{self.path} has no kernel; there are {sessions}"
            time.sleep(0.2)

    def theme(self, name: str) -> None:
        """Switch to "JupyterLab Light" or "JupyterLab Dark" and wait until the page has it."""
        self.page.evaluate(
            "theme => { window.jupyterapp.commands.execute('apputils:change-theme', {theme}) }", name
        )
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-name", name)

    def screenshot(self, name: str) -> Path | None:
        """A picture of the window in the folder that $TLKIT_SCREENSHOTS names, for people to look at."""
        folder = os.environ.get("TLKIT_SCREENSHOTS")
        if not folder:
            return None
        path = Path(folder) / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)
        return path

    def close(self) -> None:
        """Save, so that no dialog asks, and end the kernel."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")


def _unquote(literal: str) -> str:
    """The string that a Python string literal stands for."""
    value = ast.literal_eval(literal)
    assert isinstance(value, str)
    return value
