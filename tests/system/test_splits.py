"""Split points from files before a table exists, and the sketches of data files as others see them."""

import glob
import json
import os
import random
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GLIS")}


def run(*words, ok=True):
    done = subprocess.run([GLIS, *map(str, words)], capture_output=True, text=True, timeout=60,
                          env=CLEAN, check=False)
    if ok:
        assert done.returncode == 0, done.stderr
    return done


def test_few_rows_are_split_exactly_and_the_points_make_a_table(tmp_path):
    keys = [f"k{i:04}" for i in range(1000)]
    random.Random(1).shuffle(keys)
    pq.write_table(pa.table({"key": keys, "n": list(range(1000))}), tmp_path / "a.parquet")
    done = run("table", "estimate-splits", "--like", tmp_path / "a.parquet", "--leaves", 4,
               tmp_path / "a.parquet")
    assert done.stdout == "k0250\nk0500\nk0750\n" and done.stderr == ""
    (tmp_path / "splits.txt").write_text(done.stdout)
    root = tmp_path / "root"
    run("init", root)
    run("--instance", root, "table", "create", "t", "--like", tmp_path / "a.parquet", "--splits",
        tmp_path / "splits.txt")
    assert run("--instance", root, "table", "splits", "t").stdout == done.stdout


def test_integers_are_split_in_their_order_and_repeats_make_fewer_leaves(tmp_path):
    (tmp_path / "a.csv").write_text("k,v\n" + "".join(f"{i},x\n" for i in range(-50, 50)))
    done = run("--json", "table", "estimate-splits", "--like", tmp_path / "a.csv", "--leaves", 2,
               tmp_path / "a.csv", tmp_path / "a.csv")
    assert json.loads(done.stdout) == ["0"]
    (tmp_path / "b.csv").write_text("k,v\n" + "7,x\n" * 100)
    done = run("table", "estimate-splits", "--like", tmp_path / "b.csv", "--leaves", 5,
               tmp_path / "b.csv")
    assert done.stdout == "" and "1 leaves, not 5" in done.stderr


def test_what_is_missing_or_wrong_is_said(tmp_path):
    (tmp_path / "a.csv").write_text("k,v\n1,x\n")
    like = ["--like", tmp_path / "a.csv"]
    for words, text in ((["--leaves", 2], "--schema FILE or --like FILE"),
                        ([*like], "--leaves N"), ([*like, "--leaves", 0], "--leaves"),
                        ([*like, "--leaves", "many"], "--leaves")):
        done = run("table", "estimate-splits", *words, tmp_path / "a.csv", ok=False)
        assert done.returncode != 0 and text in done.stderr, done.stderr
    done = run("table", "estimate-splits", *like, "--leaves", 2, tmp_path / "no.csv", ok=False)
    assert done.returncode != 0 and "no.csv" in done.stderr


def data_file(tmp_path):
    root = tmp_path / "root"
    run("init", root)
    (tmp_path / "a.csv").write_text("k,v\n" + "".join(f"{i * 7 % 5000},x\n" for i in range(5000)))
    run("--instance", root, "table", "create", "t", "--like", tmp_path / "a.csv")
    run("--instance", root, "ingest", "t", tmp_path / "a.csv")
    (path,) = glob.glob(f"{root}/tables/*/data/**/*.parquet", recursive=True)
    return root, path


def test_other_readers_pass_the_sketches_over_and_a_rewrite_leaves_their_entry_out(tmp_path):
    root, path = data_file(tmp_path)
    assert sorted(pq.read_table(path)["k"].to_pylist()) == list(range(5000))
    entry = pq.read_metadata(path).metadata[b"glis.sketch"].decode()
    offset, length, _ = entry.split(",")
    with open(path, "rb") as f:
        assert f.read()[int(offset):int(offset) + int(length)].startswith(b"GLSK")
    assert entry in run("parquet", "show", path).stdout
    run("parquet", "rewrite", path, "--output", tmp_path / "new.parquet")
    names = pq.read_metadata(tmp_path / "new.parquet").metadata
    assert b"glis.sketch" not in names and b"glis.rows" in names
    assert "all is well" in run("--instance", root, "check", "--read-data").stdout
