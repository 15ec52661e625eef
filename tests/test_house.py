"""The house: what is installed, how light an import is, and that the README tells of what exists."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points, metadata
from pathlib import Path

import pytest

import widedeep_kb
from widedeep_kb.cli.main import command_names, load_command, parser_for

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
BENCHMARKS = (ROOT / "benchmarks" / "README.md").read_text()
TARGETS = {"demo", "test", "lint", "format", "reader", "help"}


def test_console_script_version_and_licence() -> None:
    (script,) = entry_points(group="console_scripts", name="widedeep-kb")
    assert callable(script.load())
    assert widedeep_kb.__version__ == metadata("widedeep_kb")["Version"]
    assert f"## {widedeep_kb.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text()


def test_importing_the_package_is_light() -> None:
    code = "import sys, widedeep_kb; print(sorted({'torch', 'torchrec', 'transformers', 'polars'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_are_imported_on_first_use() -> None:
    assert set(dir(widedeep_kb)) == {"Client", "KnowledgeMemory", "__version__"}
    assert widedeep_kb.KnowledgeMemory.__module__ == "widedeep_kb.model"
    with pytest.raises(AttributeError, match="no attribute 'Memory'"):
        _ = widedeep_kb.Memory


def test_make_targets() -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, flags=re.MULTILINE))
    assert targets == TARGETS
    assert set(re.findall(r"`?make ([a-z]+)", README)) <= targets
    for name in ("demo", "test"):
        assert re.search(rf"^{name}: \$\(STAMP\)", MAKEFILE, flags=re.MULTILINE), f"make {name} must make .venv itself"


def test_commands_in_the_readme_exist_with_their_options() -> None:
    lines = re.findall(r"^widedeep-kb (\S+)(.*?)(?:\s#.*)?$", README, flags=re.MULTILINE)
    assert {name for name, _ in lines} == set(command_names())
    for name, rest in lines:
        known = re.findall(r"--[a-z-]+", parser_for(load_command(name), name=name).format_help())
        assert set(re.findall(r"--[a-z-]+", rest)) <= set(known), name


def test_files_named_in_the_readmes_exist() -> None:
    named = set(re.findall(r"\]\(([^)#:]+)\)", README)) | set(re.findall(r"python (benchmarks/\S+\.py)", README))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")}
    assert scripts == set(re.findall(r"python benchmarks/(\w+\.py)", BENCHMARKS)), "benchmarks/README.md lists each"
