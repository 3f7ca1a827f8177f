from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from harness.venue.instruments import DEFAULT_INSTRUMENTS
from harness.venue.tape import MarketTrade, TapeError, csv_tape, random_tape

BTC, ETH, _ = DEFAULT_INSTRUMENTS


def seeded(name: str) -> random.Random:
    return random.Random(name)


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="ascii")
    return path


def test_same_streams_give_the_same_tape() -> None:
    first = list(itertools.islice(random_tape(DEFAULT_INSTRUMENTS, seeded), 300))
    again = list(itertools.islice(random_tape(DEFAULT_INSTRUMENTS, seeded), 300))
    assert first == again
    assert len({trade.price for trade in first}) > 100


def test_another_symbol_shifts_no_draw_of_the_first() -> None:
    """Fault-free and faulty runs, and runs with one venue more, share their prices."""
    alone = list(itertools.islice(random_tape([BTC], seeded), 50))
    both = itertools.islice(random_tape([ETH, BTC], seeded), 100)
    assert [trade for trade in both if trade.symbol == "BTCUSDT"] == alone


def test_random_tape_trades_each_symbol_at_every_interval() -> None:
    tape = itertools.islice(random_tape([BTC, ETH], seeded, interval=0.5), 4)
    assert [(trade.at, trade.symbol) for trade in tape] == [
        (0.0, "BTCUSDT"),
        (0.0, "ETHUSDT"),
        (0.5, "BTCUSDT"),
        (0.5, "ETHUSDT"),
    ]


def test_random_walk_of_a_day_stays_near_its_start() -> None:
    """A pull to the start keeps orders affordable and inside the filters, however long the run."""
    tape = itertools.islice(random_tape([BTC], seeded, interval=60.0), 1440)
    prices = [trade.price / BTC.start_ticks for trade in tape]
    assert 0.93 < min(prices) < max(prices) < 1.07


def test_trades_file_becomes_a_tape_from_zero(tmp_path: Path) -> None:
    """Milliseconds and microseconds both occur in the public files."""
    path = write(
        tmp_path / "t.csv",
        "1,50000.01000000,0.00500000,250.0,1700000000000,True,True",
        "2,50000.02000000,0.00000100,0.05,1700000000250000,False,True",
    )
    assert list(csv_tape({"BTCUSDT": path}, [BTC])) == [
        MarketTrade(0.0, "BTCUSDT", 5_000_001, 500, True),
        MarketTrade(0.25, "BTCUSDT", 5_000_002, 1, False),
    ]


def test_agg_trades_file_with_a_header_is_read_and_merged_by_time(tmp_path: Path) -> None:
    agg = write(
        tmp_path / "agg.csv",
        "agg_trade_id,price,quantity,first_id,last_id,time,is_buyer_maker,best_match",
        "9,3000.5,1.0,1,3,1700000001000,false,true",
    )
    trades = write(
        tmp_path / "t.csv",
        "1,50000,1,50000,1700000000000,True,True",
        "2,50001,1,50001,1700000002000,True,True",
    )
    tape = csv_tape({"BTCUSDT": trades, "ETHUSDT": agg}, DEFAULT_INSTRUMENTS)
    assert [(trade.at, trade.symbol) for trade in tape] == [
        (0.0, "BTCUSDT"),
        (1.0, "ETHUSDT"),
        (2.0, "BTCUSDT"),
    ]


GOOD = "1,50000,1,50000,1700000000000,True,True"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("2,50000,1", "got 3; use a spot file"),
        ("2,abc,1,1,1700000000000,True,True", "above 0, got price='abc'; repair"),
        ("2,nan,1,1,1700000000000,True,True", "expected price to be a number above 0"),
        ("2,50000.001,1,1,1700000000000,True,True", "set the instrument's tick_size"),
        ("2,50000,0,1,1700000000000,True,True", "expected qty to be a number above 0"),
        ("2,50000,1,1,1700000000,True,True", "time='1700000000'; use the file as downloaded"),
        ("2,50000,1,1,1700000000000,maybe,True", "isBuyerMaker='maybe'"),
        ("2,50000,1,1,1699999999000,True,True", "expected rows in order of time; sort the file"),
        ("", "got 1; use a spot file"),
    ],
)  # fmt: skip
def test_bad_row_is_refused_with_file_line_and_advice(
    tmp_path: Path, row: str, problem: str
) -> None:
    path = write(tmp_path / "t.csv", GOOD, row)
    with pytest.raises(TapeError) as caught:
        csv_tape({"BTCUSDT": path}, [BTC])
    assert str(caught.value).startswith(f"{path}:2: ")
    assert problem in str(caught.value)


def test_bad_row_beyond_the_horizon_is_not_looked_at(tmp_path: Path) -> None:
    """A day's file need not be read for an hour's run."""
    later = "2,50000,1,50000,1700000009000,True,True"
    path = write(tmp_path / "t.csv", GOOD, later, "rubbish")
    assert next(csv_tape({"BTCUSDT": path}, [BTC], horizon=8.0)).at == 0.0


def test_file_shorter_than_the_horizon_is_refused(tmp_path: Path) -> None:
    """A market that falls silent in mid-run would look like a fault."""
    path = write(tmp_path / "t.csv", GOOD)
    with pytest.raises(TapeError, match=r":1: expected trades up to 60 s, got 0 s; shorten"):
        csv_tape({"BTCUSDT": path}, [BTC], horizon=60.0)


def test_missing_empty_binary_and_unknown_files_are_refused(tmp_path: Path) -> None:
    binary = tmp_path / "t.zip"
    binary.write_bytes(b"PK\x03\x04\xff\xfe")
    empty = write(tmp_path / "empty.csv", "id,price,qty,quoteQty,time,isBuyerMaker,isBestMatch")
    with pytest.raises(TapeError, match="No such file or directory; check the path"):
        csv_tape({"BTCUSDT": tmp_path / "no.csv"}, [BTC])
    with pytest.raises(TapeError, match="unzip the file first"):
        csv_tape({"BTCUSDT": binary}, [BTC])
    with pytest.raises(TapeError, match="expected at least one trade"):
        csv_tape({"BTCUSDT": empty}, [BTC])
    with pytest.raises(TapeError, match="got symbol='DOGEUSDT'; add it there"):
        csv_tape({"DOGEUSDT": empty}, [BTC])
