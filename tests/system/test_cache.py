"""The cache of data files through the command line: what one process read, another finds on disk,
and a second query asks the store for no data; `glis check` reads what is there and not what was
kept; wrong bytes are fetched again. On a folder, for which glis.cache.local asks for it."""

import json
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GLIS")}
ROWS = 3000


class World:
    def __init__(self, folder):
        self.folder, self.root = folder, folder / "instance"
        self.env = {**CLEAN, "GLIS_INSTANCE": str(self.root), "GLIS_CACHE_LOCAL": "true",
                    "GLIS_CACHE_DIR": str(folder / "cache")}
        (folder / "in.csv").write_text("k,v\n" + "".join(f"{k},{k * k}\n" for k in range(ROWS)))
        self.ok("init", self.root)
        self.ok("table", "create", "t", "--like", folder / "in.csv")
        self.ok("ingest", "t", folder / "in.csv")

    def run(self, *words, **more):
        return subprocess.run([GLIS, *map(str, words)], capture_output=True, text=True, timeout=60,
                              env={**self.env, **more})

    def ok(self, *words, **more):
        done = self.run(*words, **more)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def explain(self, *words, **more):
        told = self.run("--json", "query", "t", *words, "--explain", **more)
        assert told.returncode == 0, told.stderr
        text = told.stdout + told.stderr
        return json.loads(text[text.index("{"):text.rindex("}") + 1])

    def data_files(self):
        return list((self.root / "tables").glob("*/data/*"))


def test_a_second_query_in_another_process_reads_no_data(tmp_path):
    world = World(tmp_path)
    first = world.explain("--key", 17)
    assert first["bytes_read"] > 1000 and first["cached_pieces"] == 0
    second = world.explain("--key", 17)
    assert second["cached_pieces"] >= 1 and second["bytes_read"] < first["bytes_read"]
    wanted = world.ok("query", "t", "--format", "csv", GLIS_CACHE_LOCAL="false")
    world.ok("query", "t", "--format", "csv")
    # Nothing of the data is read any more: it need not even be there.
    away = [(path, path.with_suffix(".away")) for path in world.data_files()]
    for path, aside in away:
        path.rename(aside)
    assert world.ok("query", "t", "--format", "csv") == wanted
    assert world.run("check").returncode == 1, "a check looks at what is there"
    for path, aside in away:
        aside.rename(path)
    assert world.ok("check", "--read-data")
    shown = json.loads(world.ok("--json", "cache", "show"))
    assert shown["pieces"] >= 1 and shown["bytes"] > 1000
    assert shown["folder"] == str(tmp_path / "cache")
    assert json.loads(world.ok("--json", "cache", "clear"))["pieces"] == shown["pieces"]
    assert world.ok("cache", "show").startswith("0 pieces, 0 bytes")


def test_wrong_bytes_in_the_cache_are_never_given(tmp_path):
    world = World(tmp_path)
    wanted = world.ok("query", "t", "--format", "csv")
    pieces = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert pieces
    for path in pieces:
        assert path.stat().st_mode & 0o777 == 0o600
        body = bytearray(path.read_bytes())
        body[len(body) * 2 // 3] ^= 1
        path.write_bytes(body)
    assert world.ok("query", "t", "--format", "csv") == wanted


def test_a_file_that_was_put_right_is_not_wrong_any_more(tmp_path):
    """What was damaged in the store, or on its way from there, is not kept longer than it was so."""
    world = World(tmp_path)
    plain = ("--format", "csv")
    wanted = [world.ok("query", "t", *more, *plain, GLIS_CACHE_LOCAL="false")
              for more in ((), ("--key", 17))]
    bodies = {path: path.read_bytes() for path in world.data_files()}

    def put(change):
        for path, body in bodies.items():
            path.unlink()
            path.write_bytes(change(bytearray(body)))

    def change(body):
        for at in range(4, len(body) // 2):
            body[at] ^= 0x55
        return body

    for more, rows in zip(((), ("--key", 17)), wanted):
        world.ok("cache", "clear")
        put(change)
        told = world.run("query", "t", *more, *plain)
        assert told.returncode == 1 and "file data/" in told.stderr
        put(lambda body: body)
        assert world.ok("query", "t", *more, *plain) == rows


def test_nothing_is_kept_unless_it_is_asked_for(tmp_path):
    world = World(tmp_path)
    for off in ({"GLIS_CACHE_LOCAL": "false"}, {"GLIS_CACHE_DISK": "0"}):
        world.ok("query", "t", "--format", "csv", **off)
        assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    # What a merge reads it reads once.
    world.ok("ingest", "t", tmp_path / "in.csv")
    world.ok("compact", "t")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    # Without a folder that can be used, everything works.
    (tmp_path / "file").write_text("")
    told = world.run("query", "t", "--format", "csv", GLIS_CACHE_DIR=str(tmp_path / "file" / "x"))
    assert told.returncode == 0 and "no cache on disk" in told.stderr
