"""Lines of JSON between the grader and a process that it does not trust: bounded, never more than data."""

from __future__ import annotations

import json
import socket
import time
from collections import deque
from typing import Any

LONGEST = 24_000_000  # bytes of one message
MOST_VALUES = 4_000_000  # in all messages together: 32 MB of "{}" would be gigabytes once read


class WireError(Exception):
    """The other side sent too much, or something that is no message."""


class Closed(Exception):
    """The other side is gone."""


class Late(Exception):
    """No message came in time."""


def send(channel: socket.socket, message: Any) -> None:
    """Send one message; Closed where nobody listens any more."""
    data = json.dumps(message, ensure_ascii=True, allow_nan=False).encode() + b"\n"
    try:
        channel.sendall(data)
    except OSError as error:
        raise Closed(str(error)) from None


class Reader:
    """Reads messages from a channel, at most `budget` bytes and `values` values in all."""

    def __init__(self, channel: socket.socket, budget: int, values: int = MOST_VALUES) -> None:
        self._channel = channel
        self._left = budget
        self._values_left = values
        self._lines: deque[bytes] = deque()
        self._rest = bytearray()

    def next(self, until: float) -> dict[str, Any]:
        """The next message; Late when time.monotonic() reaches `until` before it is there."""
        while not self._lines:
            self._read(until)
        line = self._lines.popleft()
        self._values_left -= line.count(b",") + 10 * (line.count(b"[") + line.count(b"{"))
        if self._values_left < 0:
            raise WireError("it sent more than is read of a submission")
        return parse(line)

    def _read(self, until: float) -> None:
        self._channel.settimeout(max(0.001, until - time.monotonic()))
        try:
            data = self._channel.recv(1 << 18)
        except TimeoutError:
            raise Late from None
        except OSError as error:
            raise Closed(str(error)) from None
        if not data:
            raise Closed("the other side has ended")
        self._left -= len(data)
        if self._left < 0 or len(self._rest) + len(data) > LONGEST:
            raise WireError("it sent more than is read of a submission")
        first, *more = data.split(b"\n")
        self._rest += first
        if more:
            self._lines += [bytes(self._rest), *more[:-1]]
            self._rest = bytearray(more[-1])


def parse(line: bytes) -> dict[str, Any]:
    """One line as a message; WireError on anything that is not a JSON object."""
    try:
        found = json.loads(line.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError, MemoryError) as error:
        raise WireError(f"it sent something that is no message ({type(error).__name__})") from None
    if not isinstance(found, dict):
        raise WireError("it sent something that is no message")
    return found


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")
