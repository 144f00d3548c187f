"""Size statistics: bytes of texts and counts of levels, of chunks and pages: written by the format's rules, equal to
what pyarrow counts, shown, and checked."""

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import parquet_thrift as thrift
from test_parquet_matrix import random_table, write_with_pyarrow
from test_real_files import ok, run

# Fields of parquet.thrift.
COLUMN, SIZES, OFFSET_INDEX, COLUMN_INDEX = 3, 16, 4, 6


def lists():
    """Lists of texts: 3 rows; null, empty, and of "x", "yy" and a null."""
    return pa.table({
        "l": pa.array([["x", "yy", None], None, []], pa.list_(pa.string())),
        "t": pa.array(["äb", None, "äb"]),
        "n": pa.array([1, None, 2], pa.int64()),
        "r": pa.array([1, 2, 3], pa.int32()),
    }, pa.schema([pa.field("l", pa.list_(pa.string())), ("t", pa.string()), ("n", pa.int64()),
                  pa.field("r", pa.int32(), nullable=False)]))


# By hand. A null list is definition level 0, an empty one 1, a null element 2, an element 3; each row begins with
# repetition level 0.
BY_HAND = {
    "l.list.element": (3, [3, 2], [1, 1, 1, 2]),
    "t": (6, None, None),
    "n": (None, None, None),
    "r": (None, None, None),
}


def written(path, *options):
    ours = path.with_name("ours.parquet")
    ok("parquet", "rewrite", path, "--output", ours, *options)
    return ours.read_bytes(), ours


def counts(value):
    return value[1] if value else None


def sizes_of(column):
    sizes = thrift.field(column, COLUMN, SIZES) or {}
    return thrift.field(sizes, 1), counts(thrift.field(sizes, 2)), counts(thrift.field(sizes, 3))


def path_of(column):
    return ".".join(name.decode() for name in thrift.field(column, COLUMN, 3)[1])


def indexes_of(data, column):
    columns, offsets = thrift.field(column, COLUMN_INDEX), thrift.field(column, OFFSET_INDEX)
    return thrift.decode(data, columns) if columns else {}, thrift.decode(data, offsets)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("dictionary", ["always", "never"])
def test_of_chunks(version, dictionary, tmp_path):
    theirs = tmp_path / "theirs.parquet"
    pq.write_table(lists(), theirs)
    data, ours = written(theirs, "--page-version", version, "--dictionary", dictionary)
    found = {path_of(chunk): sizes_of(chunk) for _, _, chunk in thrift.chunks(thrift.footer(data))}
    assert found == BY_HAND
    shown = json.loads(ok("--json", "parquet", "show", ours))["rowGroups"][0]["columns"]
    assert {c["column"]: (c.get("textBytes"), c.get("repetitionLevels"), c.get("definitionLevels"))
            for c in shown} == BY_HAND
    text = ok("parquet", "show", ours).decode()
    assert "r 3/2 d 1/1/1/2" in text and "6 bytes" in text


def test_of_pages(tmp_path):
    theirs = tmp_path / "theirs.parquet"
    pq.write_table(lists(), theirs)
    data, ours = written(theirs, "--page-rows", "1")
    chunk = next(c for _, _, c in thrift.chunks(thrift.footer(data)) if path_of(c) == "l.list.element")
    column_index, offset_index = indexes_of(data, chunk)
    assert counts(thrift.field(offset_index, 2)) == [3, 0, 0]
    assert counts(thrift.field(column_index, 6)) == [1, 2, 1, 0, 1, 0]
    assert counts(thrift.field(column_index, 7)) == [0, 0, 1, 2, 1, 0, 0, 0, 0, 1, 0, 0]
    pages = [p for p in json.loads(ok("--json", "parquet", "pages", ours))
             if p["column"] == "l.list.element" and p["kind"] != "dictionary"]
    assert [(p["textBytes"], p["repetitionLevels"], p["definitionLevels"]) for p in pages] == [
        (3, [1, 2], [0, 0, 1, 2]), (0, [1, 0], [1, 0, 0, 0]), (0, [1, 0], [0, 1, 0, 0])]
    assert "r 1/2 d 0/0/1/2" in ok("parquet", "pages", ours).decode()
    flat = next(c for _, _, c in thrift.chunks(thrift.footer(data)) if path_of(c) == "t")
    column_index, offset_index = indexes_of(data, flat)
    assert counts(thrift.field(offset_index, 2)) == [3, 0, 3]
    assert thrift.field(column_index, 6) is None and thrift.field(column_index, 7) is None
    number = next(c for _, _, c in thrift.chunks(thrift.footer(data)) if path_of(c) == "n")
    assert thrift.field(indexes_of(data, number)[1], 2) is None


