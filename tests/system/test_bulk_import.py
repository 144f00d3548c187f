"""glis bulk-import: the same rows as an ingest brings, by one process or by many, through deaths;
one commit, and nothing left behind.
"""

import json
import os
import random
import signal
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glis_command import Glis, POINTS, SCHEMA, in_order, make_rows


class BulkGlis(Glis):
    def leftovers(self, table):
        """Objects that nobody refers to: staging, and data files that the state does not name."""
        folder = self.root / "tables" / self.json("table", "show", table)["id"]
        named = {os.path.basename(file["file"])
                 for file in self.json("status", table, "files")}
        data = {path.name for path in (folder / "data").glob("*")} - named
        return data | {path.name for path in folder.glob("staging/**/*") if path.is_file()}


@pytest.fixture
def world(tmp_path):
    glis = BulkGlis(tmp_path / "instance", GLIS_INGEST_MEMORY="64M")
    glis.ok("init", glis.root)
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "splits.txt").write_text("".join(f"{p}\n" for p in POINTS))
    glis.ok("table", "create", "t", "--schema", tmp_path / "schema.json", "--splits",
            tmp_path / "splits.txt", "--set", "glis.table.bulk.import.min.leaf.partitions=1")
    return glis, tmp_path


def write_files(tmp, n_files=4, n_rows=2000):
    """Files of all forms, and their rows."""
    rows, paths = [], []
    for i in range(n_files):
        part = make_rows(n_rows, i)
        rows += part
        if i % 2:
            paths.append(tmp / f"in{i}.jsonl")
            paths[-1].write_text("".join(json.dumps(row) + "\n" for row in part))
        else:
            paths.append(tmp / f"in{i}.parquet")
            pq.write_table(pa.Table.from_pylist(part), paths[-1], row_group_size=300)
    return rows, paths


def test_all_rows_in_one_call(world):
    glis, tmp = world
    rows, paths = write_files(tmp)
    said = glis.json("bulk-import", "t", *paths)
    assert said["done"] and said["rows"] == len(rows) and said["files"] == 6
    assert in_order(glis.read_all("t")) == in_order(rows)
    files = glis.json("status", "t", "files")
    assert len(files) == 6 and all(file["references"] == 1 for file in files)
    assert glis.leftovers("t") == set() and glis.pins() == []
    glis.ok("check", "t", "--read-data")


def test_steps_by_other_processes(world):
    glis, tmp = world
    rows, paths = write_files(tmp)
    steps = glis.ok("bulk-import", "t", *paths, "--job", "j", "--plan").split()
    assert steps == [f"sort-{i:06}" for i in range(4)]
    assert glis.pins() == ["j"]
    assert "after all sort steps" in glis.fails("bulk-import", "t", "--job", "j", "--step", "tree")
    assert "no step" in glis.fails("bulk-import", "t", "--job", "j", "--step", "sort-4")
    while steps:
        # every step twice, at the same time
        work = [glis.start("bulk-import", "t", "--job", "j", "--step", step)
                for step in steps for _ in range(2)]
        for process in work:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
        steps = glis.ok("bulk-import", "t", "--job", "j", "--plan").split()
    assert in_order(glis.read_all("t")) == in_order(rows)
    assert glis.leftovers("t") == set() and glis.pins() == []
    assert "done before" in glis.ok("bulk-import", "t", "--job", "j")
    assert "done before" in glis.ok("bulk-import", "t", *paths, "--job", "j")
    assert "other input" in glis.fails("bulk-import", "t", paths[0], "--job", "j")
    assert len(glis.read_all("t")) == len(rows)


def test_four_processes_share_a_job(world):
    glis, tmp = world
    rows, paths = write_files(tmp, n_files=8)
    work = [glis.start("bulk-import", "t", *paths, "--job", "j") for _ in range(4)]
    for process in work:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert in_order(glis.read_all("t")) == in_order(rows)
    assert glis.pins() == []
    glis.ok("check", "t", "--read-data")


