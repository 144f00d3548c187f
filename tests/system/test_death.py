"""kill -9 of the real command, at random moments and at every change that it makes to its folder.

A world is an instance and a model of what it must hold. An operation (a command line, and what it
does to the model) is run and killed. Then `glis check --read-data` finds nothing wrong, and what the
instance holds, rows and all, is the model before the operation or the one after it, and the one
after it when the command had said so. The same command once more completes it, or says that it is
done.

Moments are of two kinds. Random: the length of a whole run of the operation is measured, and the
kills are spread over it, one in each of as many equal spans; the worlds live on from death to death,
so what a death left behind is there for the next. Every change: a library loaded into the command
(compiled here) kills it before its n-th call that makes, writes, syncs, names or removes a file, for
n = 1, 2, ... until it gets through.

GLIS_DEATH_SEED=N repeats the choices of a run (moments in time never repeat wholly).
"""

import copy
import json
import os
import random
import shutil
import signal
import subprocess
import time

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GLIS")}
SEED = int(os.environ.get("GLIS_DEATH_SEED", random.SystemRandom().randrange(1 << 32)))

SCHEMA = {
    "rowKeyFields": [{"name": "k", "type": "LongType"}],
    "sortKeyFields": [{"name": "n", "type": "LongType"}],
    "valueFields": [{"name": "job", "type": "StringType"}, {"name": "v", "type": "IntType"}],
}
EMPTY = {"tables": {}, "dropped": [], "settings": {}}


def command(root, *words, env=None, **rest):
    return subprocess.run([GLIS, "--json", *map(str, words)], capture_output=True, timeout=60,
                          env={**CLEAN, "GLIS_INSTANCE": str(root), **(env or {})}, **rest)


def answer(root, *words):
    done = command(root, *words)
    assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr)
    return json.loads(done.stdout)


def rows_of_job(job, n_rows):
    return [{"k": (i * 37 + len(job)) % 100, "n": i, "job": job, "v": i % 7} for i in range(n_rows)]


# ---- what an instance holds, and what it should ----

def new_table(columns=("k:LongType", "n:LongType", "job:StringType", "v:IntType")):
    return {"columns": list(columns), "settings": {}, "online": True, "jobs": {}}


def jobs_in(root, table):
    """The rows by job; each must be as rows_of_job made it, and whatever came later null."""
    done = command(root, "query", table, "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    jobs = {}
    for line in done.stdout.splitlines():
        row = json.loads(line)
        jobs.setdefault(row["job"], []).append(
            {name: value for name, value in row.items() if value is not None})
    for job, rows in jobs.items():
        rows.sort(key=lambda row: row["n"])
        assert rows == rows_of_job(job, len(rows)), f"rows of job {job} in {table}"
    return {job: len(rows) for job, rows in jobs.items()}


def holds(root):
    """What is there, read through the command; None when there is no instance yet."""
    listed = command(root, "table", "list", "--dropped")
    if listed.returncode != 0:
        assert b"no Glis instance" in listed.stderr or b"no folder" in listed.stderr, listed.stderr
        return None
    found = copy.deepcopy(EMPTY)
    found["settings"] = answer(root, "set")
    for entry in json.loads(listed.stdout):
        if entry["state"] == "dropped":
            found["dropped"].append(entry["name"])
        elif entry["state"] != "being created":
            shown = answer(root, "table", "show", entry["name"])
            schema = shown["schema"]
            found["tables"][entry["name"]] = {
                "columns": [f"{field['name']}:{field['type']}" for part in
                            ("rowKeyFields", "sortKeyFields", "valueFields")
                            for field in schema.get(part, [])],
                "settings": shown["properties"],
                "online": entry["state"] == "online",
                "jobs": jobs_in(root, entry["name"]),
            }
    found["dropped"].sort()
    return found


def check_clean(root):
    done = command(root, "check", "--read-data")
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr)


class Operation:
    """words: the command line; after: what it makes of a model; done: what it says (in part) when it
    is repeated though it was done, None when that is a success; steps: the states in between that
    may be seen, for an operation that is several."""

    def __init__(self, kind, words, after, done=None, steps=()):
        self.kind, self.words, self.after, self.done, self.steps = kind, words, after, done, steps


