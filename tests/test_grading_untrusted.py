"""What the grader's own process makes of bytes and data that strangers choose: random damage, known bombs."""

from __future__ import annotations

import base64
import contextlib
import copy
import itertools
import json
import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nbformat import validate

from tlkit.build.names import defined, needed
from tlkit.build.notebooks import new_cell, new_node, new_notebook, read_notebook, write_notebook
from tlkit.exercises.compare import compare
from tlkit.exercises.rules import compare_all
from tlkit.grading.html import highlight_code
from tlkit.grading.job import in_need, verdicts
from tlkit.grading.process import wire
from tlkit.grading.restore import NotGradable, restore
from tlkit.grading.submission import as_notebook, one_line
from tlkit.grading.transcript import PNG, read

ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    10**400,
    "",
    "x",
    "\ud800",
    "\x00\x1b[2J",
    [],
    {},
    [[]],
    {"": 0},
    {"a": {}},
]
ODD += ["a", "values", "late", 2**63, [0.0] * 18, {"array": "tensor"}, {"object": "x"}, {"float": "nan"}]
TENSOR = {
    "array": "tensor",
    "dtype": "float32",
    "shape": [2, 2],
    "device": "cpu",
    "data": [0.5, 1.5, -2.0, 0.0],
}
RAISED = {
    "type": "ValueError",
    "message": "no",
    "where": "student",
    "line": 3,
    "source": "x",
    "cell": "In[1]",
}


def _spots(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every place of a nested value: (container, key)."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        found.append((value, key))
        _spots(inner, found)
    return found


def _damage(value: Any, chance: random.Random) -> Any:
    """A copy with a few places replaced, removed, renamed, doubled or exchanged."""
    value = copy.deepcopy(value)
    for _ in range(chance.randint(1, 4)):
        spots = _spots(value, [])
        if not spots:
            break
        container, key = chance.choice(spots)
        what = chance.randrange(5)
        if what == 0:
            container.pop(key)
        elif what == 1 and isinstance(container, dict):
            container[chance.choice(["", "probe", "cell", "again", "\ud800", "shape", "data"])] = (
                container.pop(key)
            )
        elif what == 2 and isinstance(container, list):
            container.insert(0, copy.deepcopy(container[key]))
        elif what == 3:
            other, place = chance.choice(spots)
            container[key] = copy.deepcopy(other[place]) if _has(other, place) else None
        else:
            container[key] = copy.deepcopy(chance.choice(ODD))
    return value


def _has(container: Any, key: Any) -> bool:
    return key in container if isinstance(container, dict) else isinstance(key, int) and key < len(container)


NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "python3"}},
    "cells": [
        {
            "id": "setup",
            "cell_type": "code",
            "source": ["import torch\n", "x = 1"],
            "outputs": [],
            "execution_count": 1,
            "metadata": {
                "nbgrader": {"grade_id": "setup", "grade": False, "solution": False, "locked": True}
            },
        },
        {
            "id": "answer",
            "cell_type": "code",
            "source": "def f(x):\n    return x",
            "metadata": {"tags": ["a"], "nbgrader": {"grade_id": "f", "solution": True, "checksum": "0"}},
        },
        {
            "cell_type": "markdown",
            "source": "![a](attachment:a.png)",
            "attachments": {"a.png": {"image/png": "aGk="}},
        },
        {"cell_type": "raw", "source": "raw", "metadata": {}},
    ],
}


def _source() -> Any:
    """An instructor's notebook with the two marked cells of NOTEBOOK."""
    cells = []
    for name, solution in (("setup", False), ("f", True)):
        cell = new_cell("code", f"# {name}")
        cell.metadata.nbgrader = new_node(
            grade_id=name, grade=False, solution=solution, locked=not solution, task=False, schema_version=3
        )
        cells.append(cell)
    return new_notebook(cells)


def test_any_notebook_is_read_restored_and_written_or_refused(tmp_path: Path) -> None:
    """1,500 damaged files: each becomes a valid notebook or NotGradable, and nothing else."""
    source, read_ones = _source(), 0
    for seed in range(1_500):
        chance = random.Random(seed)
        data = json.dumps(_damage(NOTEBOOK, chance)).encode()
        if chance.random() < 0.3:
            place = chance.randrange(len(data))
            data = (
                data[:place]
                + bytes(chance.randrange(256) for _ in range(3))
                + data[place + chance.randrange(3) :]
            )
        try:
            restored = restore(as_notebook(data), source, {"setup": "# setup", "f": "# f"})
        except NotGradable:
            continue
        read_ones += 1
        validate(restored.notebook)
        if seed % 10 == 0:
            write_notebook(restored.notebook, tmp_path / "a.ipynb")
            read_notebook(tmp_path / "a.ipynb")
    assert read_ones > 500


