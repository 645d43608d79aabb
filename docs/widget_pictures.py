"""Takes the pictures of docs/widgets.md and of the README in a real JupyterLab.

    python docs/widget_pictures.py

Each is a screenshot of a live widget, in 64 colours to stay small. Needs the dev dependencies and Chromium.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, expect, sync_playwright

from tlkit.doctor import find_browser

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT / "tests"))
from lab_driver import Notebook, running_lab  # noqa: E402  # found only once the path above is set

SETUP = """\
import torch
from tlkit import load_backbone, freeze
from tlkit.data import digits_split, few_shot, printed_digits
from tlkit.widgets import *
train, test = digits_split()
model = load_backbone("glyphnet")
model.head = torch.nn.Linear(model.feature_dim, 10)"""
CELLS = {
    "layerboard": """\
board = LayerBoard(model, test.images[:64], lr=3e-3)
board.freeze("stem", "stage1")
board""",
    "quiz": """\
Quiz("which", "Ten digits, **one label each**. Which reads more unseen digits?",
     {"the network with its body frozen": "Ten images teach no features; the printed letters did already.",
      "the network trained throughout": "More freedom, but ten images cannot say where to go."},
     "the network with its body frozen")""",
    "monitor": "monitor = TrainingMonitor()\nmonitor",
    "temperature": """\
teacher = load_backbone("glyphnet")
teacher.head = torch.nn.Linear(teacher.feature_dim, 10)
from tlkit import fit, extract, linear_probe
probe = linear_probe(extract(teacher.body, train.images[:300]), train.labels[:300], 10)
logits = probe.logits(extract(teacher.body, test.images[:20]))
dial = TemperatureDial(logits, test.images[:20], classes=test.classes, labels=test.labels[:20])
dial.turn(temperature=4.0, index=5)
dial""",
    "shift": """\
class Reader(torch.nn.Module):
    def forward(self, x):
        return probe.logits(teacher.body(x))
shift = ShiftDial(Reader(), test.images[:50], test.labels[:50], classes=test.classes)
shift.turn("rotate", 40.0)
shift""",
    "featuremap": """\
source = few_shot(printed_digits(per_class=12, seed=0), 12, seed=0)
feature_map = FeatureMap({"printed": source, "handwritten": few_shot(test, 12, seed=0)}, limit=120)
feature_map.add(load_backbone("glyphnet").body, "features of printed letters")
feature_map""",
    "progress": "CourseProgress()",
}

STEPS = "n => Number(document.querySelector('.tl-board').dataset.step) > n"


def save(place: Locator, name: str) -> None:
    """A screenshot of an element, in 64 colours."""
    image = Image.open(io.BytesIO(place.screenshot(animations="disabled"))).convert("RGB")
    IMAGES.mkdir(exist_ok=True)
    image.quantize(64, method=Image.Quantize.MAXCOVERAGE).save(IMAGES / f"{name}.png", optimize=True)
    print(f"{name}.png: {(IMAGES / f'{name}.png').stat().st_size / 1024:.0f} KB")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        base = Path(folder)
        (base / "root").mkdir()
        (base / "root" / "course").symlink_to(ROOT / "course")
        (base / "root" / "nbgrader_config.py").touch()
        browser = playwright.chromium.launch(
            executable_path=str(find_browser()), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1180, "height": 1400})
        with running_lab(base / "root", base, environment={"TLKIT_HOME": folder}) as lab:
            path = lab.write_notebook("pictures.ipynb", SETUP, *CELLS.values())
            notebook = Notebook(lab, page, path).run_all()
            page.keyboard.press("Control+b")
            shown = {
                name: notebook.panel.locator(".jp-CodeCell").nth(i + 1).locator(".tl-live").first
                for i, name in enumerate(CELLS)
            }
            notebook.ask("board.fit(train, epochs=60, batch_size=64) and None")
            board = shown["layerboard"]
            expect(board.locator(".tl-has-live")).to_have_count(1, timeout=300_000)
            page.wait_for_function(STEPS, arg=25, timeout=300_000)
            board.locator("[data-layer='body.stage2']").click()
            expect(board.locator("[data-layer='body.stage2']")).to_have_attribute("aria-busy", "false")
            page.wait_for_function(STEPS, arg=40, timeout=300_000)
            save(board, "layerboard")
            notebook.ask("board.stop()")
            notebook.ask("monitor.fit(model, train, epochs=4, validation=test) and None")
            expect(shown["monitor"].locator("polyline.tl-validation")).to_have_count(1, timeout=300_000)
            expect(shown["monitor"]).to_contain_text("Done after", timeout=300_000)
            shown["quiz"].get_by_role("radio").nth(1).click()
            shown["featuremap"].locator(".tl-points-body > svg path").nth(30).hover(force=True)
            for name in CELLS:
                if name != "layerboard":
                    save(shown[name], name)
            notebook.close()
        browser.close()


if __name__ == "__main__":
    main()