def changed(model, change):
    model = copy.deepcopy(model)
    change(model)
    return model


def kill_at(root, operation, delay, env=None):
    """Runs it and kills it after so many seconds. True when it had said that it was done."""
    process = subprocess.Popen([GLIS, "--json", *map(str, operation.words)],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE,
                               env={**CLEAN, "GLIS_INSTANCE": str(root), **(env or {})})
    due = time.perf_counter() + delay
    while time.perf_counter() < due and process.poll() is None:
        if due - time.perf_counter() > 0.002:
            time.sleep(0.001)
    process.kill()
    out, err = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), (operation.words, out, err)
    return process.returncode == 0 or out != b""


def look_and_repeat(root, operation, before, acknowledged):
    """What must hold after a death, and that the same command completes the work."""
    after = operation.after(before) if before is not None else operation.after(EMPTY)
    found = holds(root)
    allowed = [after] if acknowledged else [before, *operation.steps, after]
    assert found in allowed, f"acknowledged: {acknowledged}\nfound {found}\nof {allowed}"
    if found is not None:
        check_clean(root)
        answer(root, "status")
    again = command(root, *operation.words)
    if again.returncode != 0:
        assert operation.done and operation.done in again.stderr.decode(), again.stderr
        assert found == after, again.stderr
    elif operation.kind == "ingest":
        job = json.loads(again.stdout)
        assert job["alreadyDone"] == (found == after)
    found = holds(root)
    assert found == after, f"found {found}\nnot {after}"
    check_clean(root)
    return after


# ---- operations on small tables ----

def small_ingest(folder, model, number, words=None, table="a"):
    job = f"job{number}"
    path = folder / f"{job}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows_of_job(job, 40)))
    words = words or ("--job", job)

    def change(model):
        model["tables"][table]["jobs"][job] = 40
    return Operation("ingest", ("ingest", table, path, *words), lambda m: changed(m, change))


def table_create(folder, number):
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    (folder / "splits.txt").write_text("30\n60\n")
    name = f"made{number}"

    def change(model):
        model["tables"][name] = new_table()
    return Operation("table create", ("table", "create", name, "--schema", folder / "schema.json",
                                      "--splits", folder / "splits.txt"),
                     lambda m: changed(m, change), "already")


def table_set(number):
    def change(model):
        model["tables"]["a"]["settings"]["glis.table.gc.delay"] = f"{number + 1}m"
    return Operation("table set", ("table", "set", "a", f"glis.table.gc.delay={number + 1}m"),
                     lambda m: changed(m, change))


def instance_set(number):
    def change(model):
        model["settings"]["glis.query.max.files"] = str(number + 2)
    return Operation("set", ("set", f"glis.query.max.files={number + 2}"),
                     lambda m: changed(m, change))


def add_column(number):
    def change(model):
        model["tables"]["a"]["columns"].append(f"c{number}:IntType")
    return Operation("add-column", ("table", "add-column", "a", f"c{number}", "IntType"),
                     lambda m: changed(m, change), "already")


def widen(number):
    def change(model):
        columns = model["tables"]["a"]["columns"]
        columns[columns.index(f"c{number}:IntType")] = f"c{number}:LongType"
    return Operation("widen", ("table", "widen", "a", f"c{number}"),
                     lambda m: changed(m, change), "LongType")


def rename(old, new):
    def change(model):
        model["tables"][new] = model["tables"].pop(old)
    return Operation("rename", ("table", "rename", old, new), lambda m: changed(m, change),
                     "there is no table")


def reset():
    def change(model):
        model["tables"]["a"]["jobs"] = {}
    return Operation("reset", ("table", "reset", "a", "--yes"), lambda m: changed(m, change))


def online(state):
    def change(model):
        model["tables"]["a"]["online"] = state
    return Operation("online", ("table", "online" if state else "offline", "a"),
                     lambda m: changed(m, change))


def drop(name):
    def change(model):
        del model["tables"][name]
        model["dropped"] = sorted(model["dropped"] + [name])
    return Operation("drop", ("table", "drop", name), lambda m: changed(m, change),
                     "there is no table")


def undrop(name, table):
    def change(model):
        model["dropped"].remove(name)
        model["tables"][name] = table
    return Operation("undrop", ("table", "undrop", name), lambda m: changed(m, change),
                     "there is no dropped table")


