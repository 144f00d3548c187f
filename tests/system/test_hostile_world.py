"""A hostile world: objects of the instance that were damaged, files that are no files, disks that
are full, and ends that come early. Each is said, and nothing is left half done."""

import errno
import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import time

import pytest

from test_hostile import (CITIES, CLEAN, GLIS, call, fails, good, judge, judge_json, tree,
                          world)  # noqa: F401  world is a fixture

ROWS = "city,year,people\n" + "".join(f"town {i},2020,{i}\n" for i in range(3000))


# ---- damage ----

def find(root, kind, number=0):
    """The path of an object of the table cities, or of the catalogue."""
    tables = root / "tables"
    table = next(t for t in sorted(tables.iterdir())
                 if b'"city"' in (t / "log" / f"{1:020d}").read_bytes())
    folder = {"catalogue": root / "catalogue/log", "log": table / "log", "data": table / "data",
              "snapshot": table / "snapshot"}[kind]
    return sorted(f for f in folder.iterdir() if f.is_file() and f.name != "hint")[number]


def flip(at):
    def change(path):
        body = bytearray(path.read_bytes())
        body[at] ^= 1
        path.write_bytes(bytes(body))
    return change


def cut(size):
    def change(path):
        body = path.read_bytes()
        path.write_bytes(body[:size] if size >= 0 else body[:len(body) + size])
    return change


def replace(old, new):
    def change(path):
        body = path.read_bytes()
        assert old in body
        path.write_bytes(body.replace(old, new, 1))
    return change


def overwrite(body):
    return lambda path: path.write_bytes(body)


def folder(path):
    path.unlink()
    path.mkdir()
    (path / "x").write_text("")


def loop(path):
    path.unlink()
    path.symlink_to(path.name)


def swap(path):
    """The record in the place of the one before."""
    before = path.parent / f"{int(path.name) - 1:020d}"
    shutil.copy(path, before)


COUNT = ["query", "cities", "--count"]
READ = ["query", "cities", "--format", "csv"]
STATUS = ["status", "cities"]
DAMAGE = []


def damage(name, kind, number, change, words, error, *parts):
    DAMAGE.append(pytest.param(kind, number, change, words, error, parts, id=f"{kind}: {name}"))


for number in (0, 1):
    first = f"{number + 1:020d}"
    for name, change in {"a bit of the header": flip(12), "the last byte": flip(-2),
                         "cut in half": cut(100), "one byte short": cut(-1), "empty": overwrite(b""),
                         "noise": overwrite(b"\xff\x00\n" * 50),
                         "another number": replace(b'"seq":', b'"seq":9'),
                         "no JSON": overwrite(b"hello\nworld\n")}.items():
        for kind in ("log", "catalogue"):
            damage(f"record {number + 1}, {name}", kind, number, change, STATUS, "GLIS_ECORRUPT",
                   first)
for kind in ("log", "catalogue"):
    damage("a record of a newer Glis", kind, 1, replace(b'{"glis":1,', b'{"glis":2,'), STATUS,
           "GLIS_ENEWER", f"{2:020d}")
    damage("two records the same", kind, 1, swap, STATUS, "GLIS_ECORRUPT", f"{1:020d}")
    damage("the first record missing", kind, 0, os.remove, STATUS,
           "GLIS_ECORRUPT" if kind == "log" else "GLIS_ENOTFOUND")
for name, change in {"cut in half": cut(300), "last byte missing": cut(-1), "empty": overwrite(b""),
                     "text": overwrite(b"city,year\n" * 100), "magic": flip(-1),
                     "footer length": flip(-6), "a page": flip(60),
                     "two files in one": lambda path: path.write_bytes(path.read_bytes() * 2),
                     "a folder": folder, "a symlink loop": loop}.items():
    damage(name, "data", 0, change, READ,
           {"a folder": "GLIS_EGONE", "a symlink loop": "GLIS_EIO"}.get(name, "GLIS_ECORRUPT"),
           "data/")
damage("missing", "data", 0, os.remove, READ, "GLIS_EGONE", "data/")


@pytest.mark.parametrize("kind,number,change,words,error,parts", DAMAGE)
def test_damage_in_the_instance_is_named(world, tmp_path, kind, number, change, words, error,
                                         parts):
    root = tmp_path / "instance"
    shutil.copytree(world, root)
    change(find(root, kind, number))
    fails(words, tmp_path, root, 1, error, parts)
    before = tree(root)
    done = call(["check", "--read-data"], tmp_path, root)
    assert done.returncode == 1 and (done.stdout or done.stderr.startswith(b"glis: "))
    said = call(["--json", "check", "--read-data"], tmp_path, root)
    assert said.returncode == 1
    assert json.loads(said.stdout or said.stderr), said
    # An ingest into what is damaged must not make it worse.
    if kind != "data":
        wanted = call(["ingest", "cities", "-", "--format", "csv"], tmp_path, root,
                      input=ROWS.encode())
        assert wanted.returncode == 1 and wanted.stderr.startswith(b"glis: "), wanted
    assert tree(root) == before


