"""Tables on disk: parquet, jsonl and csv files in and out, with one clear line for every mistake in them.

In: a path, or a frame or records from Python, and a schema (column name -> Polars type). Out: a frame in exactly that
schema. Text stays as it was written (`007` stays `007`, the JSON number `1.50` becomes the text `1.50`); only an empty
cell is null (`NA` is a value); lists are never null. Rows in messages count from 1 and leave out a csv file's header.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

MAX_VALUE_BYTES = 1_000_000
SHOWN_CHARS = 60
TEXT = pl.String()
TEXT_LIST = pl.List(pl.String())
TRUTH_VALUES = {"true": True, "1": True, "false": False, "0": False}
JSON_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)  # numbers stay as written
Schema = Mapping[str, pl.DataType]


def refuse(value: Any, *, origin: str, row: int | None, why: str) -> NoReturn:
    """Raise the one-line ValueError for a value, shortened to 60 characters, in a row counted from 1."""
    text = value if isinstance(value, str) else str(value)
    text = text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 3] + "..."
    place = origin if row is None else f"{origin}, row {row}"
    raise ValueError(f"{place}: {why}: {text!r}")


def refuse_first(is_bad: pl.Series, values: pl.Series, *, origin: str, why: str) -> None:
    """Raise `refuse` for the first row where `is_bad` (Boolean) holds; rows without a value are good."""
    is_bad = is_bad.fill_null(False) & values.is_not_null()
    if is_bad.any():
        index = int(is_bad.arg_max())
        value = values[index]
        value = value.to_list() if isinstance(value, pl.Series) else value
        refuse(value, origin=origin, row=index + 1, why=f"{values.name} {why}")


def read_table(path: str | Path, schema: Schema, *, required: Sequence[str]) -> pl.DataFrame:
    """Read a parquet, jsonl or csv file (chosen by its suffix) into `schema`.

    Args:
        path: the file.
        schema: the columns the file may have; absent ones are null, or an empty list.
        required: the columns it must have.

    Raises:
        ValueError: on anything that is not such a table, naming file, row and value.
        OSError: if the file cannot be read.
    """
    path, origin = Path(path), str(path)
    match path.suffix:
        case ".parquet":
            frame = _read_parquet(path)
        case ".csv":
            frame = _read_csv(_read_text(path), origin=origin)
        case ".jsonl":
            frame = frame_from_records(_read_jsonl(_read_text(path), origin=origin), schema, origin=origin)
        case suffix:
            raise ValueError(f"{origin}: suffix {suffix!r} is none of .parquet, .jsonl, .csv")
    return conform(frame, schema, required=required, origin=origin)


def write_table(frame: pl.DataFrame, path: str | Path, *, metadata: dict[str, str] | None = None) -> None:
    """Write a frame by the suffix of `path`, whole or not at all: a temporary file beside it, then a rename.

    Args:
        frame: the table; list columns become JSON arrays in csv cells.
        path: a .parquet, .jsonl or .csv file; an existing one is replaced.
        metadata: key-value pairs for the footer of a parquet file.

    Raises:
        ValueError: if the suffix is none of the three.
    """
    path = Path(path)
    if path.suffix not in (".parquet", ".jsonl", ".csv"):
        raise ValueError(f"{path}: suffix {path.suffix!r} is none of .parquet, .jsonl, .csv")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            if path.suffix == ".parquet":
                frame.write_parquet(file, metadata=metadata)
            elif path.suffix == ".jsonl":
                frame.write_ndjson(file)
            else:
                frame.with_columns(_list_cells(column) for column in frame if column.dtype == TEXT_LIST).write_csv(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def frame_from_records(records: Iterable[Mapping[str, Any]], schema: Schema, *, origin: str) -> pl.DataFrame:
    """Build a frame of the columns that the records have, scalars as text and lists as lists of text.

    Args:
        records: one mapping a row; a missing key is a null.
        schema: the columns a record may have.
        origin: what messages call the records.

    Raises:
        ValueError: on an unknown column or a value of the wrong type.
    """
    records = list(records)
    seen = dict.fromkeys(key for record in records for key in record)
    _check_names(list(seen), schema, required=(), origin=origin)
    columns = []
    for name in seen:
        values = [record.get(name) for record in records]
        cell = _list_value if schema[name] == TEXT_LIST else _scalar_value
        if not set(map(type, values)) <= {str, type(None)} or schema[name] == TEXT_LIST:
            values = [cell(v, name, schema[name], origin, row) for row, v in enumerate(values, start=1)]
        try:
            columns.append(_list_series(name, values) if schema[name] == TEXT_LIST else pl.Series(name, values, TEXT))
        except UnicodeEncodeError:  # a lone surrogate, such as JSON's "\ud800", is no text
            row = next(row for row, v in enumerate(values, start=1) if _has_lone_surrogate(v))
            refuse(values[row - 1], origin=origin, row=row, why=f"{name} is not valid Unicode")
    return pl.DataFrame(columns)


def conform(frame: pl.DataFrame, schema: Schema, *, required: Sequence[str], origin: str) -> pl.DataFrame:
    """Bring a frame into exactly `schema`: empty text to null, null lists to empty ones, text to numbers and truth.

    Args:
        frame: columns of the schema's types, or text that spells them.
        schema: the columns of the result, in order; absent ones are null, or an empty list.
        required: the columns the frame must have.
        origin: what messages call the frame, for instance its file.

    Raises:
        ValueError: on unknown, missing or wrongly typed columns, no rows, values that do not parse or exceed 1 MB.
    """
    if frame.width == 0 or frame.height == 0:
        raise ValueError(f"{origin}: the table has no rows")
    _check_names(frame.columns, schema, required=required, origin=origin)
    columns = []
    for name, dtype in schema.items():
        column = frame[name] if name in frame.columns else pl.Series(name, [None]).new_from_index(0, frame.height)
        columns.append(_conform_column(column, dtype, origin=origin))
    return pl.DataFrame(columns)


def _conform_column(column: pl.Series, dtype: pl.DataType, *, origin: str) -> pl.Series:
    if column.dtype == pl.Null:
        column = column.cast(dtype)
    if dtype == TEXT_LIST:
        return _conform_lists(column, origin=origin)
    if isinstance(column.dtype, pl.Categorical | pl.Enum) or column.dtype == TEXT:
        column = column.cast(TEXT)
        _refuse_long(column, origin=origin)
        column = column.set(column == "", None)
    if dtype == TEXT:
        if not (column.dtype == TEXT or column.dtype.is_integer() or column.dtype == pl.Date):
            raise ValueError(f"{origin}: column {column.name!r} holds {column.dtype}, expected text")
        return column.cast(TEXT)
    if dtype == pl.Boolean and column.dtype != pl.Boolean:
        parsed = (
            column.cast(TEXT).str.to_lowercase().replace_strict(TRUTH_VALUES, default=None, return_dtype=pl.Boolean)
        )
        refuse_first(parsed.is_null() & column.is_not_null(), column, origin=origin, why="is not true or false")
        return parsed
    if dtype == pl.Float64:
        if not (column.dtype == TEXT or column.dtype.is_numeric()):
            raise ValueError(f"{origin}: column {column.name!r} holds {column.dtype}, expected numbers")
        parsed = column.cast(pl.Float64, strict=False)
        is_number = parsed.is_finite().fill_null(False)
        refuse_first(~is_number & column.is_not_null(), column, origin=origin, why="is not a finite number")
        return parsed
    return column


def _conform_lists(column: pl.Series, *, origin: str) -> pl.Series:
    if column.dtype == TEXT:
        _refuse_long(column, origin=origin)
        column = _parse_lists(column, origin=origin)
    inner = column.dtype.inner if isinstance(column.dtype, pl.List) else None
    if inner is None or not (inner in (TEXT, pl.Null) or inner.is_integer()):
        raise ValueError(f"{origin}: column {column.name!r} holds {column.dtype}, expected lists of text")
    column = column.cast(TEXT_LIST).fill_null([])
    items = pl.DataFrame({"row": pl.int_range(column.len(), eager=True), "item": column})
    items = items.filter(pl.col("item").list.len() > 0).explode("item")
    item = pl.col("item")
    is_bad = is_blank(item) | (item.str.len_bytes() > MAX_VALUE_BYTES)
    bad = items.filter(is_bad.fill_null(True)).head(1)
    if bad.height:
        row, value = bad.row(0)
        is_long = value is not None and len(value.encode()) > MAX_VALUE_BYTES
        why = f"has an item of more than {MAX_VALUE_BYTES} bytes" if is_long else "has an empty item"
        refuse(value or "", origin=origin, row=row + 1, why=f"{column.name} {why}")
    return column


def _parse_lists(column: pl.Series, *, origin: str) -> pl.Series:
    parsed: dict[str, list[str]] = {}
    for cell in column.drop_nulls().unique().to_list():
        if not cell:
            continue
        try:
            items = JSON_DECODER.decode(cell)
        except (json.JSONDecodeError, RecursionError):
            items = None
        if isinstance(items, list) and all(isinstance(item, str) and not _has_lone_surrogate(item) for item in items):
            parsed[cell] = items
    known = pl.Series(list(parsed), dtype=TEXT)
    is_bad = (column != "") & ~column.is_in(known.implode())
    refuse_first(is_bad, column, origin=origin, why="is not a JSON array of strings")
    return _list_series(column.name, [parsed.get(cell) for cell in column.to_list()])


def _list_series(name: str, values: Sequence[list[str] | None]) -> pl.Series:
    """Build a column of lists, empty for None, from one flat column: `pl.Series` takes 15 us a list."""
    filled = [(row, items) for row, items in enumerate(values) if items]
    flat = pl.DataFrame(
        {
            "row": pl.Series([row for row, items in filled for _ in items], dtype=pl.Int64),
            name: pl.Series([item for _, items in filled for item in items], dtype=TEXT),
        }
    )
    rows = pl.DataFrame({"row": pl.int_range(len(values), eager=True)})
    lists = flat.group_by("row", maintain_order=True).agg(name)
    return rows.join(lists, on="row", how="left", maintain_order="left")[name].fill_null([])


def is_blank(text: pl.Expr) -> pl.Expr:
    """Whether text is empty or only whitespace, as `str.split` sees it; null for null."""
    return text.str.contains(r"^[\s\x1c-\x1f]*$")


def _refuse_long(column: pl.Series, *, origin: str) -> None:
    is_long = column.str.len_bytes() > MAX_VALUE_BYTES
    refuse_first(is_long, column, origin=origin, why=f"has more than {MAX_VALUE_BYTES} bytes")


def _check_names(names: Sequence[str], schema: Schema, *, required: Sequence[str], origin: str) -> None:
    for name in names:
        if name not in schema:
            refuse(name, origin=origin, row=None, why=f"unknown column (known are {', '.join(schema)})")
    for name in required:
        if name not in names:
            raise ValueError(f"{origin}: column {name!r} is missing")


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, glob=False)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path}: not a readable parquet file: {str(error).splitlines()[0]}") from error


def _read_text(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        shown = data[max(error.start - 20, 0) : error.start + 20].decode("utf-8", errors="backslashreplace")
        raise ValueError(f"{path}, line {line}: not UTF-8 text: {shown!r}") from error


def _read_csv(text: str, *, origin: str) -> pl.DataFrame:
    limit = csv.field_size_limit(max(len(text), 1))  # our own limit names the row and the value
    rows: list[list[str]] = []
    try:
        rows.extend(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(f"{origin}, row {max(len(rows), 1)}: malformed csv: {error}") from error
    finally:
        csv.field_size_limit(limit)
    if len(rows) < 2:
        return pl.DataFrame()
    header = rows.pop(0)
    if len(set(header)) < len(header):
        raise ValueError(f"{origin}: a column appears twice: {', '.join(header)[:SHOWN_CHARS]}")
    for row, cells in enumerate(rows, start=1):
        if len(cells) != len(header):
            refuse(",".join(cells), origin=origin, row=row, why=f"{len(cells)} cells, expected {len(header)}")
    return pl.DataFrame(
        [pl.Series(name, cells, dtype=TEXT) for name, cells in zip(header, zip(*rows, strict=True), strict=True)]
    )


def _read_jsonl(text: str, *, origin: str) -> list[dict[str, Any]]:
    records = []
    for row, line in enumerate(text.split("\n") if text else [], start=1):
        try:
            record = JSON_DECODER.decode(line)
        except (json.JSONDecodeError, RecursionError):
            record = None
        if not isinstance(record, dict):
            refuse(line, origin=origin, row=row, why="not a JSON object")
        records.append(record)
    return records


def _scalar_value(value: Any, name: str, dtype: pl.DataType, origin: str, row: int) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) and dtype == pl.Boolean:
        return str(value).lower()
    if isinstance(value, float) and dtype == pl.Float64:
        return repr(float(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    refuse(value, origin=origin, row=row, why=f"{name} is a {type(value).__name__}, expected text")


def _list_value(value: Any, name: str, dtype: pl.DataType, origin: str, row: int) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        refuse(value, origin=origin, row=row, why=f"{name} is not a list of strings")
    return list(value)


def _list_cells(column: pl.Series) -> pl.Series:
    cells = [json.dumps(items, ensure_ascii=False) if items else None for items in column.to_list()]
    return pl.Series(column.name, cells, dtype=TEXT)


def _has_lone_surrogate(value: str | list[str] | None) -> bool:
    text = "".join(value or "")
    return any("\ud800" <= char <= "\udfff" for char in text)


def write_text(text: str, path: str | Path) -> None:
    """Write a UTF-8 text, whole or not at all: a temporary file beside it, then a rename."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
