"""Annotations that say more than a column's type: read, shown, kept by rewriting, in the new and the old form."""

import json
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import parquet_thrift as thrift
from test_real_files import by_name, need, ok, run, sound_files

I8, I32, BINARY, STRUCT = thrift.I8, thrift.I32, thrift.BINARY, thrift.STRUCT
CONVERTED, LOGICAL = 6, 10
POINT = bytes.fromhex("0101000000000000000000F03F0000000000000040")  # POINT (1 2)

TABLE = pa.table({
    "text": ['{"a":1}', None, "[]"],
    "raw": pa.array([b"\x05\0\0\0\0", None, b""], pa.binary()),
    "id": pa.array([uuid.UUID(int=7).bytes, None, uuid.UUID(int=2**128 - 1).bytes], pa.binary(16)),
    "place": pa.array([POINT, None, POINT], pa.binary()),
    "list": pa.array([[POINT], None, []], pa.list_(pa.binary())),
    "pair": pa.array([[("k", "{}")], None, []], pa.map_(pa.string(), pa.string())),
    "any": pa.array([{"metadata": b"\1\0\0", "value": b"\0"}, None, {"metadata": b"\1\0\0", "value": b"\4\1"}],
                    pa.struct([pa.field("metadata", pa.binary(), False), pa.field("value", pa.binary(), False)])),
})


def logical(kind, fields=None):
    return STRUCT, {kind: (STRUCT, fields or {})}


def text(value):
    return BINARY, value.encode()


# Element of the schema, the converted type (None: none), the union member, its fields; and what is shown.
CASES = [
    ("text", 19, 12, {}, {"annotation": "JSON"}),
    ("text", 4, 4, {}, {"annotation": "ENUM"}),
    ("raw", 20, 13, {}, {"annotation": "BSON"}),
    ("id", None, 14, {}, {"annotation": "UUID"}),
    ("place", None, 17, {}, {"annotation": "GEOMETRY"}),
    ("place", None, 17, {1: text("EPSG:2056")}, {"annotation": "GEOMETRY", "crs": "EPSG:2056"}),
    ("place", None, 17, {1: text("")}, {"annotation": "GEOMETRY", "crs": ""}),
    ("place", None, 18, {}, {"annotation": "GEOGRAPHY"}),
    ("place", None, 18, {1: text("OGC:CRS84"), 2: (I32, 4)},
     {"annotation": "GEOGRAPHY", "crs": "OGC:CRS84", "edges": "KARNEY"}),
    ("place", None, 18, {2: (I32, 0)}, {"annotation": "GEOGRAPHY", "edges": "SPHERICAL"}),
    ("list.list.element", None, 17, {1: text("srid:3857")}, {"annotation": "GEOMETRY", "crs": "srid:3857"}),
    ("pair.key_value.value", 19, 12, {}, {"annotation": "JSON"}),
    ("pair.key_value.key", 4, 4, {}, {"annotation": "ENUM"}),
    ("any", None, 16, {}, {"annotation": "VARIANT"}),
    ("any", None, 16, {1: (I8, 1)}, {"annotation": "VARIANT", "version": 1}),
    ("any.value", 20, 13, {}, {"annotation": "BSON"}),
]


def elements(metadata):
    """Path to schema element."""
    flat = iter(thrift.field(metadata, 2)[1])
    found = {}

    def walk(element, path):
        found[".".join(path)] = element
        for _ in range(thrift.field(element, 5) or 0):
            child = next(flat)
            walk(child, path + [thrift.field(child, 4).decode()])

    walk(next(flat), [])
    return found


def annotate(data, *cases):
    """The file's bytes with other annotations and no statistics."""
    metadata = thrift.footer(data)
    schema = elements(metadata)
    for path, converted, kind, fields, _ in cases:
        element = schema[path]
        element.pop(CONVERTED, None)
        if converted is not None:
            element[CONVERTED] = (I32, converted)
        element.pop(LOGICAL, None)
        if kind is not None:
            element[LOGICAL] = logical(kind, fields)
    metadata.pop(5, None)
    for _, _, chunk in thrift.chunks(metadata):
        chunk[3][1].pop(12, None)
        for index in (4, 5, 6, 7):
            chunk.pop(index, None)
    return thrift.with_footer(data, metadata)


