"""environment.yml: the conda environment holds what pyproject.toml pins, and Binder's builder accepts it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import rattler
import yaml

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
# packages that conda-forge names differently
CONDA_NAMES = {"torch": "pytorch-cpu", "matplotlib": "matplotlib-base"}
# what conda needs and pip has already
CONDA_ONLY = {"python", "pip"}


def pinned() -> dict[str, str]:
    """Version of each runtime dependency in pyproject.toml, by the name it has on conda-forge."""
    pairs = dict(requirement.split("==") for requirement in PYPROJECT["project"]["dependencies"])
    return {CONDA_NAMES.get(name, name): version for name, version in pairs.items()}


def conda_specs() -> dict[str, str]:
    """The specs of environment.yml by package name, pip's own section left out."""
    texts = [text for text in ENVIRONMENT["dependencies"] if isinstance(text, str)]
    return {re.split(r"[ =<>!~\[]", text)[0]: text for text in texts}


def admits(spec: str, name: str, version: str) -> bool:
    """Would conda take this version of the package for this spec?"""
    build = rattler.BuildString("0")
    record = rattler.PackageRecord(name, version, build, build_number=0, subdir="linux-64")
    return bool(rattler.MatchSpec(spec, strict=True).matches(record))


def differences(specs: dict[str, str], versions: dict[str, str]) -> list[str]:
    """What environment.yml and pyproject.toml disagree about, one line each."""
    found = [f"environment.yml lacks {name}" for name in versions.keys() - specs.keys()]
    found += [f"pyproject.toml lacks {name}" for name in specs.keys() - versions.keys() - CONDA_ONLY]
    for name in versions.keys() & specs.keys():
        version = versions[name]
        if not admits(specs[name], name, version):
            found.append(f"{specs[name]} does not admit {version}")
        if admits(specs[name], name, f"{version}.1") or admits(specs[name], name, "999"):
            found.append(f"{specs[name]} admits more than {version}")
    return sorted(found)


def test_conda_and_pip_install_the_same_versions() -> None:
    """Every runtime dependency is in both files; conda's spec admits exactly pip's version."""
    assert differences(conda_specs(), pinned()) == []


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ({"torchvision": "torchvision==0.1.0"}, "torchvision==0.1.0 does not admit"),
        ({"torchvision": "torchvision"}, "torchvision admits more than"),
        ({"torchvision": "torchvision>=0.1"}, "torchvision>=0.1 admits more than"),
        ({"keras": "keras==3.0"}, "pyproject.toml lacks keras"),
    ],
)
def test_editing_one_file_is_noticed(edit: dict[str, str], expected: str) -> None:
    """A changed, loosened or added spec is reported; so is one that was removed."""
    (found,) = differences({**conda_specs(), **edit}, pinned())
    assert found.startswith(expected)
    without = {name: spec for name, spec in conda_specs().items() if name != "safetensors"}
    assert differences(without, pinned()) == ["environment.yml lacks safetensors"]


def test_only_conda_forge_and_a_supported_python() -> None:
    """Packages come from conda-forge alone, for a supported Python; tlkit itself comes by pip."""
    assert ENVIRONMENT["channels"] == ["conda-forge", "nodefaults"]
    assert PYPROJECT["project"]["requires-python"] == ">=3.11,<3.15"
    assert any(admits(conda_specs()["python"], "python", f"3.{minor}.1") for minor in range(11, 15))
    assert not admits(conda_specs()["python"], "python", "3.15.0")
    assert {"pip": ["-e ."]} in ENVIRONMENT["dependencies"]


def test_every_package_says_why_it_is_there() -> None:
    """Each line that names a package ends in a comment."""
    lines = (ROOT / "environment.yml").read_text().splitlines()
    silent = [line for line in lines if re.match(r"  - [a-z-]+[=<>]", line) and "  # " not in line]
    assert silent == []


def test_binders_builder_installs_tlkit(tmp_path: Path) -> None:
    """repo2docker picks environment.yml, and installs it with the checkout in place, so `-e .` is tlkit."""
    for name in ("environment.yml", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "tlkit", tmp_path / "tlkit", ignore=shutil.ignore_patterns("__pycache__"))
    program = Path(sys.executable).with_name("jupyter-repo2docker")
    command: list[Any] = [program, "--no-build", "--debug", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    copied = said.index("COPY --chown=0:0 src/ ${REPO_DIR}/")
    installed = said.index('env update -p ${NB_PYTHON_PREFIX} --file "environment.yml"')
    assert copied < installed  # were it the other way round, pip would find no checkout to install
    (python,) = [line for line in said.splitlines() if "Building conda environment for python" in line]
    wanted = conda_specs()["python"].partition("=")[2]
    assert python.rstrip().endswith(f"python={wanted}")


def closure(names: set[str]) -> set[str]:
    """Normalised names of all installed packages that the named ones need here, themselves included."""
    from importlib import metadata

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: set[str] = set()
    todo = [(name, frozenset[str]()) for name in names]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found.add(canonicalize_name(name))
        for text in metadata.requires(name) or []:
            need = Requirement(text)
            markers = [{"extra": extra} for extra in extras or {""}]
            if need.marker is None or any(need.marker.evaluate(marker) for marker in markers):
                todo.append((need.name, frozenset(need.extras)))
    return found


def test_what_dependencies_pull_in_is_pinned() -> None:
    """Each package behind the stated ones has a version under [tool.uv]: next year's install is today's."""
    stated = [*PYPROJECT["project"]["dependencies"], *PYPROJECT["dependency-groups"]["dev"]]
    direct = {re.split(r"[=\[ ]", requirement)[0] for requirement in stated}
    constraints = {line.split("==")[0] for line in PYPROJECT["tool"]["uv"]["constraint-dependencies"]}
    assert closure(direct) - constraints - {name.lower() for name in direct} == set()
    assert all("==" in line for line in [*stated, *PYPROJECT["tool"]["uv"]["constraint-dependencies"]])
