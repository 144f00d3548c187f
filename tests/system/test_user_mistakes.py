"""What users do by mistake, or meet on a bad day, and what they are told: each message says what is
wrong in their words, and nothing is done that they could not have meant."""

import os
import resource
import shutil
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glis_command import GLIS, Glis, SCHEMA
from instance_reader import Instance


@pytest.fixture
def glis(tmp_path):
    glis = Glis(tmp_path / "instance")
    glis.ok("init", glis.root)
    glis.create("t", SCHEMA)
    (tmp_path / "rows.jsonl").write_text('{"k": 1, "s": "a", "d": 0.5}\n')
    glis.ok("ingest", "t", tmp_path / "rows.jsonl")
    return glis


def objects(glis):
    return sorted(path for path in glis.root.rglob("*") if path.is_file())


def test_an_empty_variable_is_no_other_instance(glis):
    assert "--instance is empty" in glis.fails("--instance", "", "status", code=2)
    assert "--instance is empty" in glis.fails("status", "--instance=", code=2)


def test_an_instance_is_no_place_for_an_export(glis):
    before = objects(glis)
    assert "holds a Glis instance" in glis.fails("export", "t", glis.root)
    assert objects(glis) == before


def test_an_answer_goes_into_a_file_of_this_machine(glis):
    for words in (["query", "t"], ["parquet", "cat", glis.data_files()[0]]):
        said = glis.fails(*words, "--output", "s3://bucket/o.csv", code=2)
        assert "file of this machine" in said


def test_what_is_left_of_an_instance_is_no_empty_folder(glis):
    shutil.rmtree(glis.root / "catalogue")
    before = objects(glis)
    assert "catalogue is gone" in glis.fails("init", glis.root)
    assert objects(glis) == before


def test_a_range_of_records_that_is_upside_down(glis):
    assert "--from is greater than --to" in glis.fails("log", "show", "t", "--from", 2, "--to", 1,
                                                       code=2)


@pytest.mark.parametrize("word", ["abc", "eyJ", "e30x", "!", "x" * 500])
def test_what_is_no_cursor_is_called_so(glis, word):
    said = glis.fails("query", "t", "--after", word, code=2).splitlines()[0]
    assert "no cursor" in said or "not a cursor" in said, said
    assert len(said) < 200


def test_a_file_whose_name_says_nothing(glis):
    said = glis.fails("ingest", "t", glis.root / "home")
    assert "--format" in said and "home" in said
    for name in ("rows.csv.gz", "rows.jsonl.zst", "rows.zip"):
        path = glis.root.parent / name
        path.write_bytes(b"packed")
        for words in (["ingest", "t", path], ["table", "create", "u", "--like", path]):
            said = glis.fails(*words)
            assert name in said and "unpack it" in said and "--format" not in said


def test_no_column_for_a_key(glis, tmp_path):
    pq.write_table(pa.table({"list": [[1], [2]]}), tmp_path / "lists.parquet")
    said = glis.fails("table", "create", "u", "--like", tmp_path / "lists.parquet")
    assert "no column has a type that a row key can have" in said


# Every command that needs an instance.
COMMANDS = """table list; table show t; table create t --like rows.csv; table set t; table set t a.b=1; table rename t u
table drop t; table undrop t; table offline t; table online t; table reset t --yes; table add-column t c LongType
table widen t c; table splits t; table forget-writer t w; table pin t; table pin t p; table unpin t p
table restore t --to-pin p --yes; table set-aside t f; table take-back t f; ingest t rows.csv
bulk-import t rows.csv; bulk-import t --job j; bulk-import t --job j --cancel; query t; query t --count --explain
export t out; export --restore out --as u; delete t --key 1 --yes; compact t; compact --all; split t
split --all; gc t; gc --all; maintain t; maintain --all; status; status t; status t files; log show t
log show --catalogue; log snapshot t; log trim t; check; check t; set; set glis.threads=1"""
COMMANDS = [line.strip() for line in COMMANDS.replace("\n", ";").split(";")]


@pytest.mark.parametrize("words", COMMANDS)
def test_an_instance_that_cannot_be_opened_is_an_error(tmp_path, words):
    """There is none; the place is a file; its address is none."""
    (tmp_path / "rows.csv").write_text("k,s,d\n1,a,0.5\n")
    for root in (tmp_path / "nowhere", tmp_path / "rows.csv", "s3://no"):
        done = Glis(root).run(*words.split(), cwd=tmp_path)
        assert done.returncode == 1 and done.stderr.startswith("glis: "), (root, done)
        assert done.stderr.count("\n") == 1, done.stderr
    assert sorted(os.listdir(tmp_path)) == ["rows.csv"]


def without_room(words, glis):
    """The command where no file can be written, as on a disk without a free block."""
    return subprocess.run([GLIS, *map(str, words)], capture_output=True, text=True, env=glis.env,
                          timeout=60, check=False, preexec_fn=lambda: resource.setrlimit(
                              resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY)))


def test_collection_goes_on_where_nothing_can_be_written(glis):
    done = without_room(["gc", "t"], glis)
    assert (done.returncode, done.stderr) == (0, ""), done


def test_a_full_disk_is_named_once(glis):
    done = without_room(["table", "set", "t", "glis.table.gc.delay=1h"], glis)
    assert done.returncode == 1 and str(glis.root) in done.stderr
    assert done.stderr.count("putting tables/") == 1, done.stderr


def test_output_that_cannot_be_written_is_said_once():
    for words in (["--help"], ["--json", "properties"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([GLIS, *words], stdout=full, stderr=subprocess.PIPE, text=True,
                                  check=False)
        assert done.returncode == 1 and "No space left" in done.stderr
        if words == ["--help"]:
            assert done.stderr.count("standard output") == 1


def test_a_catalogue_written_by_a_clock_ahead_can_be_set_back(tmp_path):
    """By the other program of test_formats.py, in whose world it is two hours later."""
    later = Instance.begin(tmp_path / "later", ahead_ms=7200 * 1000)
    later.create("old", SCHEMA, [{"id": "root"}])
    glis = Glis(tmp_path / "later")
    (tmp_path / "rows.jsonl").write_text('{"k": 1, "s": "a", "d": 0.5}\n')
    for words in (["table", "drop", "old"], ["ingest", "old", tmp_path / "rows.jsonl"]):
        assert "set-time" in glis.fails(*words)
    assert "newest" in glis.fails("log", "set-time", "--catalogue", code=2)
    glis.fails("log", "set-time", "--catalogue", "old", "--record", 3, code=2)
    glis.fails("log", "set-time", "--record", 3, code=2)
    glis.fails("log", "set-time", "--catalogue", "--record", 2)
    assert "record 4" in glis.ok("log", "set-time", "--catalogue", "--record", 3)
    glis.create("new", SCHEMA)
    assert "set-time" in glis.fails("ingest", "old", tmp_path / "rows.jsonl")
    glis.ok("log", "set-time", "old", "--record", 1)
    glis.ok("ingest", "old", tmp_path / "rows.jsonl")
    glis.ok("table", "drop", "old")
    glis.ok("check", "--read-data")
    assert Instance(glis.root).table_id("new")
