"""The benchmark of edits: pieces are kept, and a second run goes on from them."""

import runpy
from pathlib import Path

import polars as pl
import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_edits.py"))


def options(folder: Path, *more: str) -> object:
    return SCRIPT["parse_args"](["--data-dir", str(folder), "--output", str(folder), *more])


def test_pieces_that_are_done_are_not_done_again(tmp_path: Path) -> None:
    frame, seen = pl.DataFrame({"number": range(10)}), []

    def work(piece: pl.DataFrame) -> pl.DataFrame:
        seen.append(piece.height)
        return piece.with_columns(double=2 * pl.col("number"))

    stopped = options(tmp_path)
    stopped.ends = 0.0
    assert SCRIPT["in_pieces"](frame, work, "x", stopped, size=4) is None and not seen
    found = SCRIPT["in_pieces"](frame.head(4), work, "x", options(tmp_path), size=4)
    assert found["double"].to_list() == [0, 2, 4, 6]
    found = SCRIPT["in_pieces"](frame, work, "x", options(tmp_path), size=4)
    assert found["double"].to_list() == [2 * i for i in range(10)] and seen == [4, 4, 2]
    assert SCRIPT["in_pieces"](frame, work, "x", stopped, size=4).equals(found)


def test_figures_are_given_apart_where_some_probes_do_not_name_the_subject() -> None:
    frame = pl.DataFrame({"right": [True, False, True, True], "names_subject": [True, False, True, True]})
    lines = list(SCRIPT["figures"](frame, "right", what="x", target=0.95))
    assert [line[0] for line in lines] == ["x (4)", "x, subject named (3)"]
    assert lines[0][1].startswith("0.750 [") and lines[1][1] == "1.000 [1.000, 1.000]"
    assert len(list(SCRIPT["figures"](frame.filter("right"), "right", what="x", target=0.95))) == 1


def test_a_smaller_draw_is_the_beginning_of_a_larger_one(tmp_path: Path) -> None:
    frame = pl.DataFrame({"number": range(200)})
    large, small = (SCRIPT["draw"](frame, most, seed=3) for most in (150, 40))
    assert large.height == 150 and large.head(40).equals(small)
    assert small["number"].to_list() != list(range(40))
    everything = SCRIPT["draw"](frame, options(tmp_path, "--num-probes", "0").num_probes, seed=3)
    assert sorted(everything["number"]) == list(range(200))


def test_a_piece_is_never_smaller_than_a_batch(tmp_path: Path) -> None:
    assert options(tmp_path, "--batch-size", "256").piece == 256
    assert options(tmp_path, "--batch-size", "256", "--piece", "2048").piece == 2048


def test_pieces_of_another_size_are_not_mistaken_for_these(tmp_path: Path) -> None:
    frame = pl.DataFrame({"number": range(10)})
    for size in (4, 3):
        args = options(tmp_path, "--batch-size", "1")
        args.piece = size
        assert SCRIPT["in_pieces"](frame, lambda piece: piece, "x", args).equals(frame)


def test_unknown_parts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        options(tmp_path, "--parts", "guessed")
