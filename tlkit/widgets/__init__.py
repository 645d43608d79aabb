"""Interactive pictures: they show, and let one change, what the plain functions of tlkit know."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlkit.widgets.courseprogress import CourseProgress as CourseProgress
    from tlkit.widgets.featuremap import FeatureMap as FeatureMap
    from tlkit.widgets.layerboard import LayerBoard as LayerBoard
    from tlkit.widgets.monitor import TrainingMonitor as TrainingMonitor
    from tlkit.widgets.quiz import Quiz as Quiz
    from tlkit.widgets.shift import ShiftDial as ShiftDial
    from tlkit.widgets.temperature import TemperatureDial as TemperatureDial

_HOME = {
    "CourseProgress": "courseprogress",
    "FeatureMap": "featuremap",
    "LayerBoard": "layerboard",
    "Quiz": "quiz",
    "ShiftDial": "shift",
    "TemperatureDial": "temperature",
    "TrainingMonitor": "monitor",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Import a widget when it is first asked for: ipywidgets costs a third of a second."""
    if name not in _HOME:
        raise AttributeError(f"module 'tlkit.widgets' has no attribute {name!r}; it has {', '.join(_HOME)}")
    return getattr(importlib.import_module(f"tlkit.widgets.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
