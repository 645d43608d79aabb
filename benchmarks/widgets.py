"""How fast does a LayerBoard draw and answer, in a real browser?

    python benchmarks/widgets.py

Drawing: from starting the cell to all blocks of a ResNet-50 on the page. Toggle: from the click to the page
showing that the kernel applied it, idle and while a glyphnet trains in the background. Prints the table and
writes benchmarks/results/widgets.md. Needs the dev dependencies and Chromium.
"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from playwright.sync_api import Page, expect, sync_playwright

from tlkit.doctor import find_browser
from tlkit.system import cpu_quota

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "widgets.md"
sys.path.insert(0, str(ROOT / "tests"))
from lab_driver import Lab, Notebook, running_lab  # noqa: E402  # found only once the path above is set

SETUP = """\
import torch
from torchvision.models import resnet50
from tlkit import LayerBoard, load_backbone
from tlkit.data import digits_split
big, image = resnet50(), torch.randn(1, 3, 224, 224)
LayerBoard(big)
"""
DRAW = "board = LayerBoard(big)\nboard"
TRAIN = """\
small = load_backbone("glyphnet")
small.head = torch.nn.Linear(small.feature_dim, 10)
digits, _ = digits_split()
training = LayerBoard(small, digits.images[:64])
training"""

# In the page, so that no driver is timed: run a cell until its blocks are there; click until it is confirmed.
WAIT = """const until = (true_) => new Promise((done) => {
    const look = () => true_() ? done() : requestAnimationFrame(look); look(); });"""
DRAWN = (
    "async ([cell, blocks]) => {"
    + WAIT
    + """
    const panel = window.jupyterapp.shell.currentWidget;
    panel.content.activeCellIndex = cell;
    const area = panel.content.activeCell.outputArea;
    area.model.clear();
    await until(() => !area.node.querySelector('.tl-block'));
    const began = performance.now();
    window.jupyterapp.commands.execute('notebook:run-cell');
    await until(() => area.node.querySelectorAll('.tl-row .tl-block').length === blocks
        && area.node.querySelector('.tl-head').textContent);
    return performance.now() - began; }"""
)
TOGGLED = (
    "async ([cell, times]) => {"
    + WAIT
    + """
    const area = window.jupyterapp.shell.currentWidget.content.widgets[cell].outputArea.node;
    const took = [];
    for (let i = 0; i < times; i++) {
        const block = area.querySelectorAll('.tl-row .tl-block')[i % 3];
        const want = block.getAttribute('aria-checked') === 'true' ? 'off' : 'on';
        const began = performance.now();
        block.click();
        await until(() => block.getAttribute('aria-busy') === 'false' && block.dataset.applied === want);
        took.push(performance.now() - began);
        await new Promise((done) => setTimeout(done, 100));
    }
    return took; }"""
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        base = Path(folder)
        (base / "root" / "course").mkdir(parents=True)
        (base / "root" / "nbgrader_config.py").touch()
        browser = playwright.chromium.launch(
            executable_path=str(find_browser()), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        with running_lab(base / "root", base) as lab:
            rows = measure(lab, page)
        browser.close()
    text = report(rows)
    print(text)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text)


def measure(lab: Lab, page: Page) -> dict[str, list[float]]:
    """Milliseconds of each measurement."""
    notebook = Notebook(lab, page, lab.write_notebook("bench.ipynb", SETUP, DRAW, TRAIN)).run_all()
    drawn = []
    for _ in range(7):
        drawn.append(page.evaluate(DRAWN, [1, 7]))
        notebook.wait_idle()
    idle = page.evaluate(TOGGLED, [1, 31])
    notebook.ask("training.fit(digits, epochs=10_000, batch_size=64) and None")
    live = notebook.panel.locator(".tl-has-live")
    expect(live).to_have_count(1, timeout=300_000)
    busy = page.evaluate(TOGGLED, [2, 31])
    notebook.ask("training.stop()")
    notebook.close()
    return {
        "ResNet-50: cell started → all blocks drawn": drawn,
        "ResNet-50, idle: click → applied and shown": idle,
        "glyphnet in training: click → applied and shown": busy,
    }


def report(rows: dict[str, list[float]]) -> str:
    lines = [
        "# LayerBoard in the browser",
        "",
        f"JupyterLab and Chromium on one machine, {cpu_quota():g} CPUs ({platform.machine()}), PyTorch "
        f"{torch.__version__}; by `python benchmarks/widgets.py`. Milliseconds.",
        "",
        "| | median | least | most | times |",
        "|---|---|---|---|---|",
    ]
    for name, values in rows.items():
        middle = statistics.median(values)
        lines.append(f"| {name} | {middle:.0f} | {min(values):.0f} | {max(values):.0f} | {len(values)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
