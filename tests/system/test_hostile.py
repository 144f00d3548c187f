"""Hostile input: whatever comes from outside may be wrong. Each case is a call that must end with a
named error that says where, the right exit code, one readable line, and the instance byte for byte
as it was. GLIS may name a build with sanitizers; their reports fail the test."""

import base64
import hashlib
import io
import json
import os
import re
import struct
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GLIS")}
ERRORS = set(re.findall(r"X\((GLIS_E\w+),",
                        open(os.path.join(ROOT, "include/glis.h"), encoding="utf-8").read()))

CITIES = {
    "rowKeyFields": [{"name": "city", "type": "StringType"}],
    "sortKeyFields": [{"name": "year", "type": "IntType"}],
    "valueFields": [{"name": "people", "type": "IntType"},
                    {"name": "note", "type": "StringType", "nullable": True}],
}
TYPES = {
    "i": "IntType", "l": "LongType", "f": "FloatType", "d": "DoubleType", "b": "BooleanType",
    "s": "StringType", "bytes": "ByteArrayType", "day": "DateType", "at": "TimestampType",
    "dec": {"DecimalType": {"precision": 5, "scale": 2}},
    "list": {"ListType": {"elementType": "IntType"}},
    "map": {"MapType": {"keyType": "StringType", "valueType": "IntType"}},
    "st": {"StructType": {"fields": [{"name": "x", "type": "IntType"}]}},
}
ALL = {"rowKeyFields": [{"name": "k", "type": "LongType"}],
       "valueFields": [{"name": n, "type": t, "nullable": True} for n, t in TYPES.items()]}
PAIR = {"rowKeyFields": [{"name": "a", "type": "StringType"}, {"name": "b", "type": "IntType"}],
        "valueFields": [{"name": "v", "type": "DoubleType", "nullable": True}]}
REAL = {"rowKeyFields": [{"name": "x", "type": "DoubleType"}]}
BLOB = {"rowKeyFields": [{"name": "x", "type": "ByteArrayType"}]}


def call(words, cwd, root, **rest):
    env = {**CLEAN, "GLIS_INSTANCE": str(root), **rest.pop("env", {})}
    rest = {"stdin": subprocess.DEVNULL, **rest} if "input" not in rest else rest
    return subprocess.run([GLIS, *words], capture_output=True, cwd=cwd, env=env, timeout=120,
                          **rest)


