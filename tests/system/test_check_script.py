"""scripts/check finds each kind of breach, and is content with a tree that has none."""

import os
import shutil
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

HEADER = """/*
 * {name}: a piece of a module, made so that the rules have a thing to look at, and no more.
 */
"""

CONTENT = {
    "src/base/one.h": HEADER + "/* Does one thing. */\nint one(void);\n",
    "src/base/one.c": HEADER + '#include "base/one.h"\n\nint one(void)\n{\n    return 1;\n}\n',
    "src/store/store.h": HEADER + '#include "base/one.h"\n\n/* Does it. */\nint store_do(void);\n',
    "src/store/store.c": HEADER + '#include "store/store.h"\n',
    "src/store/store_int.h": HEADER,
    "src/table/table.h": HEADER + '#include "table/part.h"\n',
    "src/table/part.h": HEADER + "/* Does a part of it. */\nint part_do(void);\n",
    "src/table/other.h": HEADER + "int other_do(void);\n",
    "src/lsm/lsm.h": HEADER + '#include "table/part.h"\n',
    "src/log/log.c": HEADER + '#include "store/store.h"\n',
    "tests/unit/test_one.c": HEADER + "static void one_is_one(void **state)\n{\n}\n\n"
                             "int main(void)\n{\n    cmocka_unit_test(one_is_one);\n}\n",
    "tests/system/test_all.py": "def test_it_works():\n    pass\n",
    "docs/promises.md": "| promise | shown by |\n|---|---|\n"
                        "| It does | `test_all.py: test_it_works` |\n",
    "tests/unit/meson.build": "unit_tests = [\n  'one',\n]\n",
}

BREACHES = [
    ("src/base/one.c", '#include "store/store.h"', "base may not include store"),
    ("src/log/log.c", '#include "store/store_int.h"', "only store/store.h and its parts are for other"),
    ("src/lsm/lsm.h", '#include "table/other.h"', "only table/table.h and its parts are for other"),
    ("src/table/part.h", "\nint part_undo(void);", "part_undo has no contract comment"),
    ("src/store/store.c", '#include "store_int.h"', 'as "module/file.h"'),
    ("src/store/store.c", "int x = sprintf(a, b);", "sprintf() is banned"),
    ("src/store/store.c", "void *x = malloc(7);", "malloc() is banned"),
    ("src/store/store.c", "    return time(0);", "time() is banned"),
    ("src/store/store.h", "\nint store_undo(void);", "store_undo has no contract comment"),
    ("src/store/store.c", "/* " + "x" * 100 + " */", "106 columns, at most 100"),
    ("src/store/store.c", "int x; ", "blanks at the end"),
    ("src/store/store.c", "/* " + "TO" + "DO later */", "does not belong here"),
    ("src/store/store.c", "/* see /" + "work/notes */", "does not belong here"),
    ("src/log/one.c", HEADER.format(name="one.c"), "has the same name as src/base/one.c"),
    ("tests/unit/test_two.c", HEADER.format(name="test_two.c"), "is not in the list"),
    ("src/log/bare.c", "int x;", "does not open with a comment"),
    ("src/log/other.c", HEADER.format(name="another.c"), "does not begin with 'other.c:'"),
    ("docs/promises.md", "| It does more | |", "the promise names no test"),
    ("docs/promises.md", "| More | the same |", "the promise names no test"),
    ("docs/promises.md", "| More | `test_all.py: test_more` |", "test_more is no test of test_all.py"),
    ("docs/promises.md", "| More | `test_all.py: test_it_works`, `test_more` |", "test_more is no test"),
    ("docs/promises.md", "| More | `test_more.c: one_is_one` |", "there is no file of tests test_more.c"),
    ("docs/s3.md", "so it is (`test_one.c: one_is_two`)", "one_is_two is no test of test_one.c"),
]

HARMLESS = [
    ("src/base/one.c", "void *x = malloc(7);"),
    ("src/store/store.c", '/* malloc( is named here */ const char *x = "sprintf(";'),
    ("src/store/store.c", "    clock->time(clock);"),
    ("src/store/store.c", "    my_malloc(7);"),
    ("src/store/store.c", "    exit(1); /* check: allow, because this is a test */"),
    ("docs/promises.md", "| More | `test_one.c: one_is_one`; `test_all.py: test_it_works` |"),
    ("docs/promises.md", "\n| limit | at most |\n|---|---|\n| rows | 7 |"),
    ("docs/s3.md", "`tests/system/test_all.py` shows it, and `src/one_two.c`; `some_thing` is no test"),
    ("src/store/store.h", "\n/* Both. */\nint a(void);\nint b(void);\n\nint c(void); /* third */"),
]


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "scripts").mkdir()
    shutil.copy(os.path.join(ROOT, "scripts/check"), tmp_path / "scripts/check")
    for path, text in CONTENT.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("{name}", file.name))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def check(tree):
    return subprocess.run([sys.executable, "scripts/check"], cwd=tree, capture_output=True,
                          text=True)


def add(tree, path, line):
    file = tree / path
    file.write_text((file.read_text() if file.exists() else "") + line.rstrip("\n") + "\n")


def test_a_clean_tree_passes(tree):
    done = check(tree)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("path,line,message", BREACHES)
def test_a_breach_is_found_where_it_is(tree, path, line, message):
    add(tree, path, line)
    done = check(tree)
    assert done.returncode == 1
    found = [out for out in done.stdout.splitlines() if message in out]
    assert len(found) == 1 and found[0].startswith(path + ":"), done.stdout


@pytest.mark.parametrize("path,line", HARMLESS)
def test_what_is_allowed_is_not_found(tree, path, line):
    add(tree, path, line)
    done = check(tree)
    assert (done.returncode, done.stdout) == (0, "")
