"""Random Parquet files, both ways: types x nesting x encoding x codec x page version, by seed.

pyarrow writes a file and Glis reads it; Glis writes it anew (`parquet rewrite`) and pyarrow, DuckDB, polars and
parquet-java read that.
Values are the hard ones: nulls at every level, NaN, infinities, -0, empty and long texts, integers and decimals at
their limits, dates before 1970 and past 2262. GLIS_MATRIX_SEEDS sets how many files are tried.
"""

import datetime
import decimal
import os
import random
import string

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import java_reader
from test_real_files import assert_equal_tables, arrow_of, numbers, ok, values_of

SEEDS = int(os.environ.get("GLIS_MATRIX_SEEDS", "60"))
CODECS = ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]
OUR_CODECS = ["uncompressed", "snappy", "gzip", "brotli", "zstd", "lz4_raw"]


def texts(r):
    return r.choice(["", "a", "ü", "日本", "\0", "x" * r.choice([100, 127, 128, 129, 5000]),
                     "".join(r.choices(string.ascii_lowercase, k=r.randrange(30))),
                     "prefix/" + str(r.randrange(1000))])


def reals(r):
    return r.choice([0.0, -0.0, 1.5, float("nan"), float("inf"), -float("inf"), 5e-324, 1.7e308, r.random(),
                     float(r.randrange(100))])


def floats(r):
    return r.choice([0.0, -0.0, 1.5, float("nan"), float("inf"), 2.0 ** 100, r.randrange(100) / 4])


def integers(bits, signed):
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return lambda r: r.choice([low, high, 0, 1, r.randint(low, high), r.randrange(100)])


def decimals(precision, scale):
    high = 10 ** precision - 1

    def make(r):
        number = r.choice([high, -high, 0, 1, -1, r.randint(-high, high)])
        return decimal.Decimal(number).scaleb(-scale, decimal.Context(prec=80))
    return make


def dates(r):
    day = r.choice([-719162, -1, 0, 1, 20000, 2932896, r.randint(-100000, 100000)])
    return datetime.date(1970, 1, 1) + datetime.timedelta(days=day)


LEAVES = [
    (pa.bool_(), lambda r: r.random() < 0.5),
    (pa.int8(), integers(8, True)), (pa.int16(), integers(16, True)),
    (pa.int32(), integers(32, True)), (pa.int64(), integers(64, True)),
    (pa.uint8(), integers(8, False)), (pa.uint16(), integers(16, False)),
    (pa.uint32(), integers(32, False)), (pa.uint64(), integers(64, False)),
    (pa.float32(), floats), (pa.float64(), reals), (pa.float16(), lambda r: r.choice([0.0, -0.0, 1.5, 65504.0])),
    (pa.string(), texts), (pa.binary(), lambda r: texts(r).encode() + b"\xff"),
    (pa.binary(5), lambda r: bytes(r.randrange(256) for _ in range(5))),
    (pa.date32(), dates),
    (pa.timestamp("ms"), lambda r: r.randint(-10 ** 14, 10 ** 14)),
    (pa.timestamp("us"), lambda r: r.choice([0, -1, r.randint(-10 ** 17, 10 ** 17)])),
    (pa.timestamp("us", "UTC"), lambda r: r.randint(-10 ** 16, 10 ** 16)),
    (pa.timestamp("ns"), integers(64, True)),
    (pa.time32("ms"), lambda r: r.randrange(86_400_000)), (pa.time64("us"), lambda r: r.randrange(86_400_000_000)),
    (pa.decimal128(7, 2), decimals(7, 2)), (pa.decimal128(18, 0), decimals(18, 0)),
    (pa.decimal128(38, 10), decimals(38, 10)), (pa.decimal256(76, 5), decimals(76, 5)),
]


def random_type(r, depth):
    """(type, maker of one value that is not null)."""
    if depth == 0 or r.random() < 0.5:
        return r.choice(LEAVES)
    kind = r.randrange(3)
    if kind == 0:
        inner, make = random_type(r, depth - 1)
        nulls = r.random() < 0.7
        field = pa.field("element", inner, nulls)
        return pa.list_(field), lambda r: [maybe(r, make, nulls) for _ in range(r.choice([0, 1, 2, 5]))]
    if kind == 1:
        inner, make = random_type(r, depth - 1)
        return (pa.map_(pa.string(), inner),
                lambda r: [(f"k{i}", maybe(r, make, True)) for i in range(r.choice([0, 1, 3]))])
    members = [(f"m{i}", *random_type(r, depth - 1), r.random() < 0.7) for i in range(r.randint(1, 3))]
    return (pa.struct([pa.field(n, t, null) for n, t, _, null in members]),
            lambda r: {n: maybe(r, make, null) for n, _, make, null in members})


