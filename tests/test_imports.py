"""Imports point downward: data, memory, model, training, systems, studies, then the commands and what shows results."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import widedeep_kb

PACKAGE = Path(widedeep_kb.__file__).parent
# the package itself only hands on names of the layers below it
TOP = ("report", "serving", "cli", "demo", "__init__", "__main__")
RANKS = {"memory": 1, "answering": 2, "following": 2, "model": 2, "live": 2, "training": 3, "systems": 4, "studies": 5}
RANKS |= dict.fromkeys(TOP, 6)
FILES = sorted(PACKAGE.rglob("*.py"))


def rank(module: str) -> int:
    """Layer of `widedeep_kb.<part>...`: whatever is not named above is data in and out, layer 0."""
    parts = module.split(".")
    return RANKS.get(parts[1], 0) if len(parts) > 1 else 0


def is_type_checking(node: ast.AST) -> bool:
    """Whether a node is an `if TYPE_CHECKING` block, which is never run."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported(node: ast.AST) -> list[str]:
    """Modules of the package that run-time code below `node` imports, in functions too."""
    found = []
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            continue
        if isinstance(child, ast.Import):
            found += [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            found += [f"{child.module}.{alias.name}" for alias in child.names]
        found += imported(child)
    return [name for name in found if name.split(".")[0] == "widedeep_kb"]


@pytest.mark.parametrize("path", FILES, ids=[str(f.relative_to(PACKAGE)) for f in FILES])
def test_imports_point_downward(path: Path) -> None:
    own = rank(".".join(("widedeep_kb", *path.relative_to(PACKAGE).with_suffix("").parts)))
    upward = [name for name in imported(ast.parse(path.read_text())) if rank(name) > own]
    assert upward == []


def test_the_walk_sees_what_it_should() -> None:
    code = "if TYPE_CHECKING:\n    from widedeep_kb.model import A\ndef f():\n    from widedeep_kb.cli import main\n"
    assert imported(ast.parse(code)) == ["widedeep_kb.cli.main"]
    assert rank("widedeep_kb.cli.main") > rank("widedeep_kb.studies.evaluate") > rank("widedeep_kb.lm") == 0