def good(words, cwd, root, **rest):
    done = call(words, cwd, root, **rest)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def tree(root):
    """A hash of every name, kind and byte below a folder."""
    total = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in [*folders, *sorted(files)]:
            path = os.path.join(folder, name)
            total.update(os.fsencode(os.path.relpath(path, root)) + b"\0")
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    total.update(hashlib.sha256(file.read()).digest())
    return total.hexdigest()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An instance with tables of all types and some rows; no test may change it."""
    folder = tmp_path_factory.mktemp("hostile")
    root = folder / "instance"
    good(["init", str(root)], folder, root)
    for name, schema in (("cities", CITIES), ("all", ALL), ("pair", PAIR), ("real", REAL),
                         ("blob", BLOB)):
        (folder / f"{name}.json").write_text(json.dumps(schema))
        good(["table", "create", name, "--schema", f"{name}.json"], folder, root)
    rows = "city,year,people\nBern,2020,134\nAachen,2000,243\n"
    good(["ingest", "cities", "-", "--format", "csv", "--job", "first"], folder, root,
         input=rows.encode())
    good(["ingest", "cities", "-", "--format", "csv", "--writer", "w", "--sequence", "1"], folder,
         root, input=b"city,year,people\nUlm,2020,126\n")
    return root


def judge(done, code, error, parts):
    """The text form of an error; returns its first line."""
    text = done.stderr.decode("utf-8")
    assert "Sanitizer" not in text and "runtime error" not in text, text
    assert "internal error" not in text, text
    first, *more = text.rstrip("\n").split("\n")
    assert done.returncode == code, (done.returncode, text, done.stdout[:500])
    assert first.startswith("glis: ") and len(first) < 1200, text
    assert not re.search("[\x00-\x1f\x7f]", first), repr(first)
    assert len(more) <= (2 if code == 2 else 1), text
    for part in parts:
        assert part in first, f"'{part}' is not in: {first}"
    return first


def judge_json(done, code, error, parts):
    lines = done.stderr.decode("utf-8").rstrip("\n").split("\n")
    assert done.returncode == code and len(lines) == 1, lines
    said = json.loads(lines[0])
    assert error in ERRORS and said["error"] == error, said
    assert set(said) <= {"error", "message", "detail", "context", "usage", "advice"}, said
    assert said["message"] == ": ".join([*said["context"], said["detail"]]), said
    for part in parts:
        assert part in said["message"].replace("\n", "\\x0a"), said


def fails(words, cwd, root, code, error, parts, **rest):
    """Runs a call for people and for programs; the instance must not change."""
    before = tree(root)
    judge(call(words, cwd, root, **rest), code, error, parts)
    judge_json(call(["--json", *words], cwd, root, **rest), code, error, parts)
    assert tree(root) == before, "the instance was changed"


CASES = []


def case(name, words, error, *parts, code=1, files=None, input=None, env=None):
    """files: name -> bytes or text, put into the working folder."""
    CASES.append(pytest.param(words, error, parts, code, files or {}, input, env or {}, id=name))


def as_bytes(body):
    return body if isinstance(body, bytes) else body.encode("utf-8", "surrogateescape")


@pytest.fixture
def stage(tmp_path):
    """Puts files into the working folder of a case."""
    def put(files):
        for name, body in files.items():
            (tmp_path / name).write_bytes(as_bytes(body))
        return tmp_path
    return put


# ---- schema ----

def schema(name, body, *parts, error="GLIS_EINVALID"):
    body = body if isinstance(body, (bytes, str)) else json.dumps(body)
    case(f"schema: {name}", ["table", "create", "t", "--schema", "s.json"], error, "s.json", *parts,
         files={"s.json": body})


def keys(*fields, **more):
    return {"rowKeyFields": list(fields), **more}


K = {"name": "k", "type": "LongType"}


def nested(depth):
    kind = "IntType"
    for _ in range(depth):
        kind = {"ListType": {"elementType": kind}}
    return keys(K, valueFields=[{"name": "v", "type": kind}])


schema("empty file", b"", "line 1")
schema("only blanks", b" \n\n ", "line")
schema("no JSON", b"rowKeyFields: k", "line 1")
schema("an array", [], "object")
schema("a number", b"17", "object")
schema("null", b"null", "object")
schema("no row keys", {"valueFields": [K]}, "rowKeyFields")
schema("empty row keys", keys(), "row key")
schema("row keys no list", {"rowKeyFields": {}}, "rowKeyFields")
schema("row keys null", {"rowKeyFields": None}, "rowKeyFields")
schema("misspelled list", {"rowKeyFeilds": [K]}, "rowKeyFeilds", "did you mean 'rowKeyFields'")
schema("misspelled member", keys({"nmae": "k", "type": "LongType"}), "nmae", "did you mean 'name'")
schema("misspelled type", keys({"name": "k", "type": "LongTyp"}), "LongTyp",
       "did you mean 'LongType'")
schema("Java's type", keys({"name": "k", "type": "long"}), "rowKeyFields[0].type", "'long'")
schema("type is a number", keys({"name": "k", "type": 1}), "type")
schema("type is missing", keys({"name": "k"}), "type")
schema("name is missing", keys({"type": "LongType"}), "name")
schema("name is empty", keys({"name": "", "type": "LongType"}), "name")
schema("name is a number", keys({"name": 7, "type": "LongType"}), "name")
schema("name has a NUL", b'{"rowKeyFields":[{"name":"a\\u0000b","type":"LongType"}]}',
       "rowKeyFields[0].name", "control")
schema("name is not UTF-8", b'{"rowKeyFields":[{"name":"a\xff","type":"LongType"}]}', "UTF-8")
schema("name is a lone surrogate", b'{"rowKeyFields":[{"name":"\\ud800","type":"LongType"}]}',
       "line 1")
schema("the same name twice", keys(K, K), "'k'")
schema("the same name as key and value", keys(K, valueFields=[K]), "'k'")
schema("a list as key", keys({"name": "k", "type": {"ListType": {"elementType": "IntType"}}}),
       "'k'", "key")
schema("a nullable key", keys({"name": "k", "type": "LongType", "nullable": True}), "'k'", "null")
schema("nullable is text", keys(K, valueFields=[{"name": "v", "type": "IntType",
                                                 "nullable": "yes"}]), "nullable")
schema("a map with list keys", keys(K, valueFields=[{"name": "v", "type": {"MapType": {
    "keyType": {"ListType": {"elementType": "IntType"}}, "valueType": "IntType"}}}]), "'v'", "MapType")
schema("a list without elements", keys(K, valueFields=[{"name": "v", "type": {"ListType": {}}}]),
       "elementType")
schema("an empty struct", keys(K, valueFields=[{"name": "v", "type": {"StructType": {
    "fields": []}}}]), "field")
schema("precision 39", keys({"name": "k", "type": {"DecimalType": {"precision": 39}}}), "precision")
schema("precision 0", keys({"name": "k", "type": {"DecimalType": {"precision": 0}}}), "precision")
schema("precision -1", keys({"name": "k", "type": {"DecimalType": {"precision": -1}}}),
       "precision")
schema("precision huge", b'{"rowKeyFields":[{"name":"k","type":{"DecimalType":{"precision":'
       + b"9" * 400 + b"}}}]}", "line 1", "too big")
schema("scale above precision",
       keys({"name": "k", "type": {"DecimalType": {"precision": 5, "scale": 6}}}), "scale")
schema("precision a fraction", keys({"name": "k", "type": {"DecimalType": {"precision": 5.5}}}),
       "precision")
schema("nested 9 deep", nested(9), "8")
schema("nested 400 deep", nested(400), "deep", error="GLIS_ELIMIT")
schema("brackets without end", b"[" * 1000000, "line 1", error="GLIS_ELIMIT")
schema("objects without end", b'{"rowKeyFields":' * 100000, "line 1", error="GLIS_ELIMIT")
schema("a member twice", b'{"rowKeyFields":[{"name":"k","type":"LongType"}],"rowKeyFields":[]}',
       "rowKeyFields")
schema("text behind", b'{"rowKeyFields":[{"name":"k","type":"LongType"}]} x', "line 1")
schema("cut off", b'{"rowKeyFields":[\n{"name":"k",\n"type":"Lon', "line 3")
schema("a comma too many", b'{"rowKeyFields":[{"name":"k","type":"LongType"},]}', "line 1")
schema("a raw control character", b'{"rowKeyFields":[{"name":"a\nb","type":"LongType"}]}',
       "line 1")
schema("NUL bytes", b"\0" * 100, "line 1")
schema("UTF-16", '{"rowKeyFields":[]}'.encode("utf-16"), "UTF-8")
schema("a Parquet file", b"PAR1" + bytes(range(256)), "UTF-8")
schema("name of 1 MiB", keys({"name": "x" * (1 << 20), "type": "LongType"}), "name")
schema("100,000 fields", keys(K, valueFields=[{"name": f"v{i}", "type": "IntType"}
                                               for i in range(100000)]), "4096 fields")

# ---- properties ----


def properties(name, body, *parts, error="GLIS_EINVALID"):
    case(f"properties: {name}", ["table", "set", "cities", "--from", "t.properties"], error,
         "t.properties", *parts, files={"t.properties": body})


properties("unknown name", "# a\nglis.table.gc.dealy=1h\n", "line 2", "glis.table.gc.dealy",
           "did you mean 'glis.table.gc.delay'")
properties("no number", "\n\nglis.table.gc.delay=soon\n", "line 3", "glis.table.gc.delay", "soon")
properties("negative", "glis.table.gc.delay=-5m", "line 1", "glis.table.gc.delay")
properties("overflows 64 bits", "glis.table.gc.delay=99999999999999999999999h", "line 1",
           "glis.table.gc.delay")
properties("overflows by its unit", "glis.table.parquet.rowgroup.size=9223372036854775807G",
           "line 1", "glis.table.parquet.rowgroup.size")
properties("no such unit", "glis.table.gc.delay=5 fortnights", "line 1", "fortnights")
properties("NaN", "glis.table.parquet.rowgroup.size=NaN", "line 1", "NaN")
properties("no such choice", "glis.table.parquet.compression.codec=zstandard", "line 1",
           "zstandard", "zstd")
properties("out of range", "glis.table.parquet.compression.level=999", "line 1", "999")
properties("bad escape", "glis.table.gc.delay=\\u12", "line 1", "\\u")
properties("half a surrogate", "glis.table.gc.delay=\\ud800", "line 1")
properties("not UTF-8", b"glis.table.gc.delay=\xff\xfe", "line 1")
properties("a NUL", b"glis.table.gc.delay=1\x00h", "line 1")
properties("an iterator in Java", "sleeper.table.iterator.class.name=org.Filter\n", "line 1",
           "iterator", error="GLIS_EUNSUPPORTED")
properties("of the process", "glis.ingest.memory=1G\n", "line 1", "glis.ingest.memory")
properties("1 MiB line", "glis.table.gc.delay=" + "9" * (1 << 20) + "\n", "line 1",
           "glis.table.gc.delay")
properties("an empty value", "glis.table.parquet.compression.codec= \n", "line 1")
case("properties: too little memory", ["--set", "glis.ingest.memory=1", "ingest", "cities", "a.csv"],
     "GLIS_EINVALID", "glis.ingest.memory", files={"a.csv": "city,year,people\nA,1,1\n"}, code=2)
case("properties: environment not a size", ["status"], "GLIS_EINVALID", "glis.query.memory",
     env={"GLIS_QUERY_MEMORY": "-1"})
case("properties: threads huge", ["--set", "glis.threads=99999999", "status"], "GLIS_EINVALID",
     "glis.threads", code=2)

# ---- split points ----


def splits(name, body, *parts, table="cities", error="GLIS_EINVALID"):
    case(f"splits: {name}", ["table", "create", "t", "--schema", "s.json", "--splits", "p.txt"],
         error, "p.txt", *parts,
         files={"p.txt": body, "s.json": json.dumps({"cities": CITIES, "all": ALL, "real": REAL,
                                                     "blob": BLOB}[table])})


splits("unsorted", "b\na\n", "line 2")
splits("twice the same", "a\nb\nb\n", "line 3")
splits("no number", "1\ntwo\n", "line 2", "two", table="all")
splits("beyond 64 bits", "9223372036854775808\n", "line 1", table="all")
splits("sorted as text, not as numbers", "10\n9\n", "line 2", table="all")
splits("NaN", "NaN\n", "line 1", table="real")
splits("NaN in disguise", "1\nnan\n", "line 2", table="real")
splits("zero and minus zero", "-0\n0\n", "line 2", table="real")
splits("not base64", "%%%%\n", "line 1", table="blob")
splits("base64 cut off", "YQ=\n", "line 1", table="blob")
splits("not UTF-8", b"a\n\xff\n", "line 2")
splits("overlong UTF-8", b"a\xc0\x80\n", "line 1")
splits("longer than a key", "x" * 40000, "line 1")
splits("an empty line", "1\n\n2\n", "line 2", table="all")
splits("two values on a line", "1 2\n", "line 1", table="all")

# ---- CSV ----


def csv(name, body, *parts, table="cities", more=(), error="GLIS_EDATA"):
    case(f"csv: {name}", ["ingest", table, "in.csv", *more], error, "in.csv", *parts,
         files={"in.csv": body})


HEAD = "city,year,people,note\n"
csv("empty", "", "header")
csv("only blank lines", "\n\n\n", "header")
csv("a missing key column", "year,people\n1,2\n", "city")
csv("a missing required column", "city,year\nA,2\n", "people")
csv("an unknown column", "city,year,people,nte\nA,1,2,x\n", "nte", "did you mean 'note'")
csv("a column twice", "city,year,people,city\nA,1,2,B\n", "city")
csv("a row too short", HEAD + "A,1,2,x\nB,1\n", "line 3")
csv("a row too long", HEAD + "A,1,2,x,y\n", "line 2")
csv("unclosed quote", HEAD + 'A,1,2,"x\nB,1,2,y\n', "line 2", "quote")
csv("unclosed quote in the header", '"city,year,people\nA,1,2\n', "line 1", "quote")
csv("text behind a quote", HEAD + '"A"b,1,2,x\n', "line 2", "quote")
csv("a quote within", HEAD + 'A"b,1,2,x\n', "line 2", "quote")
csv("not UTF-8", as_bytes(HEAD) + b"A,1,2,\xff\n", "line 2", "'note'", "UTF-8")
csv("header not UTF-8", b"city,year,people,\xff\n", "UTF-8")
csv("UTF-16 with BOM", (HEAD + "A,1,2,x\n").encode("utf-16"), "UTF-8")
csv("no number", HEAD + "A,x,2,\n", "line 2", "'year'", "x")
csv("a fraction as integer", HEAD + "A,1.5,2,\n", "line 2", "'year'")
csv("an exponent as integer", HEAD + "A,1e3,2,\n", "line 2", "'year'")
csv("blanks around a number", HEAD + "A, 1,2,\n", "line 2", "'year'")
csv("hexadecimal", HEAD + "A,0x10,2,\n", "line 2", "'year'")
csv("int beyond", HEAD + "A,2147483648,2,\n", "line 2", "'year'")
csv("int below", HEAD + "A,-2147483649,2,\n", "line 2", "'year'")
csv("a number of 1 MiB", HEAD + "A," + "9" * (1 << 20) + ",2,\n", "line 2", "'year'")
csv("null in a key", "city,year,people\nA,,2\n", "line 2", "'year'")
csv("null text in a key", HEAD + "A,NA,2,\n", "line 2", "'year'", more=("--null", "NA"))
csv("key too long", HEAD + "x" * 40000 + ",1,2,\n", "line 2", "key")
csv("the wrong delimiter", "city;year;people\nA;1;2\n", "city;year;people")
csv("CRLF, then an error", HEAD.replace("\n", "\r\n") + "A,1,2,x\r\nB,y,2,x\r\n", "line 3", "'year'")
csv("lines inside quotes count", HEAD + 'A,1,2,"a\nb\nc"\nB,y,2,\n', "line 5", "'year'")
csv("an error behind a BOM", "\ufeff" + HEAD + "A,y,2,\n", "line 2", "'year'")
csv("a row beyond 64 MiB", HEAD + 'A,1,2,"' + "x" * (65 << 20) + '"\n', "line 2",
    error="GLIS_ELIMIT")
csv("NUL bytes", b"\0" * 5000, "in.csv")
csv("a NUL in a number", as_bytes(HEAD) + b"A,1\x002,2,\n", "line 2", "'year'")
csv("NaN in a key", "x\nNaN\n", "line 2", "'x'", table="real")
csv("infinity misspelled", "x\ninf\n", "line 2", "'x'", table="real")
csv("beyond double", "x\n1e999\n", "line 2", "'x'", table="real")
csv("base64 in a key", "x\n!!!\n", "line 2", "'x'", table="blob")
csv("a gzip file", b"\x1f\x8b\x08\x00" + b"\xff" * 100, "in.csv")

# ---- JSON lines: each type with what does not fit it ----


def jsonl(name, body, *parts, table="all", error="GLIS_EDATA", more=()):
    case(f"jsonl: {name}", ["ingest", table, "in.jsonl", *more], error, "in.jsonl", *parts,
         files={"in.jsonl": body})


for field, values in {
    "i": ["2147483648", "-2147483649", "1.5", '"1"', "true", "[]", "{}", "1e400", "9" * 5000],
    "l": ["9223372036854775808", "-9223372036854775809", "1e19", "0.1"],
    "f": ["1e39", '"inf"', '"1"', "true"],
    "d": ["1e309", "-1e309", '"nan"', "NaN", "Infinity"],
    "b": ["1", '"true"', "TRUE"],
    "s": ['"\\ud800"', "[]", '{"a":1}'],
    "bytes": ['"a"', '"YQ"', '"YQ==="', '"Y Q="', "1"],
    "day": ['"2026-02-29"', '"2026-13-01"', '"2026-1-1"', '"21.11.2026"', '"99999999-01-01"', "1",
            '"2026-11-21T00:00:00Z"'],
    "at": ['"2026-11-21T25:00:00Z"', '"2026-11-21T10:00:00"', '"2026-11-21T10:00:00.0000001Z"',
           '"2026-11-21T10:00:00+99:00"', '"2026-11-21"', '"999999-01-01T00:00:00Z"'],
    "dec": ['"1.234"', '"1000.00"', '"1e2x"', '""', '"NaN"', "true"],
    "list": ["1", "[null]", '["a"]', "[2147483648]", '{"a":1}', "[[1]]"],
    "map": ["1", '{"a":null}', '{"a":"b"}', '{"a":1,"a":2}', '[{"key":"a"}]',
            '[{"key":null,"value":1}]', '[{"key":"a","value":1,"more":2}]'],
    "st": ["1", "{}", '{"x":null}', '{"x":1,"y":2}', '{"x":1,"x":2}', "[]"],
}.items():
    for value in values:
        jsonl(f"{field} {value[:30]}", f'{{"k":1}}\n{{"k":2,"{field}":{value}}}\n', "line 2",
              *([f"'{field}"] if value not in ("NaN", "Infinity", "TRUE", '"\\ud800"') else []))

jsonl("no key", '{"i":1}\n', "line 1", "'k'")
jsonl("null key", '{"k":null}\n', "line 1", "'k'")
jsonl("unknown member", '{"k":1,"dya":1}\n', "line 1", "dya", "did you mean 'day'")
jsonl("member twice", '{"k":1,"i":1,"i":2}\n', "line 1", "'i'")
jsonl("key twice", '{"k":1,"k":2}\n', "line 1", "'k'")
jsonl("a number on a line", '{"k":1}\n17\n', "line 2", "object")
jsonl("text on a line", '{"k":1}\nhello\n', "line 2")
jsonl("two objects on a line", '{"k":1} {"k":2}\n', "line 1")
jsonl("cut off", '{"k":1}\n{"k":2,"i"', "line 2")
jsonl("single quotes", "{'k':1}\n", "line 1")
jsonl("comments", '{"k":1} // one\n', "line 1")
jsonl("not UTF-8", b'{"k":1,"s":"\xff"}\n', "line 1", "UTF-8")
jsonl("a NUL escaped in a name", '{"k":1,"a\\u0000b":2}\n', "line 1")
jsonl("nested 100,000 deep", '{"k":1,"list":' + "[" * 100000 + "]" * 100000 + "}\n", "line 1")
jsonl("array never closed", '[{"k":1},\n{"k":2}\n', "in.jsonl")
jsonl("array with a hole", '[{"k":1},,{"k":2}]\n', "line 1")
jsonl("something behind the array", '[{"k":1}]\n{"k":2}\n', "line 2")
jsonl("a line beyond 64 MiB", '{"k":1,"s":"' + "x" * (65 << 20) + '"}\n', "line 1",
      error="GLIS_ELIMIT")
jsonl("blank lines count", '\n\n{"k":1}\n\n{"k":"x"}\n', "line 5", "'k'")
jsonl("NaN in a key", '{"x":"NaN"}\n', "line 1", "'x'", table="real")
jsonl("NUL bytes", b"\0\0\0\0\n", "line 1")

# ---- Parquet and Arrow ----


def parquet_bytes(columns, **options):
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, **options)
    return out.getvalue()


def parquet(name, body, error, *parts, table="cities"):
    case(f"parquet: {name}", ["ingest", table, "in.parquet"], error, "in.parquet", *parts,
         files={"in.parquet": body})
    CASES[-1].values[4]["in.parquet"] = as_bytes(body)


GOOD = parquet_bytes({"city": ["A", "B"], "year": pa.array([1, 2], pa.int32()),
                      "people": pa.array([1, 2], pa.int32())})


def patched(at, value):
    return GOOD[:at] + value + GOOD[at + len(value):] if at >= 0 else \
        GOOD[:len(GOOD) + at] + value + GOOD[len(GOOD) + at + len(value):]


parquet("empty", b"", "GLIS_ECORRUPT")
parquet("three bytes", b"PAR", "GLIS_ECORRUPT")
parquet("only magic", b"PAR1PAR1", "GLIS_ECORRUPT")
parquet("text", b"city,year\nA,1\n" * 10, "GLIS_ECORRUPT", "PAR1")
parquet("encrypted", b"PARE" + b"\0" * 100 + b"PARE", "GLIS_EUNSUPPORTED", "encrypt")
parquet("cut in half", GOOD[:len(GOOD) // 2], "GLIS_ECORRUPT")
parquet("last byte missing", GOOD[:-1], "GLIS_ECORRUPT")
parquet("footer length beyond", patched(-8, b"\xff\xff\xff\xff"), "GLIS_ECORRUPT", "footer")
parquet("footer length 2 GiB", patched(-8, b"\xff\xff\xff\x7f"), "GLIS_ECORRUPT", "footer")
parquet("footer length zero", patched(-8, b"\0\0\0\0"), "GLIS_ECORRUPT")
parquet("footer of noise", GOOD[:200] + b"\x19\x5c" * 200 + struct.pack("<I", 300) + b"PAR1",
        "GLIS_ECORRUPT")
parquet("first page overwritten", patched(4, b"\xff" * 30), "GLIS_ECORRUPT", "'city'")
parquet("a missing key", parquet_bytes({"year": pa.array([1], pa.int32()),
                                        "people": pa.array([1], pa.int32())}), "GLIS_EDATA", "city")
parquet("an unknown column", parquet_bytes({
    "city": ["A"], "year": pa.array([1], pa.int32()), "people": pa.array([1], pa.int32()),
    "nots": ["x"]}), "GLIS_EDATA", "nots", "did you mean 'note'")
parquet("null in a key", parquet_bytes({
    "city": ["A", None], "year": pa.array([1, 2], pa.int32()),
    "people": pa.array([1, 2], pa.int32())}), "GLIS_EDATA", "row 2", "'city'")
parquet("text as number", parquet_bytes({"city": ["A"], "year": ["1"],
                                         "people": pa.array([1], pa.int32())}),
        "GLIS_EDATA", "'year'")
parquet("long beyond int", parquet_bytes({"city": ["A"], "year": pa.array([1 << 40], pa.int64()),
                                          "people": pa.array([1], pa.int32())}),
        "GLIS_EDATA", "row 1", "'year'")
parquet("nanoseconds", parquet_bytes({"k": pa.array([1], pa.int64()),
                                      "at": pa.array([1], pa.timestamp("ns", "UTC"))}),
        "GLIS_EDATA", "row 1", "'at'", table="all")
parquet("decimal too wide", parquet_bytes({
    "k": pa.array([1], pa.int64()), "dec": pa.array([10 ** 6], pa.int64()).cast(
        pa.decimal128(21, 2))}), "GLIS_EDATA", "row 1", "'dec'", table="all")
parquet("NaN in a key", parquet_bytes({"x": [1.0, float("nan")]}), "GLIS_EDATA", "row 2", "'x'",
        table="real")
parquet("list as number", parquet_bytes({"k": pa.array([1], pa.int64()), "i": [[1]]}), "GLIS_EDATA",
        "'i'", table="all")
for verb in ("show", "pages", "cat"):
    case(f"parquet {verb}: cut", ["parquet", verb, "x.parquet"], "GLIS_ECORRUPT", "x.parquet",
         files={"x.parquet": GOOD[:-1]})
    case(f"parquet {verb}: damaged page", ["parquet", verb, "x.parquet"], "GLIS_ECORRUPT",
         "x.parquet", files={"x.parquet": patched(4, b"\xff" * 30)}) if verb != "show" else None
case("parquet cat: no such column", ["parquet", "cat", "x.parquet", "--columns", "citi"],
     "GLIS_EINVALID", "citi", "did you mean 'city'", files={"x.parquet": GOOD})


def arrow_bytes(columns):
    out = io.BytesIO()
    table = pa.table(columns)
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


STREAM = arrow_bytes({"k": pa.array([1], pa.int64())})
# Arrow streams are an output, not an input: their name is no input's, and as Parquet they are damaged.
for name, body in {"whole": STREAM, "cut": STREAM[:40], "empty": b"",
                   "length beyond": b"\xff\xff\xff\xff\xff\xff\xff\x7f"}.items():
    case(f"arrow: {name}", ["ingest", "all", "in.arrow"], "GLIS_EINVALID", "in.arrow",
         "the kind of file", files={"in.arrow": body})
    case(f"arrow as parquet: {name}", ["ingest", "all", "in.arrow", "--format", "parquet"],
         "GLIS_ECORRUPT", "in.arrow", files={"in.arrow": body})

# ---- queries ----


def query(name, body, *parts, table="cities", error="GLIS_EINVALID"):
    body = body if isinstance(body, (bytes, str)) else json.dumps(body)
    case(f"query: {name}", ["query", table, "--query", "q.json"], error, "q.json", *parts,
         files={"q.json": body})


def region(**ranges):
    return {"regions": [{"stringsBase64Encoded": False, **ranges}]}


query("empty", "", "line 1")
query("no regions", {}, "regions")
query("regions an object", {"regions": {}}, "regions")
query("a region a number", {"regions": [1]}, "regions[0]")
query("unknown field", {"regions": [{}], "limmit": 1}, "limmit", "did you mean 'limit'")
query("unknown key", region(ctiy={"min": "A"}), "ctiy", "did you mean 'city'")
query("a value field as key", region(people={"min": 1}), "people")
query("no min", region(city={"max": "A"}), "regions[0].city", "min")
query("min of another type", region(city={"min": 7}), "regions[0].city.min")
query("unknown in a range", region(city={"min": "A", "maxInclusiv": True}), "maxInclusiv",
      "did you mean 'maxInclusive'")
query("min above max", region(city={"min": "B", "max": "A"}), "regions[0].city")
query("not base64", {"regions": [{"city": {"min": "%%"}}]}, "regions[0].city.min", "base64")
query("base64 of no UTF-8", {"regions": [{"city": {"min": base64.b64encode(b"\xff").decode()}}]},
      "regions[0].city.min", "UTF-8")
query("minus one rows", {"regions": [{}], "limit": -1}, "limit")
query("half a row", {"regions": [{}], "limit": 0.5}, "limit")
query("limit as text", {"regions": [{}], "limit": "1"}, "limit")
query("limit beyond 64 bits", '{"regions":[{}],"limit":18446744073709551616}', "line 1",
      "too big")
query("reverse as text", {"regions": [{}], "reverse": "yes"}, "reverse")
query("a timeout that is none", {"regions": [{}], "timeout": "soon"}, "timeout")
query("a negative timeout", {"regions": [{}], "timeout": -5}, "timeout")
case("query: staleness of a year", ["query", "cities", "--query", "-"], "GLIS_EINVALID",
     "maxStaleness", "half of glis.table.gc.delay",
     input='{"regions":[{}],"maxStaleness":"8760h"}')
query("unknown column", {"regions": [{}], "requestedValueFields": ["noet"]}, "noet",
      "did you mean 'note'")
query("columns no list", {"regions": [{}], "requestedValueFields": "note"}, "requestedValueFields")
case("query: an iterator", ["query", "cities", "--query", "-"], "GLIS_EINVALID", "'org.X'",
     "glis.iterator.folder names no folder",
     input='{"regions":[{}],"queryTimeIteratorClassName":"org.X"}')
query("a path of an iterator", {"regions": [{}], "queryTimeIteratorClassName": "../X"},
      "queryTimeIteratorClassName")
query("authorisations as text", {"regions": [{}], "authorisations": "A"}, "authorisations")
query("an empty authorisation", {"regions": [{}], "authorisations": ["A", ""]},
      "authorisations[1]")
query("record zero", {"regions": [{}], "atRecord": 0}, "atRecord")
query("a cursor that is none", {"regions": [{}], "after": "AAAA"}, "after")
query("a cursor of noise", {"regions": [{}], "after": {"record": -1, "key": "%", "given": "x"}},
      "after")
query("a member twice", '{"regions":[{}],"regions":[]}', "regions")
query("inclusive as a number", region(city={"min": "A", "minInclusive": 1}), "minInclusive")
query("int beyond", region(a={"min": "x"}, b={"min": 2147483648}), "regions[0].b.min", table="pair")
query("NaN as bound", region(x={"min": "NaN"}), "regions[0].x.min", table="real")
query("nested without end", '{"regions":' + "[" * 200000, "line 1", error="GLIS_ELIMIT")
query("cut off", '{"regions":[{}],\n"limit"', "line 2")
query("not UTF-8", b'{"regions":[{"\xff":1}]}', "UTF-8")

# ---- arguments ----


def words(name, line, error, *parts, code=1, files=None, **rest):
    case(f"words: {name}", line, error, *parts, code=code, files=files, **rest)


ONE = {"a.csv": "city,year,people\nA,1,1\n"}
words("limit beyond 64 bits", ["query", "cities", "--limit", "18446744073709551616"],
      "GLIS_EINVALID", "--limit", code=2)
words("limit hexadecimal", ["query", "cities", "--limit", "0x10"], "GLIS_EINVALID", "--limit",
      code=2)
words("a timeout beyond", ["query", "cities", "--timeout", "99999999999999999999s"],
      "GLIS_EINVALID", "--timeout", code=2)
words("a format misspelled", ["query", "cities", "--format", "jsnol"], "GLIS_EINVALID",
      "did you mean 'jsonl'", code=2)
words("a newline in a word", ["qu\nery"], "GLIS_EINVALID", "qu\\x0aery", code=2)
words("no UTF-8 in a word", [b"qu\xffry"], "GLIS_EINVALID", "did you mean 'query'", code=2)
words("escape codes in a name", ["query", "\x1b[31mred"], "GLIS_ENOTFOUND", "there is no table")
words("a name of 100,000 bytes", ["query", "x" * 100000], "GLIS_ENOTFOUND", "there is no table")
words("an empty name", ["query", ""], "GLIS_ENOTFOUND", "there is no table ''")
words("a table misspelled", ["query", "citeis"], "GLIS_ENOTFOUND", "did you mean 'cities'")
words("a key of too many values", ["query", "cities", "--key", "a", "b"], "GLIS_EINVALID", "--key",
      "1 row key", code=2)
words("a key of another type", ["query", "pair", "--key", "a", "b"], "GLIS_EINVALID", "'b'", code=2)
words("a key that is NaN", ["query", "real", "--key", "NaN"], "GLIS_EINVALID", "'x'", code=2)
words("a key beyond", ["query", "all", "--key", "9223372036854775808"], "GLIS_EINVALID", "'k'", code=2)
words("a key that is no UTF-8", ["query", "cities", "--key", b"\xff"], "GLIS_EINVALID", "'city'", code=2)
words("from above to", ["query", "cities", "--from", "B", "--to", "A"], "GLIS_EINVALID", "'city'", code=2)
words("a record yet to come", ["query", "cities", "--at-record", "99999"], "GLIS_EINVALID",
      "no record 99999")
words("a cursor of noise", ["query", "cities", "--after", "AAAA"], "GLIS_EINVALID", "--after", code=2)
words("a table's name with a slash", ["table", "rename", "cities", "../x"], "GLIS_EINVALID",
      "../x", code=2)
words("a table's name taken", ["table", "rename", "cities", "all"], "GLIS_EEXISTS", "'all'")
words("a column there already", ["table", "add-column", "cities", "note", "LongType"],
      "GLIS_EEXISTS", "'note'")
words("a column of no type", ["table", "add-column", "cities", "x", "Lnog"], "GLIS_EINVALID",
      "Lnog", code=2)
words("a type that is no JSON", ["table", "add-column", "cities", "x", '{"ListType":'],
      "GLIS_EINVALID", "'x'", code=2)
words("a pin that is no name", ["table", "pin", "cities", "a b"], "GLIS_EINVALID", "a pin is", "'a b'",
      code=2)
words("a pin too long", ["table", "pin", "cities", "x" * 201], "GLIS_EINVALID", "a pin is", code=2)
words("no pin's name ended", ["table", "unpin", "cities", "a/b"], "GLIS_EINVALID", "'a/b'", code=2)
words("a pin that is not there", ["table", "unpin", "cities", "ab"], "GLIS_EREFUSED", "'ab'")
words("an export's job", ["export", "cities", "x", "--job", "a b"], "GLIS_EINVALID", "--job", code=2)
words("a bulk import's job", ["bulk-import", "cities", "a.csv", "--job", "a b"], "GLIS_EINVALID",
      "--job", code=2, files=ONE)
words("a key widened", ["table", "widen", "cities", "year"], "GLIS_EREFUSED", "'year'",
      "key")
words("a root that is not there", ["--instance", "no/such", "status"], "GLIS_ENOTFOUND", "no/such")
words("a root that is a file", ["--instance", "a.csv", "status"], "GLIS_EINVALID", "a.csv",
      files=ONE)
words("a root without an instance", ["--instance", ".", "status"], "GLIS_ENOTFOUND", "instance")
words("an unknown scheme", ["--instance", "gopher://x/y", "status"], "GLIS_EUNSUPPORTED", "gopher")
words("ingest a folder without files", ["ingest", "cities", "."], "GLIS_ENOTFOUND", ".")
words("ingest nothing by a pattern", ["ingest", "cities", "*.nothing"], "GLIS_ENOTFOUND",
      "*.nothing")
words("ingest of no kind", ["ingest", "cities", "a.doc"], "GLIS_EINVALID", "a.doc",
      files={"a.doc": "x"})
words("a file twice in one job", ["ingest", "cities", "a.csv", "b.csv"], "GLIS_ENOTFOUND", "b.csv",
      files=ONE)
words("one bad file of two", ["ingest", "cities", "a.csv", "b.csv"], "GLIS_EDATA", "b.csv",
      "line 2", files={**ONE, "b.csv": "city,year,people\nA,x,1\n"})

# ---- job ids, writers ----
for name, job in {"a newline": "a\nb", "a NUL's neighbour": "a\x01", "no UTF-8": b"\xff",
                  "too long": "x" * 5000}.items():
    words(f"job id: {name}", ["ingest", "cities", "a.csv", "--job", job], "GLIS_EINVALID", "job",
          code=2, files=ONE)
words("job id: empty", ["ingest", "cities", "a.csv", "--job", ""], "GLIS_EINVALID", "--job",
      code=2, files=ONE)
words("job id: done with other input", ["ingest", "cities", "a.csv", "--job", "first"],
      "GLIS_EEXISTS", "'first'", files=ONE)
words("writer: empty", ["ingest", "cities", "a.csv", "--writer", "", "--sequence", "1"],
      "GLIS_EINVALID", "writer", code=2, files=ONE)
words("writer: a gap", ["ingest", "cities", "a.csv", "--writer", "w", "--sequence", "3"],
      "GLIS_ESEQUENCE", "'w'", files=ONE)
words("writer: sequence zero", ["ingest", "cities", "a.csv", "--writer", "w", "--sequence", "0"],
      "GLIS_EINVALID", "--sequence", code=2, files=ONE)
words("writer: beyond 64 bits", ["ingest", "cities", "a.csv", "--writer", "w", "--sequence",
                                 "99999999999999999999"], "GLIS_EINVALID", "--sequence", code=2,
      files=ONE)
words("writer: unknown forgotten", ["table", "forget-writer", "cities", "nobody"],
      "GLIS_ENOTFOUND", "nobody")
words("writer: no name forgotten", ["table", "forget-writer", "cities", "no body"], "GLIS_EINVALID",
      "'no body'", code=2)


@pytest.mark.parametrize("line,error,parts,code,files,input,env", CASES)
def test_what_is_wrong_is_named_and_changes_nothing(world, stage, line, error, parts, code, files,
                                                    input, env):
    rest = {"input": as_bytes(input)} if input is not None else {}
    fails(line, stage(files), world, code, error, parts, env=env, **rest)


def test_there_are_enough_cases():
    assert len(CASES) >= 250 and len({case.id for case in CASES}) == len(CASES)
