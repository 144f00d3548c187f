"""`glis parquet cat --format arrow --dictionaries`: columns that a file has in dictionaries stay there, and every value
is the one that was written."""

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from test_parquet_matrix import random_table, write_with_pyarrow
from test_real_files import assert_equal_tables, by_name, need, ok, run, sound_files


def cat(path, *options):
    return pa.ipc.open_stream(ok("parquet", "cat", path, "--format", "arrow", *options)).read_all()


def decoded(table):
    """The table without dictionaries."""
    columns = [c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in table.columns]
    fields = [f.with_type(c.type) for f, c in zip(table.schema, columns)]
    return pa.table(columns, schema=pa.schema(fields))


def sample(n=20000):
    r = random.Random(7)
    words = [f"wörd {i}" for i in range(50)] + [""]
    return pa.table({
        "word": pa.array([r.choice(words) if r.random() > 0.1 else None for _ in range(n)]),
        "raw": pa.array([bytes([r.randrange(9)]) for _ in range(n)], pa.binary()),
        "own": pa.array([f"{i} {r.random()}" for i in range(n)]),
        "number": pa.array([r.randrange(5) for _ in range(n)]),
        "list": pa.array([[r.choice(words)] * (i % 3) for i in range(n)], pa.list_(pa.string())),
        "nothing": pa.array([None] * n, pa.string()),
    }, pa.schema([("word", pa.string()), pa.field("raw", pa.binary(), False), ("own", pa.string()),
                  ("number", pa.int64()), ("list", pa.list_(pa.field("element", pa.string()))), ("nothing", pa.string())]))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_dictionaries_stay(version, tmp_path):
    path = tmp_path / "x.parquet"
    table = sample()
    pq.write_table(table, path, row_group_size=6000, use_dictionary=["word", "raw", "number", "list.list.element"],
                   data_page_version=version)
    got = cat(path, "--dictionaries")
    types = {f.name: f.type for f in got.schema}
    assert types["word"] == pa.dictionary(pa.int32(), pa.string())
    assert types["raw"] == pa.dictionary(pa.int32(), pa.binary())
    assert types["own"] == pa.string() and types["number"] == pa.int64() and pa.types.is_list(types["list"])
    assert [f.nullable for f in got.schema] == [f.nullable for f in table.schema]
    for chunk in got["word"].chunks:
        assert len(chunk.dictionary) == 51  # what the row group's dictionary has, not the rows
    got.validate(full=True)
    assert decoded(got).equals(table.select(got.column_names))
    assert cat(path).equals(table)


@pytest.mark.parametrize("limit", [0, 1, 1023, 7000, 20001])
def test_cut_off(limit, tmp_path):
    path = tmp_path / "x.parquet"
    table = sample()
    pq.write_table(table, path, row_group_size=6000, use_dictionary=["word"])
    got = cat(path, "--dictionaries", "--columns", "own,word", "--limit", str(limit))
    assert got.schema.types == [pa.string(), pa.dictionary(pa.int32(), pa.string())]
    assert decoded(got).equals(table.select(["own", "word"]).slice(0, limit))


def test_a_chunk_that_falls_back(tmp_path):
    """Pages without dictionary behind pages with one, and a row group without any."""
    path = tmp_path / "x.parquet"
    n = 300000
    texts = [f"few {i % 9}" if i < n // 3 else f"text {i}" for i in range(n)]
    table = pa.table({"t": pa.array(texts), "u": pa.array([None if i % 7 == 0 else t for i, t in enumerate(texts)])})
    with pq.ParquetWriter(path, table.schema, dictionary_pagesize_limit=20000, data_page_size=4096) as writer:
        writer.write_table(table, row_group_size=n)
    with_plain = {e for c in range(2) for e in pq.read_metadata(path).row_group(0).column(c).encodings}
    assert {"PLAIN", "RLE_DICTIONARY"} <= with_plain
    pages = json.loads(ok("--json", "parquet", "pages", path))
    assert {p["encoding"] for p in pages if p["kind"] != "dictionary"} == {"PLAIN", "RLE_DICTIONARY"}
    got = cat(path, "--dictionaries")
    got.validate(full=True)
    assert got.schema.types == [pa.dictionary(pa.int32(), pa.string())] * 2
    assert decoded(got).equals(table)
    sizes = [len(c.dictionary) for c in got["t"].chunks]
    rows = [len(c) for c in got["t"].chunks]
    assert sizes[0] < rows[0] and sizes[-1] == rows[-1]  # by the file's dictionary, by its own values


def test_what_is_long_stands_once(tmp_path):
    path = tmp_path / "x.parquet"
    table = pa.table({"t": pa.array([f"{i % 100:01000d}" for i in range(200000)])})
    pq.write_table(table, path, data_page_size=65536)
    # 200 MB of text in 100 KB of dictionary.
    got = cat(path, "--dictionaries")
    assert got.nbytes < 2 << 20 and got["t"][199999].as_py() == f"{99:01000d}"


@pytest.mark.parametrize("seed", range(20))
def test_random_tables(seed, tmp_path):
    r = random.Random(500 + seed)
    path = tmp_path / "x.parquet"
    try:
        write_with_pyarrow(r, random_table(r), path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        pytest.skip(f"pyarrow does not write it: {error}")
    got = cat(path, "--dictionaries")
    got.validate(full=True)
    assert_equal_tables(decoded(got), cat(path), path)


@by_name(sound_files())
def test_real_files(path):
    need(path)
    done = run("parquet", "cat", path, "--format", "arrow", "--dictionaries")
    assert done.returncode == 0, done.stderr
    got = pa.ipc.open_stream(done.stdout).read_all()
    got.validate(full=True)
    assert_equal_tables(decoded(got), cat(path), path)


def test_only_for_arrow_and_without_conditions(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(sample(10), path)
    for options in (["--format", "csv"], ["--format", "arrow", "--where", "number = 1"]):
        done = run("parquet", "cat", path, "--dictionaries", *options)
        assert done.returncode == 2 and b"--dictionaries" in done.stderr