def source(tmp_path, *cases):
    path = tmp_path / "in.parquet"
    pq.write_table(TABLE, path, store_schema=False)
    path.write_bytes(annotate(path.read_bytes(), *cases))
    return path


def said(element):
    kind = thrift.field(element, LOGICAL)
    return thrift.field(element, CONVERTED), next(iter(kind.items())) if kind else None


def in_bytes(value):
    """pyarrow reads ENUM as bytes, and UUID as such."""
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, (list, tuple)):
        return [in_bytes(v) for v in value]
    return value.encode() if isinstance(value, str) else value


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{c[4]['annotation']}-{len(c[3])}")
def test_kept(case, tmp_path):
    path, converted, kind, fields, shown = case
    theirs, ours = source(tmp_path, case), tmp_path / "ours.parquet"
    expected = [{"column": path, **shown}]
    assert json.loads(ok("--json", "parquet", "show", theirs))["annotations"] == expected
    ok("parquet", "rewrite", theirs, "--output", ours)
    assert json.loads(ok("--json", "parquet", "show", ours))["annotations"] == expected
    before, after = (elements(thrift.footer(p.read_bytes())) for p in (theirs, ours))
    assert said(after[path]) == said(before[path]) == (converted, (kind, (STRUCT, fields)))
    for other in before:
        if other != path and other in after:  # every other column stands for what it stood for
            assert said(after[other])[1] == said(before[other])[1], other
    assert b"all as said" in ok("parquet", "check", ours)
    # The values are those of the carrier.
    assert ok("parquet", "cat", ours) == ok("parquet", "cat", theirs)
    if shown["annotation"] == "VARIANT":
        return  # which this pyarrow does not open
    same = pq.ParquetFile(ours, arrow_extensions_enabled=False).read().select(TABLE.column_names)
    for name in TABLE.column_names:
        assert in_bytes(same[name].to_pylist()) == in_bytes(TABLE[name].to_pylist()), name


ALL = [c for c in CASES if c[0] not in ("pair.key_value.key", "any.value")]
ALL = list({c[0]: c for c in ALL}.values())


def test_all_at_once_and_projected(tmp_path):
    theirs, ours = source(tmp_path, *ALL), tmp_path / "ours.parquet"
    shown = {a["column"]: a["annotation"] for a in json.loads(ok("--json", "parquet", "show", theirs))["annotations"]}
    assert shown == {c[0]: c[4]["annotation"] for c in ALL}
    text_form = ok("parquet", "show", theirs).decode()
    assert "GEOGRAPHY by SPHERICAL" in text_form and "GEOMETRY in srid:3857" in text_form
    assert "VARIANT version 1" in text_form
    ok("parquet", "cat", theirs, "--columns", "any,pair,text", "--format", "parquet", "--output", ours)
    answer = json.loads(ok("--json", "parquet", "show", ours))
    assert [(a["column"], a["annotation"]) for a in answer["annotations"]] == [
        ("any", "VARIANT"), ("pair.key_value.value", "JSON"), ("text", "ENUM")]


def test_in_the_old_form_only(tmp_path):
    cases = [("text", 19, None, {}, {}), ("raw", 20, None, {}, {}), ("pair.key_value.key", 4, None, {}, {})]
    theirs, ours = source(tmp_path, *cases), tmp_path / "ours.parquet"
    ok("parquet", "rewrite", theirs, "--output", ours)
    schema = elements(thrift.footer(ours.read_bytes()))
    assert said(schema["text"]) == (19, (12, (STRUCT, {})))
    assert said(schema["raw"]) == (20, (13, (STRUCT, {})))
    assert said(schema["pair.key_value.key"]) == (4, (4, (STRUCT, {})))


