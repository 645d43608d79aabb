"""Pin every package that the direct dependencies pull in, in pyproject.toml.

A lock file would do it too, but it records the addresses that files were fetched from; names and versions
are enough here. Run it after a version under [project] or [dependency-groups] changed:

    python .ci/pin.py            resolve anew, for every platform and Python, and rewrite the block
    python .ci/pin.py --keep     keep what is pinned already, add what is missing

It resolves in an empty folder: no old lock file can lean on the result.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
BLOCK = re.compile(r"(?<=^constraint-dependencies = \[\n).*?(?=^\]\n)", re.DOTALL | re.MULTILINE)


def name_of(requirement: str) -> str:
    """Normalised name at the start of a requirement line such as `numpy==2.4.6 ; python_version < "3.12"`."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, f"no package name in {requirement!r}"
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def resolve(pyproject: str) -> list[str]:
    """Every package uv finds for `pyproject`, all groups and platforms, as `name==version ; marker`."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pyproject.toml").write_text(pyproject)
        Path(folder, "README.md").write_text("")
        bare = ["--no-hashes", "--no-emit-project", "--no-header", "--no-annotate"]
        export = ["uv", "export", "--all-groups", *bare]
        done = subprocess.run(export, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()


def pins(resolved: list[str], direct: set[str]) -> list[str]:
    """One constraint a package; a marker stays only where Python versions need different versions of it."""
    names = [name_of(line) for line in resolved]
    lines = []
    for name, line in zip(names, resolved, strict=True):
        if name not in direct:
            lines.append(line if names.count(name) > 1 else line.partition(" ;")[0].strip())
    return sorted(lines)


def main() -> None:
    """Rewrite the block and say how many packages it holds."""
    text = PYPROJECT.read_text()
    project = tomllib.loads(text)
    stated = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    start = text if "--keep" in sys.argv else BLOCK.sub("", text)
    lines = pins(resolve(start), {name_of(line) for line in stated})
    PYPROJECT.write_text(BLOCK.sub(lambda _: "".join(f'    "{line}",\n' for line in lines), text))
    print(f"{len(lines)} packages pinned under [tool.uv] beside {len(stated)} stated ones")


if __name__ == "__main__":
    main()