def test_killed_at_random_it_goes_on(world):
    glis, tmp = world
    _, paths = write_files(tmp, n_files=6)
    begun = time.monotonic()
    glis.ok("bulk-import", "t", *paths, "--job", "measure")
    length = time.monotonic() - begun
    expected = glis.read_all("t")
    per_job = len(expected)
    pick = random.Random(5)
    for i in range(10):
        tries = 0
        while True:
            process = glis.start("bulk-import", "t", *paths, "--job", f"job{i}")
            time.sleep(length * pick.random() * (1 + tries / 2))
            process.send_signal(signal.SIGINT if i % 3 == 2 else signal.SIGKILL)
            process.communicate(timeout=60)
            tries += 1
            if tries == 2:
                glis.ok("bulk-import", "t", *paths, "--job", f"job{i}")
                break
        assert glis.ok("query", "t", "--count").strip() == str(per_job * (i + 2))
        glis.ok("check", "t")
    glis.ok("check", "t", "--read-data")


def test_a_failure_leaves_nothing(world):
    glis, tmp = world
    _, paths = write_files(tmp)
    (tmp / "bad.jsonl").write_text('{"k": 1, "s": "a", "d": 1}\n{"k": "x", "s": "a", "d": 1}\n')
    errors = glis.fails("bulk-import", "t", *paths, tmp / "bad.jsonl")
    assert "bad.jsonl" in errors and "line 2" in errors
    assert glis.leftovers("t") == set() and glis.pins() == []
    assert glis.ok("query", "t", "--count").strip() == "0"
    pq.write_table(pa.table({"k": [1], "other": [2]}), tmp / "other.parquet")
    assert "other.parquet" in glis.fails("bulk-import", "t", tmp / "other.parquet")
    # a job with a name stays, and is gone on with when the cause is gone
    glis.fails("bulk-import", "t", *paths, tmp / "bad.jsonl", "--job", "j")
    assert glis.pins() == ["j"]
    (tmp / "bad.jsonl").write_text('{"k": 1, "s": "a", "d": 1}\n{"k": 22, "s": "a", "d": 1}\n')
    glis.ok("bulk-import", "t", "--job", "j")
    assert glis.ok("query", "t", "--count").strip() == "8002"


def test_ctrl_c_leaves_nothing(world):
    glis, tmp = world
    rng = random.Random(1)
    n = 400000
    pq.write_table(pa.table({"k": [rng.randrange(-1000, 1000) for _ in range(n)], "s": ["x"] * n,
                             "v": ["y"] * n, "d": [0.5] * n}), tmp / "big.parquet")
    process = glis.start("bulk-import", "t", tmp / "big.parquet")
    time.sleep(0.15)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    if process.returncode != 0:  # else it was faster
        assert glis.leftovers("t") == set() and glis.pins() == []
        assert glis.ok("query", "t", "--count").strip() == "0"


def test_ctrl_c_leaves_nothing_at_whatever_moment_it_comes(world):
    glis, tmp = world
    _, paths = write_files(tmp)
    for i in range(16):
        work = glis.start("bulk-import", "t", *paths)
        time.sleep(0.01 + i * 0.006)
        work.send_signal(signal.SIGINT)
        work.communicate(timeout=60)
        assert glis.leftovers("t") == set() and glis.pins() == [], i


def test_a_file_that_changed_is_noticed(world):
    glis, tmp = world
    _, paths = write_files(tmp, n_files=1)
    glis.ok("bulk-import", "t", *paths, "--job", "j", "--plan")
    pq.write_table(pa.Table.from_pylist(make_rows(100, 9)), paths[0])
    assert "changed" in glis.fails("bulk-import", "t", "--job", "j")
    assert "other input" in glis.fails("bulk-import", "t", *paths, "--job", "j")


def test_a_table_that_was_reset_refuses(world):
    glis, tmp = world
    _, paths = write_files(tmp)
    glis.ok("bulk-import", "t", *paths, "--job", "j", "--plan")
    glis.ok("table", "reset", "t", "--yes")
    assert "reset" in glis.fails("bulk-import", "t", "--job", "j")
    assert glis.ok("query", "t", "--count").strip() == "0"


def test_no_rows(world):
    glis, tmp = world
    (tmp / "none.jsonl").write_text("")
    said = glis.json("bulk-import", "t", tmp / "none.jsonl", "--job", "j")
    assert said["done"] and said["rows"] == 0 and said["files"] == 0
    assert glis.json("bulk-import", "t", tmp / "none.jsonl", "--job", "j")["alreadyDone"]


