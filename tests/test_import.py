"""What `import tlkit` gives, and what it costs."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

import tlkit


@pytest.mark.parametrize("name", sorted(tlkit._HOME))
def test_every_public_name_exists(name: str) -> None:
    """The lazily loaded names are there, under the very home they are said to have."""
    home = importlib.import_module(tlkit._HOME[name])
    assert getattr(tlkit, name) is getattr(home, name)


def test_importing_tlkit_loads_nothing_heavy() -> None:
    """Not even PyTorch; and training, layers and features do without matplotlib, scikit-learn, widgets."""
    code = """
import json, sys
import tlkit
first = [m for m in ("torch", "numpy", "matplotlib", "sklearn") if m in sys.modules]
tlkit.fit, tlkit.layer_table, tlkit.linear_probe, tlkit.extract
heavy = ("matplotlib", "sklearn", "torchvision", "ipywidgets", "IPython", "scipy", "torch._dynamo")
print(json.dumps([first, [m for m in heavy if m in sys.modules]]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], []]


def test_an_unknown_name_is_an_attribute_error_that_lists_the_names() -> None:
    """So that hasattr, from-imports and a student's typo behave."""
    assert not hasattr(tlkit, "freze")
    with pytest.raises(AttributeError, match=r"no attribute 'freze'.*freeze"):
        _ = tlkit.freze
    assert set(tlkit._HOME) <= set(dir(tlkit))
