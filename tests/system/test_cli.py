"""The glis command, each subcommand on a real instance, and a table of wrong command lines."""

import json
import os
import signal
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GLIS")}

SCHEMA = {
    "rowKeyFields": [{"name": "city", "type": "StringType"}],
    "sortKeyFields": [{"name": "year", "type": "IntType"}],
    "valueFields": [{"name": "people", "type": "IntType"},
                    {"name": "note", "type": "StringType", "nullable": True}],
}
ROWS = [("Aachen", 2000, 243, None), ("Aachen", 2020, 249, "spa"), ("Bern", 2020, 134, "bear"),
        ("Köln", 2020, 1083, None), ("Zürich", 2020, 421, "lake")]


class Glis:
    def __init__(self, root):
        self.root = root

    def run(self, *words, input=None, env=None, json_output=False):
        words = ["--json", *words] if json_output else list(words)
        return subprocess.run([GLIS, *map(str, words)], capture_output=True, text=True,
                              input=input, timeout=60, encoding="utf-8",
                              env={**CLEAN, "GLIS_INSTANCE": str(self.root), **(env or {})})

    def ok(self, *words, **rest):
        done = self.run(*words, **rest)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        assert done.stderr == "" or "--after" in done.stderr, done.stderr
        return done.stdout

    def json(self, *words, **rest):
        return json.loads(self.ok(*words, json_output=True, **rest))

    def rows(self, *words, **rest):
        text = self.ok("query", "cities", *words, "--format", "jsonl", **rest)
        return [tuple(json.loads(line).values()) for line in text.splitlines()]

    def fails(self, code, *words, **rest):
        done = self.run(*words, **rest)
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        assert done.stderr.startswith("glis: "), done.stderr
        return done.stderr.split("\n")[0]


@pytest.fixture
def glis(tmp_path):
    glis = Glis(tmp_path / "instance")
    glis.ok("init", glis.root)
    return glis


def files_of(root):
    return sorted(os.path.join(d, f) for d, _, files in os.walk(root) for f in files)


@pytest.fixture
def cities(glis, tmp_path):
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "splits.txt").write_text("Bern\nM\n")
    lines = [json.dumps(dict(zip(("city", "year", "people", "note"), row))) for row in ROWS[::-1]]
    (tmp_path / "cities.jsonl").write_text("\n".join(lines) + "\n")
    glis.ok("table", "create", "cities", "--schema", tmp_path / "schema.json",
            "--splits", tmp_path / "splits.txt")
    glis.ok("ingest", "cities", tmp_path / "cities.jsonl", "--job", "first")
    return glis


def test_version_and_help_need_no_instance():
    for words in (["--version"], ["--help"], ["help"], ["table", "--help"], ["ingest", "--help"],
                  ["table", "create", "--help"], ["help", "table", "create"], ["help", "query"]):
        done = subprocess.run([GLIS, *words], capture_output=True, text=True, env=CLEAN)
        assert done.returncode == 0 and done.stdout and not done.stderr, words
    assert subprocess.run([GLIS, "--version"], capture_output=True,
                          text=True).stdout.startswith("glis 0.")


def test_help_has_every_command_and_fits_a_terminal():
    nouns = [line.split()[0] for line in
             subprocess.run([GLIS, "--help"], capture_output=True, text=True)
             .stdout.split("Commands:\n")[1].split("\n\n")[0].splitlines()]
    assert {"init", "table", "ingest", "query", "status", "check", "parquet"} <= set(nouns)
    for noun in nouns:
        done = subprocess.run([GLIS, "help", noun], capture_output=True, text=True)
        assert done.returncode == 0
        assert all(len(line) <= 100 for line in done.stdout.splitlines()), noun


