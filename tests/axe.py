"""axe-core, the accessibility checker, in a page: fetched by npm when first needed, kept in a cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

VERSION = "4.14.1"
SERIOUS = ("serious", "critical")


def source() -> Path:
    """The path of axe.min.js; a test is skipped, with the reason, where npm cannot get it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tlkit" / f"axe-core-{VERSION}"
    script = cache / "node_modules" / "axe-core" / "axe.min.js"
    if script.is_file():
        return script
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm to fetch axe-core with: install Node.js")
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(cache), f"axe-core@{VERSION}"]
    cache.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if not script.is_file():
        pytest.skip(f"npm could not fetch axe-core {VERSION}: {done.stderr.strip()[-300:]}")
    return script


def violations(page: Page, within: str) -> list[dict[str, Any]]:
    """Serious and critical violations inside the elements that the CSS selector `within` names."""
    if not page.evaluate("() => 'axe' in window"):
        page.add_script_tag(content=source().read_text())
    found = page.evaluate(
        """async within => (await axe.run(within, {resultTypes: ['violations']})).violations.map(
            v => ({id: v.id, impact: v.impact, help: v.help,
                   where: v.nodes.map(n => n.target.join(' ') + ' · ' + n.html.slice(0, 120))}))""",
        within,
    )
    return [one for one in found if one["impact"] in SERIOUS]
