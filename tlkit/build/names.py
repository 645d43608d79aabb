"""Which global names a cell defines and which it needs, read from its text without running it."""

from __future__ import annotations

import builtins
import symtable
import textwrap
from collections.abc import Iterator

GIVEN = {*dir(builtins), "display", "get_ipython", "In", "Out", "exit", "quit", "__name__", "__file__", "_"}


def plain_python(source: str) -> str:
    """The cell with its magics and shell lines turned into function calls, as IPython would run it."""
    from IPython.core.inputtransformer2 import TransformerManager

    return str(TransformerManager().transform_cell(source))  # type: ignore[no-untyped-call]


def defined(source: str) -> set[str]:
    """Global names the cell assigns, imports or defines; empty where it is not valid Python."""
    table = _table(source)
    if table is None:
        return set()
    names = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    for inner in _inner(table):
        names |= {s.get_name() for s in inner.get_symbols() if s.is_declared_global() and s.is_assigned()}
    return names


def needed(source: str) -> set[str]:
    """Global names the cell, or a function in it, reads and does not get from Python itself."""
    table = _table(source)
    if table is None:
        return set()
    names = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
    for inner in _inner(table):
        names |= {s.get_name() for s in inner.get_symbols() if s.is_global() and s.is_referenced()}
    return names - GIVEN


def _table(source: str) -> symtable.SymbolTable | None:
    """The names of a cell. A student's cell is read too: in time that grows with its length, not its square.

    IPython would read the whole cell once more for every magic in it, and raise after 500.
    """
    table = _python_table(source)
    if table is None and not source.lstrip().startswith("%%"):
        lines = textwrap.dedent(source).split("\n")
        table = _python_table("\n".join(map(_without_magic, lines)))
    return table


def _without_magic(line: str) -> str:
    bare = line.strip()
    if bare and (bare[0] in "%!?/,;" or bare[-1] == "?"):
        return line[: len(line) - len(line.lstrip())] + "pass"
    name, _, value = line.partition("=")
    return f"{name}= None" if value.lstrip()[:1] in ("%", "!") else line


def _python_table(source: str) -> symtable.SymbolTable | None:
    try:
        return symtable.symtable(source, "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _inner(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _inner(child)
