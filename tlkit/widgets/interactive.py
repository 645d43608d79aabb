"""What every interactive picture does: appear live where it can, as a still picture where it cannot.

A widget lives in the kernel and in the page. A notebook that is printed, mailed, or opened without its
kernel holds neither, and Jupyter would put an error message where the picture was. So each picture is shown
as two outputs: the live widget, and a still (plain HTML, with a text form for terminals). A rule of CSS hides
the still while the widget lives, and hides the dead widget's message otherwise.
"""

import os
import sys
import uuid
from typing import Any

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

# The still's own style: `.tl-live` is a class that only a rendered widget has.
_RULES = """<style>
.jp-OutputArea-child:has(> * .tl-live, > .tl-live) + .jp-OutputArea-child > :has(> .tl-still),
.jp-OutputArea-child:has(> * .tl-live, > .tl-live) + .jp-OutputArea-child .tl-still,
.jp-OutputArea-child:not(:has(.tl-live)):has(+ .jp-OutputArea-child .tl-still) { display: none; }
.tl-still { font: 14px/1.5 var(--jp-content-font-family, system-ui, sans-serif); max-width: 60em; }
</style>"""


def front_end() -> bool:
    """Is somebody looking who could click?

    True in JupyterLab, Notebook, VS Code, Colab and Voila. False in a terminal, in a plain Python process and
    where a notebook is executed without being watched: nbconvert, nbgrader, papermill. There, widgets show
    text and training runs in the foreground. TLKIT_HEADLESS=1 (or 0) in the environment overrules.
    """
    forced = os.environ.get("TLKIT_HEADLESS")
    if forced in ("0", "1"):
        return forced == "0"
    shell = running_shell()
    if not _in_kernel():
        return False  # plain Python, or IPython in a terminal
    if os.environ.get("NBGRADER_EXECUTION"):
        return False  # autograding or validating
    if os.environ.get("SERVER_SOFTWARE", "").startswith("voila"):
        return True  # Voila executes headless, then serves the page
    # nbclient, under nbconvert and papermill, starts kernels without a history file; nobody else does.
    return str(getattr(shell.history_manager, "hist_file", "")) != ":memory:"


def running_shell() -> Any:
    """The running IPython shell, or None. Does not import IPython: a plain script should not pay for it."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def _publish(bundle: dict[str, Any], **how: Any) -> None:
    """Send one output to the notebook. IPython's display() carries no types."""
    from IPython.display import display

    update = how.pop("update", False)
    publish: Any = display
    publish(bundle, raw=True, update=update, **how)


class Interactive:
    """Base of all pictures: shown live where somebody can click, still elsewhere.

    A subclass says its `text`, its `still` and how to make its `live` widget, which is made only when it is
    shown to somebody: executing a notebook unwatched creates no widget and stores no widget state.
    """

    _face: Any = None  # the live widget, once there is one
    _still_id: str | None = None

    def text(self) -> str:
        """The picture in words, for terminals and for notebooks run unwatched."""
        raise NotImplementedError

    def still(self) -> str:
        """The picture as plain HTML that needs neither kernel nor script."""
        raise NotImplementedError

    def live(self) -> Any:
        """A new ipywidgets widget that shows this picture and answers clicks."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.text()

    def _ipython_display_(self, **_: object) -> None:
        """Called by IPython in place of a repr."""
        if not _in_kernel():
            print(self.text())
            return
        if front_end():
            if self._face is None:
                self._face = self.live()
                self._face.add_class("tl-live")
            view = {"version_major": 2, "version_minor": 0, "model_id": self._face.model_id}
            _publish({WIDGET_VIEW: view, "text/plain": f"[{type(self).__name__}]"})
        self._still_id = self._still_id or uuid.uuid4().hex
        _publish(self._still_bundle(), display_id=self._still_id)

    def _still_bundle(self) -> dict[str, str]:
        html = f'{_RULES}<div class="tl-still">{self.still()}</div>'
        return {"text/html": html, "text/plain": self.text()}

    def refresh_still(self) -> None:
        """Bring the still up to date, so that a notebook saved now shows what is true now."""
        if self._still_id is not None and _in_kernel():
            _publish(self._still_bundle(), display_id=self._still_id, update=True)


def _in_kernel() -> bool:
    return hasattr(running_shell(), "kernel")
