"""check in a real kernel: what the notebook shows, what nbgrader reads, what an interrupt does."""

import queue
import runpy
import shutil
import time
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from tlkit.exercises import PUBLIC_SEEDS, build_expected, write_expected

LESSON = Path(__file__).parent / "exercises_lesson"
SETUP = "import torch; torch.set_num_threads(1); from tlkit.exercises import check, hint, quiz"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """A kernel working in the folder of the small lesson."""
    folder = tmp_path_factory.mktemp("course") / "small"
    folder.mkdir()
    shutil.copy(LESSON / "probes.py", folder)
    namespace = runpy.run_path(str(LESSON / "right.py"))
    write_expected(folder / "expected.json", build_expected(LESSON, namespace, PUBLIC_SEEDS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLKIT_HOME", str(folder / "home"))
        manager, client = start_new_kernel(cwd=str(folder), kernel_name="python3")
    try:
        run(client, SETUP)
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run(client, source, interrupt=None):
    """Execute a cell; returns its messages as {type: [content, …]} in order of arrival."""
    message = client.execute(source)
    seen = {}
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        try:
            said = client.get_iopub_msg(timeout=5)
        except queue.Empty:
            continue
        if said["parent_header"].get("msg_id") != message:
            continue
        kind, content = said["msg_type"], said["content"]
        seen.setdefault(kind, []).append(content)
        if interrupt is not None and kind == "stream":
            interrupt()
            interrupt = None
        if kind == "status" and content["execution_state"] == "idle":
            return seen
    raise AssertionError(f"no end after 240 s; seen: {list(seen)}")


def test_text_plain_is_the_score(kernel):
    """text/plain is the number nbgrader reads as partial credit; the page is HTML; stderr is empty."""
    _, client = kernel
    seen = run(
        client,
        "import sys, warnings\n"
        "def center(x):\n    warnings.warn('hm'); print('noise', file=sys.stderr)\n"
        "    x -= x.mean(dim=0)\n    return x\ncheck('center')",
    )
    assert "stream" not in seen
    data = seen["execute_result"][0]["data"]
    assert float(data["text/plain"]) == 2
    assert "You changed the input itself" in data["text/html"]


def test_the_cell_and_the_line_are_named(kernel):
    """An exception is placed in the student's cell, as the notebook numbers it."""
    _, client = kernel
    count = run(client, "def center(x):\n    y = x + 1\n    return y[99]")["execute_input"][0][
        "execution_count"
    ]
    data = run(client, "check('center')")["execute_result"][0]["data"]
    assert f"In[{count}], line 3: return y[99]" in data["text/html"]
    assert data["text/plain"] == "0"


def test_code_before_the_raise_line_is_noticed_in_a_cell(kernel):
    """The stub's raise line below written code is recognised from the cell's own source."""
    _, client = kernel
    run(client, "def center(x):\n    y = x + 1\n    raise NotImplementedError('write it')")
    assert "Delete that line" in run(client, "check('center')")["execute_result"][0]["data"]["text/html"]


def test_an_interrupt_stops_the_check_and_the_kernel_lives(kernel):
    """Interrupt in the menu ends an endless check at once; the next cell runs as usual."""
    manager, client = kernel
    run(client, "def center(x):\n    while True: pass")
    seen = run(client, "print('started', flush=True)\ncheck('center')", interrupt=manager.interrupt_kernel)
    assert seen["error"][0]["ename"] == "KeyboardInterrupt"
    source = "import threading; [t.name for t in threading.enumerate() if t.name == 'tlkit check']"
    until = time.monotonic() + 10
    while run(client, source)["execute_result"][0]["data"]["text/plain"] != "[]":
        assert time.monotonic() < until, "the check's thread is still running"
