"""The README says nothing that the course or a benchmark does not."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LESSONS = sorted(path for path in (ROOT / "course").glob("[0-9][0-9]_*/*.ipynb"))


@pytest.mark.parametrize("notebook", LESSONS, ids=lambda path: path.stem)
def test_every_lesson_has_a_row_with_its_title_points_and_time(notebook: Path) -> None:
    """Title, points and minutes of the table are those of the released notebook."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    head = "".join(cells[0]["source"])
    points = sum(cell["metadata"].get("nbgrader", {}).get("points", 0) for cell in cells)
    title = re.search(r"^# \d\d · (.+)$", head, re.MULTILINE)
    minutes = re.search(r"about ([^·\n]+?) ·", head)
    assert title, f"{notebook.name} opens without a title such as `# 01 · Feature extraction`"
    assert minutes, f"{notebook.name} does not say `about … minutes` in its first cell"
    link = f"[{notebook.stem[:2]} · {title[1]}]({notebook.relative_to(ROOT).as_posix()})"
    assert f"| {link} | {points:g} | {minutes[1]} |" in README


def test_the_transfer_table_is_what_the_benchmark_printed() -> None:
    """The README has every row of benchmarks/results/transfer.md, and no other such row."""
    page = (ROOT / "benchmarks/results/transfer.md").read_text(encoding="utf-8")
    printed, quoted = (
        [line for line in text.splitlines() if "±" in line and line.startswith("|")]
        for text in (page, README)
    )
    assert printed
    assert quoted == printed


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_somewhere(target: str) -> None:
    """Each relative link or picture is a file of the project."""
    assert target.startswith("https://") or (ROOT / target).exists()