def test_manual_pages_and_completion_are_well_formed(tmp_path):
    for page in ("glis", "glis-table", "glis-query", "glis-ingest"):
        text = subprocess.run([GLIS, "help", "--man", page], capture_output=True, text=True,
                              check=True).stdout
        assert text.startswith(".TH GLIS") and ".SH NAME" in text and ".SH SYNOPSIS" in text
    script = subprocess.run([GLIS, "help", "--completion", "bash"], capture_output=True, text=True,
                            check=True).stdout
    (tmp_path / "glis").write_text(script)
    probe = f"""source {tmp_path}/glis; COMP_WORDS=(glis table cre); COMP_CWORD=2; _glis
                echo "${{COMPREPLY[*]}}"
                COMP_WORDS=(glis query t --rev); COMP_CWORD=3; _glis; echo "${{COMPREPLY[*]}}" """
    done = subprocess.run(["bash", "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["create", "--reverse"]


def test_init_refuses_a_second_instance(glis):
    before = files_of(glis.root)
    assert "already" in glis.fails(1, "init", glis.root)
    assert files_of(glis.root) == before


def test_init_from_a_folder_as_the_reference_has_it(tmp_path):
    folder = tmp_path / "config"
    (folder / "tables/cities").mkdir(parents=True)
    (folder / "instance.properties").write_text("sleeper.id=x\nglis.ingest.memory=1G\n")
    (folder / "tables/cities/table.properties").write_text(
        "sleeper.table.name=cities\nsleeper.table.gc.delay.minutes=30\n")
    (folder / "tables/cities/schema.json").write_text(json.dumps(SCHEMA))
    (folder / "tables/cities/splits.txt").write_text("B\nM\n")
    glis = Glis(tmp_path / "instance")
    done = glis.run("init", glis.root, "--from", folder)
    assert done.returncode == 0, done.stderr
    assert "sleeper.id" in done.stderr and "created table cities" in done.stdout
    assert glis.json("set") == {"glis.ingest.memory": "1G"}
    assert glis.ok("table", "splits", "cities") == "B\nM\n"
    assert glis.json("table", "show", "cities")["properties"]["glis.table.gc.delay"] == "30m"


def test_tables_are_created_listed_shown_renamed_dropped_and_brought_back(cities):
    assert cities.ok("table", "list", "--names") == "cities\n"
    shown = cities.json("table", "show", "cities")
    assert [f["name"] for f in shown["schema"]["rowKeyFields"]] == ["city"]
    assert json.loads(cities.ok("table", "show", "cities", "--schema"))["sortKeyFields"]
    cities.ok("table", "rename", "cities", "towns")
    assert "there is no table 'cities'" in cities.fails(1, "query", "cities")
    cities.ok("table", "rename", "towns", "cities")
    cities.ok("table", "offline", "cities")
    assert cities.json("table", "list")[0]["state"] == "offline"
    cities.ok("table", "online", "cities")
    assert cities.json("table", "list")[0]["state"] == "online"
    cities.ok("table", "drop", "cities")
    assert cities.json("table", "list") == []
    assert cities.json("table", "list", "--dropped")[0]["state"] == "dropped"
    cities.ok("table", "undrop", "cities", "--as", "towns")
    assert cities.ok("query", "towns", "--count") == "5\n"


def test_a_schema_is_proposed_from_data(glis, tmp_path):
    (tmp_path / "a.csv").write_text("day,name,n\n2026-01-02,x,1\n2026-01-03,y,2\n")
    words = ("table", "create", "t", "--like", tmp_path / "a.csv", "--row-keys", "name",
             "--sort-keys", "day")
    proposed = json.loads(glis.ok(*words, "--dry-run"))
    assert [(f["name"], f["type"]) for f in proposed["rowKeyFields"] + proposed["sortKeyFields"]
            + proposed["valueFields"]] == [("name", "StringType"), ("day", "DateType"),
                                           ("n", "LongType")]
    assert glis.json("table", "list") == []
    assert "there is no column 'Nam'; did you mean 'name'?" in glis.fails(
        1, "table", "create", "t", "--like", tmp_path / "a.csv", "--row-keys", "Nam")
    assert "created table t" in glis.ok(*words)
    pq.write_table(pa.table({"k": pa.array([1, 2], pa.int64()), "v": ["a", None]}),
                   tmp_path / "b.parquet")
    glis.ok("table", "create", "p", "--like", tmp_path / "b.parquet")
    glis.ok("ingest", "p", tmp_path / "b.parquet")
    assert glis.ok("query", "p", "--format", "csv") == "k,v\n1,a\n2,\n"


def test_properties_of_a_table_are_set_at_creation_and_later(glis, tmp_path):
    (tmp_path / "s.json").write_text(json.dumps(SCHEMA))
    glis.ok("table", "create", "t", "--schema", tmp_path / "s.json",
            "--set", "glis.table.gc.delay=1h")
    assert glis.json("table", "show", "t")["properties"]["glis.table.gc.delay"] == "1h"
    glis.ok("table", "set", "t", "glis.table.gc.delay=2h")
    assert glis.json("table", "show", "t")["properties"]["glis.table.gc.delay"] == "2h"
    assert glis.ok("table", "set", "t") == "glis.table.gc.delay=2h\n"
    assert glis.json("table", "set", "t") == {"glis.table.gc.delay": "2h"}
    (tmp_path / "table.properties").write_text("sleeper.table.gc.delay.minutes=5\n")
    glis.ok("table", "set", "t", "--from", tmp_path / "table.properties")
    assert glis.json("table", "show", "t")["properties"]["glis.table.gc.delay"] == "5m"


def test_queries_give_the_rows_of_keys_ranges_and_everything(cities):
    assert cities.rows() == ROWS
    assert cities.rows("--key", "Aachen") == ROWS[:2]
    assert cities.rows("--key", "Aachen", "--key", "Köln") == [ROWS[0], ROWS[1], ROWS[3]]
    assert cities.rows("--from", "B", "--to", "L") == ROWS[2:4]
    assert cities.rows("--from", "L") == ROWS[4:]
    assert cities.rows("--to", "B") == ROWS[:2]
    assert cities.rows("--reverse", "--ordered") == ROWS[::-1]
    assert cities.rows("--limit", "2") == ROWS[:2]
    assert cities.rows("--columns", "note", "--key", "Bern") == [("Bern", 2020, "bear")]
    assert cities.rows("--key", "Nowhere") == []
    assert cities.ok("query", "cities", "--count") == "5\n"
    assert cities.json("query", "cities", "--count", "--key", "Bern")["count"] == 1


def test_a_range_of_keys_of_several_fields_is_a_range_of_their_order(glis, tmp_path):
    keys = [(a, b, c) for a in "abc" for b in range(3) for c in range(3)]
    with open(tmp_path / "t.csv", "w") as file:
        file.write("a,b,c\n" + "".join(f"{a},{b},{c}\n" for a, b, c in keys))
    glis.ok("table", "create", "t", "--like", tmp_path / "t.csv", "--row-keys", "a,b,c")
    glis.ok("ingest", "t", tmp_path / "t.csv")
    ends = [key[:n] for key in keys for n in range(1, 4)][::5] + [()]
    for low in ends:
        for high in ends:
            if low[:len(high)] > high > ():
                continue
            wanted = [k for k in keys if k >= low and (not high or k < high)]
            words = (["--from", *low] if low else []) + (["--to", *high] if high else [])
            assert glis.json("query", "t", "--count", *words)["count"] == len(wanted), words


def test_a_query_as_json_is_read_from_a_file_and_from_standard_input(cities, tmp_path):
    query = json.dumps({"regions": [{"city": {"min": "B", "max": "L"},
                                     "stringsBase64Encoded": False}]})
    (tmp_path / "q.json").write_text(query)
    assert cities.rows("--query", tmp_path / "q.json") == ROWS[2:4]
    assert cities.rows("--query", "-", input=query) == ROWS[2:4]
    assert "regions" in cities.fails(1, "query", "cities", "--query", "-", input="{}")


def test_an_answer_is_taken_on_where_it_ended(cities):
    done = cities.run("query", "cities", "--ordered", "--limit", "2", "--format", "jsonl")
    assert done.returncode == 0
    cursor = done.stderr.split("--after ")[1].strip()
    rest = cities.rows("--after", cursor)
    assert rest == ROWS[2:]
    assert "--after" in cities.fails(2, "query", "cities", "--after", "nonsense")


def test_an_older_record_can_be_read(cities, tmp_path):
    record = cities.json("status", "cities")["record"]
    cities.ok("ingest", "cities", tmp_path / "cities.jsonl", "--job", "second")
    assert len(cities.rows()) == 10
    assert cities.rows("--at-record", record) == ROWS


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "arrow"])
def test_answers_go_into_files(cities, tmp_path, kind):
    path = tmp_path / f"out.{kind}"
    cities.ok("query", "cities", "--output", path)
    if kind == "parquet":
        table = pq.read_table(path)
    elif kind == "arrow":
        table = pa.ipc.open_stream(path.read_bytes()).read_all()
    elif kind == "csv":
        assert path.read_text().splitlines()[1] == "Aachen,2000,243,"
        return
    else:
        assert len(path.read_text().splitlines()) == 5
        return
    assert [tuple(row.values()) for row in table.to_pylist()] == ROWS


