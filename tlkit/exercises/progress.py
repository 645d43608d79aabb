"""What a student has done so far, kept in a small JSON file under $TLKIT_HOME or ~/.tlkit.

One file a course folder. Written whole or not at all; a damaged file is moved aside, a home that cannot be
written is tolerated (`trouble` says so), and nothing is kept while nbgrader executes notebooks.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

FORMAT = 1
_EMPTY = {"format": FORMAT, "exercises": {}, "questions": {}, "hints": {}}


def home() -> Path:
    """Where tlkit keeps what belongs to this person."""
    return Path(os.environ.get("TLKIT_HOME") or Path.home() / ".tlkit")


def path_of(course: Path) -> Path:
    """The progress file of a course folder."""
    where = str(Path(course).resolve())
    return home() / f"progress-{hashlib.sha256(where.encode()).hexdigest()[:12]}.json"


def load(course: Path) -> dict[str, Any]:
    """{"exercises": {name: {...}}, "questions": {name: {...}}, "hints": {name: count}}.

    Empty when there is none.
    """
    path = path_of(course)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] == FORMAT and all(
            isinstance(found[key], dict) for key in ("exercises", "questions", "hints")
        ):
            return dict(found)
    except FileNotFoundError:
        return json.loads(json.dumps(_EMPTY))  # type: ignore[no-any-return]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    with contextlib.suppress(OSError):
        path.replace(path.with_suffix(".damaged"))
    return json.loads(json.dumps(_EMPTY))  # type: ignore[no-any-return]


def _save(course: Path, content: dict[str, Any]) -> bool:
    """Write through a temporary file in the same folder; False where the home cannot be written."""
    if os.environ.get("NBGRADER_EXECUTION"):
        return False
    path = path_of(course)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".progress-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({**content, "course": str(course)}, file, ensure_ascii=False, indent=1)
        Path(name).replace(path)
    except OSError:
        return False
    return True


def record_check(course: Path, name: str, outcome: str, points: float, max_points: float) -> bool:
    """Keep the latest outcome and the best points of an exercise; False if it could not be kept."""
    content = load(course)
    before = content["exercises"].get(name, {})
    content["exercises"][name] = {
        "outcome": outcome,
        "points": max(points, before.get("points", 0.0)),
        "max_points": max_points,
        "checks": before.get("checks", 0) + 1,
        "when": int(time.time()),
    }
    return _save(course, content)


def record_answer(course: Path, name: str, choice: str, right: bool) -> bool:
    """Keep the answer to a predict-first question.

    The first one counts as the prediction, the last is kept too.
    """
    content = load(course)
    before = content["questions"].get(name)
    first = before["first"] if before else choice
    content["questions"][name] = {"first": first, "last": choice, "right": right, "when": int(time.time())}
    return _save(course, content)


def hints_seen(course: Path, name: str) -> int:
    """How many hints of an exercise were shown."""
    return int(load(course)["hints"].get(name, 0))


def record_hints(course: Path, name: str, count: int) -> bool:
    """Keep how many hints of an exercise were shown."""
    content = load(course)
    content["hints"][name] = count
    return _save(course, content)


def summary(course: Path) -> dict[str, dict[str, Any]]:
    """{lesson: {"points", "max_points", "right", "exercises"}} of every lesson in the course folder, in
    order.
    """
    from tlkit.exercises.lesson import LessonError, read_expected

    done = load(course)["exercises"]
    lessons: dict[str, dict[str, Any]] = {}
    for path in sorted(Path(course).glob("*/expected.json")):
        try:
            entries = read_expected(path)["exercises"]
        except LessonError:
            continue
        lessons[path.parent.name] = {
            "points": sum(min(done.get(n, {}).get("points", 0.0), e["points"]) for n, e in entries.items()),
            "max_points": sum(e["points"] for e in entries.values()),
            "right": sum(done.get(n, {}).get("points", 0.0) >= e["points"] for n, e in entries.items()),
            "exercises": len(entries),
        }
    return lessons
