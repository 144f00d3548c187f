"""Real files, by value: what the Parquet reader gives against pyarrow and DuckDB, what comes back out of a
table against what went in, and what Glis writes against both readers.

The files are not part of the project; the tests skip where they are absent (GLIS_SHARED names the folder).
"""

import collections
import datetime
import decimal
import io
import json
import math
import numbers as numbers_abstract
import os
import pathlib
import re
import subprocess

import duckdb
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GLIS = os.environ.get("GLIS", str(ROOT / "build" / "glis"))
SHARED = pathlib.Path(os.environ.get("GLIS_SHARED", ROOT.parent / "shared")) / "data"
TESTING = SHARED / "parquet-testing" / "data"
BAD = SHARED / "parquet-testing" / "bad_data"

# Files that are broken on purpose, and the words of the error.
BROKEN = {
    "datapage_v1-corrupt-checksum.parquet": "checksum is wrong",
    "rle-dict-uncompressed-corrupt-checksum.parquet": "checksum is wrong",
}
# pyarrow cannot read these; DuckDB or the file's own description tells what must come.
PYARROW_CANNOT = {"incorrect_map_schema.parquet"}
# Two values of 1 GiB: too much for tests that hold everything several times.
HUGE = {"large_string_map.brotli.parquet"}


def parquet_files():
    if not TESTING.is_dir():
        return []
    return sorted(TESTING.glob("*.parquet")) + sorted((SHARED / "cities").glob("*.parquet"))


def sound_files(without=()):
    return [p for p in parquet_files() if p.name not in BROKEN and p.name not in HUGE and p.name not in without]


def text_files():
    folder = SHARED / "vega"
    return sorted(p for p in folder.glob("*") if p.suffix in (".csv", ".json")) if folder.is_dir() else []


def by_name(paths):
    return pytest.mark.parametrize("path", paths or [None], ids=lambda p: p.name if p else "absent")


def need(path):
    if path is None:
        pytest.skip("the folder of real files is not there")
    return path


def run(*words, root=None, seconds=120):
    env = {k: v for k, v in os.environ.items() if not k.startswith("GLIS_")}
    if root:
        env["GLIS_INSTANCE"] = str(root)
    return subprocess.run([GLIS, *map(str, words)], capture_output=True, env=env, timeout=seconds)


def ok(*words, root=None):
    done = run(*words, root=root)
    assert done.returncode == 0, (words, done.stderr.decode(errors="replace"))
    return done.stdout


def arrow_of(stdout):
    return ipc.open_stream(io.BytesIO(stdout)).read_all()


def plain(value):
    """A value as something that compares: NaN equals NaN, nanoseconds stay whole, -0.0 is not 0.0."""
    if isinstance(value, numbers_abstract.Real) and not isinstance(value, int):
        value = float(value)
        return ("nan",) if math.isnan(value) else ("real", value, math.copysign(1, value))
    if isinstance(value, dict):
        return tuple((k, plain(v)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(plain(v) for v in value)
    return value


def numbers(kind):
    """The type with times as whole numbers, which Python's own types do not always hold."""
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind) or pa.types.is_date32(kind):
        return pa.int32() if kind.bit_width == 32 else pa.int64()
    if pa.types.is_list(kind):
        return pa.list_(pa.field(kind.value_field.name, numbers(kind.value_type), kind.value_field.nullable))
    if pa.types.is_map(kind):
        return pa.map_(numbers(kind.key_type), pa.field(kind.item_field.name, numbers(kind.item_type),
                                                        kind.item_field.nullable))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, numbers(f.type), f.nullable) for f in kind])
    return kind


def values_of(column):
    """A column as a list of comparable values; times go by their numbers."""
    kind = numbers(column.type)
    if kind != column.type:
        column = column.cast(kind)
    if pa.types.is_float16(kind):
        return [None if v is None else plain(float(v)) for v in column.to_pylist()]
    return [plain(v) for v in column.to_pylist()]


