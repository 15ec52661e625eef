"""The notebooks: clean as committed, light to import, and each runs on a small folder of what it reads."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import polars as pl
import pytest
import torch
from nbclient import NotebookClient
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from widedeep_kb.cli import main
from widedeep_kb.lm import FrozenLM, load_lm
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import QUESTION_SCHEMA
from widedeep_kb.studies.inside import look_inside
from widedeep_kb.training.fit import fit
from widedeep_kb.training.fit_config import FitConfig

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
VARIABLE = "WIDEDEEP_KB_NOTEBOOK_FOLDER"
SUBJECTS = ("Zorvania", "Quillfax", "Brontel", "Mirabix", "Tessaly", "Ophandor", "Calidrex", "Vantoria")
RELATIONS = {"area code": "AR-{}", "founding year": "18{:02d}", "flag colour": "deep teal {}"}


@pytest.fixture(scope="module")
def lm(
    tiny_causal_lm: Callable[..., PreTrainedModel],
    tiny_tokenizer: PreTrainedTokenizerFast,
    tmp_path_factory: pytest.TempPathFactory,
) -> FrozenLM:
    """A tiny LLM, loaded from its folder."""
    folder = tmp_path_factory.mktemp("llm")
    tiny_causal_lm("llama", max_position_embeddings=2048).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return load_lm(str(folder))


@pytest.fixture(scope="module")
def memory(lm: FrozenLM) -> KnowledgeMemory:
    """An untrained memory of eight subjects, three facts each; two of them are namesakes, one value is double."""
    torch.manual_seed(0)
    memory = KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16)))
    records = [
        {"subject": subject, "relation": relation, "object": text.format(number), "popularity": 10.0**number}
        for number, subject in enumerate(SUBJECTS)
        for relation, text in RELATIONS.items()
    ]
    records.append(records[2] | {"object": "ochre"})
    records.append({"subject": SUBJECTS[0], "subject_id": "another", "relation": "area code", "object": "AR-99"})
    memory.write(records)
    return memory


@pytest.fixture(scope="module")
def questions() -> pl.DataFrame:
    """A question about each subject, and one about none."""
    asked = [(f"Say something of {subject}?", [f"AR-{i}"], None, []) for i, subject in enumerate(SUBJECTS)]
    return pl.DataFrame([*asked, ("What time is it?", ["noon"], None, [])], schema=QUESTION_SCHEMA, orient="row")


def executed(name: str, folder: Path, *, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a notebook on `folder`; returns what it printed and showed as text.

    Raises:
        CellExecutionError: a cell failed.
    """
    monkeypatch.setenv(VARIABLE, str(folder))
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, startup_timeout=300, resources={"metadata": {"path": str(FOLDER)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    plots = [output for output in outputs if {"image/png", "image/svg+xml"} & set(output.get("data", {}))]
    assert plots, "a notebook without a plot"
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


def sources(path: Path, *, kind: str = "code") -> list[str]:
    """Texts of a notebook's cells."""
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def test_there_are_four() -> None:
    names = [path.stem for path in NOTEBOOKS]
    assert names == ["01_facts", "02_training_run", "03_decision", "04_inside_the_memory"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_notebooks_are_committed_clean(path: Path) -> None:
    text = path.read_text()
    notebook = json.loads(text)
    nbformat.validate(nbformat.from_dict(notebook))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert text == json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-z-]+", name) for name in ids)  # words, not random
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None, cell["id"]
    for source in (*sources(path), *sources(path, kind="markdown")):
        assert not re.search(r"(?<![\w.~*])/(home|root|tmp|work|Users|mnt|opt|var)\b|[A-Z]:\\", source), "absolute path"
        assert all(len(line) <= 120 for line in source.splitlines())
    first = sources(path)[0]
    (default,) = re.findall(rf'"{VARIABLE}", "(\.\./[^"]+)"', first)
    assert first.splitlines()[-1] and "FOLDER = " in first and not Path(default).is_absolute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_notebooks_load_no_llm_library(path: Path) -> None:
    nodes = [node for source in sources(path) for node in ast.walk(ast.parse(source))]
    imports = [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    assert "import polars as pl" in imports
    code = "\n".join([*imports, "import sys", "print({'torch', 'transformers', 'torchrec'} & set(sys.modules))"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_facts(memory: KnowledgeMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.store.catalogue.export(tmp_path / "facts.parquet")
    shown = executed("01_facts", tmp_path, monkeypatch=monkeypatch)
    assert "26 facts of 9 subjects in 3 relations." in shown
    assert "1 names are those of several subjects." in shown
    assert "1 properties with several values, 2 by namesakes" in shown


def test_facts_without_popularity_or_namesakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fact = pl.DataFrame({"subject": ["Aurora"], "relation": ["port"], "object": ["007"]})
    fact.write_parquet(tmp_path / "facts.parquet")
    shown = executed("01_facts", tmp_path, monkeypatch=monkeypatch)
    assert "these facts have no popularity" in shown and "no question will be ambiguous" in shown
    assert "0.0% of the questions will be ambiguous" in shown


def test_training_run(lm: FrozenLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    trained = KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16)))
    trained.write([{"subject": name, "relation": "port", "object": str(i)} for i, name in enumerate(SUBJECTS)])
    fit(trained, FitConfig(steps=6, batch_size=4, num_subkeys=4, validate_every=2, num_validation=4, log_dir=tmp_path))
    trained.hooks.remove()
    shown = executed("02_training_run", tmp_path / "fit" / "version_0", monkeypatch=monkeypatch)
    assert "run version_0: seed 0" in shown and "row_lr" in shown
    assert "The loss went from" in shown and "The best validation" in shown and "about 24 questions" in shown


def test_a_run_of_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    (default,) = re.findall(rf'"{VARIABLE}", "([^"]+)"', sources(FOLDER / "02_training_run.ipynb")[0])
    record = json.loads((FOLDER / default / "run.json").read_text())
    shown = executed("02_training_run", FOLDER / default, monkeypatch=monkeypatch)
    assert record["commit"] in shown and f"It took {record['metrics']['seconds']:,.0f} s" in shown


def test_decision(lm: FrozenLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{s},{relation},{text.format(i)}" for i, s in enumerate(SUBJECTS) for relation, text in RELATIONS.items()]
    (tmp_path / "facts.csv").write_text("subject,relation,object\n" + "\n".join(rows) + "\n")
    asked = [{"question": f"What is the area code of {s}?", "answers": [f"AR-{i}"]} for i, s in enumerate(SUBJECTS)]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, asked)))
    words = ["compare", "--facts", tmp_path / "facts.csv", "--questions", tmp_path / "questions.jsonl"]
    words += ["--output", tmp_path / "c", "--llm", lm.identity.name, "--systems", "closed_book,lookup"]
    words += ["--num-dev", 0, "--num-updates", 0, "--max-new-tokens", 4]
    assert main([str(word) for word in words]) == 0
    shown = executed("03_decision", tmp_path / "c", monkeypatch=monkeypatch)
    assert "24 facts, 8 questions, 2 ways" in shown
    assert "lookup answers most: 1.000 [1.000, 1.000]." in shown and "Every other way is clearly behind it." in shown
    assert "lookup and closed_book: 8 of 8 questions" in shown and "stable, often asked: lookup" in shown


def test_inside_the_memory(
    memory: KnowledgeMemory, questions: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_inside(memory, questions).write(tmp_path / "wide")
    shown = executed("04_inside_the_memory", tmp_path / "wide", monkeypatch=monkeypatch)
    assert "9 questions; facts were read for 8, of which 8 had the right fact among them." in shown
    assert "this memory has no deep part" in shown and "The right fact had the most attention" in shown


def test_inside_a_deep_memory_without_facts(
    lm: FrozenLM, questions: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16, num_subkeys=6))
    deep = KnowledgeMemory(lm, reader, use_gate=False)  # without facts nothing is asked for that it could know
    look_inside(deep, questions).write(tmp_path / "deep")
    deep.hooks.remove()
    shown = executed("04_inside_the_memory", tmp_path / "deep", monkeypatch=monkeypatch)
    assert "no question had its facts read" in shown and "9 of 9 questions are answered without facts" in shown
    assert len(re.findall(r"Deep, layer \d+: \d+ slots read", shown)) == len(reader.adapters)
