"""`glis parquet check`: sound files are as they say; each thing that is made to lie is found."""

import json
import random
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from test_parquet_matrix import random_table, write_with_pyarrow
from test_real_files import BROKEN, HUGE, by_name, need, ok, parquet_files, run

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
