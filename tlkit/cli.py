"""The `tlkit` command. Each subcommand lives in its own module and is imported only when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

# name -> (module with add_arguments(parser) and run(args) -> exit code, one line of help)
COMMANDS = {
    "lab": ("tlkit.lab", "open the course in JupyterLab"),
    "doctor": ("tlkit.doctor", "check this machine and say how to fix what is wrong"),
    "build": ("tlkit.build.command", "build course/ from solutions/ (instructors)"),
    "grade": ("tlkit.grading.command", "grade submissions in a sandbox (instructors)"),
    "collect": ("tlkit.collecting.command", "fill submitted/ from a learning platform's zip (instructors)"),
    "report": ("tlkit.reporting.command", "report on a graded lesson: misconceptions, scores (instructors)"),
    "new-lesson": ("tlkit.build.new_lesson", "start a new lesson in solutions/ (instructors)"),
}


def parser_for(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of the command; only the subcommand that `argv` starts with brings its own arguments."""
    parser = argparse.ArgumentParser(prog="tlkit", description="Deep transfer learning, taught by doing.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        subparser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name in argv[:1]:
            code = importlib.import_module(module)
            code.add_arguments(subparser)
            subparser.set_defaults(run=code.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code: 0 done, 1 something is wrong, 130 Ctrl-C."""
    argv = list(sys.argv[1:] if argv is None else argv)
    args = parser_for(argv).parse_args(argv)
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read what is printed, such as `head`, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
