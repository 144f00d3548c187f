"""`glis parquet check`: sound files are as they say; each thing that is made to lie is found."""

import json
import random
import struct
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from test_parquet_matrix import random_table, write_with_pyarrow
from test_real_files import BROKEN, GLIS, HUGE, by_name, need, ok, parquet_files, run

# What is wrong in these is wrong: statistics that a test of other readers made up.
LYING = {
    "datapage_v1-snappy-compressed-checksum.parquet": "the column index says that it has no values",
    "datapage_v1-uncompressed-checksum.parquet": "the column index says that it has no values",
    "nation.dict-malformed.parquet": "which the footer does not list",
    **BROKEN,
}


@by_name([p for p in parquet_files() if p.name not in HUGE and p.name not in LYING])
def test_real_files_are_as_they_say(path):
    need(path)
    assert b"all as said" in ok("parquet", "check", path)


@by_name([p for p in parquet_files() if p.name in LYING])
def test_real_files_that_are_not(path):
    need(path)
    done = run("parquet", "check", path)
    assert done.returncode == 1 and LYING[path.name] in done.stdout.decode(), done.stdout


@pytest.mark.parametrize("seed", range(30))
def test_random_files_are_as_they_say(seed, tmp_path):
    r = random.Random(seed)
    table = random_table(r)
    theirs, ours = tmp_path / "theirs.parquet", tmp_path / "ours.parquet"
    try:
        write_with_pyarrow(r, table, theirs)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        pytest.skip(f"pyarrow does not write it: {error}")
    done = run("--json", "parquet", "check", theirs)
    for problem in json.loads(done.stdout)["problems"]:
        # pyarrow calls the greatest finite number the least of a column of infinities, and exact.
        assert "value is not the one that the statistics say" in problem["problem"], problem
        assert pa.types.is_floating(table.schema.field(problem["column"].split(".")[0]).type), problem
    ok("parquet", "rewrite", theirs, "--output", ours, "--page-size", "64")
    ok("parquet", "check", ours)


def sample(path, **options):
    table = pa.table({"k": pa.array([1, 2, 3, 4, 4, 9], pa.int32()), "t": ["a", None, "c", "d", "e", "zz"]})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_index=True,
                   sorting_columns=[pq.SortingColumn(0)], store_schema=False, **options)
    return bytearray(path.read_bytes())


@pytest.mark.parametrize("old, new, words", [
    # values: the last key 9 becomes 8, 10, 3
    (struct.pack("<i", 9), struct.pack("<i", 8), "the greatest value is not the one"),
    (struct.pack("<i", 9), struct.pack("<i", 10), "above what the statistics call the greatest"),
    (struct.pack("<2i", 4, 9), struct.pack("<2i", 9, 3), "is not where its sorting columns say"),
    (struct.pack("<i", 1) + struct.pack("<i", 2), struct.pack("<i", 0) + struct.pack("<i", 2),
     "below what the statistics call the least"),
    (b"\x02\x00\x00\x00zz", b"\x02\x00\x00\x00zy", "the greatest value is not the one"),
    (b"\x01\x00\x00\x00a", b"\x01\x00\x00\x00\xff", "UTF-8"),
])
def test_a_changed_value_is_found(old, new, words, tmp_path):
    path = tmp_path / "x.parquet"
    data = sample(path)
    at = data.index(old)
    data[at:at + len(old)] = new
    path.write_bytes(data)
    done = run("--json", "parquet", "check", path)
    problems = json.loads(done.stdout)["problems"]
    assert done.returncode == 1 and any(words in p["problem"] for p in problems), problems


