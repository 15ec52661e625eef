"""Chemical elements of the package mendeleev -> facts.parquet, questions.parquet, templates.parquet.

The package's SQLite file is read directly: its object layer takes half a minute for 118 rows.
Run: python data/mendeleev/prepare.py [--output DIR] [--max-facts N] [--seed S]
"""

import importlib.util
import sqlite3
import sys
from pathlib import Path

import polars as pl

from widedeep_kb.schema import normalise_facts
from widedeep_kb.sources.prepared import prepare, unpivot_properties

MAX_NAME_ORIGIN_CHARS = 80
QUANTITIES: dict[str, tuple[str, str, str]] = {  # relation: (column, unit, the unit in words)
    "density": ("density", "g/cm³", "grams per cubic centimetre"),
    "melting point": ("melting_point", "K", "kelvin"),
    "boiling point": ("boiling_point", "K", "kelvin"),
    "electron affinity": ("electron_affinity", "eV", "electronvolts"),
    "first ionization energy": ("ionization_energy", "eV", "electronvolts"),
    "covalent radius": ("covalent_radius_pyykko", "pm", "picometres"),
    "van der Waals radius": ("vdw_radius", "pm", "picometres"),
    "specific heat capacity": ("specific_heat_capacity", "J/(g K)", "joules per gram kelvin"),
    "thermal conductivity": ("thermal_conductivity", "W/(m K)", "watts per metre kelvin"),
    "abundance in the Earth's crust": ("abundance_crust", "mg/kg", "milligrams per kilogram"),
}
NUMBERS = {"electronegativity": "en_pauling", "atomic weight": "atomic_weight"}
WORDS = {
    "symbol": "symbol", "atomic number": "atomic_number", "discovery year": "discovery_year",
    "discovery location": "discovery_location", "electron configuration": "electronic_configuration",
    "period": "period", "group": "group_id", "block": "block", "element category": "series", "CAS number": "cas",
    "Goldschmidt class": "goldschmidt_class", "display colour": "jmol_color",
}
LATTICES = {
    "BCC": "body-centred cubic", "FCC": "face-centred cubic", "HEX": "hexagonal", "CUB": "cubic",
    "DIA": "diamond cubic", "TET": "tetragonal", "ORC": "orthorhombic", "MCL": "monoclinic",
    "RHL": "rhombohedral", "SC": "simple cubic",
}
SPELLINGS = {"Aluminum": "Aluminium", "Cesium": "Caesium", "Sulfur": "Sulphur"}
QUERY = """
SELECT elements.*, series.name AS series,
  (SELECT MIN(melting_point) FROM phasetransitions WHERE atomic_number = elements.atomic_number
     HAVING COUNT(*) = 1) AS melting_point,
  (SELECT MIN(boiling_point) FROM phasetransitions WHERE atomic_number = elements.atomic_number
     HAVING COUNT(*) = 1) AS boiling_point,
  (SELECT ionization_energy FROM ionizationenergies WHERE atomic_number = elements.atomic_number
     AND ion_charge = 0) AS ionization_energy
FROM elements LEFT JOIN series ON series.id = elements.series_id ORDER BY elements.atomic_number
"""
STATES = "SELECT atomic_number, oxidation_state FROM oxidationstates WHERE category = 'main' ORDER BY id"


def read_elements() -> pl.DataFrame:
    """Read the elements, and their main oxidation states as a list, from the installed package."""
    spec = importlib.util.find_spec("mendeleev")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("the package mendeleev is not installed: pip install 'widedeep_kb[data]'")
    path = Path(spec.submodule_search_locations[0]) / "elements.db"
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        elements = pl.read_database(QUERY, connection, infer_schema_length=None)
        states = pl.read_database(STATES, connection)
    finally:
        connection.close()
    return elements.join(states.group_by("atomic_number").agg("oxidation_state"), on="atomic_number", how="left")


def make_facts() -> pl.DataFrame:
    """Return all facts about the elements in `FACT_SCHEMA`; quantities carry their unit, and the number as an alias."""
    wide = element_table(read_elements())
    relations = [name for name in wide.columns if name not in ("subject", "subject_id", "subject_aliases")]
    facts = unpivot_properties(wide, relations).with_columns(
        source=pl.lit("mendeleev"), object_aliases=quantity_aliases()
    )
    return normalise_facts(facts, origin="mendeleev")


def element_table(elements: pl.DataFrame) -> pl.DataFrame:
    """Lay the elements out with one text column for each relation; oxidation states are a list of texts."""
    quantities = {
        relation: pl.concat_str(number_text(column), pl.lit(f" {unit}"))
        for relation, (column, unit, _) in QUANTITIES.items()
    }
    origin = pl.col("name_origin").str.strip_chars(" .")
    is_short = (origin.str.len_chars() <= MAX_NAME_ORIGIN_CHARS) & ~origin.str.contains(r"[\r\n]")
    finder = pl.col("discoverers").str.strip_chars(" .")
    state = pl.element()
    states = pl.col("oxidation_state").list.eval(pl.when(state > 0).then(pl.format("+{}", state)).otherwise(state))
    return elements.sort("atomic_number").select(
        subject="name",
        subject_id=pl.concat_str(pl.lit("element "), "atomic_number"),
        subject_aliases=pl.concat_list(pl.col("name").replace_strict(SPELLINGS, default=None)).list.drop_nulls(),
        **{relation: pl.col(column).cast(pl.String) for relation, column in WORDS.items()},
        **{relation: number_text(column) for relation, column in NUMBERS.items()},
        **quantities,
        **{
            "lattice structure": pl.col("lattice_structure").replace_strict(LATTICES),
            "oxidation state": states,
            "price per kilogram": pl.concat_str(pl.lit("$"), number_text("price_per_kg")),
            "origin of the name": pl.when(is_short).then(origin),
            # "Known to the ancients." names nobody.
            "discoverer": pl.when(~finder.str.starts_with("Known to")).then(finder),
        },
    )


def number_text(column: str) -> pl.Expr:
    """Write numbers with at most six significant digits, as people would: 115.99999999999999 -> 116, 19.0 -> 19."""
    return pl.col(column).map_elements(plain_number, return_dtype=pl.String)


def plain_number(value: float) -> str:
    """Write one number with at most six significant digits and without an exponent where it is readable."""
    text = f"{value:.6g}"
    return f"{value:.0f}" if "e+" in text else text


def quantity_aliases() -> pl.Expr:
    """Accept a quantity also without its unit and with the unit in words, a price also without its sign."""
    aliases = pl.when(pl.col("relation") == "price per kilogram").then(
        pl.concat_list(pl.col("object").str.strip_prefix("$"), pl.col("object").str.strip_prefix("$") + " dollars")
    )
    for relation, (_, unit, words) in QUANTITIES.items():
        number = pl.col("object").str.strip_suffix(f" {unit}")
        aliases = aliases.when(pl.col("relation") == relation).then(pl.concat_list(number, number + f" {words}"))
    return aliases.otherwise(pl.lit([], dtype=pl.List(pl.String)))


if __name__ == "__main__":
    prepare(Path(__file__).resolve().parent, make_facts, argv=sys.argv[1:])