@pytest.mark.parametrize("seed", range(40))
def test_as_pyarrow_counts(seed, tmp_path):
    r = random.Random(seed)
    table = random_table(r)
    theirs, ours = tmp_path / "theirs.parquet", tmp_path / "ours.parquet"
    try:
        write_with_pyarrow(r, table, theirs)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        pytest.skip(f"pyarrow does not write it: {error}")
    rows = pq.read_metadata(theirs).row_group(0).num_rows if pq.read_metadata(theirs).num_row_groups else 1
    data, ours = written(theirs, "--row-group-rows", str(max(rows, 1)), "--row-group-size", "1G")
    mine = {(g, c): sizes_of(chunk) for g, c, chunk in thrift.chunks(thrift.footer(data))}
    other = {(g, c): sizes_of(chunk) for g, c, chunk in thrift.chunks(thrift.footer(theirs.read_bytes()))}
    if set(mine) != set(other):
        pytest.skip("other row groups")
    compared = 0
    for at, sizes in mine.items():
        for a, b in zip(sizes, other[at]):
            if a is not None and b is not None:
                assert a == b, (at, sizes, other[at])
                compared += 1
    assert compared or not any(any(v is not None for v in s) for s in mine.values())


def changed(data, column, change):
    """The file with another SizeStatistics of a column."""
    metadata = thrift.footer(data)
    chunk = next(c for _, _, c in thrift.chunks(metadata) if path_of(c) == column)
    change(chunk[COLUMN][1])
    return thrift.with_footer(data, metadata)


@pytest.mark.parametrize("column, at, value, words", [
    ("t", 1, (thrift.I64, 7), "the size statistics say 7 bytes of values, there are 6"),
    ("l.list.element", 2, (thrift.LIST, (thrift.I64, [2, 3])), "say 2 times repetition level 0, it occurs 3 times"),
    ("l.list.element", 3, (thrift.LIST, (thrift.I64, [1, 1, 0, 3])), "say 0 times definition level 2, it occurs 1"),
    ("l.list.element", 3, (thrift.LIST, (thrift.I64, [1, 1, 3])), "the size statistics make no sense"),
    ("l.list.element", 3, (thrift.LIST, (thrift.I64, [1, 1, -1, 3])), "the size statistics make no sense"),
    ("t", 1, (thrift.I64, -2), "the size statistics make no sense"),
    ("n", 3, (thrift.LIST, (thrift.I64, [2, 1])), "say 2 times definition level 0, it occurs 1"),
    ("n", 2, (thrift.LIST, (thrift.I64, [4])), "say 4 times repetition level 0, it occurs 3"),
])
def test_a_wrong_number_of_a_chunk_is_found(column, at, value, words, tmp_path):
    theirs = tmp_path / "theirs.parquet"
    pq.write_table(lists(), theirs)
    data, ours = written(theirs)
    ours.write_bytes(changed(data, column, lambda c: c.setdefault(SIZES, (thrift.STRUCT, {}))[1].update({at: value})))
    done = run("--json", "parquet", "check", ours)
    problems = [p["problem"] for p in json.loads(done.stdout)["problems"]]
    assert done.returncode == 1 and len(problems) == 1 and words in problems[0], problems
    assert ok("parquet", "cat", ours) == ok("parquet", "cat", theirs)


@pytest.mark.parametrize("index, at, value, words", [
    (OFFSET_INDEX, 2, [3, 1, 0], "page 1: the size statistics say 1 bytes of values, there are 0"),
    (COLUMN_INDEX, 6, [1, 2, 0, 1, 1, 0], "page 1: the size statistics say 0 times repetition level 0"),
    (COLUMN_INDEX, 7, [0, 0, 1, 2, 1, 0, 0, 0, 1, 0, 0, 0], "page 2: the size statistics say 1 times definition"),
    (COLUMN_INDEX, 7, [0, 0, 1, 2, 1, 0, 0, 0, 1, 0, 0], "the size statistics of its pages make no sense"),
])
def test_a_wrong_number_of_a_page_is_found(index, at, value, words, tmp_path):
    theirs = tmp_path / "theirs.parquet"
    pq.write_table(lists(), theirs)
    data, ours = written(theirs, "--page-rows", "1")
    metadata = thrift.footer(data)
    chunk = next(c for _, _, c in thrift.chunks(metadata) if path_of(c) == "l.list.element")
    said = thrift.decode(data, thrift.field(chunk, index))
    said[at] = (thrift.LIST, (thrift.I64, value))
    message = thrift.encode(thrift.STRUCT, said)
    # Behind the pages: where the first index stood.
    size = int.from_bytes(data[-8:-4], "little")
    place = len(data) - 8 - size
    chunk[index], chunk[index + 1] = (thrift.I64, place), (thrift.I32, len(message))
    moved = data[:place] + message + data[place:]
    ours.write_bytes(thrift.with_footer(moved, metadata))
    done = run("parquet", "check", ours)
    assert done.returncode == 1 and words in done.stdout.decode(), done.stdout


def test_without_any(tmp_path):
    theirs = tmp_path / "theirs.parquet"
    pq.write_table(lists(), theirs)
    data, ours = written(theirs)
    for column in BY_HAND:
        data = changed(data, column, lambda c: c.pop(SIZES, None))
    ours.write_bytes(data)
    assert "textBytes" not in json.loads(ok("--json", "parquet", "show", ours))["rowGroups"][0]["columns"][0]
    assert b"levels" not in ok("parquet", "show", ours)
    assert b"all as said" in ok("parquet", "check", ours)
