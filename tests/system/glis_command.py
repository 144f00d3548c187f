"""The glis command for system tests: where it is, an environment without settings of whoever runs the
tests, and an instance whose commands are called and checked. Not a test itself."""

import json
import os
import random
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GLIS")}

# A table with every class of field, as tests of rows on their way in and out want it.
SCHEMA = {
    "rowKeyFields": [{"name": "k", "type": "LongType"}],
    "sortKeyFields": [{"name": "s", "type": "StringType"}],
    "valueFields": [{"name": "v", "type": "StringType", "nullable": True},
                    {"name": "d", "type": "DoubleType"}],
}
POINTS = [-500, 0, 10, 11, 500, 5000]  # its splits; nothing lies above the last one


def make_rows(n, seed):
    pick = random.Random(seed)
    return [{"k": pick.randrange(-1000, 1000), "s": pick.choice(["", "a", "b,c", 'q"x', "é\n"]),
             "v": pick.choice([None, "", "x", "∅"]), "d": pick.random()} for _ in range(n)]


def in_order(rows):
    """As a query with --ordered gives rows of SCHEMA."""
    return sorted(rows, key=lambda r: (r["k"], r["s"].encode(), r["v"] is not None, r["v"] or "",
                                       r["d"]))


class Glis:
    """Commands on one instance. `env` holds variables for all of them."""

    def __init__(self, root, **env):
        self.root = root
        self.env = {**CLEAN, "GLIS_INSTANCE": str(root), **env}

    def start(self, *words, **rest):
        return subprocess.Popen([GLIS, *map(str, words)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.env, **rest)

    def run(self, *words, input=None, env=None, cwd=None):
        return subprocess.run([GLIS, *map(str, words)], capture_output=True, text=True, cwd=cwd,
                              input=input, timeout=120, env={**self.env, **(env or {})})

    def done(self, *words, **rest):
        done = self.run(*words, **rest)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done

    def ok(self, *words, **rest):
        """What it prints on standard output."""
        return self.done(*words, **rest).stdout

    def json(self, *words, **rest):
        return json.loads(self.ok("--json", *words, **rest))

    def fails(self, *words, code=1, **rest):
        """What it says on standard error."""
        done = self.run(*words, **rest)
        assert done.returncode == code, (words, done.returncode, done.stdout[-3000:], done.stderr[-3000:])
        return done.stderr

    def create(self, table, schema, *options, splits=()):
        """A table of a schema as a dict, with split points."""
        folder = self.root.parent
        (folder / f"{table}-schema.json").write_text(json.dumps(schema))
        words = ["table", "create", table, "--schema", folder / f"{table}-schema.json", *options]
        if splits:
            (folder / f"{table}-splits.txt").write_text("".join(f"{p}\n" for p in splits))
            words += ["--splits", folder / f"{table}-splits.txt"]
        return self.ok(*words)

    def read_all(self, table):
        text = self.ok("query", table, "--ordered", "--format", "jsonl")
        return [json.loads(line) for line in text.splitlines()]

    def data_files(self):
        """The Parquet files of all tables."""
        return sorted(self.root.glob("tables/*/data/*.parquet"))

    def pins(self, table="t"):
        """By the log: pinned and not unpinned."""
        held = {}
        for line in self.ok("log", "show", table).splitlines():
            if '"type":"pin"' in line or '"type":"unpin"' in line:
                change = json.loads(line[line.index("{"):])
                change = change.get("transaction", change)  # of a contended commit
                held[change["id"]] = change["type"] == "pin"
        return [pin for pin, is_held in held.items() if is_held]