def test_every_flipped_bit_of_a_page_is_found_by_its_checksum(tmp_path):
    path = tmp_path / "x.parquet"
    data = sample(path, write_page_checksum=True)
    at = data.index(struct.pack("<2i", 4, 9))
    for bit in range(64):
        changed = bytearray(data)
        changed[at + bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        done = run("parquet", "check", path)
        assert done.returncode == 1 and b"checksum is wrong" in done.stdout, bit


def peak_bytes(*words):
    """What the command printed, and the most memory that it had."""
    script = ("import resource, subprocess, sys\n"
              "done = subprocess.run(sys.argv[1:], capture_output=True)\n"
              "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)\n"
              "sys.stdout.buffer.write(done.stdout + done.stderr)\n")
    done = subprocess.run([sys.executable, "-c", script, GLIS, *map(str, words)], capture_output=True, check=True)
    first, _, text = done.stdout.partition(b"\n")
    code, peak = map(int, first.split())
    return code, peak, text


def large_file(path, **options):
    """Chunks of many times the memory that their check gets: sorted numbers, texts, texts in a dictionary, lists."""
    n, r = 400_000, random.Random(5)
    words = [r.randbytes(40).hex() for _ in range(1000)]
    table = pa.table({"k": pa.array(range(n), pa.int64()), "t": [f"{i:0100}" for i in range(n)],
                      "d": pa.array(words * (n // 1000)), "l": [[i, None] * (i % 3) for i in range(n)]})
    pq.write_table(table, path, compression="none", use_dictionary=["d"], row_group_size=n, write_page_index=True,
                   sorting_columns=[pq.SortingColumn(0)], store_schema=False, data_page_size=64 << 10,
                   write_batch_size=64, **{"write_page_checksum": True, **options})
    return bytearray(path.read_bytes())


def test_chunks_larger_than_the_memory_are_checked_in_parts(tmp_path):
    path, ours = tmp_path / "x.parquet", tmp_path / "y.parquet"
    data = large_file(path)
    assert len(data) > 40 << 20
    code, peak, text = peak_bytes("--set", "glis.parquet.memory=4M", "parquet", "check", path)
    assert code == 0 and b"all as said" in text, text
    assert peak < 24 << 20, peak  # the program itself has some 10 MiB
    # Bloom filters of half a megabyte are gone through in windows.
    ok("parquet", "rewrite", path, "--output", ours, "--bloom", "k", "--bloom", "t", "--row-group-size", "1G",
       "--row-group-rows", str(1 << 20))
    code, peak, text = peak_bytes("--set", "glis.parquet.memory=2M", "parquet", "check", ours)
    assert code == 0 and peak < 24 << 20, (peak, text)
    # A page must fit.
    pq.write_table(pa.table({"t": ["x" * (2 << 20)]}), path, compression="none", use_dictionary=False)
    done = run("--set", "glis.parquet.memory=1M", "parquet", "check", path)
    assert done.returncode == 1 and b"set glis.parquet.memory" in done.stderr, done.stderr


@pytest.mark.parametrize("old, new, column, words", [
    (struct.pack("<2q", 200_000, 200_001), struct.pack("<2q", 200_001, 200_000), None,
     ["row 200001 is not where its sorting columns say"]),
    (struct.pack("<q", 399_999), struct.pack("<q", 400_000), "k",
     ["value 399999 is above what the statistics call the greatest"] * 2),
    (b"%0100d" % 300_000, b"\xff" * 100, "t",
     ["UTF-8", *["value 300000 is above what the statistics call the greatest"] * 2]),
    (b"%0100d" % 399_999, b"%0100d" % 399_998, "t", ["the greatest value is not the one that the statistics say"]),
])
def test_a_changed_value_is_found_in_parts(old, new, column, words, tmp_path):
    path = tmp_path / "x.parquet"
    data = large_file(path, write_page_checksum=False)
    at = data.index(old)
    data[at:at + len(old)] = new
    path.write_bytes(data)
    done = run("--json", "--set", "glis.parquet.memory=4M", "parquet", "check", path)
    found = json.loads(done.stdout)["problems"]
    assert {p.get("column") for p in found} == {column}
    assert all(any(w in p["problem"] for p in found) for w in words) and len(found) == len(words), found
