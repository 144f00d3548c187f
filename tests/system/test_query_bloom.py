"""Lookups in tables of many overlapping files: bloom filters leave out the files that lack a key."""

import json

import pyarrow.parquet as pq
import pytest

from test_property_effects import Table

N_FILES, N_ROWS = 12, 2000
AUTO = "glis.table.parquet.bloom.filter"
RATE = "glis.table.parquet.bloom.false.positives"


def rows_of(number):
    keys = [f"key{i * N_FILES + number:08}" for i in range(N_ROWS)]
    return [(key, number, f"value of {key}") for key in keys]


def overlapping(folder, *settings):
    folder.mkdir(exist_ok=True)
    table = Table(folder)
    table.create_set(*settings)
    for number in range(N_FILES):
        table.ingest(rows_of(number), "--set", "glis.maintenance=manual")  # files stay as they are
    return table


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return overlapping(tmp_path_factory.mktemp("bloom"))


def lookup(table, *words):
    rows = table.ok("query", "t", *words, "--format", "jsonl").splitlines()
    return [json.loads(row) for row in rows], json.loads(table.ok("--json", "query", "t", *words, "--explain"))


def test_present_keys_are_found_and_other_files_left_out(table):
    skipped = 0
    for i in range(0, N_FILES * N_ROWS, 997):
        rows, explain = lookup(table, "--key", f"key{i:08}")
        assert [row["v"] for row in rows] == [f"value of key{i:08}"]
        skipped += explain["row_groups_skipped_bloom"]
        assert explain["row_groups_read"] + explain["row_groups_skipped_bloom"] + \
            explain["row_groups_skipped_statistics"] <= explain["row_groups"]
    asked = len(range(0, N_FILES * N_ROWS, 997)) * (N_FILES - 1)
    assert asked * 0.9 < skipped <= asked


def test_absent_keys_read_no_page(table):
    skipped = pages = 0
    for i in range(20):
        rows, explain = lookup(table, "--key", f"key{1000 + i:08}x")
        assert rows == []
        skipped += explain["row_groups_skipped_bloom"]
        pages += explain["pages_read"]
    assert skipped >= 20 * N_FILES * 0.95 and pages <= 20 * N_FILES * 0.1


def test_ranges_and_counts_are_as_without(table, tmp_path):
    without = overlapping(tmp_path / "without", AUTO + "=false")
    for words in (["--from", "key00000100", "--to", "key00000120"], ["--key", "key00000100", "--count"],
                  ["--key", "key00000100"], ["--key", "nothing"], ["--from", "key00000100", "--limit", "7", "--ordered"]):
        found, wanted = (x.ok("query", "t", *words, "--format", "csv") for x in (table, without))
        assert sorted(found.splitlines()) == sorted(wanted.splitlines())
    assert lookup(without, "--key", "key00000100")[1]["blooms_read"] == 0


def filters(table):
    metadata = pq.ParquetFile(table.data_files()[0]).metadata
    shown = json.loads(table.ok("--json", "parquet", "show", table.data_files()[0]))
    columns = shown["rowGroups"][0]["columns"]
    return metadata, {c["column"]: c.get("bloomBytes", 0) for c in columns}, columns


def test_filters_stand_between_the_rows_and_the_indexes(table):
    _, sizes, columns = filters(table)
    assert sizes["k"] > N_ROWS and sizes["s"] == sizes["v"] == 0
    end = columns[0]["bloomOffset"] + sizes["k"]
    assert all(c.get("dataPageOffset", 0) < columns[0]["bloomOffset"] for c in columns)
    assert table.data_files()[0].stat().st_size - end < 4096 + 64 * N_ROWS // 100


def test_the_rate_is_a_property(tmp_path):
    sizes = {}
    for rate in ("0.2", "0.01", "0.0001"):
        (tmp_path / rate).mkdir()
        one = Table(tmp_path / rate)
        one.create_set(RATE + "=" + rate)
        one.ingest(rows_of(0))
        sizes[rate] = filters(one)[1]["k"]
    assert sizes["0.2"] < sizes["0.01"] < sizes["0.0001"]
    for wrong in ("0", "0.6", "-1", "much"):
        assert RATE in one.fails("table", "set", "t", f"{RATE}={wrong}", code=2)


def test_a_damaged_filter_is_told_by_check_and_never_a_crash(tmp_path):
    table = Table(tmp_path)
    table.create_set()
    table.ingest(rows_of(0))
    file, (_, sizes, columns) = table.data_files()[0], filters(table)
    whole = file.read_bytes()
    begin = columns[0]["bloomOffset"]
    for damage in (bytes(64), b"\xff" * 64, bytes(sizes["k"]), b"\x15\x80\x80\x80\x80\x08" + bytes(58)):
        file.chmod(0o644)
        file.write_bytes(whole[:begin] + damage + whole[begin + len(damage):])
        done = table.run("parquet", "check", file)
        assert done.returncode == 1 and ("bloom filter" in done.stdout + done.stderr), damage
        for key in ("key00000012", "absent"):
            assert table.run("query", "t", "--key", key).returncode in (0, 1)
    assert table.run("check", "--read-data").returncode != 0
    file.write_bytes(whole)
    assert "value of key00000012" in table.ok("query", "t", "--key", "key00000012")
