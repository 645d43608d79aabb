"""A submitted notebook brought back to the lesson's shape, without touching what the student wrote.

Students delete, duplicate, move and copy cells. Answers keep their text; locked cells, tests and nbgrader's
metadata come from the lesson; everything that had to be put right is said in a remark.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nbformat.notebooknode import NotebookNode

from tlkit.build.names import defined, needed
from tlkit.build.notebooks import HIDDEN, is_demo, is_setup, nbgrader, new_node

NOT_RUN = "tlkit-not-run"  # the tag that Execute skips; only `restore` sets it
# The lesson's own cells are the same in each submission; what students write is not kept.
_defined_by_demo = functools.lru_cache(maxsize=1024)(defined)


class NotGradable(ValueError):
    """This file is no attempt at this lesson; the message says why and what to ask the student for."""


@dataclass(frozen=True)
class Restored:
    notebook: NotebookNode
    remarks: list[str]


def restore(submitted: NotebookNode, source: NotebookNode, texts: Mapping[str, str]) -> Restored:
    """`source` is the instructor's notebook, `texts` the released text of its marked cells by grade id.

    NotGradable where nothing in `submitted` belongs to the lesson.
    """
    originals = {nbgrader(cell)["grade_id"]: cell for cell in source.cells if nbgrader(cell)}
    cells = [_plain(cell) for cell in submitted.cells]
    remarks: list[str] = []
    found = _match(cells, originals, texts, remarks)
    if not any(nbgrader(originals[grade_id])["solution"] for grade_id in found):
        raise NotGradable(
            "none of the lesson's answer cells is in it: it may be the notebook of another lesson, or one "
            "rewritten by another program. Ask for the notebook that was handed out."
        )
    cells = _put_back(cells, found, source, originals, texts, remarks)
    cells = _in_order(cells, originals, remarks)
    _choose_what_runs(cells, source)
    notebook = copy.copy(submitted)
    notebook.cells = cells
    notebook.metadata = copy.deepcopy(source.metadata)
    return Restored(notebook, remarks)


def _plain(cell: NotebookNode) -> NotebookNode:
    """The cell with its text and nbgrader mark only: no tags, attachments aside no other metadata."""
    new = copy.deepcopy(cell)
    mark = nbgrader(cell)
    new.metadata = new_node(nbgrader=new_node(**mark)) if mark else new_node()
    return new


def _match(
    cells: list[NotebookNode],
    originals: Mapping[str, NotebookNode],
    texts: Mapping[str, str],
    remarks: list[str],
) -> dict[str, NotebookNode]:
    """Which submitted cell is which of the lesson's; all others lose their marks."""
    marked: dict[str, list[NotebookNode]] = {}
    for cell in cells:
        grade_id = nbgrader(cell).get("grade_id")
        if isinstance(grade_id, str) and grade_id in originals:
            marked.setdefault(grade_id, []).append(cell)
        elif nbgrader(cell):
            remarks.append(
                f'a cell was marked as "{grade_id}", which the lesson does not have: taken as a cell of '
                "the student's own"
            )
        cell.metadata.pop("nbgrader", None)
    found = {}
    for grade_id, original in originals.items():
        candidates = marked.get(grade_id) or _unmarked(cells, grade_id, original, remarks)
        if len(candidates) > 1:
            candidates = _one_of(cells, candidates, grade_id, texts, remarks)
        for cell in candidates:
            if cell.cell_type != original.cell_type:
                remarks.append(f'"{grade_id}" was a {cell.cell_type} cell: taken as {original.cell_type}')
                _retype(cell, original.cell_type)
            cell.metadata = copy.deepcopy(original.metadata)
            if nbgrader(original).get("locked"):
                _lock(cell, texts.get(grade_id, original.source), remarks)
            found[grade_id] = cell
    return found


def _lock(cell: NotebookNode, text: str, remarks: list[str]) -> None:
    """Give a locked cell its text back; its tests may have been hidden when it was handed out."""
    if cell.source.strip() not in (text.strip(), text.split(HIDDEN)[0].strip()):
        remarks.append(f'the {_kind(cell)} cell "{nbgrader(cell)["grade_id"]}" had been changed: put back')
    cell.source = text


def _kind(cell: NotebookNode) -> str:
    """What students know a marked cell as."""
    mark = nbgrader(cell)
    return "answer" if mark["solution"] else "test" if mark["grade"] else "locked"


def _unmarked(
    cells: list[NotebookNode], grade_id: str, original: NotebookNode, remarks: list[str]
) -> list[NotebookNode]:
    """The cell that lost its mark, as when pasted elsewhere: found by cell id or by what it defines."""
    free = [cell for cell in cells if not nbgrader(cell) and cell.cell_type == original.cell_type]
    same = [cell for cell in free if cell.get("id") == original.id]
    if not same and nbgrader(original)["solution"] and original.cell_type == "code":
        same = [cell for cell in free if grade_id in defined(cell.source)][-1:]
    if same:
        remarks.append(f'"{grade_id}" had lost its mark and was recognised')
    return same[:1]