def test_intervals_stay_what_they_are(tmp_path):
    """Months, days and milliseconds; the format has only the old form."""
    path, ours = tmp_path / "in.parquet", tmp_path / "ours.parquet"
    values = [bytes([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]), None, bytes(12)]
    pq.write_table(pa.table({"x": pa.array(values, pa.binary(12))}), path, store_schema=False)
    path.write_bytes(annotate(path.read_bytes(), ("x", 21, None, {}, {})))
    ok("parquet", "rewrite", path, "--output", ours)
    assert said(elements(thrift.footer(ours.read_bytes()))["x"]) == (21, None)
    assert pq.read_table(ours)["x"].to_pylist() == values
    chunk = next(c for _, _, c in thrift.chunks(thrift.footer(ours.read_bytes())))
    assert 5 not in thrift.field(chunk, 3, 12) and 6 not in chunk  # which have no order either
    assert ok("parquet", "cat", ours) == ok("parquet", "cat", path)


def test_geometries_have_no_order(tmp_path):
    """The format defines none: bounds are neither written nor believed."""
    cases = [("place", None, 17, {}, {})]
    theirs, ours = source(tmp_path, *cases), tmp_path / "ours.parquet"
    ok("parquet", "rewrite", theirs, "--output", ours)
    for _, _, chunk in thrift.chunks(thrift.footer(ours.read_bytes())):
        geometry = thrift.field(chunk, 3, 3)[1] == [b"place"]
        statistics = thrift.field(chunk, 3, 12)
        assert (5 in statistics) != geometry and (6 in chunk) != geometry
    # A writer that gives them all the same: wrong ones do no harm.
    metadata = thrift.footer(ours.read_bytes())
    for _, _, chunk in thrift.chunks(metadata):
        if thrift.field(chunk, 3, 3)[1] == [b"place"]:
            chunk[3][1][12] = (STRUCT, {5: (BINARY, b"\0"), 6: (BINARY, b"\0")})
    ours.write_bytes(thrift.with_footer(ours.read_bytes(), metadata))
    column = json.loads(ok("--json", "parquet", "show", ours))["rowGroups"][0]["columns"][3]
    assert column["column"] == "place" and "min" not in column
    assert b"all as said" in ok("parquet", "check", ours)


@pytest.mark.parametrize("path, kind", [("raw", 14), ("text", 16), ("id", 17), ("id", 12)])
def test_a_carrier_that_cannot_be_one_is_refused(path, kind, tmp_path):
    theirs = source(tmp_path, (path, None, kind, {}, {}))
    done = run("parquet", "show", theirs)
    assert done.returncode == 1 and b"has an annotation that" in done.stderr


def leaves(path):
    return [e for e in elements(thrift.footer(path.read_bytes())).values() if not thrift.field(e, 5) and 1 in e]


@by_name(sound_files())
def test_real_files_keep_what_they_say(path, tmp_path):
    need(path)
    ours = tmp_path / "ours.parquet"
    done = run("parquet", "rewrite", path, "--output", ours)
    if done.returncode:
        pytest.skip(done.stderr.decode())
    for before, after in zip(leaves(path), leaves(ours), strict=True):
        old, new = said(before), said(after)
        if thrift.field(before, 1) == 3:
            continue  # INT96 becomes a timestamp
        assert old[0] is None or new[0] == old[0], (old, new)
        if old[1] is not None and old[1][0] < 19:
            assert new[1] == old[1], (old, new)


@pytest.mark.parametrize("type, values", [
    (pa.float16(), [1.5, None, -0.0]),
    (pa.uuid(), [uuid.UUID(int=3).bytes, None, uuid.UUID(int=5).bytes]),
    (pa.json_(pa.string()), ["{}", None, "[1]"]),
])
def test_of_pyarrow(type, values, tmp_path):
    """What pyarrow writes as such comes back as such."""
    storage = type.storage_type if isinstance(type, pa.BaseExtensionType) else type
    array = pa.array(values, storage)
    if storage is not type:
        array = pa.ExtensionArray.from_storage(type, array)
    theirs, ours = tmp_path / "theirs.parquet", tmp_path / "ours.parquet"
    pq.write_table(pa.table({"x": array}), theirs)
    ok("parquet", "rewrite", theirs, "--output", ours)
    element = elements(thrift.footer(ours.read_bytes()))["x"]
    assert said(element)[1] == said(elements(thrift.footer(theirs.read_bytes()))["x"])[1]
    back = pq.ParquetFile(ours, arrow_extensions_enabled=True).read()
    assert back["x"].type == type and back["x"].to_pylist() == pa.table({"x": array})["x"].to_pylist()
