"""`glis parquet cat --where` against a plain loop over the rows that pyarrow reads, on random files."""

import decimal
import math
import operator
import random
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from test_parquet_matrix import floats, integers, maybe, reals, write_with_pyarrow
from test_real_files import arrow_of, ok, run, values_of

OPERATORS = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
             ">=": operator.ge}
KINDS = [(pa.int8(), integers(8, True)), (pa.int32(), lambda r: r.randrange(50)), (pa.int64(), integers(64, True)),
         (pa.uint16(), integers(16, False)), (pa.float64(), reals), (pa.float32(), floats),
         (pa.string(), lambda r: r.choice(["", "a", "ab", "b", "ü", "zz", "k" + str(r.randrange(100))])),
         (pa.bool_(), lambda r: r.random() < 0.5)]


def random_table(r):
    n = r.choice([1, 10, 3000])
    columns, fields = [], []
    for i in range(3):
        kind, make = r.choice(KINDS)
        nullable = r.random() < 0.6
        values = [maybe(r, make, nullable) for _ in range(n)]
        if r.random() < 0.5 and not pa.types.is_floating(kind):
            values.sort(key=lambda v: (v is None, v if v is not None else 0 if not pa.types.is_string(kind) else ""))
        columns.append(pa.array(values, kind))
        fields.append(pa.field(f"f{i}", kind, nullable))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def text_of(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return "Infinity" if value == math.inf else "-Infinity" if value == -math.inf else repr(value)
    return str(value)


def meets(value, op, wanted):
    if op in ("is null", "is not null"):
        return (value is None) == (op == "is null")
    return value is not None and OPERATORS[op](value, wanted)  # Python's NaN differs from everything, as here


@pytest.mark.parametrize("seed", range(60))
def test_random_conditions(seed, tmp_path):
    r = random.Random(seed)
    table, path, ours = random_table(r), tmp_path / "x.parquet", tmp_path / "ours.parquet"
    write_with_pyarrow(r, table, path)
    ok("parquet", "rewrite", path, "--output", ours, "--page-size", r.choice(["1", "500", "64K"]),
       "--row-group-rows", r.choice(["7", "1000", "100000"]))
    table = pq.ParquetFile(path).read()
    for _ in range(4):
        conditions = []
        for _ in range(r.choice([1, 1, 2, 3])):
            name = r.choice(table.column_names)
            values = [v for v in table.column(name).to_pylist() if v is not None and v == v and v != ""]
            op = r.choice([*OPERATORS, "is null", "is not null"])
            if not values and op in OPERATORS:
                continue
            conditions.append((name, op, r.choice(values) if op in OPERATORS else None))
        if not conditions:
            continue
        words = []
        for name, op, value in conditions:
            words += ["--where", f"{name} {op}" + ("" if value is None else f" {text_of(value)}")]
        rows = [all(meets(row[name], op, value) for name, op, value in conditions) for row in table.to_pylist()]
        want = table.filter(pa.array(rows))
        for file in (path, ours):
            columns = r.choice([[], ["--columns", "f1"], ["--columns", "f2,f0"]])
            got = arrow_of(ok("parquet", "cat", file, "--format", "arrow", *words, *columns))
            names = got.column_names
            for name in names:
                assert values_of(got.column(name)) == values_of(want.column(name)), (words, name)
            assert got.num_rows == want.num_rows


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("precision", [9, 18, 25, 38])
def test_decimals_over_many_windows(index, dictionary, precision, tmp_path):
    """Rows found here and there, close together, and not at all, with and without the places of pages; dictionaries
    that end in the middle of a chunk."""
    r, path, ours = random.Random(precision), tmp_path / "x.parquet", tmp_path / "ours.parquet"
    n, high = 200_000, 10 ** precision - 1
    few, kind = [high, -high, 0, 1, -1], pa.decimal128(precision, 2)
    numbers = [r.choice(few) if i < 120_000 else r.randint(-high, high) for i in range(n)]
    decimals = [None if r.random() < 0.01 else decimal.Decimal(v).scaleb(-2, decimal.Context(prec=60)) for v in numbers]
    places = [i % 1000 if 50_000 < i < 130_000 else -1 for i in range(n)]
    table = pa.table({"d": pa.array(decimals, kind), "i": pa.array(places, pa.int32()),
                      "t": [f"row {i}" for i in range(n)]})
    pq.write_table(table, path, write_page_index=index, use_dictionary=dictionary, store_decimal_as_integer=precision <= 18,
                   dictionary_pagesize_limit=4096, data_page_size=20_000, row_group_size=150_000)
    ok("parquet", "rewrite", path, "--output", ours, "--row-group-rows", "150000")
    for where, keep in [(["i = 7"], lambda i: places[i] == 7), (["i >= 0"], lambda i: places[i] >= 0),
                        (["d > 1.00"], lambda i: decimals[i] is not None and decimals[i] > 1),
                        (["d = -0.01", "i < 2"], lambda i: decimals[i] == decimal.Decimal("-0.01") and places[i] < 2)]:
        want = table.take([i for i in range(n) if keep(i)])
        words = [word for condition in where for word in ("--where", condition)]
        for file in (path, ours):
            assert arrow_of(ok("parquet", "cat", file, "--format", "arrow", *words)).equals(
                want.cast(arrow_of(ok("parquet", "cat", file, "--format", "arrow", "--limit", "1")).schema)), (where, file)


def test_what_is_left_out_is_not_read(tmp_path):
    path = tmp_path / "x.parquet"
    n = 200_000
    table = pa.table({"k": pa.array(range(n), pa.int64()), "t": [f"text {i}" for i in range(n)]})
    pq.write_table(table, path, row_group_size=50_000, data_page_size=4096, write_batch_size=512, use_dictionary=False,
                   write_page_index=True)
    text = ok("parquet", "cat", path, "--where", "k >= 60000", "--where", "k < 60010", "--explain").decode()
    assert "4, 3 left out by their statistics" in text
    tested = int(text.split("rows ")[1].split(" tested")[0].replace(",", ""))
    assert tested < 5000 and "10 given" in text, text
    size, unit, requests = re.search(r"read +([\d.]+) (\w+) of the file's .* in (\d+) requests", text).groups()
    assert float(size) * {"KiB": 1, "MiB": 1 << 10}[unit] < path.stat().st_size / 4096, text  # a fourth
    assert 1 < int(requests) < 20, text


@pytest.mark.parametrize("condition, code, words", [
    ("nope = 1", 1, "no column 'nope'"), ("k = x", 1, "not a whole number"), ("k", 2, "--where is"),
    ("l = 1", 1, "nested"), ("= 3", 2, "--where is"), ("k = 99999999999999999999", 1, "--where k ="),
])
def test_wrong_conditions(condition, code, words, tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"k": [1, 2], "l": [[1], [2]]}), path)
    done = run("parquet", "cat", path, "--where", condition)
    assert done.returncode == code and words in done.stderr.decode(), done.stderr
