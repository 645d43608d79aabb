"""Find the student's function in their notebook, or say why it is not there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any


def find_code(name: str, entry: Mapping[str, Any], namespace: Mapping[str, Any]) -> tuple[Any, str]:
    """(the object called `name` in the notebook, "") or (None, what is wrong)."""
    if name in namespace:
        return namespace[name], ""
    mine = [key for key, value in namespace.items() if callable(value) and not key.startswith("_")]
    close = difflib.get_close_matches(name, mine, n=2, cutoff=0.75)
    if close:
        return None, (
            f"{name} is not defined in this notebook, but {' and '.join(close)} is: the name must be "
            f"exactly {name}."
        )
    return None, (
        f"{name} is not defined in this notebook yet: run the cell that starts with "
        f"`{'class' if entry['kind'] == 'class' else 'def'} {name}` first."
    )
