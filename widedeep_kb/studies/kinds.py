"""Kinds of what a comparison asks, by name: the user's own questions, and what a look-up cannot serve (see `asked`)."""

from __future__ import annotations

import polars as pl

from widedeep_kb.schema import QUESTION_SCHEMA

ASKED_SCHEMA: dict[str, pl.DataType] = {**QUESTION_SCHEMA, "asked": pl.String()}
PLAIN, BEGUN, COMPARED, TWO_FACTS = "plain question", "statement begun", "comparison", "two facts"