PARTS = [{"1": {"values": {"x": TENSOR, "n": 3, "d": {"dict": [["a", [1, 2.5]]]}}}, "2": {"raised": RAISED}}]
MESSAGES = [
    {
        "cell": 0,
        "outputs": [{"stream": "stdout", "text": "a"}, {"text": "b", "png": "aGk=", "result": True}],
        "error": None,
    },
    {"cell": 1, "outputs": [], "error": {"name": "E", "message": "m", "trace": "a\nb"}},
    {"probe": "f", "parts": PARTS, "warnings": ["w"], "abandoned": False, "seconds": 1.0},
    {"again": "f", "parts": PARTS, "warnings": []},
    {"probe": "g", "problem": "not defined"},
]
ENTRY = {
    "points": 1.0,
    "why": "w",
    "signature": "f(x)",
    "parts": [
        {
            "title": "t",
            "points": 1.0,
            "rules": {"n": {"at_least": 1, "at_most": 2}, "d": {"agreement_with": "x", "at_least": 0.5}},
            "expected": {
                "1": {"x": {**TENSOR, "data": [9.0] * 4}, "n": 7, "d": [1, 2]},
                "2": {"x": True, "n": 1.25, "d": {"set": [1]}},
            },
        }
    ],
    "misconceptions": {
        "m": {"hint": "h", "parts": {"0": {"1": {"labels": {"x": TENSOR}}, "2": {"raises": "ValueError"}}}}
    },
}
EXPECTED = [
    TENSOR,
    {**TENSOR, "shape": [], "data": [1.0]},
    7,
    1.5,
    True,
    "a",
    None,
    [1, 2],
    {"dict": [["a", 1]]},
]
EXPECTED += [{"set": [1]}, {"complex": [1.0, 2.0]}, {"float": "nan"}, {"tuple": [TENSOR]}, {"object": "x"}]
JOB = {"steps": [{"source": "1"}, {"source": "2"}, {"probe": "f"}, {"probe": "g"}]}


def test_any_transcript_is_read_and_judged() -> None:
    """3,000 damaged transcripts: reading never raises, judging gives no point and stumbles over nothing."""
    entries = {"f": ENTRY, "g": ENTRY}
    for seed in range(3_000):
        chance = random.Random(seed)
        messages = [_damage(one, chance) if chance.random() < 0.7 else one for one in MESSAGES]
        chance.shuffle(messages)
        messages = [one for one in messages if isinstance(one, dict)]
        part = {**ENTRY["parts"][0]}  # type: ignore[index]  # JSON, whose inside has no type
        part["expected"] = {
            seed_: {**case, "x": chance.choice(EXPECTED)} for seed_, case in part["expected"].items()
        }
        hidden = {name: {**entry, "parts": [part]} for name, entry in entries.items()}
        found = read(messages, {"f": 1, "g": 1})
        judged = verdicts(JOB, found, hidden, entries)
        assert all(one.points == 0 for one in judged.values())
        assert not [one for one in judged.values() if "could not be judged" in one.problem], messages
        in_need(JOB, messages, hidden)
        cells = [new_cell("code", "")]
        for outputs in found.outputs.values():
            cells[0].outputs = outputs
            validate(new_notebook(cells))


def test_what_was_not_asked_for_stops_nobody() -> None:
    """A measurement on the public cases that comes before it is asked for is left until then."""
    assert in_need(JOB, MESSAGES, {"f": ENTRY, "g": ENTRY}) == ["f"]


def test_code_that_does_not_end_is_not_run_again_for_a_hint() -> None:
    """Where time was up there is nothing to recognise; an answer that is wrong besides is looked at."""
    late: dict[str, Any] = {"1": {"late": 20.0}, "2": {"skipped": "time was up"}}
    hidden = {name: {**ENTRY, "parts": ENTRY["parts"] * 2} for name in ("f", "g")}
    assert in_need(JOB, [{"probe": "f", "parts": [late, late]}], hidden) == []
    assert in_need(JOB, [{"probe": "f", "parts": [late, *PARTS[:1]]}], hidden) == ["f"]


@pytest.mark.parametrize(
    "sent",
    [
        b'{"a":' + b"[" * 200_000 + b"\n",
        b"[]\n",
        b"\xff\n",
        b"9" * 5_000 + b"\n",
        b'{"a": NaN}\n',
        b'{"a": [' + b"{}," * 1_000_000 + b"{}]}\n",
        b'{"a": [' + b"1," * 5_000_000 + b"1]}\n",
        b"x" * 25_000_000,
    ],
    ids=["deep", "list", "bytes", "digits", "nan", "many dicts", "many numbers", "long"],
)
def test_what_is_no_message_is_refused_in_time(sent: bytes) -> None:
    """Whatever comes through the channel, reading it ends in WireError, soon, with little memory."""
    with pytest.raises(wire.WireError):
        _receive(sent, lambda reader: reader.next(time.monotonic() + 20))


def test_many_small_messages_are_read_in_time_that_grows_with_their_number() -> None:
    """300,000 empty objects in one piece: taking one from the front of a list would move all others."""

    def all_of_them(reader: wire.Reader) -> None:
        for _ in range(300_000):
            reader.next(time.monotonic() + 20)

    started = time.process_time()
    _receive(b"{}\n" * 300_000, all_of_them)
    assert time.process_time() - started < 10