def test_a_job_from_standard_input_stays_done_though_the_table_is_altered(cities):
    words = ("ingest", "cities", "-", "--format", "jsonl", "--job", "piped")
    text = json.dumps(dict(zip(("city", "year", "people"), ("Ulm", 2020, 126)))) + "\n"
    assert cities.json(*words, input=text)["rows"] == 1
    cities.ok("table", "add-column", "cities", "area", "DoubleType")
    cities.ok("table", "widen", "cities", "people")
    assert cities.json(*words, input=text)["alreadyDone"]
    assert "other input" in cities.fails(1, *words, input=text.replace("126", "127"))


def test_a_file_is_what_its_name_says_with_json_too(cities, tmp_path):
    cities.ok("query", "cities", "--output", tmp_path / "a.parquet", json_output=True)
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 5
    cities.ok("query", "cities", "--output", tmp_path / "rows", json_output=True)
    assert json.loads((tmp_path / "rows").read_text().splitlines()[0])["city"] == "Aachen"


def test_an_unfinished_table_hides_nothing_from_check_and_status(cities, tmp_path):
    """A create that died between its first commit and its last, made by taking that one away."""
    cities.ok("table", "create", "half", "--schema", tmp_path / "schema.json")
    os.remove(sorted((cities.root / "catalogue/log").iterdir())[-1])
    assert cities.json("table", "list")[1]["state"] == "being created"
    assert "2 tables" in cities.ok("check", "--read-data")
    assert [entry.get("beingCreated", False) for entry in cities.json("status")] == [False, True]
    assert "half (being created)" in cities.ok("status")
    assert "not finished" in cities.fails(1, "query", "half")
    cities.ok("table", "create", "half", "--schema", tmp_path / "schema.json")
    assert cities.ok("query", "half", "--count") == "0\n"


