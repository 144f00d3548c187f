#!/usr/bin/env python3
"""Runs a program that prints one JSON object several times, each in a folder of its own, and keeps all of it.

    bench/measure.py PROGRAM FOLDER [ARGUMENT... of the program] [--repeat N] [--no-save]
"""

import argparse
import datetime
import json
import pathlib
import shutil
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from machine import machine


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("folder")
    parser.add_argument("rest", nargs="*", help="what the program is given behind its folder")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--no-save", action="store_true")
    arguments = parser.parse_args()
    name = pathlib.Path(arguments.program).name.removeprefix("bench_")
    report = {"bench": name, "date": datetime.datetime.now(datetime.timezone.utc).isoformat(),
              "machine": machine(), "arguments": arguments.rest, "runs": []}
    for i in range(arguments.repeat):
        folder = pathlib.Path(arguments.folder) / f"{name}-{i}"
        folder.mkdir(parents=True)
        done = subprocess.run([arguments.program, str(folder), *arguments.rest], capture_output=True, text=True)
        shutil.rmtree(folder)
        if done.returncode != 0:
            sys.exit(f"{name} failed: {done.stderr.strip()}")
        report["runs"].append(json.loads(done.stdout))
        print(done.stdout.strip(), flush=True)
    report["medians"] = {
        key: statistics.median(run[key] for run in report["runs"])
        for key, value in report["runs"][0].items() if isinstance(value, (int, float))}
    report["medians"] |= {  # of all rounds of all runs
        key: statistics.median(figure for run in report["runs"] for figure in run[key])
        for key, value in report["runs"][0].items() if isinstance(value, list)}
    print(json.dumps(report["medians"]))
    if not arguments.no_save:
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        results = pathlib.Path(__file__).resolve().parent / "results"
        (results / f"{name}-{stamp}.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
