"""Students' Markdown and HTML made harmless, for Formgrader and feedback alike: two filters of nbconvert."""

from __future__ import annotations

import re
from html import escape
from typing import Any

import bleach
from bleach.css_sanitizer import ALLOWED_CSS_PROPERTIES, CSSSanitizer
from jinja2 import pass_context
from jinja2.runtime import Context

TEXT = "a abbr b blockquote br code del div em h1 h2 h3 h4 h5 h6 hr i ins kbd li mark ol p pre q s samp small"
MORE = "span strong sub summary sup u ul details dd dl dt figcaption figure img"
TABLE = "caption col colgroup table tbody td tfoot th thead tr"
TAGS = f"{TEXT} {MORE} {TABLE}".split()
ATTRIBUTES = {
    "*": ["class", "style", "title", "lang", "dir", "aria-hidden", "aria-label", "role"],
    "details": ["open"],
    "ol": ["start"],
    "td": ["colspan", "rowspan"],
    "th": ["colspan", "rowspan", "scope"],
}
STYLES = [
    *ALLOWED_CSS_PROPERTIES,
    *("border", "border-left", "border-radius", "border-collapse", "line-height", "gap", "max-width"),
    *("margin", "padding", "flex", "flex-wrap", "align-items", "box-sizing", "list-style", "overflow-wrap"),
    *(f"{box}-{side}" for box in ("margin", "padding") for side in ("top", "right", "bottom", "left")),
]
_MATH_COMMANDS = re.compile(r"\\(href|url|require|cssId|class|style|unicode|newcommand|def|let)\b")


def _image_attribute(tag: str, name: str, value: str) -> bool:
    """Images come with the notebook: one on another server would tell it who looks."""
    if name == "src":
        return value.startswith(("data:image/png;", "data:image/jpeg;", "data:image/svg+xml;"))
    return name in ("alt", "width", "height")


def _link_attribute(tag: str, name: str, value: str) -> bool:
    return name == "href" and value.startswith(("https://", "http://", "mailto:", "#"))


_CLEANER = {
    "tags": TAGS,
    "attributes": {**ATTRIBUTES, "a": _link_attribute, "img": _image_attribute},
    "protocols": ["http", "https", "mailto", "data"],
    "css_sanitizer": CSSSanitizer(allowed_css_properties=STYLES),
    "strip": True,
}


def clean_html(text: Any) -> str:
    """HTML with what can run or reach out taken away; other tags, tables and inline styles stay."""
    text = text.decode("utf-8", errors="replace") if isinstance(text, bytes) else str(text)
    text = re.sub(r"(?is)<(script|style)\b.*?(</\1\s*>|\Z)", "", text)
    return _MATH_COMMANDS.sub(r"\\text{\1}", bleach.clean(text, **_CLEANER))


LONGEST_MARKDOWN, LONGEST_CODE, LONGEST_LINE = 6_000, 20_000, 500  # the time they cost grows with the square


def _as_it_is(source: str) -> str:
    shown = source[:LONGEST_CODE]  # nbconvert cleans it once more, and bleach is slow at many entities
    more = f"\n… and {len(source) - len(shown):,} more characters" if len(source) > len(shown) else ""
    return f'<div class="highlight"><pre>{escape(shown)}{more}</pre></div>'


def highlight_code(source: str, language: str | None = None, metadata: Any = None) -> str:
    """Code in colours; in black where colouring a stranger's text could take hours."""
    from nbconvert.filters.highlight import Highlight2HTML

    if len(source) > LONGEST_CODE or max(map(len, source.split("\n"))) > LONGEST_LINE:
        return _as_it_is(source)
    colour: Any = Highlight2HTML  # untyped in nbconvert
    return str(colour(pygments_lexer="ipython3")(source, language, metadata))


@pass_context
def markdown_to_html(context: Context, source: str) -> str:
    """Markdown, with formulas and attached images, as harmless HTML; very long text as it is."""
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    if len(source) > LONGEST_MARKDOWN:
        return _as_it_is(source)

    cell = context.get("cell") or {}
    renderer = IPythonRenderer(
        escape=False, attachments=cell.get("attachments", {}), exclude_anchor_links=True
    )
    try:
        return clean_html(MarkdownWithMath(renderer=renderer).render(source))
    except Exception:  # a picture that is missing, a thousand quotations one in the other
        return _as_it_is(source)
