"""LayerBoard in a real JupyterLab: every interaction, the truth asked of the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from axe import violations
from lab_driver import SECONDS, Lab, Notebook
from playwright.sync_api import Locator, Page, Route, expect

MODEL = """\
import torch
from torch import nn
from tlkit.widgets import LayerBoard
torch.manual_seed(0)
def block(a, b):
    return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU())
model = nn.Sequential()
pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
parts = {"stem": block(1, 4), "one": block(4, 8), "two": block(8, 16), "pool": pool, "head": nn.Linear(16, 3)}
for name, part in parts.items():
    model.add_module(name, part)
x, y = torch.randn(64, 1, 8, 8), torch.arange(64) % 3"""
BOARD = "board = LayerBoard(model, x)\nboard"
LEARNING = "sorted({n.rpartition('.')[0] for n, p in model.named_parameters() if p.requires_grad})"
ALL = ["head", "one.0", "one.1", "stem.0", "stem.1", "two.0", "two.1"]
Open = Callable[..., Notebook]


class Board:
    """A LayerBoard on the page."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook, self.page = notebook, notebook.page
        self.root = notebook.panel.locator(".tl-board")

    def item(self, name: str) -> Locator:
        """The block or layer with this path."""
        return self.root.locator(f".tl-block[data-layer='{name}']")

    def button(self, name: str) -> Locator:
        return self.notebook.panel.locator(".tl-live").get_by_role("button", name=name)

    def applied(self, name: str, state: str) -> None:
        """Wait until the page shows that the kernel has confirmed this state, and nothing is pending."""
        expect(self.item(name)).to_have_attribute("aria-checked", state)
        expect(self.item(name)).to_have_attribute("aria-busy", "false")

    def learning(self) -> list[str]:
        """What the kernel says learns."""
        return self.notebook.ask(LEARNING)


@pytest.fixture
def board(lab: Lab, open_notebook: Open) -> Board:
    notebook = open_notebook(lab.write_notebook("widgets/board.ipynb", MODEL, BOARD)).run_all()
    shown = Board(notebook)
    expect(shown.item("head")).to_be_visible()
    return shown


def test_mouse(board: Board) -> None:
    """Click, shift-click, the buttons, undo, redo, a layer inside a block: the kernel has what is shown."""
    expect(board.root.locator(".tl-block")).to_have_count(4)
    assert board.learning() == ALL
    board.item("stem").click()
    board.applied("stem", "false")
    board.item("two").click(modifiers=["Shift"])
    board.applied("two", "false")
    assert board.learning() == ["head"]
    expect(board.root.locator(".tl-head")).to_contain_text("51 of 1,611 parameters learn")
    board.button("Undo").click()
    board.applied("two", "true")
    assert board.learning() == [name for name in ALL if not name.startswith("stem")]
    board.button("Redo").click()
    board.applied("two", "false")
    board.item("one").click()
    board.applied("one", "true")
    board.button("Freeze all but the head").click()
    board.applied("one", "false")
    board.item("two").focus()
    board.button("Unfreeze from here up").click()
    board.applied("two", "true")
    assert board.learning() == ["head", "two.0", "two.1"]

    board.root.get_by_role("button", name="2 layers of two").click()
    board.item("two.1").click()
    board.applied("two.1", "false")
    board.applied("two", "mixed")
    assert board.learning() == ["head", "two.0"]
    info = board.root.locator(".tl-info")
    board.item("two.1").hover()
    for fact in ("BatchNorm2d", "16×8×8 → 16×8×8", "32 parameters, frozen", "batch statistics ⚠ not held"):
        expect(info).to_contain_text(fact)
    board.item("stem").hover()
    expect(info).to_contain_text("1×8×8 → 4×8×8")
    board.notebook.screenshot("board_mouse")


def test_trap_and_cure(board: Board) -> None:
    """Frozen weights with moving statistics are warned of; one click holds them, another lets them go."""
    trap = board.root.locator(".tl-trap")
    expect(trap).to_be_hidden()
    board.button("Freeze all but the head").click()
    expect(trap).to_contain_text("3 BatchNorm layers with frozen weights, but moving statistics")
    assert board.notebook.ask("model.train()[1][1].training") is True
    trap.get_by_role("button", name="Hold their statistics").click()
    expect(trap).to_contain_text("3 frozen BatchNorm layers are held still")
    assert board.notebook.ask("model.train()[1][1].training") is False
    board.item("one").hover()
    expect(board.root.locator(".tl-info")).to_contain_text("running statistics (held)")
    trap.get_by_role("button", name="Let them move again").click()
    expect(trap).to_contain_text("moving statistics")
    assert board.notebook.ask("model.train()[1][1].training") is True


