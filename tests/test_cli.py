"""The `tlkit` command: what it knows, and that it is quick to say so."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tlkit.cli import COMMANDS, main


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`tlkit --help` lists each subcommand with its line of help."""
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, (_, summary) in COMMANDS.items():
        assert name in shown
        assert summary in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`tlkit NAME --help` comes from that command's own module."""
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    assert f"usage: tlkit {name}" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [[], ["teach"], ["doctor", "--louder"]])
def test_what_is_not_understood_ends_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """No command, an unknown command and an unknown option end with code 2 and the usage."""
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    assert "usage: tlkit" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["lab", "--help"], ["doctor", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Help appears at once: neither PyTorch nor JupyterLab nor Matplotlib is imported for it."""
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('LOADED', [m for m in ('torch', 'jupyterlab', 'matplotlib', 'numpy')"
        " if m in sys.modules]))\n"
        f"sys.argv = ['tlkit', *{arguments!r}]\n"
        "from tlkit.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_python_m_tlkit_is_the_same_command() -> None:
    """`python -m tlkit` works where the script is not on PATH."""
    command = [sys.executable, "-m", "tlkit", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: tlkit")


def test_every_command_has_its_module() -> None:
    """No command is listed whose code is not there."""
    missing = [module for module, _ in COMMANDS.values() if importlib.util.find_spec(module) is None]
    assert not missing


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in a command ends it with the customary code 130."""
    import tlkit.doctor

    def interrupted(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(tlkit.doctor, "run", interrupted)
    assert main(["doctor"]) == 130


def test_a_reader_who_has_read_enough_is_no_traceback() -> None:
    """`tlkit … | head` ends quietly with code 1."""
    code = "import sys; from tlkit import cli, doctor; doctor.run = lambda _: print('x' * 1_000_000); "
    command = [sys.executable, "-c", code + "sys.exit(cli.main(['doctor']))"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (1, "")
