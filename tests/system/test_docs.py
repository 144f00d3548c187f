"""The transcripts in README.md and docs/guide.md are what the command really prints.

A transcript is an indented block that begins with `$`. Its commands run in order in one shell, with
one empty folder a page; `>` goes on with a command. What changes from run to run (times, ids, sizes,
the width of columns) is left out of the comparison. `python3 tests/system/test_docs.py` writes the
pages anew.
"""

import os
import re
import subprocess
import sys
import tempfile

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
PAGES = ["README.md", "docs/guide.md"]
MARK = "--end of one--"


def pieces(text):
    """The page as [lines of text, commands, lines of text, ...]; a command is [words, output]."""
    out = [[]]
    lines = text.split("\n")
    for i, line in enumerate(lines):
        inside = len(out) % 2 == 0
        follows = lines[i + 1] if i + 1 < len(lines) else ""
        goes_on = line.startswith("    ") or (
            line == "" and follows.startswith("    ") and not follows.startswith("    $ "))
        if line.startswith("    $ ") or (inside and goes_on):
            if not inside:
                out.append([])
            if line.startswith("    $ "):
                out[-1].append([line[6:], []])
            elif line.startswith("    > "):
                out[-1][-1][0] += "\n" + line[6:]
            else:
                out[-1][-1][1].append(line[4:])
        else:
            if inside:
                out.append([])
            out[-1].append(line)
    return out


def run(commands, folder):
    """The output of each command, all in one shell."""
    script = "".join(f"{words}\necho; echo '{MARK}'\n" for words in commands)
    environment = {"PATH": os.path.dirname(GLIS) + ":" + os.environ["PATH"], "HOME": folder, "LC_ALL": "C.UTF-8",
                   "TZ": "UTC", "TMPDIR": folder}
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, timeout=120,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    outputs = done.stdout.split(MARK + "\n")[:-1]
    return [[line.rstrip() for line in output.rstrip("\n").split("\n")] if output.strip() else []
            for output in outputs]


def plain(line):
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", line)
    line = re.sub(r"writer \S+:\d+", "writer HOST:PID", line)
    line = re.sub(r"\b[0-9a-f]{12}-[0-9A-Z]{26}|\b01[0-9A-Z]{24}\b", "ID", line)
    line = re.sub(r"eyJ[0-9A-Za-z_-]+", "CURSOR", line)
    line = re.sub(r"\b[0-9a-f]{16,32}\b", "HASH", line)
    line = re.sub(r"[\d.]+ (bytes|[KMG]iB)", "SIZE", line)
    line = re.sub(r"\([\d.]+ s\)|\b\d+\.\d{3}\b|\b\d+\.\d s\b", "SECONDS", line)
    line = re.sub(r'"durationMs":\d+', '"durationMs":N', line)
    line = re.sub(r"^ *\d+ +(bytes read|requests to the store|pages|rows decoded)", r"N \1", line)
    return " ".join(re.sub(r"-{2,}", "--", line).split())


def commands_of(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        parts = pieces(file.read())
    return parts, [command for part in parts[1::2] for command in part]


@pytest.mark.parametrize("page", PAGES)
def test_a_transcript_is_what_is_printed(page, tmp_path):
    _, commands = commands_of(page)
    outputs = run([words for words, _ in commands], str(tmp_path))
    assert len(outputs) == len(commands) > 10
    for (words, expected), output in zip(commands, outputs):
        assert [plain(line) for line in output] == [plain(line) for line in expected], (
            f"{page}: {words}\nWhen the new output is right: python3 tests/system/test_docs.py")


def property_tables():
    """What the guide has of `glis properties`."""
    text = subprocess.run([GLIS, "properties"], capture_output=True, text=True, check=True).stdout
    out = ""
    for group in re.split(r"^## ", text, flags=re.M)[1:]:
        head = group.split("\n", 1)[0]
        out += f"| {head[0].lower() + head[1:]} | default | meaning |\n|---|---|---|\n"
        for name, default, line in re.findall(r"^`([^`]+)` = `([^`]*)`\n: +(.*)$", group, re.M):
            out += f"| `{name}` | {f'`{default}`' if default else 'none'} | {line} |\n"
        out += "\n"
    return out


def test_the_guide_has_every_property():
    with open(os.path.join(ROOT, "docs/guide.md"), encoding="utf-8") as file:
        assert property_tables() in file.read(), "python3 tests/system/test_docs.py mends it"


def test_every_test_that_a_promise_names_is_there():
    with open(os.path.join(ROOT, "docs/promises.md"), encoding="utf-8") as file:
        named = re.findall(r"`(?:(test_\w+\.(?:c|py)): )?([a-z]\w*_\w+)`", file.read())
    source = ""
    assert len(named) > 40
    for name, test in named:
        if name:
            folder = "unit" if name.endswith(".c") else "system"
            with open(os.path.join(ROOT, "tests", folder, name), encoding="utf-8") as file:
                source = file.read()
        assert re.search(rf"\b{test}\b", source), f"{name} has no {test}"


def write(page):
    parts, commands = commands_of(page)
    with tempfile.TemporaryDirectory() as folder:
        outputs = run([words for words, _ in commands], folder)
    at = 0
    lines = []
    for i, part in enumerate(parts):
        if i % 2 == 0:
            lines += part
            continue
        for words, old in part:
            if [plain(line) for line in old] == [plain(line) for line in outputs[at]]:
                outputs[at] = old
            first, *more = words.split("\n")
            lines.append("    $ " + first)
            lines += ["    > " + line for line in more]
            lines += [("    " + line).rstrip() for line in outputs[at]]
            at += 1
    text = "\n".join(lines)
    text = re.sub(r"(?sm)^\| properties of the instance.*?(?=^##)",
                  lambda _: property_tables(), text)
    with open(os.path.join(ROOT, page), "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    for name in sys.argv[1:] or PAGES:
        write(name)
