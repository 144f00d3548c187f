"""Parquet files from standard input; pages of files whose chunks say odd things; columns of the null type."""

import json
import os
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
DATA = os.path.join(ROOT, "..", "shared", "data", "parquet-testing", "data")


def run(*words, given=None, code=0):
    done = subprocess.run([GLIS, "parquet", *map(str, words)], input=given, capture_output=True, timeout=60)
    assert done.returncode == code, (words, done.stderr)
    return done.stdout if code == 0 else done.stderr.decode()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"k": list(range(5000)), "s": [f"text {i % 7}" for i in range(5000)],
                             "n": pa.nulls(5000)}), path, row_group_size=2000)
    return path


def test_standard_input_is_as_good_as_a_file(file, tmp_path):
    given = file.read_bytes()
    for words in (["show"], ["show", "--json"], ["pages"], ["check"], ["cat", "--format", "jsonl"],
                  ["cat", "--where", "k > 4990", "--format", "csv"]):
        assert run(words[0], "-", *words[1:], given=given) == run(words[0], file, *words[1:]), words
    run("rewrite", "-", "--codec", "snappy", "--output", tmp_path / "b.parquet", given=given)
    assert pq.read_table(tmp_path / "b.parquet").equals(pq.read_table(file))
    piped = subprocess.run(f"cat {file} | {GLIS} parquet check -", shell=True, capture_output=True)
    assert piped.returncode == 0, piped.stderr


@pytest.mark.parametrize("given", [b"", b"hello", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_no_parquet_is_said(given):
    assert "standard input" in run("show", "-", given=given, code=1)


def test_columns_of_the_null_type(file):
    assert run("cat", file, "--where", "n is not null", "--format", "jsonl") == b""
    assert run("cat", file, "--where", "n is null", "--format", "jsonl").count(b"\n") == 5000


def test_pages_of_chunks_without_data(tmp_path):
    pq.write_table(pa.table({"s": pa.array([], pa.string())}), tmp_path / "empty.parquet")
    json.loads(run("pages", tmp_path / "empty.parquet", "--json"))


@pytest.mark.skipif(not os.path.isdir(DATA), reason="the shared data is not here")
def test_pages_end_with_the_values_of_a_chunk():
    pages = json.loads(run("pages", os.path.join(DATA, "nation.dict-malformed.parquet"), "--json"))
    assert len(pages) == 6  # a data page of each of four columns, a dictionary of two