def _one_of(
    cells: list[NotebookNode],
    twins: list[NotebookNode],
    grade_id: str,
    texts: Mapping[str, str],
    remarks: list[str],
) -> list[NotebookNode]:
    """Of several cells with one mark: the last that was worked on. Untouched copies are taken out."""
    remarks.append(f'"{grade_id}" was there {len(twins)} times: the last one worked on counts')
    worked = [cell for cell in twins if cell.source.strip() != texts.get(grade_id, "").strip()]
    if worked:
        untouched = {id(cell) for cell in twins} - {id(cell) for cell in worked}
        cells[:] = [cell for cell in cells if id(cell) not in untouched]
    return (worked or twins)[-1:]


def _retype(cell: NotebookNode, cell_type: str) -> None:
    cell.cell_type = cell_type
    for key in ("outputs", "execution_count", "attachments"):
        cell.pop(key, None)
    if cell_type == "code":
        cell.outputs, cell.execution_count = [], None


def _put_back(
    cells: list[NotebookNode],
    found: dict[str, NotebookNode],
    source: NotebookNode,
    originals: Mapping[str, NotebookNode],
    texts: Mapping[str, str],
    remarks: list[str],
) -> list[NotebookNode]:
    """Insert every marked cell that is missing after the nearest earlier one that is there."""
    order = [nbgrader(cell)["grade_id"] for cell in source.cells if nbgrader(cell)]
    for position, grade_id in enumerate(order):
        if grade_id in found:
            continue
        original = originals[grade_id]
        new = copy.deepcopy(original)
        new.source = texts.get(grade_id, original.source)
        if new.cell_type == "code":
            new.outputs, new.execution_count = [], None
        before = [_index(cells, found[name]) for name in order[:position]]
        cells.insert(max(before, default=-1) + 1, new)
        found[grade_id] = new
        remarks.append(f'the {_kind(original)} cell "{grade_id}" was missing and was put back as handed out')
    return cells


def _in_order(
    cells: list[NotebookNode], originals: Mapping[str, NotebookNode], remarks: list[str]
) -> list[NotebookNode]:
    """Setup before every answer, each test after its answer: as students saw it when they ran them."""
    order, moved = list(originals), False
    for position, name in enumerate(order):
        setup = next(
            (cell for cell in cells if is_setup(cell) and nbgrader(cell).get("grade_id") == name), None
        )
        later = [index for index, cell in enumerate(cells) if _answers(cell, order[position + 1 :])]
        if setup is not None and later and _index(cells, setup) > later[0]:
            cells = [cell for cell in cells if cell is not setup]
            cells.insert(later[0], setup)
            moved = True
    if moved:
        remarks.append("the setup cell stood below the answers: it was run first")
    for grade_id in originals:
        test = next((cell for cell in cells if nbgrader(cell).get("grade_id") == f"test_{grade_id}"), None)
        answer = next((cell for cell in cells if nbgrader(cell).get("grade_id") == grade_id), None)
        if test is not None and answer is not None and _index(cells, test) < _index(cells, answer):
            remarks.append(f'the test of "{grade_id}" stood above its answer: it was run after it')
            cells = [cell for cell in cells if cell is not test]
            cells.insert(_index(cells, answer) + 1, test)
    return cells


def _answers(cell: NotebookNode, names: Iterable[str]) -> bool:
    """Is this the code cell that answers one of these exercises?"""
    mark = nbgrader(cell)
    return bool(cell.cell_type == "code" and mark.get("solution") and mark.get("grade_id", "") in set(names))


def _choose_what_runs(cells: list[NotebookNode], source: NotebookNode) -> None:
    """Mark demo cells that are still as handed out as not to be run, but for those an answer builds on."""
    demos = {cell.source.strip() for cell in source.cells if is_demo(cell)}
    idle = [
        cell
        for cell in cells
        if cell.cell_type == "code" and not nbgrader(cell) and cell.source.strip() in demos
    ]
    running = [
        cell for cell in cells if cell.cell_type == "code" and all(cell is not other for other in idle)
    ]
    known = {name for cell in running for name in defined(cell.source)}
    wanted = {
        name for cell in running if nbgrader(cell).get("solution") for name in needed(cell.source)
    } - known
    while needy := [cell for cell in idle if wanted & _defined_by_demo(cell.source)]:
        idle = [cell for cell in idle if all(cell is not other for other in needy)]
        known |= {name for cell in needy for name in _defined_by_demo(cell.source)}
        wanted = {name for cell in needy for name in needed(cell.source)} - known
    for cell in idle:
        cell.metadata.tags = ["demo", NOT_RUN]


def _index(cells: Iterable[NotebookNode], wanted: NotebookNode) -> int:
    """Position by identity: two cells with one text are equal but not the same."""
    return next(index for index, cell in enumerate(cells) if cell is wanted)