def test_aggregations_are_applied(tmp_path):
    glis = BulkGlis(tmp_path / "instance", GLIS_INGEST_MEMORY="64M")
    glis.ok("init", glis.root)
    schema = {"rowKeyFields": [{"name": "k", "type": "IntType"}],
              "valueFields": [{"name": "n", "type": "LongType"}, {"name": "m", "type": "LongType"}]}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    glis.ok("table", "create", "t", "--schema", tmp_path / "schema.json", "--set",
            "glis.table.aggregations=sum(n),max(m)", "--set",
            "glis.table.bulk.import.min.leaf.partitions=1")
    pick = random.Random(2)
    rows = [{"k": pick.randrange(50), "n": 1, "m": pick.randrange(1000)} for _ in range(3000)]
    for i in range(3):
        (tmp_path / f"{i}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows[i * 1000:i * 1000 + 1000]))
    said = glis.json("bulk-import", "t", *(tmp_path / f"{i}.jsonl" for i in range(3)))
    expected = {}
    for row in rows:
        n, m = expected.get(row["k"], (0, -1))
        expected[row["k"]] = (n + 1, max(m, row["m"]))
    assert said["rows"] == len(expected)
    assert {r["k"]: (r["n"], r["m"]) for r in glis.read_all("t")} == expected


@pytest.mark.parametrize("leaves,points", [(16, []), (40, [-900]), (16, POINTS)])
def test_the_tree_is_extended(tmp_path, leaves, points):
    """To as many leaves as asked for, of about as many rows each."""
    glis = BulkGlis(tmp_path / "instance", GLIS_INGEST_MEMORY="64M")
    glis.ok("init", glis.root)
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "splits.txt").write_text("".join(f"{p}\n" for p in points))
    words = ["--splits", tmp_path / "splits.txt"] if points else []
    glis.ok("table", "create", "t", "--schema", tmp_path / "schema.json", *words, "--set",
            f"glis.table.bulk.import.min.leaf.partitions={leaves}", "--set",
            "glis.table.partition.splitting.min.rows=100")
    pick = random.Random(8)
    n = 60000
    keys = [int(pick.gauss(0, 100000)) for _ in range(n)]
    pq.write_table(pa.table({"k": keys, "s": ["x"] * n, "v": ["y"] * n, "d": [0.5] * n}),
                   tmp_path / "rows.parquet", row_group_size=7000)
    said = glis.json("bulk-import", "t", tmp_path / "rows.parquet")
    assert said["leaves"] == leaves and said["rows"] == n
    assert [row["k"] for row in glis.read_all("t")] == sorted(keys)
    splits = [int(line) for line in glis.ok("table", "splits", "t").split()]
    assert len(splits) == leaves - 1 and set(points) <= set(splits)
    if not points:
        ordered, edges = sorted(keys), [-10**9, *splits, 10**9]
        shares = [sum(a <= k < b for k in ordered) for a, b in zip(edges, edges[1:])]
        assert all(n / leaves * 0.9 < share < n / leaves * 1.1 for share in shares), shares
    glis.ok("check", "t", "--read-data")


