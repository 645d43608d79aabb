"""Fetch a file once: checked, with a progress bar, and with an error that says what to do instead."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tqdm.auto import tqdm


class DataUnavailable(RuntimeError):
    """A data set is neither on this machine nor to be had from the network."""


def data_root(root: str | Path | None = None) -> Path:
    """Where real data sets lie: ``root``, else the folder in ``$TLKIT_DATA``, else ``~/.cache/tlkit``."""
    if root is not None:
        return Path(root).expanduser()
    named = os.environ.get("TLKIT_DATA")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "tlkit"


def digest(path: Path, algorithm: str) -> str:
    """The hexadecimal digest (``"md5"``, ``"sha256"``, …) of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def download(
    url: str, target: Path, *, checksum: tuple[str, str] | None = None, what: str = "", timeout: float = 20
) -> Path:
    """Download ``url`` to ``target``; a file that is there already is kept.

    Written beside the target first and moved into place when complete and checked, so an interrupted
    download leaves nothing that looks whole.

    Args:
        checksum: algorithm and hexadecimal digest, such as ``("md5", "f68b…")``.
        what: name of the data set, for messages.
        timeout: seconds without an answer after which the network counts as absent.

    Raises:
        DataUnavailable: no network, the server does not have it, or what came is not the file expected.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    what = what or target.name
    try:
        with urlopen(url, timeout=timeout) as answer, partial.open("wb") as stream:
            size = int(answer.headers.get("Content-Length") or 0) or None
            with tqdm(total=size, unit="B", unit_scale=True, desc=what, file=sys.stderr) as bar:
                while block := answer.read(1 << 16):
                    stream.write(block)
                    bar.update(len(block))
        if size is not None and partial.stat().st_size != size:
            raise OSError(f"{partial.stat().st_size} of {size} bytes came")
    except (URLError, OSError) as problem:
        partial.unlink(missing_ok=True)
        reason = getattr(problem, "reason", None) or problem
        raise DataUnavailable(missing(what, url, target, str(reason))) from problem
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if checksum is not None:
        algorithm, expected = checksum
        found = digest(partial, algorithm)
        if found != expected:
            partial.unlink()
            raise DataUnavailable(
                f"{what}: the file from {url} is not the one expected: {algorithm} {found}, "
                f"expected {expected}. "
                f"Nothing was kept. Try again; if it stays so, get the file elsewhere and put it at {target}."
            )
    partial.replace(target)
    return target


def missing(what: str, url: str, target: Path, reason: str) -> str:
    """The message for data that cannot be had: what, where it would go, and what to do."""
    return (
        f"{what} is not on this machine and could not be downloaded ({reason}).\n"
        f"  from:    {url}\n"
        f"  goes to: {target}\n"
        "Run this cell again where there is a network, or copy the file there from a machine that has it; "
        "TLKIT_DATA=FOLDER names another folder to look in. The lessons themselves need no download."
    )
