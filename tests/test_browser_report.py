"""The class report in a real browser: opened as a file, in both themes, on paper and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe import violations
from class_for_reports import NOW, lecture
from playwright.sync_api import Browser, Page, expect

from tlkit.reporting.page import to_html
from tlkit.reporting.report import make


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a made-up class as a file."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(to_html(make(lecture(), NOW)), encoding="utf-8")
    return path


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


@pytest.mark.parametrize(("theme", "paper"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(18, 22, 27)")])
def test_reads_well_in_both_themes(browser: Browser, report: Path, theme: str, paper: str) -> None:
    """The theme is followed, the console silent, nothing asked for; axe-core finds nothing serious."""
    context = browser.new_context(color_scheme=theme, bypass_csp=True)  # axe-core is a script
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    assert background(page) == paper
    expect(page.get_by_role("heading", level=1)).to_have_text("Feature extraction")
    first = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="not standardised"))
    expect(first).to_contain_text("7 students")
    expect(first).to_contain_text("s005, s008, s030")
    expect(page.get_by_role("table", name="Difficulty and discrimination")).to_contain_text("Freeze the body")
    expect(page.get_by_role("img", name="Points of the tests: 59 students, median 14")).to_be_visible()
    page.get_by_role("link", name="Exercises", exact=True).click()
    expect(page.locator("h2#exercises")).to_be_in_viewport()
    picture = report.with_name(f"{theme}.png")
    page.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 50_000
    assert (said, asked) == ([], [report.as_uri()])
    assert violations(page, "body") == []
    context.close()


def test_nothing_runs_in_it(page: Page, report: Path, tmp_path: Path) -> None:
    """Were a script to get into the page after all, the page's own policy would keep it from running."""
    broken = tmp_path / "broken.html"
    text = report.read_text(encoding="utf-8")
    broken.write_text(text.replace("</body>", "<script>document.title = 'ran'</script></body>"))
    page.goto(broken.as_uri())
    assert page.title() == "Feature extraction: class report"


def test_prints_on_paper(page: Page, report: Path) -> None:
    """Dark theme or not, print is dark on white, without navigation, and no misconception is torn apart."""
    page.emulate_media(media="print", color_scheme="dark")
    page.goto(report.as_uri())
    assert background(page) == "rgb(255, 255, 255)"
    expect(page.get_by_role("navigation")).to_be_hidden()
    whole = page.locator(".mistake").first
    assert whole.evaluate("one => getComputedStyle(one).breakInside") == "avoid"
    pdf = page.pdf(path=report.with_name("report.pdf"), format="A4")
    assert pdf.startswith(b"%PDF")
    assert 3 <= pdf.count(b"/Type /Page\n") <= 12


@pytest.mark.parametrize("width", [1280, 820, 360])
def test_fits_its_window(page: Page, report: Path, width: int) -> None:
    """Nothing sticks out at the side, from desktop to phone; a wide table scrolls in its own frame."""
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    name = page.locator(".numbers tbody th").first
    assert name.evaluate("one => one.getBoundingClientRect().width") > 120  # no column is squeezed
