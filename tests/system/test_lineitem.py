"""The generator of TPC-H's lineitem (bench/lineitem.py) against the rules of its specification, 4.2.3."""

import datetime
import pathlib
import sys

import duckdb

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))
import lineitem  # noqa: E402


def test_lineitem_follows_the_specification():
    n = 20_001
    [made] = lineitem.tables(n, pool_bytes=1 << 18)
    [again] = lineitem.tables(n, pool_bytes=1 << 18)
    assert made.equals(again)
    assert made.num_rows == n and made.num_columns == 16
    (lines, numbers, sparse, ships, receipts, flags, statuses, prices, suppliers, comments) = duckdb.sql("""
        SELECT max(lines), bool_and(lines = greatest), bool_and((l_orderkey - 1) % 32 < 8), bool_and(ships), bool_and(receipts),
               bool_and(flags), bool_and(statuses), bool_and(prices), bool_and(suppliers), bool_and(texts)
        FROM (SELECT l_orderkey, count(*) lines, max(l_linenumber) greatest, max(l_shipdate) - min(l_shipdate) <= 120 ships,
                     bool_and(l_receiptdate - l_shipdate BETWEEN 1 AND 30) receipts,
                     bool_and((l_returnflag = 'N') = (l_receiptdate > DATE '1995-06-17')) flags,
                     bool_and((l_linestatus = 'O') = (l_shipdate > DATE '1995-06-17')) statuses,
                     bool_and(l_extendedprice * 100 = l_quantity *
                              (90000 + (l_partkey // 10) % 20001 + 100 * (l_partkey % 1000))) prices,
                     bool_and(l_suppkey BETWEEN 1 AND 10000 AND l_partkey BETWEEN 1 AND 200000 AND
                              l_discount BETWEEN 0 AND 0.10 AND l_tax BETWEEN 0 AND 0.08 AND
                              l_quantity BETWEEN 1 AND 50) suppliers,
                     bool_and(length(l_comment) BETWEEN 10 AND 43) AS texts
              FROM made GROUP BY l_orderkey)""").fetchone()
    assert lines == 7 and numbers and sparse and ships and receipts and flags and statuses and prices and suppliers
    assert comments
    first, last = duckdb.sql("SELECT min(l_shipdate), max(l_receiptdate) FROM made").fetchone()
    assert first >= datetime.date(1992, 1, 2) and last <= datetime.date(1998, 12, 31)