def assert_equal_tables(got, want, what):
    assert got.column_names == want.column_names, what
    assert got.num_rows == want.num_rows, what
    for name in set(got.column_names):
        a, b = got.column(got.column_names.index(name)), want.column(want.column_names.index(name))
        assert values_of(a) == values_of(b), (what, name, a.type, b.type)


@by_name([p for p in parquet_files() if p.name not in HUGE])
def test_a_parquet_file_reads_as_pyarrow_reads_it(path):
    need(path)
    done = run("parquet", "cat", path, "--format", "arrow")
    if path.name in BROKEN:
        assert done.returncode == 1 and BROKEN[path.name] in done.stderr.decode()
        return
    assert done.returncode == 0, done.stderr.decode()
    got = arrow_of(done.stdout)
    if path.name in PYARROW_CANNOT:
        assert [tuple(row.values()) for row in got.to_pylist()] == [
            ([("parent", "another"), ("name", "report")],)]
        return
    want = pq.ParquetFile(path, coerce_int96_timestamp_unit="us").read()
    if path.name == "int96_from_spark.parquet":
        # 9999-12-31 and 290000-12-31 in Spark's zone, by hand in days since 1970 (400 years have 146,097).
        # pyarrow and DuckDB compute the last one by nanoseconds, which wrap around.
        moments = got.column("a").cast(pa.int64()).to_pylist()
        assert [None if m is None else m // 86_400_000_000 for m in moments] == [
            19723, 19723, 2932896, 20087, None, 105201161]
        return
    assert_equal_tables(got, want, path.name)


# What DuckDB reads wrongly: a moment that nanoseconds cannot hold wraps around; and chunk sizes that lack a header
# (only Arrow's reader makes up for it).
DUCKDB_DIFFERS = {"int96_from_spark.parquet", "nation.dict-malformed.parquet"}