def maybe(r, make, nullable):
    return None if nullable and r.random() < 0.2 else make(r)


def random_table(r):
    n = r.choice([0, 1, 7, 100, 1000])
    fields, columns = [], []
    for i in range(r.randint(1, 4)):
        kind, make = random_type(r, r.choice([0, 0, 1, 2, 3]))
        nullable = r.random() < 0.7
        style = r.randrange(3)  # anything, few different values, runs
        if style == 1:
            pool = [maybe(r, make, nullable) for _ in range(5)]
            values = [r.choice(pool) for _ in range(n)]
        elif style == 2:
            values = []
            while len(values) < n:
                values += [maybe(r, make, nullable)] * min(n - len(values), r.choice([1, 8, 9, 50]))
        else:
            values = [maybe(r, make, nullable) for _ in range(n)]
        fields.append(pa.field(f"f{i}", kind, nullable))
        columns.append(pa.array(values, kind))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def random_encodings(r, schema):
    """Encodings by column, of those that both pyarrow and Glis write for the type."""
    chosen = {}
    for field in schema:
        kind = field.type
        fits = ["PLAIN"]
        if pa.types.is_nested(kind) or pa.types.is_boolean(kind) or pa.types.is_float16(kind):
            continue
        if pa.types.is_integer(kind):
            fits += ["DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"]
        if pa.types.is_floating(kind):
            fits += ["BYTE_STREAM_SPLIT"]
        if pa.types.is_string(kind) or pa.types.is_binary(kind):
            fits += ["DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"]
        if r.random() < 0.8:
            chosen[field.name] = r.choice(fits)
    return chosen


def write_with_pyarrow(r, table, path):
    codec = r.choice(CODECS)
    dictionary = r.random() < 0.5
    options = {"compression": codec, "use_dictionary": dictionary,
               "data_page_version": r.choice(["1.0", "2.0"]), "version": r.choice(["2.6", "2.4"]),
               "row_group_size": r.choice([3, 50, 1 << 20]), "data_page_size": r.choice([16, 200, 1 << 20]),
               "write_batch_size": r.choice([1, 10, 1024]), "write_page_index": r.random() < 0.5,
               "write_page_checksum": r.random() < 0.5, "store_schema": r.random() < 0.5,
               "store_decimal_as_integer": r.random() < 0.5, "write_statistics": r.random() < 0.8}
    if not dictionary:
        options["column_encoding"] = random_encodings(r, table.schema)
    if any(pa.types.is_decimal256(f.type) for f in table.schema):
        options["store_decimal_as_integer"] = False
    pq.write_table(table, path, **options)


def rewrite_words(r, table):
    words = ["--codec", r.choice(OUR_CODECS), "--page-version", r.choice("12"),
             "--page-size", r.choice(["1", "100", "64K"]), "--row-group-rows", r.choice(["3", "50", "100000"]),
             "--dictionary", r.choice(["auto", "always", "never"])]
    for name, encoding in random_encodings(r, table.schema).items():
        words += ["--encoding", f"{name}={encoding}"]
    return words + (["--no-checksums"] if r.random() < 0.3 else [])


def duckdb_cannot(table, words):
    """What DuckDB refuses or reads otherwise, by its own word."""
    kinds = str(table.schema)
    return "decimal256" in kinds or "halffloat" in kinds or "BYTE_STREAM_SPLIT" in " ".join(words) and "int" in kinds