def test_keyboard_only(board: Board) -> None:
    """Tab reaches the board; arrows, Home, End, Space, Shift+Space and Ctrl+Z do what the mouse does."""
    page = board.page
    page.keyboard.press("Escape")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.dataset.layer") == "stem":
            break
    expect(board.item("stem")).to_be_focused()
    page.keyboard.press("Space")
    board.applied("stem", "false")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(board.item("two")).to_be_focused()
    page.keyboard.press("Shift+Space")
    board.applied("two", "false")
    assert board.learning() == ["head"]
    page.keyboard.press("Control+z")
    board.applied("two", "true")
    page.keyboard.press("Control+y")
    board.applied("two", "false")
    page.keyboard.press("End")
    expect(board.item("head")).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")  # opens the block and goes inside
    expect(board.item("stem.0")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    board.applied("stem.1", "true")
    assert board.learning() == ["head", "stem.1"]
    page.keyboard.press("Escape")
    expect(board.item("stem")).to_be_focused()
    expect(board.item("stem.0")).to_have_count(0)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the expander of the first block
    expect(board.item("stem.0")).to_be_visible()
    assert board.notebook.ask("len(In)") < 5  # none of the keys ran or added a cell


def test_lines_and_rates(board: Board) -> None:
    """A learning rate typed for a block reaches the board; the copied lines reproduce what is shown."""
    notebook, page = board.notebook, board.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    board.item("stem").click()
    board.item("two").focus()
    rate = notebook.panel.get_by_label("Learning rate of two")
    rate.fill("0.0001")
    rate.press("Enter")
    expect(rate).to_have_value("0.0001")
    board.item("two").hover()
    expect(board.root.locator(".tl-info")).to_contain_text("learning rate 0.0001")
    board.button("Copy as PyTorch").click()
    expect(board.root.locator(".tl-status")).to_have_text("Copied to the clipboard.")
    lines = page.evaluate("() => navigator.clipboard.readText()")
    assert lines == notebook.ask("board.code()")
    assert 'frozen = ("stem.",)' in lines
    assert '"two.": 0.0001' in lines
    expect(notebook.panel.locator("textarea").last).to_have_value(lines)


def test_accessible_in_both_themes(board: Board) -> None:
    """axe-core finds nothing serious, with a block opened, frozen, trapped, and the lines shown."""
    board.item("stem").click()
    board.root.get_by_role("button", name="2 layers of one").click()
    board.button("Copy as PyTorch").click()
    expect(board.root.locator(".tl-trap")).to_be_visible()
    for theme in ("Light", "Dark"):
        board.notebook.theme(f"JupyterLab {theme}")
        board.notebook.screenshot(f"board_{theme.lower()}")
        assert violations(board.page, ".tl-live") == [], theme
    board.notebook.theme("JupyterLab Light")


def test_little_room(board: Board) -> None:
    """In a narrow window and at 200 % zoom everything is inside the board, can be hit, and works."""
    board.page.keyboard.press("Control+b")  # without the file browser, as one would
    for width, zoom, learns in ((560, 1.0, "false"), (1280, 2.0, "true")):
        board.page.set_viewport_size({"width": int(width / zoom), "height": int(900 / zoom)})
        sizes = board.root.evaluate("e => [e.scrollWidth, e.clientWidth]")
        assert sizes[0] <= sizes[1]
        for box in (block.bounding_box() for block in board.root.locator(".tl-block").all()):
            assert box is not None
            assert min(box["width"], box["height"]) >= 24
        board.item("head").scroll_into_view_if_needed()
        board.notebook.screenshot(f"board_{width}_{zoom:.0f}")
        board.item("head").click()
        board.applied("head", learns)
    board.page.keyboard.press("Control+b")


def test_while_training(board: Board) -> None:
    """Live bars, freezing between steps, a ghost, pause, resume, stop, rewind; the run goes on meanwhile."""
    notebook = board.notebook
    start = notebook.ask("float(model.head.weight.sum())")
    notebook.ask("board.fit((x, y), epochs=100_000, batch_size=8) and None")
    expect(board.root).to_have_class("tl-board tl-has-live", timeout=SECONDS * 1000)
    expect(board.root.locator(".tl-progress")).to_contain_text("of 800,000")
    board.item("two").click()
    board.applied("two", "false")
    assert "two.0" not in board.learning()
    ghost = board.root.locator(".tl-col").nth(2).locator(".tl-ghost")
    expect(ghost).not_to_have_attribute("style", "height: 0%;")
    board.item("two").hover()
    expect(board.root.locator(".tl-info")).to_contain_text("no gradient (last ")
    expect(board.root.locator(".tl-info")).to_contain_text("features drifted")
    before = notebook.ask("board.step.index")
    board.page.wait_for_function(
        "n => Number(document.querySelector('.tl-board').dataset.step) > n + 20", arg=before
    )
    notebook.screenshot("board_training")

    board.button("Pause").click()
    expect(board.root.locator(".tl-status")).to_contain_text("Paused after")
    held = notebook.ask("board.step.index")
    board.item("stem").click()  # paused, it still answers
    board.applied("stem", "false")
    assert notebook.ask("[board.step.index, 'stem.0' in " + LEARNING + "]") == [held, False]
    board.button("Resume").click()
    board.page.wait_for_function(
        "n => Number(document.querySelector('.tl-board').dataset.step) > n + 5", arg=held + 1
    )
    board.button("Stop").click()
    expect(board.root.locator(".tl-status")).to_contain_text("Training was stopped after")
    expect(board.button("Stop")).to_be_disabled()
    expect(notebook.panel.get_by_role("table", name="Runs of this board")).to_contain_text("one, head")
    assert notebook.ask("board.wait().stopped") == "stopped"
    assert notebook.ask("float(model.head.weight.sum())") != start
    assert violations(board.page, ".tl-live") == []
    board.button("Rewind weights").click()
    expect(board.root.locator(".tl-status")).to_contain_text("Back at the weights of the start")
    assert notebook.ask("float(model.head.weight.sum())") == start
    assert "stem.0" not in board.learning()


def test_misuse(lab: Lab, open_notebook: Open) -> None:
    """Frozen by hand, two boards, a cell run twice, another model in the variable: each is shown as it is."""
    path = lab.write_notebook(
        "widgets/misuse.ipynb", MODEL, BOARD, "second = LayerBoard(model)\nsecond", "None", "None"
    )
    notebook = open_notebook(path).run_all()
    boards = notebook.panel.locator(".tl-board")
    expect(boards).to_have_count(2)
    first, second = boards.nth(0), boards.nth(1)
    second.locator("[data-layer='one']").click()
    expect(first.locator("[data-layer='one']")).to_have_attribute("aria-checked", "false")
    run_cell(notebook, 3, "model.stem.requires_grad_(False)\nNone")
    expect(first.locator("[data-layer='stem']")).to_have_attribute("aria-checked", "false")
    expect(first.locator(".tl-status")).to_contain_text("Changed outside of the board: stem.0, stem.1")
    before = notebook.ask("id(board)")
    run_cell(notebook, 1, BOARD)
    expect(boards).to_have_count(2)
    assert notebook.ask("id(board)") != before
    expect(boards.nth(0).locator("[data-layer='stem']")).to_have_attribute("aria-checked", "false")
    run_cell(notebook, 4, "model = nn.Linear(2, 2)")
    expect(boards.nth(0).locator(".tl-status")).to_contain_text("model now is another model")
    expect(notebook.panel.get_by_text("Error displaying widget")).to_have_count(0)


def run_cell(notebook: Notebook, number: int, source: str) -> None:
    """Replace a code cell's text and run it, as a person would."""
    notebook.page.evaluate(
        """([i, text]) => { const panel = window.jupyterapp.shell.currentWidget;
            panel.content.activeCellIndex = i; panel.content.activeCell.model.sharedModel.setSource(text);
            window.jupyterapp.commands.execute('notebook:run-cell') }""",
        [number, source],
    )
    notebook.wait_idle()


# ---------------------------------------------------------------- without a kernel
STILL = "board.freeze('stem', 'one')\nboard"


@pytest.fixture
def saved(lab: Lab, page: Page, open_notebook: Open) -> tuple[Notebook, Path]:
    """A notebook with a board and a quiz, run, clicked and saved."""
    page.set_viewport_size({"width": 1280, "height": 2000})  # JupyterLab draws only what is in sight
    quiz = "from tlkit.widgets import Quiz\nQuiz('own', 'Which?', {'this': 'no', 'that': 'yes'}, 'that')"
    path = lab.write_notebook("widgets/saved.ipynb", MODEL, "board = LayerBoard(model, x)\n" + STILL, quiz)
    notebook = open_notebook(path).run_all()
    shown = Board(notebook)
    shown.item("two").click()
    shown.applied("two", "false")
    notebook.panel.get_by_role("radio", name="this").click()
    expect(notebook.panel.locator(".tl-quiz").get_by_text("✘ Not this one.")).to_be_visible()
    notebook.ask("board.refresh_still() or None")
    notebook.page.evaluate("async () => { await window.jupyterapp.commands.execute('docmanager:save') }")
    return notebook, lab.root / path


def shows_stills(root: Page | Locator, learning: str) -> None:
    """The board's and the quiz's still forms are there to be read, and no error is."""
    expect(root.locator(".tl-still").first).to_be_visible()
    expect(root.get_by_text(learning).first).to_be_visible()
    expect(root.get_by_text("Predict first.").first).to_be_visible()
    for words in ("Error displaying widget", "Loading widget", "Error creating widget"):
        assert not [one for one in root.get_by_text(words).all() if one.is_visible()]


def test_closed_kernel_then_reopened(saved: tuple[Notebook, Path], lab: Lab) -> None:
    """A board whose kernel has gone says so; reopened with a fresh kernel, or none, its still shows."""
    notebook, _ = saved
    page = notebook.page
    expect(notebook.panel.locator(".tl-still").first).to_be_hidden()  # the live ones stand for them
    page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown() }")
    board = Board(notebook)
    board.item("head").click()
    expect(board.root.locator(".tl-status")).to_contain_text("The kernel has not answered")
    notebook.screenshot("closed_kernel")

    address = f"{lab.url}/lab/tree/{notebook.path}?reset"
    page.goto(address)
    notebook.wait_idle()
    shows_stills(notebook.panel, "51 of 1,611 parameters learn")
    notebook.screenshot("fresh_kernel")

    page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown() }")

    def no_new_kernel(route: Route) -> None:
        (route.abort if route.request.method == "POST" else route.continue_)()

    page.route("**/api/sessions*", no_new_kernel)
    page.goto(address)
    expect(page.locator(".jp-Dialog")).to_be_visible(timeout=SECONDS * 1000)
    page.locator(".jp-Dialog .jp-mod-accept").click()
    shows_stills(notebook.panel, "51 of 1,611 parameters learn")
    notebook.screenshot("no_kernel")
    # JupyterLab's own widget extension stumbles over a notebook without a session
    stumble = "Cannot read properties of null (reading 'kernel')"
    notebook.page_errors[:] = [error for error in notebook.page_errors if error != stumble]
    page.unroute("**/api/sessions*")
    page.goto(address)  # so that the fixture finds a session to close
    notebook.wait_idle()


@pytest.mark.parametrize("execute", [[], ["--execute"]], ids=["as saved", "executed"])
def test_exported_to_html(
    saved: tuple[Notebook, Path], page: Page, tmp_path: Path, execute: list[str]
) -> None:
    """nbconvert's page shows the stills, with no kernel, no network and no error."""
    _, path = saved
    command = [sys.executable, "-m", "nbconvert", "--to", "html", *execute]
    command += ["--output-dir", str(tmp_path), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "is not able to be represented" not in done.stderr
    other = page.context.new_page()
    other.goto((tmp_path / "saved.html").as_uri())
    shows_stills(other, "51 of 1,611" if not execute else "1,251 of 1,611")
    if folder := os.environ.get("TLKIT_SCREENSHOTS"):
        other.screenshot(path=Path(folder) / f"html{'_executed' if execute else ''}.png")
    other.close()
