"""bm25s is loaded without JAX, which would take the GPU's memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from widedeep_kb.systems.bm25 import hidden


def test_the_lookup_system_does_not_start_jax(tmp_path: Path) -> None:
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").write_text("raise SystemExit('JAX was started')\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import widedeep_kb.systems.lookup"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_hidden_module_is_back_afterwards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "some_module_of_ours.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with hidden("some_module_of_ours"), pytest.raises(ImportError):
        __import__("some_module_of_ours")
    assert __import__("some_module_of_ours").x == 1


def test_a_module_in_use_is_not_hidden() -> None:
    with hidden("json"):
        assert __import__("json").loads("1") == 1