def compare_with_polars(path, want, what):
    """A third reader, in Rust. It has no maps (they come as lists), no 256-bit decimals, and its own type for times."""
    import polars
    if "map<" in str(want.schema) or "decimal256" in str(want.schema) or "halffloat" in str(want.schema):
        return
    try:
        got = polars.read_parquet(path).to_arrow()
    except pa.ArrowInvalid as error:  # its own step to Arrow fails for times in structs, with pyarrow's files too
        assert "Struct child array" in str(error), error
        return
    assert got.num_rows == want.num_rows and got.column_names == want.column_names, what
    for i, field in enumerate(want.schema):
        column = got.column(i)
        if column.type != field.type:
            try:
                column = column.cast(field.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                continue
        assert values_of(column) == values_of(want.column(i)), (what, field)


def random_files(seed, tmp_path):
    """pyarrow's file, ours, what pyarrow reads in its own, and the words that ours was written with."""
    r = random.Random(seed)
    table = random_table(r)
    source, ours = tmp_path / "source.parquet", tmp_path / "ours.parquet"
    try:
        write_with_pyarrow(r, table, source)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:  # nanoseconds that version 2.4 cannot keep
        pytest.skip(f"pyarrow does not write it: {error}")
    want = pq.ParquetFile(source).read()
    words = rewrite_words(r, want)
    ok("parquet", "rewrite", source, "--output", ours, *words)
    return source, ours, want, words


@pytest.mark.parametrize("seed", range(SEEDS))
def test_java_reads_random_files(seed, tmp_path):
    """A fourth reader, of another language and with decompressors of its own."""
    _, ours, want, words = random_files(seed, tmp_path)
    got, error = java_reader.rows_of(ours)
    assert error is None, (seed, words, error)
    expected = java_reader.canonical(want, numbers)
    assert len(got) == want.num_rows
    for i, (a, b) in enumerate(zip(got, expected)):
        assert a == b, (seed, words, i)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_files(seed, tmp_path):
    source, ours, want, words = random_files(seed, tmp_path)
    got = arrow_of(ok("parquet", "cat", source, "--format", "arrow"))
    assert_equal_tables(got, want, (seed, "read"))
    assert_equal_tables(pq.ParquetFile(ours, page_checksum_verification=True).read(), want, (seed, words))
    assert_equal_tables(arrow_of(ok("parquet", "cat", ours, "--format", "arrow")), want, (seed, "again"))
    compare_with_polars(ours, want, (seed, words))
    if duckdb_cannot(want, words):
        return
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    theirs = connection.execute(f"SELECT * FROM read_parquet('{ours}')").fetch_arrow_table()
    assert theirs.num_rows == want.num_rows
    for i, field in enumerate(want.schema):
        column = theirs.column(i)
        if column.type != field.type:
            try:
                column = column.cast(field.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                continue
        assert values_of(column) == values_of(want.column(i)), (seed, field, words)


@pytest.mark.parametrize("codec", OUR_CODECS)
def test_a_text_of_one_mebibyte_and_the_edges_of_time(codec, tmp_path):
    source, ours = tmp_path / "source.parquet", tmp_path / "ours.parquet"
    table = pa.table({"t": pa.array(["x" * (1 << 20), "", None, "ü" * (1 << 19)]),
                      "d": pa.array([-719162, 0, None, 2932896], pa.date32()),
                      "u": pa.array([-62135596800000000, 253402300799999999, None, 0], pa.timestamp("us"))})
    pq.write_table(table, source)
    ok("parquet", "rewrite", source, "--output", ours, "--codec", codec)
    assert_equal_tables(pq.ParquetFile(ours).read(), table, codec)
    assert duckdb.execute(f"SELECT max(length(t)), min(d), max(u) FROM read_parquet('{ours}')").fetchall() == [
        (1 << 20, datetime.date(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59, 999999))]


def test_levels_in_the_deprecated_encoding(tmp_path):
    """No present writer makes them: 48 levels of 1 as BIT_PACKED are as long as the length and the run that stand for
    them in RLE, so a file of pyarrow's can be changed in place."""
    path = tmp_path / "x.parquet"
    table = pa.table({"v": pa.array(range(48), pa.int32())})
    pq.write_table(table, path, compression="none", use_dictionary=False, store_schema=False)
    data = path.read_bytes()
    header, levels = b"\x15\x60\x15\x00\x15\x06\x15\x06", b"\x02\x00\x00\x00\x60\x01"
    assert data.count(header) == 1 and data.count(levels) == 1
    path.write_bytes(data.replace(header, b"\x15\x60\x15\x00\x15\x08\x15\x06").replace(levels, b"\xff" * 6))
    assert_equal_tables(arrow_of(ok("parquet", "cat", path, "--format", "arrow")), table, "packed")


@pytest.mark.parametrize("words, error", [
    (["--encoding", "a=BOGUS"], "COLUMN=NAME"),
    (["--encoding", "nope=PLAIN"], "no column 'nope'"),
    (["--encoding", "a=DELTA_BYTE_ARRAY"], "cannot be written as DELTA_BYTE_ARRAY"),
    (["--codec", "lzo"], "--codec"),
    (["--page-size", "0"], "--page-size"),
    (["--level", "99"], "--level"),
])
def test_wrong_words_name_what_is_wrong(words, error, tmp_path):
    source, out = tmp_path / "source.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"a": [1, 2, 3]}), source)
    from test_real_files import run
    done = run("parquet", "rewrite", source, "--output", out, *words)
    assert done.returncode in (1, 2) and error in done.stderr.decode(), done.stderr
    assert not out.exists() and [p.name for p in tmp_path.iterdir()] == ["source.parquet"]
