"""What a picture may know of the notebook around it."""

from __future__ import annotations

import weakref
from typing import Any

from tlkit.widgets.interactive import running_shell

_MADE: dict[
    str, list[tuple[str, weakref.ref[Any]]]
] = {}  # cell -> boards made by it, with the run of the cell


def variable_of(value: object) -> str | None:
    """The name under which the notebook holds `value`, or None."""
    shell = running_shell()
    if shell is None:
        return None
    names = [name for name, held in list(shell.user_ns.items()) if held is value and not name.startswith("_")]
    return names[0] if names else None


def take_over(board: Any) -> None:
    """A cell that is run again replaces the boards of its earlier run: those are stopped and closed."""
    cell, run = _cell()
    if cell is None or run is None:
        return
    before = _MADE.get(cell, [])
    for earlier, made in before:
        old = made()
        if earlier != run and old is not None:
            old.close()
    _MADE[cell] = [(r, made) for r, made in before if r == run] + [(run, weakref.ref(board))]


def _cell() -> tuple[str | None, str | None]:
    """Which cell runs, and which run of it this is, where the page says so (JupyterLab does)."""
    shell = running_shell()
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return None, None
    parent = kernel.get_parent() or {}
    return parent.get("metadata", {}).get("cellId"), parent.get("header", {}).get("msg_id")


def on_cell_end(owner: Any, method: str) -> None:
    """Call `owner.method()` after every cell, for as long as the owner lives."""
    shell = running_shell()
    if shell is None:
        return
    held = weakref.ref(owner)

    def call(*_: Any) -> None:
        alive = held()
        if alive is None:
            shell.events.unregister("post_run_cell", call)
        else:
            getattr(alive, method)()

    shell.events.register("post_run_cell", call)
