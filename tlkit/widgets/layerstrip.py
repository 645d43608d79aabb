"""The drawn part of a LayerBoard."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets as t

_HERE = Path(__file__).parent


class LayerStrip(anywidget.AnyWidget):
    """Blocks and layers as checkboxes. The page writes only `unfolded` and `here`; it asks by messages."""

    _esm = _HERE / "layerstrip.js"
    _css = _HERE / "layerstrip.css"
    layers = t.List(t.Dict()).tag(sync=True)  # see tlkit.widgets.layerfacts.layer_rows
    blocks = t.List(t.Dict()).tag(sync=True)  # see block_rows
    state = t.Dict().tag(sync=True)  # what is asked and what is so, layer by layer
    live = t.Dict().tag(sync=True)  # what was measured, block by block
    status = t.Unicode().tag(sync=True)
    unfolded = t.List(t.Int()).tag(sync=True)  # blocks whose layers are shown
    here = t.Unicode().tag(sync=True)  # the block or layer that has the focus
