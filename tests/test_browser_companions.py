"""The small pictures in a real JupyterLab, and a board in Voila."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe import violations
from lab_driver import SECONDS, Lab, Notebook
from playwright.sync_api import Page, expect

Open = Callable[..., Notebook]
SETUP = """\
import math, torch
from torch import nn
from tlkit.data.images import Images
from tlkit.widgets import *
torch.manual_seed(0)
images = torch.rand(12, 1, 8, 8)
data = Images(images, torch.arange(12) % 3, ("a", "b", "c"), "printed")
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))"""
QUIZ = "quiz = Quiz('own', 'Which?', {'this': 'because no', 'that': 'because yes'}, 'that')\nquiz"
TEMPERATURE = """\
logits = torch.tensor([[0.0, math.log(9)], [3.0, 0.0]])
dial = TemperatureDial(logits, images[:2], classes=["cat", "dog"], labels=torch.tensor([1, 0]))
dial"""
SHIFT = "shift = ShiftDial(model, images, data.labels, classes=data.classes)\nshift"
MAP = """\
feature_map = FeatureMap({"printed": data, "handwritten": data})
feature_map.add(torch.randn(24, 5), "before").add(torch.randn(24, 5), "after")
feature_map"""
MONITOR = "monitor = TrainingMonitor()\nmonitor"
PROGRESS = "CourseProgress()"


def test_dials_quiz_map_and_progress(lab: Lab, page: Page, open_notebook: Open) -> None:
    """Each answers mouse and keyboard, says in words what it shows, and axe-core finds nothing serious."""
    page.set_viewport_size({"width": 1280, "height": 3400})  # JupyterLab draws only what is in sight
    path = lab.write_notebook("widgets/companions.ipynb", SETUP, QUIZ, TEMPERATURE, SHIFT, MAP, PROGRESS)
    notebook = open_notebook(path).run_all()
    output = notebook.panel.locator(".jp-Cell-outputArea")

    question = output.nth(1).locator(".tl-quiz")
    expect(question.get_by_text("because no")).to_be_hidden()
    question.get_by_role("radio", name="this").click()
    expect(question.get_by_text("because no")).to_be_visible()
    expect(question.get_by_text("✘ Your prediction was not right.")).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(question.get_by_text("because yes")).to_be_visible()
    expect(question.get_by_text("because no")).to_be_hidden()
    assert notebook.ask("quiz.first") == "this"

    dial = output.nth(2)
    expect(dial.locator(".tl-bars-words")).to_contain_text("dog 0.9 and cat 0.1")
    dial.get_by_role("slider").first.focus()
    for _ in range(15):
        page.keyboard.press("ArrowRight")
    expect(dial.locator(".tl-bars-words")).to_contain_text("At temperature 2")
    warm = notebook.ask("dial.temperature")
    assert warm == pytest.approx(10**0.3, rel=0.02)
    share = notebook.ask("float(dial.probabilities()[1])")
    assert share == pytest.approx(9 ** (1 / warm) / (1 + 9 ** (1 / warm)), rel=1e-4)
    expect(dial.locator(".tl-bars-row").nth(1)).to_contain_text(f"{share:.3f} ◂ true")
    dial.get_by_role("slider").nth(1).focus()
    page.keyboard.press("ArrowRight")
    expect(dial.locator(".tl-bars")).to_have_attribute("data-best", "cat")

    shift = output.nth(3)
    shift.get_by_role("combobox").select_option("invert")
    before = shift.locator("img.tl-bars-image").get_attribute("src")
    shift.get_by_role("slider").first.focus()
    page.keyboard.press("End")
    expect(shift.locator(".tl-bars-words")).to_contain_text("invert 1: the model predicts")
    expect(shift.locator("img.tl-bars-image")).not_to_have_attribute("src", before or "")
    assert notebook.ask("[shift.shift, shift.amount]") == ["invert", 1.0]

    points = output.nth(4)
    expect(points.locator(".tl-points-title")).to_contain_text("after (2 of 2)")
    expect(points.locator(".tl-points-key span")).to_have_text(["a", "b", "c"])  # a colour each
    expect(points.locator(".tl-points-side")).to_contain_text("Point at a dot")
    mark = points.locator(".tl-points-body > svg path").first
    place = mark.get_attribute("transform")
    points.get_by_role("slider").focus()
    page.keyboard.press("ArrowLeft")
    expect(points.locator(".tl-points-title")).to_contain_text("before (1 of 2)")
    expect(mark).not_to_have_attribute("transform", place or "")
    mark.hover(force=True)
    expect(points.locator(".tl-points-side")).to_contain_text("of 24")
    points.get_by_role("application").focus()
    page.keyboard.press("ArrowRight")
    expect(points.locator(".tl-points-side")).to_contain_text("printed")
    assert "data:image/png" in str(
        points.locator(".tl-points-image").evaluate("e => getComputedStyle(e).backgroundImage")
    )

    expect(output.nth(5)).to_contain_text("points in")
    output.nth(5).get_by_role("button", name="Refresh").click()
    notebook.screenshot("companions")
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        notebook.theme(theme)
        assert violations(page, ".tl-live") == []
    notebook.screenshot("companions_dark")
    notebook.theme("JupyterLab Light")


def test_monitor(lab: Lab, open_notebook: Open) -> None:
    """Curves grow while a model trains in the background; Stop ends the run after a step."""
    notebook = open_notebook(lab.write_notebook("widgets/monitor.ipynb", SETUP, MONITOR)).run_all()
    curves = notebook.panel.locator(".tl-curves")
    expect(curves).to_contain_text("No training has been watched yet.")
    notebook.ask("monitor.fit(model, (images, data.labels), epochs=1_000_000, validation=data) and None")
    expect(curves).to_contain_text("of 1,000,000", timeout=SECONDS * 1000)
    expect(curves.locator("polyline.tl-validation")).to_have_count(1)
    expect(curves).to_contain_text("min left")
    notebook.screenshot("monitor")
    assert violations(notebook.page, ".tl-live") == []
    notebook.panel.locator(".tl-live").get_by_role("button", name="Stop").click()
    expect(curves).to_contain_text("Stopped after")
    assert notebook.ask("monitor.wait().stopped") == "stopped"


# ---------------------------------------------------------------- Voila
@pytest.fixture
def voila(lab: Lab, tmp_path: Path) -> Iterator[str]:
    """The address of a Voila that serves a notebook with a board and a quiz."""
    board = (
        "model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))\nboard = LayerBoard(model)\nboard"
    )
    path = lab.root / lab.write_notebook("widgets/voila.ipynb", SETUP, board, QUIZ)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "voila", str(path), "--no-browser", f"--port={port}"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            address = f"http://127.0.0.1:{port}/"
            _wait_for(address + "voila/static/", server)
            yield address
        finally:
            server.terminate()
            server.wait(SECONDS)


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    """Until the server answers anything at all."""
    for _ in range(10 * SECONDS):
        assert server.poll() is None, (server.stdout.read() if server.stdout else b"")[-2000:]
        try:
            urllib.request.urlopen(address, timeout=5)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("Voila did not start")


def test_voila(voila: str, page: Page) -> None:
    """Outside JupyterLab the board is live and answers; its still is hidden; nothing shows an error."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(voila, timeout=SECONDS * 1000)
    block = page.locator(".tl-block").first
    expect(block).to_be_visible(timeout=SECONDS * 1000)
    block.click()
    expect(block).to_have_attribute("aria-checked", "false")
    expect(block).to_have_attribute("aria-busy", "false")
    expect(page.locator(".tl-head")).to_contain_text("10 of 30 parameters learn")
    page.get_by_role("radio", name="that").click()
    expect(page.get_by_text("✔ Your prediction was right.")).to_be_visible()
    expect(page.locator(".tl-still").first).to_be_hidden()
    expect(page.get_by_text("Error displaying widget")).to_have_count(0)
    assert not errors, errors