SNAPSHOTS = {"cut in half": cut(400), "a bit": flip(200), "empty": overwrite(b""),
             "noise": overwrite(b"\0\xff" * 500), "footer": flip(-7), "missing": os.remove}


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_a_damaged_snapshot_is_said_or_done_without_but_never_believed(world, tmp_path, name):
    root = tmp_path / "instance"
    shutil.copytree(world, root)
    good(["log", "snapshot", "cities"], tmp_path, root)
    want = good(READ, tmp_path, root)
    SNAPSHOTS[name](find(root, "snapshot"))
    before = tree(root)
    done = call(READ, tmp_path, root)
    if done.returncode == 0:
        assert done.stdout == want
    else:
        judge(done, 1, "GLIS_ECORRUPT", ["snapshot/"])
    assert tree(root) == before


# ---- files that are no files ----

def special(tmp_path, kind):
    path = tmp_path / "in.csv"
    if kind == "folder":
        path.mkdir()
    elif kind == "symlink loop":
        path.symlink_to("in.csv")
    elif kind == "dangling link":
        path.symlink_to("nowhere.csv")
    elif kind == "device":
        path.symlink_to("/dev/null")
    elif kind == "through a file":
        (tmp_path / "plain").write_text("")
        path = tmp_path / "plain" / "in.csv"
    return os.path.relpath(path, tmp_path)


@pytest.mark.parametrize("kind", ["folder", "symlink loop", "dangling link", "device",
                                  "through a file"])
@pytest.mark.parametrize("line", [
    ["ingest", "cities", "FILE"], ["query", "cities", "--query", "FILE"],
    ["table", "create", "t", "--schema", "FILE"], ["table", "set", "cities", "--from", "FILE"],
    ["table", "create", "t", "--like", "FILE"], ["parquet", "show", "FILE"]],
    ids=lambda line: " ".join(line[:2]) + line[-2] if isinstance(line, list) else line)
def test_what_is_no_file_is_refused_by_name(world, tmp_path, kind, line):
    name = special(tmp_path, kind)
    before = tree(world)
    done = call([name if word == "FILE" else word for word in line], tmp_path, world)
    if kind == "device" and line[:2] == ["table", "set"]:
        assert done.returncode == 0  # an empty file sets nothing
    else:
        judge(done, 1, None, [name])
    assert tree(world) == before


