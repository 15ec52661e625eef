"""Corpora by name: suggestions, absent folders, and the real data sets where they are at hand."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.schema import FACT_SCHEMA, QUESTION_SCHEMA
from widedeep_kb.sources import load_corpus

DATA_DIR = os.environ.get("WIDEDEEP_KB_DATA_DIR")
REAL_COUNTS = {  # facts, relations
    "entityquestions": (209_105, 24), "pararel": (29_394, 41), "lre": (10_837, 39), "fb15k237": (309_802, 237),
    "simplequestions": (21_631, 1034), "movie_qa": (9_912, 8_234), "mquake": (4_931, 49), "counterfact": (7_979, 136),
    "yago11k": (20_509, 10), "time_sensitive": (666, 64),
}


def test_an_unknown_name_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'mendeleev'"):
        load_corpus("mendelev", data_dir=tmp_path)
    with pytest.raises(ValueError, match="known are entityquestions"):
        load_corpus("zzz", data_dir=tmp_path)


def test_an_absent_folder_or_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="corpus 'lre': .*lre_relations is not a folder"):
        load_corpus("lre", data_dir=tmp_path)
    (tmp_path / "lre_relations").mkdir()
    with pytest.raises(ValueError, match=r"corpus 'lre': file not found: .*facts\.parquet"):
        load_corpus("lre", data_dir=tmp_path)


def test_no_set_is_imported_before_it_is_loaded() -> None:
    code = "import sys, widedeep_kb.sources as s; print([m for m in sys.modules if m.endswith(tuple(s.SOURCES))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.needs_data
@pytest.mark.skipif(DATA_DIR is None, reason="WIDEDEEP_KB_DATA_DIR is not set")
@pytest.mark.parametrize("name", REAL_COUNTS)
def test_real_set(name: str) -> None:
    corpus = load_corpus(name, data_dir=DATA_DIR)
    assert (corpus.facts.height, corpus.facts["relation"].n_unique()) == REAL_COUNTS[name]
    assert dict(corpus.facts.schema) == FACT_SCHEMA and dict(corpus.questions.schema) == QUESTION_SCHEMA
    assert corpus.questions.filter(pl.col("answers").list.len() == 0).height == 0
    assert corpus.questions.join(corpus.facts, on="fact_id", how="anti").height == 0
    assert all("{subject}" in text for texts in corpus.templates.values() for text in texts)
    assert set(corpus.templates) <= set(corpus.facts["relation"])