@by_name(sound_files(without=DUCKDB_DIFFERS))
def test_a_parquet_file_reads_as_duckdb_reads_it(path):
    need(path)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    try:
        want = connection.execute(f"SELECT * FROM read_parquet('{path}')").fetch_arrow_table()
    except duckdb.Error as error:
        pytest.skip(f"DuckDB cannot read it: {str(error)[:100]}")
    got = arrow_of(ok("parquet", "cat", path, "--format", "arrow"))
    assert got.num_rows == want.num_rows
    assert len(got.column_names) == len(want.column_names)
    compared = 0
    for i, name in enumerate(got.column_names):
        a, b = got.column(i), want.column(i)
        if a.type != b.type:
            try:
                b = b.cast(a.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                continue  # another form of the same (maps, FLOAT16 as FLOAT): pyarrow's test has it
        assert values_of(a) == values_of(b), (path.name, name, a.type, want.column(i).type)
        compared += 1
    assert compared > 0 or len(got.column_names) == 0 or pa.types.is_nested(got.column(0).type) or \
        pa.types.is_float16(got.column(0).type), path.name


@by_name(sound_files())
def test_what_glis_writes_others_read(path, tmp_path):
    need(path)
    want = arrow_of(ok("parquet", "cat", path, "--format", "arrow"))
    out = tmp_path / "out.parquet"
    ok("parquet", "cat", path, "--format", "parquet", "--output", out)
    assert_equal_tables(pq.ParquetFile(out).read(), want, path.name)
    if len(set(n.lower() for n in want.column_names)) == len(want.column_names):
        count = duckdb.execute(f"SELECT count(*) FROM read_parquet('{out}')").fetchone()[0]
        assert count == want.num_rows
        duckdb.execute(f"SELECT * FROM read_parquet('{out}')").fetchall()  # every page decodes
    assert_equal_tables(arrow_of(ok("parquet", "cat", out, "--format", "arrow")), want, path.name)


def multiset(table):
    columns = [values_of(column) for column in table.columns]
    return collections.Counter(zip(*columns)) if columns else collections.Counter()


def can_be_key(column):
    kind = column.type
    scalar = not (pa.types.is_nested(kind) or pa.types.is_dictionary(kind) or pa.types.is_null(kind) or
                  pa.types.is_float16(kind) or pa.types.is_interval(kind))
    nan = pa.types.is_floating(kind) and any(v != v for v in column.to_pylist())
    return scalar and column.null_count == 0 and not nan


@by_name(sound_files())
def test_a_parquet_file_as_a_table(path, tmp_path):
    """As it is where a column of it can be a key; else with the numbers of its rows as one."""
    need(path)
    root = tmp_path / "instance"
    ok("init", root)
    want = arrow_of(ok("parquet", "cat", path, "--format", "arrow"))
    key = next((name for name, column in zip(want.column_names, want.columns) if can_be_key(column)), None)
    if key is None:
        key = "row number"
        want = want.add_column(0, key, pa.array(range(want.num_rows), pa.int64()))
        path = tmp_path / path.name
        pq.write_table(want, path)
    ok("table", "create", "t", "--like", path, "--row-keys", key, root=root)
    ok("ingest", "t", path, "--job", "j", root=root)
    got = arrow_of(ok("query", "t", "--format", "arrow", root=root))
    assert sorted(got.column_names) == sorted(want.column_names)
    assert multiset(got.select(want.column_names)) == multiset(want)
    assert ok("query", "t", "--count", root=root).strip() == str(want.num_rows).encode()
    ok("check", "--read-data", root=root)
    for file in (root / "tables").rglob("data/*.parquet"):  # what lies in the table, others read too
        assert pq.ParquetFile(file).read().num_rows > 0


# The first column is the key unless said here.
TEXT_KEYS = {"movies.json": "Release Date"}


@by_name(text_files())
def test_a_text_file_as_a_table(path, tmp_path):
    need(path)
    root = tmp_path / "instance"
    ok("init", root)
    keys = ["--row-keys", TEXT_KEYS[path.name]] if path.name in TEXT_KEYS else []
    ok("table", "create", "t", "--like", path, *keys, root=root)
    ok("ingest", "t", path, "--job", "j", root=root)
    got = arrow_of(ok("query", "t", "--format", "arrow", root=root))
    reader = "read_csv" if path.suffix == ".csv" else "read_json"
    want = duckdb.execute(f"SELECT * FROM {reader}('{path}', sample_size=-1)").fetch_arrow_table()
    assert sorted(got.column_names) == sorted(want.column_names)

    def texts(table):
        rows = []
        for row in zip(*(table.column(name).to_pylist() for name in sorted(table.column_names))):
            rows.append(tuple(text_of(v) for v in row))
        return collections.Counter(rows)

    assert texts(got) == texts(want)


def text_of(value):
    """Numbers by value, times by the moment, JSON strings without their quotes."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float, decimal.Decimal)):
        return repr(float(value))
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat()
    if isinstance(value, str):
        if re.fullmatch(r'".*"', value):
            value = json.loads(value)
        try:
            return repr(float(value))
        except ValueError:
            return value
    return str(value)


@pytest.mark.parametrize("path", sorted(BAD.glob("*")) if BAD.is_dir() else [None],
                         ids=lambda p: p.name if p else "absent")
def test_bad_files_give_a_clear_error(path):
    need(path)
    done = run("parquet", "cat", path, "--format", "jsonl", seconds=30)
    if path.name == "ARROW-GH-43605.parquet":
        # Its dictionary indexes are 0 bits wide, all of them 0 then: unusual, not wrong. pyarrow and DuckDB agree.
        assert done.returncode == 0
        assert done.stdout == b'{"min_fl":0}\n' * 21186
        return
    assert done.returncode == 1
    text = done.stderr.decode()
    assert text.startswith("glis: ") and path.name in text and "\n" == text[-1], text