def test_a_pipe_with_a_name_is_read_or_refused_but_never_waited_for_in_vain(world, tmp_path):
    root = tmp_path / "instance"
    shutil.copytree(world, root)
    os.mkfifo(tmp_path / "in.csv")
    process = subprocess.Popen([GLIS, "ingest", "cities", "in.csv"], cwd=tmp_path,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**CLEAN, "GLIS_INSTANCE": str(root)})
    written = False
    while process.poll() is None and not written:
        try:
            fd = os.open(tmp_path / "in.csv", os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO
            time.sleep(0.01)
            continue
        fcntl.fcntl(fd, fcntl.F_SETFL, 0)
        os.write(fd, b"city,year,people\nUlm,2021,1\n")
        os.close(fd)
        written = True
    out, errors = process.communicate(timeout=60)
    if process.returncode == 0:
        assert b"added 1 row" in out
    else:
        assert errors.startswith(b"glis: ") and b"in.csv" in errors, errors


# ---- disks ----

def limited(size):
    def apply():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return apply


def leftovers(root):
    folder = root / ".glis-tmp"
    return list(folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("size", [0, 100, 1000, 5000])
@pytest.mark.parametrize("line", [["ingest", "cities", "in.csv"],
                                  ["table", "create", "t", "--schema", "s.json"],
                                  ["query", "cities", "--output", "out.parquet"]],
                         ids=lambda line: line[0] if isinstance(line, list) else line)
def test_a_file_that_may_not_grow_leaves_nothing_half(world, tmp_path, line, size):
    root = tmp_path / "instance"
    shutil.copytree(world, root)
    (tmp_path / "in.csv").write_text(ROWS)
    (tmp_path / "s.json").write_text(json.dumps(CITIES))
    want = good(COUNT, tmp_path, root)
    done = subprocess.run([GLIS, *line], cwd=tmp_path, capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL, preexec_fn=limited(size),
                          env={**CLEAN, "GLIS_INSTANCE": str(root)})
    assert leftovers(root) == []
    if done.returncode != 0:
        judge(done, 1, None, ["File too large"])
        assert good(COUNT, tmp_path, root) == want
        assert not (tmp_path / "out.parquet").exists()
    good(["check", "--read-data"], tmp_path, root)
    assert sorted(os.listdir(tmp_path)) in (
        ["in.csv", "instance", "s.json"], ["in.csv", "instance", "out.parquet", "s.json"])
    # The next run trips over nothing.
    if line[0] == "ingest" and done.returncode != 0:
        good(line, tmp_path, root)
        assert int(good(COUNT, tmp_path, root)) == int(want) + 3000


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB, where this process may mount one."""
    path = tmp_path / "disk"
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", path],
                          capture_output=True)
    if done.returncode != 0:
        pytest.skip("mounting is not permitted")
    yield path
    subprocess.run(["umount", path], check=True)


def test_a_full_disk_is_said_and_leaves_nothing_half(small_disk, tmp_path):
    root = small_disk / "instance"
    good(["init", str(root)], tmp_path, root)
    (tmp_path / "s.json").write_text(json.dumps(CITIES))
    (tmp_path / "in.csv").write_text("city,year,people,note\n" + "".join(
        f"{i * 7919 % 1000003:x},{i},{i},{i * 104729 % 2 ** 31:x}\n" for i in range(50000)))
    good(["table", "create", "cities", "--schema", "s.json"], tmp_path, root)
    before = tree(root)
    fails(["ingest", "cities", "in.csv"], tmp_path, root, 1, "GLIS_ENOSPACE",
          ["No space left on device"])
    assert leftovers(root) == [] and tree(root) == before
    good(["check"], tmp_path, root)
    good(["ingest", "cities", "-", "--format", "csv"], tmp_path, root,
         input=b"city,year,people\nUlm,1,1\n")
    assert good(COUNT, tmp_path, root) == b"1\n"


def test_a_read_only_disk_is_read_and_refuses_writing_by_name(small_disk, tmp_path, world):
    root = small_disk / "instance"
    shutil.copytree(world, root)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    (tmp_path / "in.csv").write_text("city,year,people\nUlm,1,1\n")
    (tmp_path / "s.json").write_text(json.dumps(CITIES))
    good(COUNT, tmp_path, root)
    good(["status"], tmp_path, root)
    for line in (["ingest", "cities", "in.csv"], ["table", "drop", "cities"],
                 ["table", "create", "t", "--schema", "s.json"], ["set", "glis.threads=1"],
                 ["log", "snapshot", "cities"], ["init", str(small_disk / "new")]):
        fails(line, tmp_path, root, 1, "GLIS_EDENIED", ["Read-only file system"])


# ---- ends that come early ----

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_ingest_adds_nothing(world, tmp_path, number):
    before = tree(world)
    process = subprocess.Popen([GLIS, "--json", "ingest", "cities", "-", "--format", "csv"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, cwd=tmp_path,
                               env={**CLEAN, "GLIS_INSTANCE": str(world)})
    process.stdin.write(ROWS.encode() + b"".join(b"a%d,1,1\n" % i for i in range(60000)))
    process.stdin.flush()  # more than a pipe holds: the job is reading
    process.send_signal(number)
    try:
        process.stdin.close()
    except BrokenPipeError:
        pass
    process.stdin = None
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 1, (out, errors)
    assert json.loads(errors)["error"] == "GLIS_ECANCELLED" and out == b""
    assert tree(world) == before


@pytest.mark.parametrize("line", [["query", "cities"], ["log", "show", "cities"], ["properties"],
                                  ["--json", "status"], ["--help"], ["table", "list"]],
                         ids=lambda line: " ".join(line) if isinstance(line, list) else "")
def test_a_reader_that_went_away_ends_the_call_without_a_word(world, tmp_path, line):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([GLIS, *line], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE,
                          env={**CLEAN, "GLIS_INSTANCE": str(world)}, timeout=60)
    os.close(writing)
    assert done.stderr == b"" and done.returncode in (0, 1)


@pytest.mark.parametrize("line", [["query", "cities"], ["status"], ["--help"], ["properties"],
                                  ["log", "show", "cities"]],
                         ids=lambda line: " ".join(line) if isinstance(line, list) else "")
def test_an_answer_that_cannot_be_written_is_an_error(world, tmp_path, line):
    for words, judge_it in ((line, judge), (["--json", *line], judge_json)):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([GLIS, *words], cwd=tmp_path, stdout=full,
                                  stderr=subprocess.PIPE, timeout=60,
                                  env={**CLEAN, "GLIS_INSTANCE": str(world)})
        judge_it(done, 1, "GLIS_ENOSPACE", ["No space left on device"])


def test_standard_streams_that_are_closed_are_no_files_of_the_instance(world, tmp_path):
    """A descriptor 0, 1 or 2 that is closed must not become the one of a file that is opened."""
    before = tree(world)
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        done = subprocess.run(["sh", "-c", f'"$0" query cities {closed}', GLIS], cwd=tmp_path,
                              capture_output=True, timeout=60,
                              env={**CLEAN, "GLIS_INSTANCE": str(world)})
        assert done.returncode in (0, 1), (closed, done)
        assert tree(world) == before, closed