def _receive(sent: bytes, take: Callable[[wire.Reader], object]) -> None:
    here, there = socket.socketpair()

    def write() -> None:
        with contextlib.suppress(OSError):
            there.sendall(sent)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    with here, there:
        take(wire.Reader(here, 32 << 20))


@pytest.mark.parametrize(
    "source",
    [
        "!ls\n" * 50_000,
        "x = %time\n" * 30_000,
        "? " * 100_000,
        "a" + ".b" * 100_000,
        "-" * 100_000 + "1",
        "1+" * 100_000 + "1",
        "(" * 190 + ")" * 190,
        "\0",
        "\ud800".encode("utf-8", "replace").decode(),
        "lambda: " * 20_000 + "1",
        "if 1:\n x\n" + "elif 1:\n x\n" * 10_000,
        " " * 200_000 + "!",
    ],
    ids=[
        "magics",
        "assigned",
        "help",
        "dots",
        "signs",
        "sum",
        "brackets",
        "nul",
        "odd",
        "lambdas",
        "elifs",
        "spaces",
    ],
)
def test_code_that_is_hard_to_read_is_read_in_time(source: str) -> None:
    """Names in a stranger's cell are found by Python's parser alone; what it cannot read has none."""
    started = time.process_time()
    defined(source)
    needed(source)
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("%matplotlib inline\nx = 1", {"x"}),
        ("files = !ls\ny = files", {"files", "y"}),
        ("def f():\n    !ls\n    return 1", {"f"}),
        ("f?\nz = 1", {"z"}),
        ("  a = 1\n  b = 2", {"a", "b"}),
        ("%%time\nx = 1", set()),
    ],
)
def test_names_beside_magics_are_found(source: str, names: set[str]) -> None:
    """A magic or a shell line hides no definition beside it; the body of a cell magic is text."""
    assert defined(source) == names


def test_colouring_code_takes_no_hours() -> None:
    """A line of a thousand names with dots between them is shown without colours, and escaped."""
    started = time.process_time()
    page = highlight_code("<script>" + "a." * 100_000)
    assert time.process_time() - started < 2
    assert "<script>" not in page


@pytest.mark.parametrize("found", [True, {"object": "x"}, "text", None, [1], {"complex": [1.0, 1.0]}, TENSOR])
def test_a_verdict_on_hidden_cases_tells_no_expected_value(found: Any) -> None:
    """Returning another kind of thing is no way to be told the number that was asked for."""
    for expected, secret in (
        (7.25, "7.25"),
        (42, "42"),
        ("secret", "secret"),
        ({**TENSOR, "shape": [4]}, "[4]"),
    ):
        fault = compare(expected, found)
        if fault is not None:
            assert secret not in fault.blind


def test_a_picture_is_a_picture_of_a_size_that_can_be_shown() -> None:
    """A PNG that says it has a billion pixels is left out."""
    pictures = []
    for side in (100, 40_000):
        data = PNG + b"\0\0\0\rIHDR" + side.to_bytes(4, "big") * 2
        pictures.append(base64.b64encode(data).decode())
    outputs = [{"text": "a", "png": one} for one in pictures]
    found = read([{"cell": 0, "outputs": outputs, "error": None}], {})
    assert ["image/png" in one.data for one in found.outputs[0]] == [True, False]


def test_a_remark_has_no_control_characters() -> None:
    """Names that a student chose are shown in a terminal and in a table."""
    assert one_line("a\x1b[2J\nb\u202ec\ud800") == "a [2J b c?"
    assert len(one_line("x" * 10_000)) == 300


PARTS_OF_COURSE = [
    pytest.param(part, id=f"{path.parent.name[:2]} {name} {number}")
    for path in sorted((Path(__file__).parents[1] / "course").glob("*/expected.json"))
    for name, entry in json.loads(path.read_text(encoding="utf-8"))["exercises"].items()
    for number, part in enumerate(entry["parts"])
]


@pytest.mark.parametrize("part", PARTS_OF_COURSE)
def test_no_part_is_earned_with_what_another_case_measures(part: dict[str, Any]) -> None:
    """What everybody knows of the public cases is worth nothing on a hidden one."""
    cases = part["expected"]
    for one, other in itertools.permutations(cases, 2):
        judged = compare_all(cases[one], cases[other], part["rules"])
        assert any(fault is not None for fault in judged.values()), (
            f"{part['title']}: {one} and {other} agree"
        )


@pytest.mark.parametrize("part", PARTS_OF_COURSE)
def test_no_part_is_earned_with_a_number_within_bounds_alone(part: dict[str, Any]) -> None:
    """A submission can send any number: a part asks for more than that."""
    rules = part["rules"]
    labels = {label for case in part["expected"].values() for label in case}
    judged = [rules.get(label, {}) for label in labels if not rules.get(label, {}).get("context")]
    bare = [rule for rule in judged if {"at_least", "at_most"} & set(rule) and "agreement_with" not in rule]
    assert len(bare) < len(judged), (
        f"{part['title']}: bounds alone; add a label that is compared with a right answer"
    )
