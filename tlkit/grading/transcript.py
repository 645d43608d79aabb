"""What a worker sent, checked field by field: it comes from a process that ran a stranger's code."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbformat.notebooknode import NotebookNode

from tlkit.build.notebooks import new_node
from tlkit.exercises.measure import Measured, Outcome
from tlkit.exercises.observe import plain_text
from tlkit.exercises.untrusted import validate
from tlkit.grading.process.client import Transcript
from tlkit.grading.process.shell import MOST_OUTPUTS, MOST_PICTURE, MOST_TEXT

_TEXTS = {"type": 80, "message": 700, "line": 0, "source": 300, "cell": 20, "returned": 600}
_WHERE, _STUB = ("student", "call", "probe"), ("empty", "begun")
PNG = b"\x89PNG\r\n\x1a\n"
MOST_PIXELS = 50_000_000


@dataclass
class Found:
    """What is believed of a transcript.

    measured: {exercise: Measured on the hidden cases}; problems: {exercise: why it could not be measured};
    public: as measured, on the public cases. outputs: {step: outputs of that cell}. remarks: what was odd.
    """

    measured: dict[str, Measured] = field(default_factory=dict)
    public: dict[str, Measured] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    outputs: dict[int, list[NotebookNode]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def read(transcript: Transcript | Sequence[Mapping[str, Any]], parts: Mapping[str, int]) -> Found:
    """Check all messages; `parts` is {exercise: number of its parts}.

    What is malformed counts as not sent.
    """
    found = Found()
    messages = transcript.messages if isinstance(transcript, Transcript) else transcript
    for message in messages:
        try:
            _take(message, parts, found)
        except Exception as error:  # whatever a stranger's data can make Python raise
            found.remarks.append(
                f"the submission's process sent something malformed ({plain_text(str(error))[:80]})"
            )
    found.remarks = list(dict.fromkeys(found.remarks))[:5]
    return found


def _take(message: Mapping[str, Any], parts: Mapping[str, int], found: Found) -> None:
    if "cell" in message:
        number = message["cell"]
        if type(number) is not int or number in found.outputs:
            raise ValueError("a cell twice")
        found.outputs[number] = _outputs(message)
        return
    kind = "probe" if "probe" in message else "again"
    name = message[kind]
    if not isinstance(name, str) or name not in parts:
        raise ValueError("an unknown exercise")
    if name in (found.measured if kind == "probe" else found.public) or (
        kind == "probe" and name in found.problems
    ):
        raise ValueError("an exercise twice")
    if "problem" in message:
        found.problems[name] = _text(message["problem"], 400)
        return
    measured = _measured(message, parts[name])
    (found.measured if kind == "probe" else found.public)[name] = measured


def _text(value: Any, longest: int) -> str:
    if not isinstance(value, str):
        raise ValueError("no text where text was expected")
    return plain_text(value[:longest])


def _measured(message: Mapping[str, Any], count: int) -> Measured:
    parts = message["parts"]
    if not isinstance(parts, list) or len(parts) != count:
        raise ValueError("the wrong number of parts")
    warnings = [_text(one, 400) for one in message.get("warnings", [])[:5]]
    return Measured(
        parts=[_outcomes(part) for part in parts],
        warnings=warnings,
        abandoned=message.get("abandoned") is True,
    )


def _outcomes(part: Any) -> dict[str, Outcome]:
    if not isinstance(part, dict) or len(part) > 100:
        raise ValueError("a part that is none")
    return {_text(seed, 30): _outcome(outcome) for seed, outcome in part.items()}


def _outcome(outcome: Any) -> Outcome:
    if not isinstance(outcome, dict) or len(outcome) != 1:
        raise ValueError("an outcome that is none")
    ((kind, value),) = outcome.items()
    if kind == "values":
        return {"values": validate(value)}
    if kind == "late":
        return {"late": min(max(float(value), 0.0), 1e6)}
    if kind == "skipped":
        return {"skipped": _text(value, 200)}
    if kind == "raised" and isinstance(value, dict):
        return {"raised": _raised(value)}
    raise ValueError("an outcome that is none")


def _raised(value: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {"type": "Error", "message": "", "where": "probe"}
    for name, longest in _TEXTS.items():
        if name == "line":
            if type(value.get("line")) is int:
                kept["line"] = min(max(value["line"], 0), 10**6)
        elif isinstance(value.get(name), str):
            kept[name] = plain_text(value[name][:longest])
    kept["where"] = value.get("where") if value.get("where") in _WHERE else "probe"
    if value.get("stub") in _STUB:
        kept["stub"] = value["stub"]
    advice = value.get("advice")
    kept["advice"] = [
        plain_text(one[:400])
        for one in (advice if isinstance(advice, list) else [])[:3]
        if isinstance(one, str)
    ]
    return kept


def _outputs(message: Mapping[str, Any]) -> list[NotebookNode]:
    """The outputs of a cell as nbformat has them: text and PNG pictures, nothing that a viewer would run."""
    kept = []
    for one in message.get("outputs", [])[:MOST_OUTPUTS]:
        if "stream" in one:
            name = "stderr" if one["stream"] == "stderr" else "stdout"
            kept.append(new_node(output_type="stream", name=name, text=_text(one["text"], MOST_TEXT)))
            continue
        data = {"text/plain": _text(one["text"], MOST_TEXT)}
        if picture := _picture(one.get("png")):
            data["image/png"] = picture
        about: dict[str, Any] = {"data": new_node(**data), "metadata": new_node()}
        if one.get("result") is True:
            kept.append(new_node(output_type="execute_result", execution_count=None, **about))
        else:
            kept.append(new_node(output_type="display_data", **about))
    if isinstance(error := message.get("error"), dict):
        trace = _text(error.get("trace", ""), MOST_TEXT)
        kept.append(
            new_node(
                output_type="error",
                ename=_text(error.get("name", ""), 80),
                evalue=_text(error.get("message", ""), 2_000),
                traceback=trace.split("\n"),
            )
        )
    return kept


def _picture(found: Any) -> str:
    if not isinstance(found, str) or len(found) > MOST_PICTURE:
        return ""
    try:
        data = base64.b64decode(found, validate=True)
    except (binascii.Error, ValueError):
        return ""
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not data.startswith(PNG) or width * height > MOST_PIXELS:  # a small file can unfold to gigabytes
        return ""
    return base64.b64encode(data).decode("ascii")