def test_a_failed_answer_leaves_the_old_file_and_nothing_else(cities, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    before = sorted(os.listdir(tmp_path))
    cities.fails(1, "query", "cities", "--output", path, "--at-record", "999")
    assert path.read_text() == "old" and sorted(os.listdir(tmp_path)) == before
    cities.fails(1, "query", "cities", "--output", tmp_path / "no/such/folder.csv")


def test_explain_tells_what_was_read(cities):
    explained = cities.json("query", "cities", "--key", "Bern", "--explain")
    assert explained["rows_given"] == 1 and explained["files"] >= explained["files_read"] >= 1
    assert "files read" in cities.ok("query", "cities", "--key", "Bern", "--explain")


def test_jobs_are_done_once(cities, tmp_path):
    again = cities.json("ingest", "cities", tmp_path / "cities.jsonl", "--job", "first")
    assert again["alreadyDone"] and again["rows"] == 0
    (tmp_path / "other.jsonl").write_text('{"city":"Ulm","year":1,"people":2}\n')
    assert "first" in cities.fails(1, "ingest", "cities", tmp_path / "other.jsonl",
                                   "--job", "first")
    numbered = ("ingest", "cities", tmp_path / "other.jsonl", "--writer", "w", "--sequence")
    assert cities.json(*numbered, 1)["rows"] == 1
    assert cities.json(*numbered, 1)["alreadyDone"]
    cities.fails(1, *numbered, 3)
    cities.ok("table", "forget-writer", "cities", "w")
    assert cities.json(*numbered, 1)["rows"] == 1
    assert len(cities.rows()) == 7


def test_a_dry_run_adds_nothing(cities, tmp_path):
    before = files_of(cities.root)
    result = cities.json("ingest", "cities", tmp_path / "cities.jsonl", "--dry-run")
    assert result["rowsRead"] == 5 and result["rows"] == 0
    assert files_of(cities.root) == before


def test_bad_rows_end_the_job_or_are_set_aside(cities, tmp_path):
    (tmp_path / "bad.csv").write_text("city,year,people\nUlm,2020,x\nUlm,2021,127\n")
    assert "line 2" in cities.fails(1, "ingest", "cities", tmp_path / "bad.csv")
    assert len(cities.rows()) == 5
    result = cities.json("ingest", "cities", tmp_path / "bad.csv",
                         "--bad-rows-to", tmp_path / "refused.jsonl")
    assert (result["rows"], result["badRows"]) == (1, 1)
    refused = [json.loads(line) for line in (tmp_path / "refused.jsonl").read_text().splitlines()]
    assert len(refused) == 1 and "people" in json.dumps(refused[0])


def test_options_of_csv_and_standard_input(cities):
    cities.ok("ingest", "cities", "-", "--format", "csv", "--delimiter", ";", "--null", "NA",
              "--ignore-extra-columns", input="city;year;people;note;more\nUlm;2020;127;NA;1\n")
    assert cities.rows("--key", "Ulm") == [("Ulm", 2020, 127, None)]


def test_columns_are_added_and_widened(cities, tmp_path):
    cities.ok("table", "add-column", "cities", "area", "DoubleType")
    cities.ok("table", "widen", "cities", "people")
    (tmp_path / "new.jsonl").write_text(
        '{"city":"Ulm","year":2020,"people":5000000000,"area":1.5}\n')
    cities.ok("ingest", "cities", tmp_path / "new.jsonl")
    assert cities.rows("--key", "Bern") == [("Bern", 2020, 134, "bear", None)]
    assert cities.rows("--key", "Ulm") == [("Ulm", 2020, 5000000000, None, 1.5)]
    assert "already" in cities.fails(1, "table", "add-column", "cities", "area", "DoubleType")
    assert "did you mean 'people'" in cities.fails(1, "table", "widen", "cities", "peopel")
    assert "IntType" in cities.fails(1, "table", "widen", "cities", "note")


def test_a_reset_wants_to_be_meant(cities, tmp_path):
    assert "--yes" in cities.fails(2, "table", "reset", "cities")
    assert len(cities.rows()) == 5
    cities.ok("table", "reset", "cities", "--yes")
    assert cities.rows() == [] and cities.ok("table", "splits", "cities") == "Bern\nM\n"
    status = cities.json("status", "cities")
    assert (status["files"], status["bytes"]) == (0, 0) and status["unreferencedFiles"] > 0
    assert cities.json("status")[0]["files"] == 0
    cities.ok("table", "reset", "cities", "--yes", "--one-leaf")
    assert cities.ok("table", "splits", "cities") == ""


def test_status_shows_what_is_there(cities):
    assert cities.json("status")[0]["rows"] == 5
    status = cities.json("status", "cities")
    assert (status["rows"], status["leaves"], status["rowsAreExact"]) == (5, 3, True)
    files = cities.json("status", "cities", "files")
    assert sum(file["rows"] for file in files) == 5
    partitions = cities.json("status", "cities", "partitions")
    assert [p["ranges"] for p in partitions if p["leaf"]] == \
        [["[-, Bern)"], ["[Bern, M)"], ["[M, -)"]]
    assert [job["job"] for job in cities.json("status", "cities", "jobs")] == ["first"]
    assert cities.json("status", "cities", "log")["records"] == status["record"]
    for part in ([], ["cities"], ["cities", "files"], ["cities", "partitions"],
                 ["cities", "jobs"], ["cities", "log"]):
        assert cities.ok("status", *part)


def test_the_log_can_be_read(cities):
    lines = [json.loads(line) for line in
             cities.ok("log", "show", "cities", json_output=True).splitlines()]
    types = [t["transaction"]["type"] for line in lines for t in line["transactions"]]
    assert types[0] == "create_table" and types[-1] == "change_files"
    assert "create_table" in cities.ok("log", "show", "cities", "--to", "1")
    assert cities.ok("log", "show", "--catalogue")
    cities.ok("log", "snapshot", "cities")
    assert cities.json("status", "cities", "log")["snapshots"] >= 1


def test_check_finds_what_is_wrong_and_changes_nothing(cities):
    assert "all is well" in cities.ok("check", "--read-data")
    data = [f for f in files_of(cities.root) if f.endswith(".parquet") and "/data/" in f]
    assert data
    with open(data[0], "r+b") as file:
        file.seek(40)
        byte = file.read(1)
        file.seek(40)
        file.write(bytes([byte[0] ^ 1]))
    assert "all is well" in cities.ok("check")
    done = cities.run("check", "--read-data")
    assert done.returncode == 1 and os.path.basename(data[0]) in done.stdout
    os.remove(data[0])
    done = cities.run("check", "cities", json_output=True)
    assert done.returncode == 1
    assert [p["problem"] for p in json.loads(done.stdout)["problems"]] == ["the file is missing"]


def test_parquet_files_can_be_looked_into(cities, tmp_path):
    pq.write_table(pa.table({"a": [1, 2, None], "b": ["x", "y", "z"]}), tmp_path / "f.parquet",
                   row_group_size=2)
    shown = cities.json("parquet", "show", tmp_path / "f.parquet")
    assert shown["rows"] == 3 and [g["rows"] for g in shown["rowGroups"]] == [2, 1]
    assert shown["rowGroups"][0]["columns"][0]["max"] == "2"
    pages = cities.json("parquet", "pages", tmp_path / "f.parquet")
    assert {page["column"] for page in pages} == {"a", "b"}
    assert cities.ok("parquet", "cat", tmp_path / "f.parquet", "--format", "csv") == \
        "a,b\n1,x\n2,y\n,z\n"
    assert cities.ok("parquet", "cat", tmp_path / "f.parquet", "--columns", "b", "--limit", "1",
                     "--format", "csv") == "b\nx\n"
    for verb in ("show", "pages", "cat"):
        assert cities.ok("parquet", verb, tmp_path / "f.parquet")


def test_settings_come_from_options_the_environment_and_the_instance(glis, tmp_path):
    glis.ok("set", "glis.query.timeout=1h")
    assert glis.json("set") == {"glis.query.timeout": "1h"}
    glis.ok("set", "glis.query.timeout=")
    assert glis.json("set") == {}
    (tmp_path / "instance.properties").write_text("glis.ingest.memory=1G\n")
    glis.ok("set", "--from", tmp_path / "instance.properties")
    assert glis.json("set") == {"glis.ingest.memory": "1G"}
    assert "glis.query.memory" in glis.fails(1, "status", env={"GLIS_QUERY_MEMORY": "much"})
    assert "glis.query.memory" in glis.fails(2, "--set", "glis.query.memory=much", "status")
    assert "glis.ingest.memory" in glis.ok("properties", "process")
    assert glis.json("properties")


def test_reading_needs_no_permission_to_write(cities):
    if os.geteuid() == 0:
        before = {f: os.stat(f).st_mtime_ns for f in files_of(cities.root)}
        cities.rows()
        cities.ok("status")
        cities.ok("check")
        assert {f: os.stat(f).st_mtime_ns for f in files_of(cities.root)} == before
        return
    for folder, _, _ in os.walk(cities.root):
        os.chmod(folder, 0o555)
    try:
        assert cities.rows() == ROWS
    finally:
        for folder, _, _ in os.walk(cities.root):
            os.chmod(folder, 0o755)


def test_a_closed_pipe_ends_quietly(cities, tmp_path):
    with open(tmp_path / "many.csv", "w") as file:
        file.write("city,year,people\n")
        file.writelines(f"town {i},2020,{i}\n" for i in range(100000))
    cities.ok("ingest", "cities", tmp_path / "many.csv")
    done = subprocess.run(["bash", "-c", f"{GLIS} query cities --format csv | head -n 1"],
                          capture_output=True, text=True,
                          env={**CLEAN, "GLIS_INSTANCE": str(cities.root)}, timeout=60)
    assert done.stdout == "city,year,people,note\n" and done.stderr == ""


def test_a_full_disk_is_an_error(cities):
    with open("/dev/full", "w") as full:
        done = subprocess.run([GLIS, "query", "cities"], stdout=full, stderr=subprocess.PIPE,
                              text=True, env={**CLEAN, "GLIS_INSTANCE": str(cities.root)})
    assert done.returncode == 1 and "No space left" in done.stderr


def test_ctrl_c_adds_nothing_and_leaves_nothing(cities):
    before = files_of(cities.root)
    process = subprocess.Popen([GLIS, "ingest", "cities", "-", "--format", "csv"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE,
                               env={**CLEAN, "GLIS_INSTANCE": str(cities.root)})
    # A pipe holds 64 KiB: when a megabyte has been written, the job is reading.
    rows = b"".join(b"town %d,2020,%d\n" % (i * 7919 % 1000003, i) for i in range(60000))
    process.stdin.write(b"city,year,people\n" + rows)
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    try:
        process.stdin.write(rows)
        process.stdin.close()
    except BrokenPipeError:
        process.stdin = None
    process.wait(timeout=60)
    errors = process.stderr.read().decode()
    assert process.returncode == 1 and errors.startswith("glis: "), (process.returncode, errors)
    assert files_of(cities.root) == before


WRONG = [
    ([], "a command is missing"),
    (["quer", "t"], "did you mean 'query'"),
    (["tabel"], "did you mean 'table'"),
    (["table"], "needs a second word"),
    (["table", "creat", "t"], "did you mean 'create'"),
    (["table", "zzzzzz", "t"], "there are create, list"),
    (["log", "print", "t"], "there is no command 'log print'"),
    (["query"], "an argument is missing"),
    (["query", "a", "b"], "one argument too many: 'b'"),
    (["query", "cities", "--kye", "a"], "did you mean '--key'"),
    (["--jsom", "status"], "did you mean '--json'"),
    (["-x", "status"], "begin with two dashes"),
    (["query", "cities", "--key"], "--key needs a value"),
    (["query", "cities", "--limit", "x"], "--limit is a whole number"),
    (["query", "cities", "--limit", "-1"], "--limit is a whole number"),
    (["query", "cities", "--limit", "1", "--limit", "2"], "--limit is given twice"),
    (["query", "cities", "--timeout", "soon"], "--timeout is a duration"),
    (["query", "cities", "--format", "cvs"], "did you mean 'csv'"),
    (["query", "cities", "--count=1"], "--count takes no value"),
    (["query", "cities", "--query", "q", "--key", "a"], "--query says the regions"),
    (["query", "cities", "--count", "--output", "x.csv"], "--count prints one number"),
    (["query", "cities", "--output", "x.unknown"], "give --format"),
    (["query", "cities", "--at-record", "0"], "--at-record is a whole number"),
    (["ingest", "cities"], "an argument is missing"),
    (["ingest", "cities", "-"], "give --format"),
    (["ingest", "cities", "a.csv", "--delimiter", "ab"], "--delimiter is one character"),
    (["ingest", "cities", "a.csv", "--writer", "w"], "go together"),
    (["ingest", "cities", "a.csv", "--job", "j", "--writer", "w", "--sequence", "1"], "not by both"),
    (["table", "create", "t"], "exactly one of --schema"),
    (["table", "create", "t", "--schema", "a", "--like", "b"], "exactly one of --schema"),
    (["table", "create", "t", "--schema", "a", "--row-keys", "k"], "go with --like"),
    (["table", "set", "cities", "a=b", "--from", "f"], "do not go together"),
    (["drop", "cities"], "did you mean 'table drop'?"),
    (["table", "set", "cities", "novalue"], "not of the form name=value"),
    (["set", "=x"], "not of the form name=value"),
    (["--set", "glis.ingest.memry=1G", "status"], "did you mean 'glis.ingest.memory'"),
    (["--set", "x", "status"], "not of the form name=value"),
    (["status", "cities", "flies"], "did you mean 'files'"),
    (["log", "show"], "either TABLE or --catalogue"),
    (["log", "show", "cities", "--from", "0"], "--from is a whole number"),
    (["log", "set-time", "cities"], "--record N is missing"),
    (["properties", "tables"], "no property and no group"),
    (["help", "quer"], "did you mean 'query'"),
    (["help", "table", "crate"], "did you mean 'create'"),
    (["help", "--completion", "fish"], "is one of bash|zsh"),
]


@pytest.mark.parametrize("words,message", WRONG, ids=lambda v: " ".join(v)[:40] if isinstance(
    v, list) else "")
def test_a_wrong_command_line_is_explained(tmp_path, words, message):
    done = subprocess.run([GLIS, *words], capture_output=True, text=True, cwd=tmp_path,
                          stdin=subprocess.DEVNULL,
                          env={**CLEAN, "GLIS_INSTANCE": str(tmp_path / "none")})
    first = done.stderr.split("\n")[0]
    assert done.returncode == 2 and first.startswith("glis: ") and message in first, done.stderr
    assert "--help`" in done.stderr and done.stdout == ""
    assert os.listdir(tmp_path) == []


def test_an_instance_must_be_named():
    done = subprocess.run([GLIS, "status"], capture_output=True, text=True, env=CLEAN)
    assert done.returncode == 2 and "GLIS_INSTANCE" in done.stderr


FAILING = [
    (["query", "citeis"], "did you mean 'cities'"),
    (["query", "cities", "--at-record", "9999"], "9999"),
    (["query", "cities", "--query", "no-such-file"], "no-such-file"),
    (["table", "show", "citie"], "did you mean 'cities'"),
    (["table", "drop", "nothing"], "there is no table 'nothing'"),
    (["table", "undrop", "cities"], "cities"),
    (["table", "create", "cities", "--schema", "schema.json"], "cities"),
    (["table", "create", "t", "--schema", "no-such-file"], "no-such-file"),
    (["table", "create", "t", "--schema", "cities.jsonl"], "cities.jsonl"),
    (["table", "create", "t", "--like", "schema.odt"], ".jsonl"),
    (["table", "create", "t", "--like", "schema.txt.gz"], "unpack it first"),
    (["table", "create", "t", "--schema", "schema.json", "--splits", "bad-splits.txt"],
     "bad-splits.txt"),
    (["ingest", "cities", "no-such-file.csv"], "no-such-file.csv"),
    (["ingest", "cities", "cities.unknown"], "cities.unknown"),
    (["log", "show", "citis"], "did you mean 'cities'"),
    (["check", "citis"], "did you mean 'cities'"),
    (["parquet", "show", "cities.jsonl"], "cities.jsonl"),
    (["parquet", "cat", "no-such-file"], "no-such-file"),
    (["help", "--man", "glis-quer"], "glis-query"),
]


# Wrong words are usage, also where it takes the table to know.
WRONG_VALUES = [
    (["query", "cities", "--columns", "noet"], "did you mean 'note'"),
    (["query", "cities", "--key", "a", "b", "c"], "--key"),
    (["table", "create", "a b", "--schema", "schema.json"], "a b"),
    (["table", "set", "cities", "glis.table.gc.dealy=1h"], "did you mean 'glis.table.gc.delay'"),
    (["table", "set", "cities", "glis.table.gc.delay=long"], "glis.table.gc.delay"),
    (["query", "cities", "--iterator", "../x"], "--iterator"),
    (["export", "cities", "out", "--columns", "noet"], "did you mean 'note'"),
    (["delete", "cities", "--key", "a", "b", "c", "--yes"], "--key"),
    (["set", "glis.query.memory=much"], "glis.query.memory"),
    (["init", "other", "--property", "glis.query.memory=much"], "glis.query.memory"),
    (["table", "add-column", "cities", "x", "StrinType"], "did you mean 'StringType'"),
    (["table", "rename", "cities", "a/b"], "a/b"),
    (["export", "--restore", "out", "--as", "a/b"], "a/b"),
]


@pytest.mark.parametrize(
    "code,words,message", [(1, *case) for case in FAILING] + [(2, *case) for case in WRONG_VALUES],
    ids=lambda v: " ".join(v)[:40] if isinstance(v, list) else "")
def test_a_failure_names_what_is_wrong_and_changes_nothing(cities, tmp_path, code, words, message):
    (tmp_path / "bad-splits.txt").write_text("b\na\n")
    before = files_of(tmp_path)
    done = subprocess.run([GLIS, *words], capture_output=True, text=True, cwd=tmp_path,
                          env={**CLEAN, "GLIS_INSTANCE": str(cities.root)})
    first = done.stderr.split("\n")[0]
    assert done.returncode == code and first.startswith("glis: ") and message in first, done.stderr
    assert files_of(tmp_path) == before