def small_init(root, folder):
    return Operation("init", ("init", root, "--property", "glis.query.max.files=7"),
                     lambda m: {**EMPTY, "settings": {"glis.query.max.files": "7"}}, "already")


def init_from(root, folder):
    """An instance with two tables: a death may leave none, the instance, or the first table too."""
    settings = {"glis.query.max.files": "7"}
    (folder / "instance.properties").write_text("glis.query.max.files=7\n")
    models = [{**EMPTY, "settings": settings}]
    for name in ("a", "b"):
        (folder / "tables" / name).mkdir(parents=True, exist_ok=True)
        (folder / "tables" / name / "schema.json").write_text(json.dumps(SCHEMA))
        (folder / "tables" / name / "table.properties").write_text(f"sleeper.table.name={name}\n")
        models.append(changed(models[-1], lambda m: m["tables"].update({name: new_table()})))
    return Operation("init --from", ("init", root, "--from", folder), lambda m: models[-1],
                     "already", models[:-1])


def begin_world(root, folder):
    """A table with a job, and a dropped one."""
    model = copy.deepcopy(EMPTY)
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    (folder / "splits.txt").write_text("30\n60\n")
    answer(root, "init", root)
    for name in ("a", "gone"):
        answer(root, "table", "create", name, "--schema", folder / "schema.json", "--splits",
               folder / "splits.txt")
        model["tables"][name] = new_table()
        first = small_ingest(folder, model, f"-first-of-{name}", table=name)
        answer(root, *first.words)
        model = first.after(model)
    answer(root, "table", "drop", "gone")
    model = drop("gone").after(model)
    answer(root, "table", "add-column", "a", "c0", "IntType")
    return add_column(0).after(model)


# ---- random moments ----

