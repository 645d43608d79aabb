"""The staged course against the one in the checkout: what differs, and how it is put in place."""

from __future__ import annotations

import difflib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlkit.build.course import LEFTOVERS, Lesson
from tlkit.build.lesson import Built
from tlkit.exercises.expected import same_expected
from tlkit.exercises.rules import compare_all


def drift(built: Built) -> list[str]:
    """How course/LESSON differs from what its sources build, in words.

    Files are compared byte for byte, except expected.json: another processor rounds otherwise, so its values
    need only pass for each other under the rules that judge students; the rest of it is compared exactly.
    """
    lesson, staged = built.lesson, built.staged
    old, new = _files(lesson.released), _files(staged.released)
    remedy = f"run `tlkit build {lesson.name}`"
    found = [f"course/{lesson.name}/{name} is missing: {remedy}" for name in sorted(new - old)]
    found += [f"course/{lesson.name}/{name} comes from no source: delete it" for name in sorted(old - new)]
    for name in sorted(old & new):
        if difference := _difference(lesson.released / name, staged.released / name):
            found.append(
                f"course/{lesson.name}/{name} is not what its sources build ({difference}): {remedy}"
            )
    return found


def install(built: Built) -> list[str]:
    """Put the build products in place; returns what changed in course/."""
    lesson, staged = built.lesson, built.staged
    changed = []
    pairs = [(getattr(staged, kind), getattr(lesson, kind)) for kind in ("notebook", "expected", "secret")]
    pairs += [(staged.released / name, lesson.released / name) for name in sorted(_files(staged.released))]
    for source, target in pairs:
        if target.is_file() and not _difference(target, source) and _as_fresh(target, source):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".tlkit-new")
        shutil.copy(source, partial)
        partial.replace(target)
        if target.is_relative_to(lesson.released):
            changed.append(target.relative_to(lesson.released).as_posix())
    for name in sorted(_files(lesson.released) - _files(staged.released)):
        (lesson.released / name).unlink()
        changed.append(f"{name} removed")
    return changed


def _as_fresh(old: Path, new: Path) -> bool:
    """Does an expected.json that passes for the new one also hold what known mistakes now measure?

    The drift check leaves that out: what a network trained by mistake predicts differs between processors.
    """
    if new.suffix != ".json" or old.read_bytes() == new.read_bytes():
        return True
    one, other = (json.loads(path.read_bytes())["exercises"] for path in (old, new))
    return all(same_expected(one[name]["misconceptions"], other[name]["misconceptions"]) for name in other)


def strays(root: Path, lessons: list[Lesson]) -> list[str]:
    """Folders in course/ that no lesson in solutions/ builds."""
    known = {lesson.name for lesson in lessons} | LEFTOVERS
    names = sorted(path.name for path in (root / "course").glob("[!.]*") if path.is_dir())
    return [f"course/{name} has no solutions/{name}: delete it" for name in names if name not in known]


def _files(folder: Path) -> set[str]:
    """Paths below a folder; hidden files and leftovers of Python and Jupyter aside."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if not any(p in LEFTOVERS or p[0] == "." for p in path.parts)}


def _difference(old: Path, new: Path) -> str:
    """How the file `old` differs from `new`, in a few words; "" where it does not."""
    before, after = old.read_bytes(), new.read_bytes()
    if before == after:
        return ""
    if new.name == "expected.json":
        try:
            return _expected_difference(json.loads(before), json.loads(after))
        except (ValueError, KeyError, TypeError, AttributeError):
            return "it is damaged"
    one, two = (raw.decode("utf-8", errors="replace").splitlines() for raw in (before, after))
    for line in difflib.unified_diff(one, two, lineterm="", n=0):
        if line[:1] in "+-" and line[:3] not in ("+++", "---"):
            return f"first difference: {line[:1]} {line[1:].strip()[:80]}"
    return "line ends"


def _expected_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if _bare(old) != _bare(new):
        return "exercises, rules, hints or labels changed"
    for name, entry in new["exercises"].items():
        for before, after in zip(old["exercises"][name]["parts"], entry["parts"], strict=True):
            for seed, values in after["expected"].items():
                faults = compare_all(before["expected"][seed], values, after["rules"])
                for label, fault in faults.items():
                    if fault is not None:
                        return f"{name}, {label}: {fault.text}"
    return ""


def _bare(expected: Mapping[str, Any]) -> Any:
    """Everything of an expected.json but measured values: of those, only which labels there are."""
    plain = json.loads(json.dumps(expected))
    for entry in plain["exercises"].values():
        for part in entry["parts"]:
            part["expected"] = {seed: sorted(values) for seed, values in part["expected"].items()}
        for wrong in entry["misconceptions"].values():
            wrong["parts"] = {
                index: {seed: sorted(found.get("labels", found)) for seed, found in seeds.items()}
                for index, seeds in wrong["parts"].items()
            }
    return plain
