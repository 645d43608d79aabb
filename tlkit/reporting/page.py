"""The report as one HTML file: nothing in it runs, and it asks for nothing from anywhere."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tlkit.reporting import figures, words
from tlkit.reporting.report import Report

_HERE = Path(__file__).parent


def to_html(report: Report) -> str:
    """The page; whatever came from submissions, rosters or lessons is escaped by the template."""
    pages = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["prose"] = words.prose
    style = Markup((_HERE / "page.css").read_text(encoding="utf-8"))
    page = pages.get_template("page.html")
    return (
        page.render(report=report, evidence=report.evidence, words=words, figures=figures, style=style) + "\n"
    )
