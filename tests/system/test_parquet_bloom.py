"""Bloom filters: what Glis writes DuckDB probes with the right answers, what others wrote Glis uses."""

import json

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from test_real_files import TESTING, ok, run

N = 50_000


@pytest.fixture(scope="module")
def filtered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bloom")
    table = pa.table({"k": [f"key {i}" for i in range(N)], "n": pa.array(range(0, 2 * N, 2), pa.int64()),
                      "d": pa.array([i % 100 for i in range(N)], pa.int32()),
                      "o": pa.array([None if i % 3 else float(i) for i in range(N)])})
    pq.write_table(table, folder / "plain.parquet")
    out = folder / "filtered.parquet"
    ok("parquet", "rewrite", folder / "plain.parquet", "--output", out, "--row-group-rows", "10000", "--bloom", "k",
       "--bloom", "n=0.001", "--bloom", "d", "--bloom", "o")
    assert pq.read_table(out).equals(table)
    return out


def excluded(path, column, value):
    rows = duckdb.execute(f"SELECT bloom_filter_excludes FROM parquet_bloom_probe('{path}', '{column}', {value})").fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize("column, value, group", [
    ("k", "'key 5'", 0), ("k", "'key 12345'", 1), ("n", "4", 0), ("n", "99998", 4), ("o", "30000.0", 3)])
def test_what_is_there_is_never_excluded(filtered, column, value, group):
    assert excluded(filtered, column, value)[group] is False


def test_what_is_not_there_mostly_is(filtered):
    tried = [excluded(filtered, "n", str(2 * i + 1)) for i in range(200)]
    assert sum(map(sum, tried)) >= 990  # of 1,000, at a rate of 0.001
    tried = [excluded(filtered, "k", f"'absent {i}'") for i in range(200)]
    assert sum(map(sum, tried)) >= 970  # at a rate of 0.01
    assert excluded(filtered, "d", "100") == [True] * 5 and excluded(filtered, "d", "7") == [False] * 5


def test_filters_are_shown_checked_and_used(filtered, tmp_path):
    assert b"all as said" in ok("parquet", "check", filtered)
    columns = json.loads(ok("--json", "parquet", "show", filtered))["rowGroups"][0]["columns"]
    sizes = {c["column"]: c.get("bloomBytes") for c in columns}
    # 9.7 bits a value at 1 %, 14.6 at 0.1 %, then the next power of two, and the header
    assert sizes["k"] - 16384 < 64 and sizes["n"] - 32768 < 64 and sizes["d"] - 128 < 64
    text = ok("parquet", "cat", filtered, "--where", "n = 20001", "--explain").decode()
    assert "5, 4 left out by their statistics, 1 by bloom filters" in text
    assert b"key 12345" in ok("parquet", "cat", filtered, "--where", "k = key 12345")
    data = bytearray(filtered.read_bytes())
    at = next(c for c in columns if c["column"] == "k")["bloomOffset"] + 40
    data[at:at + 4096] = bytes(4096)
    (tmp_path / "x.parquet").write_bytes(data)
    done = run("parquet", "check", tmp_path / "x.parquet")
    assert done.returncode == 1 and b"is not in the bloom filter" in done.stdout


@pytest.mark.parametrize("name", ["data_index_bloom_encoding_stats.parquet",
                                  "data_index_bloom_encoding_with_length.parquet"])
def test_filters_of_other_writers(name):
    path = TESTING / name
    if not path.exists():
        pytest.skip("the folder of real files is not there")
    for word in pq.read_table(path).column(0).to_pylist():
        assert word.encode() in ok("parquet", "cat", path, "--where", f"String = '{word}'")
    assert b"1 by bloom filters" in ok("parquet", "cat", path, "--where", "String = nope", "--explain")


@pytest.mark.parametrize("words, error", [
    (["--bloom", "k=2"], "between 0 and 1"), (["--bloom", "nope"], "no column 'nope'"),
    (["--bloom", "b"], "no bloom filter")])
def test_wrong_wishes(words, error, tmp_path):
    pq.write_table(pa.table({"k": [1], "b": [True]}), tmp_path / "x.parquet")
    done = run("parquet", "rewrite", tmp_path / "x.parquet", "--output", tmp_path / "y.parquet", *words)
    assert done.returncode in (1, 2) and error in done.stderr.decode(), done.stderr
