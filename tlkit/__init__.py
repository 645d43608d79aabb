"""Deep transfer learning, taught by doing: the library behind the lessons.

The names below are loaded when first used, so that `import tlkit` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Backbone": "tlkit.backbones",
    "History": "tlkit.history",
    "LayerBoard": "tlkit.widgets",
    "capture": "tlkit.layers",
    "check": "tlkit.exercises",
    "evaluate": "tlkit.training",
    "extract": "tlkit.features",
    "fit": "tlkit.training",
    "freeze": "tlkit.layers",
    "hint": "tlkit.exercises",
    "layer_table": "tlkit.layers",
    "linear_probe": "tlkit.features",
    "load_backbone": "tlkit.backbones",
    "quiz": "tlkit.exercises",
    "set_seed": "tlkit.training",
    "unfreeze": "tlkit.layers",
}

if TYPE_CHECKING:
    from tlkit.features import extract as extract
    from tlkit.features import linear_probe as linear_probe
    from tlkit.history import History as History
    from tlkit.layers import capture as capture
    from tlkit.layers import freeze as freeze
    from tlkit.layers import layer_table as layer_table
    from tlkit.layers import unfreeze as unfreeze
    from tlkit.training import evaluate as evaluate
    from tlkit.training import fit as fit
    from tlkit.training import set_seed as set_seed

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tlkit' has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__]