def run_seconds(run, make, times=3):
    """The median length of a whole run; each run is of a new operation."""
    lengths = []
    for _ in range(times):
        operation = make()
        begun = time.perf_counter()
        run(operation)
        lengths.append(time.perf_counter() - begun)
    return sorted(lengths)[times // 2]


def moments(rng, n, seconds):
    """n moments of a run, one in each of n equal spans, in random order."""
    spans = [(i + rng.random()) / n * seconds for i in range(n)]
    rng.shuffle(spans)
    return spans


@pytest.fixture
def spill_folder(tmp_path):
    folder = tmp_path / "spill"
    folder.mkdir()
    return folder


def test_twelve_deaths_of_init(tmp_path):
    rng = random.Random(SEED)
    print(f"GLIS_DEATH_SEED={SEED}")
    config = tmp_path / "config"
    config.mkdir()
    for name, make in (("plain", small_init), ("from", init_from)):
        count = iter(range(100))

        def fresh():
            root = tmp_path / f"{name}{next(count)}"
            return make(root, config)
        length = run_seconds(lambda operation: command(tmp_path, *operation.words), fresh)
        for moment in moments(rng, 6, length):
            operation = fresh()
            root = operation.words[1]
            acknowledged = kill_at(root, operation, moment)
            model = look_and_repeat(root, operation, None, acknowledged)
            create = table_create(tmp_path, 1)
            answer(root, *create.words)
            assert holds(root) == create.after(model)


def test_thirty_deaths_of_small_ingests_and_table_changes(tmp_path):
    rng = random.Random(SEED + 1)
    print(f"GLIS_DEATH_SEED={SEED}")
    root = tmp_path / "instance"
    state = {"model": begin_world(root, tmp_path), "number": 0, "sequence": 0}

    def next_operation(kind):
        state["number"] += 1
        number, model = state["number"], state["model"]
        if kind == "ingest":
            return small_ingest(tmp_path, model, number)
        if kind == "sequence":
            state["sequence"] += 1
            return small_ingest(tmp_path, model, number,
                                ("--writer", "w", "--sequence", state["sequence"]))
        if kind == "create":
            return table_create(tmp_path, number)
        if kind == "column":
            narrow = [c.split(":")[0] for c in model["tables"]["a"]["columns"]
                      if c.startswith("c") and c.endswith(":IntType")]
            return widen(narrow[0][1:]) if narrow else add_column(number)
        if kind == "set":
            return table_set(number) if number % 2 else instance_set(number)
        if kind == "rename":
            made = [name for name in model["tables"] if name.startswith("made")]
            return rename(made[0], f"made{number}") if made else table_create(tmp_path, number)
        if kind == "reset":
            state["sequence"] = 0
            return reset()
        if kind == "drop":
            if "gone" in model["dropped"]:
                return undrop("gone", {**new_table(), "jobs": {"job-first-of-gone": 40}})
            return drop("gone")
        return online(not model["tables"]["a"]["online"])

    plan = {"ingest": 9, "sequence": 3, "create": 4, "column": 3, "set": 3, "rename": 2, "reset": 2,
            "drop": 2, "online": 2}

    def whole(operation):
        answer(root, *operation.words)
        state["model"] = operation.after(state["model"])
    deaths = [(kind, moment) for kind, n in plan.items()
              for moment in moments(rng, n, run_seconds(whole, lambda k=kind: next_operation(k)))]
    assert len(deaths) == 30
    rng.shuffle(deaths)
    for kind, moment in deaths:
        operation = next_operation(kind)
        print(f"{kind}: {' '.join(map(str, operation.words))} killed after {moment * 1000:.2f} ms")
        acknowledged = kill_at(root, operation, moment)
        state["model"] = look_and_repeat(root, operation, state["model"], acknowledged)


def big_rows(path, seed, n_rows):
    """A file that takes twice the smallest memory of an ingest: it is sorted by way of the disk."""
    keys = list(range(n_rows))
    random.Random(seed).shuffle(keys)
    pq.write_table(pa.table({"k": pa.array(keys, pa.int64()), "n": pa.array(keys, pa.int64()),
                             "job": [path.name] * n_rows,
                             "v": pa.array([seed % 100] * n_rows, pa.int32()),
                             "pad": ["-" * 120] * n_rows}), path)


def test_twelve_deaths_of_ingests_that_spill(tmp_path, spill_folder):
    rng = random.Random(SEED + 2)
    print(f"GLIS_DEATH_SEED={SEED}")
    root = tmp_path / "instance"
    n_rows, n_deaths = 400000, 12
    schema = copy.deepcopy(SCHEMA)
    schema["valueFields"].append({"name": "pad", "type": "StringType"})
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    (tmp_path / "splits.txt").write_text(f"{n_rows // 2}\n")
    answer(root, "init", root)
    answer(root, "table", "create", "t", "--schema", tmp_path / "schema.json", "--splits",
           tmp_path / "splits.txt", "--set",
           "glis.table.ingest.file.writing.strategy=one_file_per_leaf")

    def words(name):
        path = tmp_path / f"{name}.parquet"
        if not path.exists():
            big_rows(path, rng.randrange(1 << 30), n_rows)
        return ("--set", "glis.ingest.memory=64M", "--set", f"glis.ingest.spill.dir={spill_folder}",
                "ingest", "t", path, "--job", name)

    def jobs():
        done = command(root, "query", "t", "--columns", "job,v", "--output", tmp_path / "all.arrow")
        assert done.returncode == 0, done.stderr
        with pa.OSFile(str(tmp_path / "all.arrow")) as answered:
            table = pa.ipc.open_stream(answered).read_all()
        by_job = table.group_by("job").aggregate([("k", "count"), ("k", "sum"),
                                                  ("n", "count_distinct"), ("n", "max")])
        assert pc.all(pc.equal(table["k"], table["n"])).as_py() in (True, None)
        return {row["job"]: (row["k_count"], row["k_sum"], row["n_count_distinct"], row["n_max"])
                for row in by_job.to_pylist()}

    whole = (n_rows, n_rows * (n_rows - 1) // 2, n_rows, n_rows - 1)
    measured = words("measured")
    begun = time.perf_counter()
    first = answer(root, *measured)
    length = time.perf_counter() - begun
    assert first["spillRuns"] > 1 and first["files"] == 2, first
    expected = {"measured.parquet": whole}
    for number, moment in enumerate(moments(rng, n_deaths, length)):
        if number % 3 == 0:
            answer(root, "table", "reset", "t", "--yes")
            expected = {}
        job = f"big{number % 3}"
        operation = Operation("ingest", words(job), None)
        print(f"{job} killed after {moment:.3f} of {length:.3f} s")
        acknowledged = kill_at(root, operation, moment)
        assert os.listdir(spill_folder) == []
        found = jobs()
        after = {**expected, f"{job}.parquet": whole}
        assert found == after or (found == expected and not acknowledged), (found, expected)
        check_clean(root)
        again = answer(root, *operation.words)
        assert again["alreadyDone"] == (found == after)
        expected = after
    assert jobs() == expected
    check_clean(root)


# ---- every change ----

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;

static void count(void)
{
    static long last;
    if (!last) last = getenv("DIE_AT") ? atol(getenv("DIE_AT")) : -1;
    if (atomic_fetch_add(&calls, 1) + 1 == last) kill(getpid(), SIGKILL);
}
#define NEXT(name) static __typeof__(name) *next; if (!next) next = (__typeof__(next))dlsym(RTLD_NEXT, #name)
int openat(int at, const char *path, int flags, ...)
{
    NEXT(openat);
    va_list list; va_start(list, flags); mode_t mode = va_arg(list, mode_t); va_end(list);
    if (flags & (O_CREAT | __O_TMPFILE)) count();
    return next(at, path, flags, mode);
}
int open(const char *path, int flags, ...)
{
    NEXT(open);
    va_list list; va_start(list, flags); mode_t mode = va_arg(list, mode_t); va_end(list);
    if (flags & (O_CREAT | __O_TMPFILE)) count();
    return next(path, flags, mode);
}
int mkdir(const char *path, mode_t mode) { NEXT(mkdir); count(); return next(path, mode); }
int mkdirat(int at, const char *path, mode_t mode) { NEXT(mkdirat); count(); return next(at, path, mode); }
int linkat(int a, const char *x, int b, const char *y, int f) { NEXT(linkat); count(); return next(a, x, b, y, f); }
int renameat(int a, const char *x, int b, const char *y) { NEXT(renameat); count(); return next(a, x, b, y); }
int unlinkat(int at, const char *path, int f) { NEXT(unlinkat); count(); return next(at, path, f); }
int fsync(int fd) { NEXT(fsync); count(); return next(fd); }
ssize_t write(int fd, const void *p, size_t n) { NEXT(write); count(); return next(fd, p, n); }
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    done = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-w", "-o", folder / "shim.so",
                           folder / "shim.c", "-ldl"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "shim.so"


CHANGES = {
    "init": lambda root, folder, model: small_init(root, folder),
    "init --from": lambda root, folder, model: init_from(root, folder),
    "ingest": lambda root, folder, model: small_ingest(folder, model, 1),
    "sequence": lambda root, folder, model:
        small_ingest(folder, model, 1, ("--writer", "w", "--sequence", 1)),
    "table create": lambda root, folder, model: table_create(folder, 1),
    "table set": lambda root, folder, model: table_set(1),
    "set": lambda root, folder, model: instance_set(1),
    "add-column": lambda root, folder, model: add_column(1),
    "widen": lambda root, folder, model: widen(0),
    "rename": lambda root, folder, model: rename("a", "z"),
    "reset": lambda root, folder, model: reset(),
    "offline": lambda root, folder, model: online(False),
    "drop": lambda root, folder, model: drop("a"),
    "undrop": lambda root, folder, model:
        undrop("gone", {**new_table(), "jobs": {"job-first-of-gone": 40}}),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_death_before_any_change_of_the_folder_leaves_nothing_half(tmp_path, shim, kind):
    template = tmp_path / "template"
    config = tmp_path / "config"
    config.mkdir()
    begun = None if kind.startswith("init") else begin_world(template, config)
    for n in range(1, 400):
        root = tmp_path / f"at{n}"
        if begun is not None:
            shutil.copytree(template, root)
        operation = CHANGES[kind](root, config, begun)
        done = command(root, *operation.words, env={"LD_PRELOAD": str(shim), "DIE_AT": str(n)})
        assert done.returncode in (0, -signal.SIGKILL), (n, done.stderr)
        look_and_repeat(root, operation, begun, done.returncode == 0 or done.stdout != b"")
        shutil.rmtree(root)
        if done.returncode == 0:
            break
    assert done.returncode == 0 and n > 5