def test_rows_of_several_keys_extend_the_tree(tmp_path):
    """The first key has one value: the second is split."""
    glis = BulkGlis(tmp_path / "instance", GLIS_INGEST_MEMORY="64M")
    glis.ok("init", glis.root)
    schema = {"rowKeyFields": [{"name": "a", "type": "IntType"}, {"name": "b", "type": "StringType"}],
              "valueFields": [{"name": "v", "type": "IntType"}]}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    glis.ok("table", "create", "t", "--schema", tmp_path / "schema.json", "--set",
            "glis.table.bulk.import.min.leaf.partitions=8", "--set",
            "glis.table.partition.splitting.min.rows=10")
    pick = random.Random(4)
    rows = [{"a": 7 if i % 4 else pick.randrange(100), "b": "%06x" % pick.randrange(1 << 24),
             "v": i} for i in range(5000)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert glis.json("bulk-import", "t", tmp_path / "rows.parquet")["leaves"] == 8
    again = [{"a": 7, "b": "%06x" % pick.randrange(1 << 24), "v": i} for i in range(1000)]
    pq.write_table(pa.Table.from_pylist(again), tmp_path / "again.parquet")
    glis.ok("table", "set", "t", "glis.table.bulk.import.min.leaf.partitions=12")
    assert glis.json("bulk-import", "t", tmp_path / "again.parquet")["leaves"] == 12
    order = lambda r: (r["a"], r["b"], r["v"])  # noqa: E731
    assert sorted(glis.read_all("t"), key=order) == sorted(rows + again, key=order)
    glis.ok("check", "t", "--read-data")


def test_too_few_rows_for_the_leaves_are_refused(world):
    glis, tmp = world
    _, paths = write_files(tmp)
    glis.ok("table", "set", "t", "glis.table.bulk.import.min.leaf.partitions=256")
    errors = glis.fails("bulk-import", "t", *paths)
    assert "min.leaf.partitions" in errors and "256" in errors
    assert glis.leftovers("t") == set() and glis.pins() == []
    assert len(glis.ok("table", "splits", "t").split()) == len(POINTS)


def write_bad_files(tmp):
    """Good rows, and what of each bad one is to be told: the file, its row, its field."""
    rows, paths, bad = [], [tmp / "a.jsonl", tmp / "b.parquet", tmp / "c.csv"], []
    with paths[0].open("w") as out:
        for i, row in enumerate(make_rows(900, 1)):
            if i % 100 == 7:
                bad.append((str(paths[0]), i + 1, "k"))
                row = {**row, "k": "x"}
            else:
                rows.append(row)
            out.write(json.dumps(row) + "\n")
    part = make_rows(3000, 2)
    for i in range(11, 3000, 500):
        bad.append((str(paths[1]), i + 1, "k"))
    columns = pa.Table.from_pylist(part)
    keys = pa.array([None if i % 500 == 11 else row["k"] for i, row in enumerate(part)], pa.int64())
    rows += [row for i, row in enumerate(part) if i % 500 != 11]
    columns = columns.set_column(columns.schema.get_field_index("k"), "k", keys)
    pq.write_table(columns, paths[1], row_group_size=250)
    paths[2].write_text("k,s,v,d\nmany,a,b,1\n1,a,b,1\n2,a,b,much\n")
    rows.append({"k": 1, "s": "a", "v": "b", "d": 1.0})
    bad += [(str(paths[2]), 1, "k"), (str(paths[2]), 3, "d")]
    return rows, paths, bad


def told(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(line["reason"] for line in lines)
    return [(line["file"], line["row"], line["field"]) for line in lines]


def test_bad_rows_are_set_aside(world):
    glis, tmp = world
    rows, paths, bad = write_bad_files(tmp)
    (tmp / "bad.jsonl").write_text("what was there before\n")
    said = glis.json("bulk-import", "t", *paths, "--bad-rows-to", tmp / "bad.jsonl")
    assert (said["rows"], said["badRows"]) == (len(rows), len(bad))
    assert in_order(glis.read_all("t")) == in_order(rows)
    assert told(tmp / "bad.jsonl") == bad
    assert glis.leftovers("t") == set() and list(tmp.glob("*.part")) == []
    # what an ingest tells of the same files is the same
    glis.ok("ingest", "t", *paths, "--bad-rows-to", tmp / "ingest.jsonl")
    assert (tmp / "ingest.jsonl").read_text() == (tmp / "bad.jsonl").read_text()
    # without bad rows there is no file
    (tmp / "good.jsonl").write_text('{"k": 1, "s": "a", "d": 1}\n')
    said = glis.ok("bulk-import", "t", tmp / "good.jsonl", "--bad-rows-to", tmp / "none.jsonl")
    assert "set aside" not in said and not (tmp / "none.jsonl").exists()


def test_only_bad_rows(world):
    glis, tmp = world
    (tmp / "all.csv").write_text("k,s,v,d\nx,a,b,1\ny,a,b,1\n")
    said = glis.ok("bulk-import", "t", tmp / "all.csv", "--bad-rows-to", tmp / "bad.jsonl")
    assert "0 rows" in said and "2 bad rows set aside" in said
    assert [row[1] for row in told(tmp / "bad.jsonl")] == [1, 2]


def test_bad_rows_of_steps_done_twice_are_told_once(world):
    """In the order of the input, by whoever commits, where the beginning said."""
    glis, tmp = world
    rows, paths, bad = write_bad_files(tmp)
    (tmp / "elsewhere").mkdir()
    steps = glis.run("bulk-import", "t", *(path.name for path in paths), "--job", "j", "--plan",
                     "--bad-rows-to", "bad.jsonl", cwd=tmp).stdout.split()
    assert len(steps) >= 3
    while steps:
        work = [glis.start("bulk-import", "t", "--job", "j", "--step", step, cwd=tmp / "elsewhere")
                for step in reversed(steps) for _ in range(2)]
        for process in work:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
        steps = glis.ok("bulk-import", "t", "--job", "j", "--plan").split()
    assert told(tmp / "bad.jsonl") == bad
    assert in_order(glis.read_all("t")) == in_order(rows)
    assert glis.leftovers("t") == set() and glis.pins() == []
    (tmp / "bad.jsonl").unlink()
    assert "done before" in glis.ok("bulk-import", "t", *paths, "--job", "j", "--bad-rows-to",
                                    tmp / "bad.jsonl")
    assert not (tmp / "bad.jsonl").exists()
    assert "other input" in glis.fails("bulk-import", "t", *paths, "--job", "j")


def test_bad_rows_of_a_file_in_parts_have_its_numbers(world):
    glis, tmp = world
    n, nulls = 500_000, (3, 250_000, 499_999)
    keys = pa.array([None if i in nulls else i for i in range(n)], pa.int64())
    pq.write_table(pa.table({"k": keys, "s": ["x"] * n, "d": [0.5] * n}), tmp / "big.parquet",
                   row_group_size=20_000)
    words = ["bulk-import", "t", tmp / "big.parquet", "--job", "j", "--bad-rows-to",
             tmp / "bad.jsonl"]
    assert len(glis.ok(*words, "--plan").split()) > 1
    assert "499,997 rows" in glis.ok(*words)
    assert [row for _, row, _ in told(tmp / "bad.jsonl")] == [i + 1 for i in nulls]


def test_bad_rows_after_kills_are_told_once(world):
    glis, tmp = world
    _, paths, bad = write_bad_files(tmp)
    words = ["bulk-import", "t", *paths, "--job", "j", "--bad-rows-to", tmp / "bad.jsonl"]
    for i in range(12):
        process = glis.start(*words)
        time.sleep(0.01 + 0.007 * i)
        process.kill()
        process.communicate(timeout=60)
    glis.ok(*words)
    assert told(tmp / "bad.jsonl") == bad


def test_where_bad_rows_cannot_go(world):
    glis, tmp = world
    _, paths, bad = write_bad_files(tmp)
    for path in tmp / "nowhere" / "bad.jsonl", tmp:
        errors = glis.fails("bulk-import", "t", *paths, "--bad-rows-to", path)
        assert "cannot write bad rows to" in errors and str(path) in errors
    assert glis.leftovers("t") == set() and glis.pins() == []
    # a job begun without the option is given up, then begun with it
    words = ["bulk-import", "t", *paths, "--job", "j"]
    assert "line 8" in glis.fails(*words)
    assert "--cancel" in glis.fails(*words, "--bad-rows-to", tmp / "bad.jsonl")
    glis.ok("bulk-import", "t", "--job", "j", "--cancel")
    # the folder goes meanwhile; another file can be named
    (tmp / "gone").mkdir()
    glis.ok(*words, "--bad-rows-to", tmp / "gone" / "bad.jsonl", "--plan")
    (tmp / "gone").rmdir()
    assert "gone/bad.jsonl" in glis.fails("bulk-import", "t", "--job", "j")
    glis.ok("bulk-import", "t", "--job", "j", "--bad-rows-to", tmp / "bad.jsonl")
    assert told(tmp / "bad.jsonl") == bad


def test_a_job_is_given_up(world):
    glis, tmp = world
    _, paths = write_files(tmp)
    cancel = ["bulk-import", "t", "--job", "j", "--cancel"]
    assert "no bulk import 'j' is under way" in glis.fails(*cancel)
    glis.ok("bulk-import", "t", *paths, "--job", "j", "--plan")
    assert "given up" in glis.ok(*cancel)
    assert glis.leftovers("t") == set() and glis.pins() == []
    # with sorted files; and a plan that cannot be read
    glis.ok("bulk-import", "t", *paths, "--job", "j", "--plan")
    for i in range(4):
        glis.ok("bulk-import", "t", "--job", "j", "--step", f"sort-{i:06}")
    plan = next(glis.root.glob("tables/*/staging/j/plan"))
    plan.write_text("{")
    glis.fails("bulk-import", "t", "--job", "j")
    assert glis.json(*cancel) == {"job": "j", "cancelled": True, "alreadyDone": False}
    assert glis.leftovers("t") == set() and glis.pins() == []
    assert "no bulk import 'j' is under way" in glis.fails("bulk-import", "t", "--job", "j")
    glis.ok("bulk-import", "t", *paths, "--job", "j")
    assert glis.ok("query", "t", "--count").strip() == "8000"
    assert "done before" in glis.fails(*cancel)
    assert glis.ok("query", "t", "--count").strip() == "8000"


def test_who_is_at_a_job_that_is_given_up_notices(world):
    glis, tmp = world
    rng = random.Random(1)
    n = 300000
    for i in range(3):
        (tmp / f"{i}.jsonl").write_text("".join(
            f'{{"k": {rng.randrange(-1000, 1000)}, "s": "x", "d": 0.5}}\n' for _ in range(n)))
    words = ["bulk-import", "t", *(tmp / f"{i}.jsonl" for i in range(3)), "--job", "j"]
    noticed = 0
    for delay in 0, 0.1, 0.2, 0.4, 0.7:
        work = [glis.start(*words) for _ in range(2)]
        while not list(glis.root.glob("tables/*/staging/j/plan")):
            time.sleep(0.005)
        time.sleep(delay)
        done = glis.run("bulk-import", "t", "--job", "j", "--cancel")
        for process in work:
            _, errors = process.communicate(timeout=60)
            assert "goes on from there" not in errors
            noticed += process.returncode == 1 and "ended by somebody else" in errors
            assert process.returncode == 0 or "ended by somebody else" in errors, errors
        assert glis.pins() == []
        assert [p for p in glis.root.glob("tables/*/staging/**/*") if p.is_file()] == []
        is_added = glis.ok("query", "t", "--count").strip() != "0"
        assert is_added == ("done before" in done.stdout + done.stderr), (done.stdout, done.stderr)
        if is_added:  # they were faster
            break
    assert noticed > 0


def test_what_will_always_be_refused_is_given_up(world):
    glis, tmp = world
    _, paths = write_files(tmp)
    glis.ok("table", "set", "t", "glis.table.bulk.import.min.leaf.partitions=256")
    words = ["bulk-import", "t", *paths, "--job", "j"]
    errors = glis.fails(*words)
    assert "min.leaf.partitions" in errors and "glis ingest" in errors and "is given up" in errors
    assert "goes on from there" not in errors
    assert glis.leftovers("t") == set() and glis.pins() == []
    glis.ok("table", "set", "t", "glis.table.bulk.import.min.leaf.partitions=1")
    # reset with all sorted; and with other filters when only the commit is left
    steps = glis.ok(*words, "--plan").split()
    for step in steps:
        glis.ok("bulk-import", "t", "--job", "j", "--step", step)
    glis.ok("table", "reset", "t", "--yes")
    assert "reset" in glis.fails("bulk-import", "t", "--job", "j")
    assert glis.leftovers("t") == set() and glis.pins() == []
    for step in glis.ok(*words, "--plan").split() + ["tree"]:
        glis.ok("bulk-import", "t", "--job", "j", "--step", step)
    glis.ok("table", "set", "t", "glis.table.filters=ageOff(k,1)")
    errors = glis.fails("bulk-import", "t", "--job", "j")
    assert "is given up" in errors
    assert glis.pins() == [] and not list(glis.root.glob("tables/*/staging/j/*"))
    assert glis.ok("query", "t", "--count").strip() == "0"


@pytest.mark.parametrize("words", [
    ["bulk-import", "t", "--cancel"], ["bulk-import", "t", "a", "--job", "j", "--cancel"],
    ["bulk-import", "t", "--job", "j", "--cancel", "--plan"],
    ["bulk-import", "t"], ["bulk-import", "t", "-"], ["bulk-import", "t", "a", "--plan"],
    ["bulk-import", "t", "--job", ""], ["bulk-import", "t", "a", "--step", "x"],
    ["bulk-import", "t", "a", "--job", "j", "--plan", "--step", "x"]])
def test_wrong_words(world, words):
    glis, tmp = world
    done = glis.run(*words, cwd=tmp)
    assert done.returncode == 2, (done.stdout, done.stderr)
