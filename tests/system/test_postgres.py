"""Logs in PostgreSQL: the store's contract on rows, the whole command line with its log there, two
instances in one database, what is refused and what is said then, and a server that is killed again
and again while many processes ingest: nothing may be lost or be there twice."""

import collections
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
import s3_servers
from postgres_servers import CLEAN, PASSWORD, PgBouncer, Server, free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
SCHEMA = {"rowKeyFields": [{"name": "k", "type": "LongType"}],
          "sortKeyFields": [{"name": "n", "type": "LongType"}],
          "valueFields": [{"name": "job", "type": "StringType"}]}
ROUNDS = int(os.environ.get("GLIS_TEST_POSTGRES_KILLS", "3"))


@pytest.fixture(scope="session")
def server():
    if not Server.is_there():
        pytest.skip("no PostgreSQL (Debian: postgresql)")
    server = Server().start()
    yield server
    server.close()


def run(root, *words, password=PASSWORD, input=None, **more):
    done = subprocess.run([GLIS, *map(str, words)], capture_output=True, text=True, timeout=120,
                          input=input, env={**CLEAN, "GLIS_INSTANCE": str(root),
                                            "PGPASSWORD": password, **more})
    assert PASSWORD not in done.stdout + done.stderr and "sEhr" not in done.stdout + done.stderr
    return done


def ok(root, *words, **more):
    done = run(root, *words, **more)
    assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr)
    return done.stdout


def fails(root, *words, says, within=20, **more):
    begun = time.monotonic()
    done = run(root, *words, **more)
    assert done.returncode == 1 and says in done.stderr, (words, done.stdout, done.stderr)
    assert time.monotonic() - begun < within
    return done.stderr


def lines(*rows):
    return "".join(json.dumps(dict(zip(("k", "n", "job"), row))) + "\n" for row in rows)


def begin(root, server, folder, **more):
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    ok(root, "init", root, "--log-home", server.address())
    ok(root, "table", "create", "t", "--schema", folder / "schema.json", **more)


def files(root):
    return sorted(os.path.relpath(os.path.join(folder, name), root)
                  for folder, _, names in os.walk(root) for name in names)


def test_rows_keep_the_contract_of_a_store(server):
    build = os.path.dirname(GLIS)
    if not os.path.exists(os.path.join(build, "build.ninja")):
        pytest.skip("the unit tests are not where the command is")
    subprocess.run(["ninja", "-C", build, "tests/unit/test_store"], check=True, capture_output=True)
    done = subprocess.run([os.path.join(build, "tests/unit/test_store")], capture_output=True,
                          text=True, timeout=120,
                          env={**CLEAN, "GLIS_TEST_POSTGRES": server.address(),
                               "PGPASSWORD": PASSWORD})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "postgres: of many threads one wins each key" in done.stdout + done.stderr
    assert "skipped" not in (done.stdout + done.stderr).lower()


def test_the_whole_command_line(server, tmp_path):
    root = tmp_path / "instance"
    begin(root, server, tmp_path)
    home = json.loads((root / "home").read_text())
    assert home["glis"] == 1 and home["log"] == server.address() and len(home["id"]) == 26
    wanted = []
    for job in range(12):
        rows = [(k, job, f"j{job}") for k in range(100)]
        wanted += rows
        ok(root, "ingest", "t", "-", "--format", "jsonl", "--job", f"j{job}", input=lines(*rows))
    told = json.loads(ok(root, "--json", "ingest", "t", "-", "--format", "jsonl", "--job", "j3",
                         input=lines(*[(k, 3, "j3") for k in range(100)])))
    assert told["alreadyDone"]
    ok(root, "compact", "t")
    ok(root, "gc", "t")
    got = [tuple(json.loads(line).values())
           for line in ok(root, "query", "t", "--format", "jsonl").splitlines()]
    assert collections.Counter(got) == collections.Counter(wanted)
    assert "all is well" in ok(root, "check", "--read-data")
    assert "create_table" in ok(root, "log", "show", "t")
    status = json.loads(ok(root, "--json", "status", "t", "log"))
    assert status["records"] > 12
    # What lies under log/ is in the database and nowhere else; data files are in the folder.
    assert not [name for name in files(root) if "/log/" in name]
    assert [name for name in files(root) if "/data/" in name]
    rows = server.sql(f"select count(*) from glis_log where log like '{home['id']}/tables/%'")
    assert int(rows.stdout) >= 12
    ok(root, "table", "rename", "t", "other")
    ok(root, "set", "glis.log.level=error")
    ok(root, "table", "drop", "other")
    assert "other" not in ok(root, "status")


def test_two_instances_in_one_database_do_not_meet(server, tmp_path):
    for name in ("a", "b"):
        begin(tmp_path / name, server, tmp_path)
        ok(tmp_path / name, "ingest", "t", "-", "--format", "jsonl", input=lines((1, 1, name)))
    for name in ("a", "b"):
        assert json.loads(ok(tmp_path / name, "query", "t", "--format", "jsonl"))["job"] == name
    # A folder that was moved is the same instance.
    (tmp_path / "a").rename(tmp_path / "moved")
    assert json.loads(ok(tmp_path / "moved", "query", "t", "--format", "jsonl"))["job"] == "a"


def test_the_home_is_said_once(server, tmp_path):
    root = tmp_path / "instance"
    begin(root, server, tmp_path)
    fails(root, "init", root, says="holds a Glis instance already")
    fails(root, "init", root, "--log-home", server.address(), says="already")
    fails(root, "init", root, "--log-home", server.address("template1"),
          says="was said before, and stays")
    plain = tmp_path / "plain"
    ok(plain, "init", plain)
    assert "log" not in json.loads((plain / "home").read_text())
    fails(plain, "init", plain, "--log-home", server.address(), says="stays: the store itself")
    # An instance from before there were homes has its logs where they are.
    (plain / "home").unlink()
    ok(plain, "status")
    fails(plain, "init", plain, "--log-home", server.address(), says="holds a Glis instance already")
    (plain / "home").write_text("{]")
    fails(plain, "status", says="object home")
    (plain / "home").write_text('{"glis":2,"id":"x"}')
    fails(plain, "status", says="newer version")


def test_of_many_that_begin_at_once_one_wins(server, tmp_path):
    root = tmp_path / "instance"
    known = "select count(*) from glis_log where key = 'home'"
    begin(tmp_path / "another", server, tmp_path)  # so that there is a table
    before = int(server.sql(known).stdout)
    homes = [(), ("--log-home", server.address())] * 4
    begun = [subprocess.Popen([GLIS, "init", root, *home], env={**CLEAN, "PGPASSWORD": PASSWORD},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
             for home in homes]
    told = [process.communicate(timeout=60) for process in begun]
    assert [process.returncode for process in begun].count(0) == 1, told
    ok(root, "status")
    # The database knows of the one that is there, and of none that lost.
    away = "log" in json.loads((root / "home").read_text())
    assert int(server.sql(known).stdout) == before + away


def test_what_is_wrong_is_said_and_no_secret(server, tmp_path):
    root = tmp_path / "instance"
    begin(root, server, tmp_path)
    fresh = tmp_path / "fresh"
    says = "password authentication failed"
    assert "127.0.0.1" in fails(root, "query", "t", says=says, password="wrong")
    fails(root, "ingest", "t", "-", "--format", "jsonl", says=says, password="wrong",
          input=lines((1, 1, "x")))
    fails(root, "query", "t", says="no password supplied", password="", HOME="/nonexistent")
    form = "the address of the database"
    for address, words in (
            (f"postgresql://glis:{PASSWORD}@127.0.0.1:{server.port}/postgres", form),
            (f"postgresql://glis:{PASSWORD[:10]}@127.0.0.1:{server.port}/x", form),
            (f"postgresql://glis:p@{PASSWORD[:10]}@127.0.0.1:{server.port}/x", form),
            (f"postgresql://glis:7780?{PASSWORD[:10]}@127.0.0.1/x", form),
            (f"postgresql://glis:7780/{PASSWORD[:10]}@127.0.0.1/x", form),
            (f"postgresql://127.0.0.1:{server.port}/postgres?password={PASSWORD}", form),
            (f"postgresql://glis:{PASSWORD}@127.0.0.1:x:y/postgres", form),
            (server.address("nowhere"), 'database "nowhere" does not exist'),
            (f"postgresql://glis@127.0.0.1:{free_port()}/postgres", "Connection refused"),
            ("mysql://127.0.0.1/x", "postgresql://HOST/DATABASE")):
        fails(fresh, "init", fresh, "--log-home", address, says=words)
        assert not (fresh / "home").exists()
    # A role that may not make the table is told so; one that may use it is enough.
    server.sql("create role small login password 'x'")
    server.sql("revoke create on schema public from public")
    server.sql("create database bare")
    fails(fresh, "init", fresh, "--log-home", server.address("bare", "small"), password="x",
          says="permission denied")
    server.sql("grant select, insert, update, delete on glis_log to small")
    small = tmp_path / "small"
    ok(small, "init", small, "--log-home", server.address(user="small"), password="x")
    # A database that only reads is not written to.
    server.sql("create database frozen")
    server.sql("alter database frozen set default_transaction_read_only = on")
    fails(fresh, "init", fresh, "--log-home", server.address("frozen"), says="read-only")


def test_a_server_that_may_lose_what_it_said_is_refused(server, tmp_path):
    root = tmp_path / "instance"
    begin(root, server, tmp_path)
    server.stop()
    try:
        fails(root, "query", "t", says="Connection refused")
        server.start("fsync=off")
        fails(root, "ingest", "t", "-", "--format", "jsonl", input=lines((1, 1, "x")),
              says="fsync=off")
        server.stop()
    finally:
        server.start("synchronous_commit=off")
    try:
        # This one a session can set right.
        ok(root, "ingest", "t", "-", "--format", "jsonl", input=lines((1, 1, "x")))
    finally:
        server.stop()
        server.start()


def test_a_pooler_does_not_make_what_was_acknowledged_less_durable(server, tmp_path):
    """Each transaction may get another session; the server's own setting would lose the last ones."""
    if not PgBouncer.is_there():
        pytest.skip("no pgbouncer")
    root, pooler = tmp_path / "instance", None
    server.stop()
    server.start("synchronous_commit=off", "wal_writer_delay=10s")
    try:
        pooler = PgBouncer(server)
        begin(root, pooler, tmp_path)
        for job in range(6):
            ok(root, "ingest", "t", "-", "--format", "jsonl", input=lines((job, job, "x")))
        server.stop(signal.SIGKILL)
        server.start()
        got = ok(root, "query", "t", "--format", "jsonl").splitlines()
        assert sorted(json.loads(line)["k"] for line in got) == list(range(6))
        assert "all is well" in ok(root, "check", "--read-data")
        # Nothing of ours stays in a session that is another client's next.
        for _ in range(4):
            assert pooler.sql("show statement_timeout").stdout.strip() == "0"
            assert pooler.sql("show client_min_messages").stdout.strip() == "notice"
        writers = Writers(root)
        writers.work()
        got = ok(root, "query", "t", "--format", "jsonl").splitlines()
        assert len(got) == 6 + len(list(writers.all_rows().elements()))
    finally:
        if pooler:
            pooler.close()
        server.stop()
        server.start()


def test_what_the_database_refuses_did_not_happen(server, tmp_path):
    """It is told as refused, at once, and not as unknown."""
    root = tmp_path / "instance"
    server.sql("create database strict")
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    ok(root, "init", root, "--log-home", server.address("strict"))
    ok(root, "table", "create", "t", "--schema", tmp_path / "schema.json")
    for state, name in (("22021", "EINVALID"), ("54000", "ELIMIT"), ("23514", "EDENIED"),
                        ("P0001", "EDENIED"), ("42703", "EUNSUPPORTED"), ("0A000", "EUNSUPPORTED")):
        server.sql("create or replace function no() returns trigger language plpgsql as $$ begin "
                   f"raise exception 'not this one' using errcode = '{state}'; end $$; "
                   "create or replace trigger no before insert on glis_log for each row "
                   "when (new.key <> 'home') execute function no()", database="strict")
        told = json.loads(fails(root, "--json", "ingest", "t", "-", "--format", "jsonl",
                                input=lines((1, 1, "x")), says="not this one", within=10))
        assert told["error"] == f"GLIS_{name}" and state in told["message"], told
    server.sql("drop trigger no on glis_log", database="strict")
    assert ok(root, "query", "t", "--format", "jsonl") == ""
    assert "all is well" in ok(root, "check", "--read-data")


class Writers:
    """Processes that ingest small jobs, each again under its name until it was acknowledged."""

    PROCESSES, JOBS, ROWS = 5, 10, 3

    def __init__(self, root):
        self.root, self.failures, self.again, self.acknowledged = root, [], 0, 0
        self.threads = [threading.Thread(target=self.guarded, args=(p,))
                        for p in range(self.PROCESSES)]

    def guarded(self, process):
        try:
            for job in range(self.JOBS):
                self.ingest(f"p{process}-{job}", [(i, job, f"p{process}-{job}")
                                                  for i in range(self.ROWS)])
        except BaseException as failure:
            self.failures.append(failure)

    def ingest(self, job, rows):
        deadline = time.monotonic() + 90
        while True:
            done = run(self.root, "ingest", "t", "-", "--format", "jsonl", "--job", job,
                       input=lines(*rows))
            if done.returncode == 0:
                self.acknowledged += 1
                return
            assert time.monotonic() < deadline, done.stderr
            self.again += 1
            time.sleep(0.05)

    def work(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def all_rows(self):
        return collections.Counter((i, job, f"p{p}-{job}") for p in range(self.PROCESSES)
                                   for job in range(self.JOBS) for i in range(self.ROWS))


def test_a_server_killed_again_and_again_loses_and_doubles_nothing(server, tmp_path):
    root = tmp_path / "instance"
    begin(root, server, tmp_path)
    writers = Writers(root)
    for thread in writers.threads:
        thread.start()
    all_jobs = writers.PROCESSES * writers.JOBS
    try:
        for number in range(ROUNDS):
            while writers.acknowledged < (number + 1) * all_jobs // (ROUNDS + 2) \
                    and not writers.failures:
                time.sleep(0.01)
            server.stop(signal.SIGKILL if number % 2 == 0 else signal.SIGINT)
            time.sleep(0.2)
            server.start()
    finally:
        for thread in writers.threads:
            thread.join()
    if writers.failures:
        raise writers.failures[0]
    got = collections.Counter(tuple(json.loads(line).values()) for line in
                              ok(root, "query", "t", "--format", "jsonl").splitlines())
    assert got == writers.all_rows()
    assert "all is well" in ok(root, "check", "--read-data")
    print(f"{writers.again} commands were run again")


def test_a_log_that_is_not_there_is_no_empty_log(server, tmp_path):
    """A table or database that vanished, or an address that leads elsewhere, must not read as a log
    without records: what was acknowledged would be left out of an answer without a word."""
    root = tmp_path / "instance"
    server.sql("create database moved")
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    ok(root, "init", root, "--log-home", server.address("moved"))
    ok(root, "table", "create", "t", "--schema", tmp_path / "schema.json")
    ok(root, "ingest", "t", "-", "--format", "jsonl", input=lines((1, 1, "x")))
    ok(root, "ingest", "t", "-", "--format", "jsonl", input=lines((2, 2, "y")))
    words = 'relation "glis_log" does not exist'
    server.sql("alter table glis_log rename to gone", database="moved")
    for command in (("query", "t", "--format", "jsonl"), ("status",), ("check",)):
        fails(root, *command, says=words)
    fails(root, "ingest", "t", "-", "--format", "jsonl", input=lines((3, 3, "z")), says=words)
    server.sql("alter table gone rename to glis_log", database="moved")
    assert len(ok(root, "query", "t", "--format", "jsonl").splitlines()) == 2
    server.sql("alter database moved rename to elsewhere")
    for command in (("query", "t", "--format", "jsonl"), ("status",)):
        fails(root, *command, says='database "moved" does not exist')
    server.sql("alter database elsewhere rename to moved")
    assert len(ok(root, "query", "t", "--format", "jsonl").splitlines()) == 2


ROW = "select convert_from(body, 'UTF8') from glis_log where key = 'home'"


def test_a_database_that_was_made_anew_is_no_empty_log(server, tmp_path):
    """An instance is known in its database; one that does not know it is not believed."""
    root = tmp_path / "instance"
    server.sql("create database kept")
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    ok(root, "init", root, "--log-home", server.address("kept"))
    ok(root, "table", "create", "t", "--schema", tmp_path / "schema.json")
    ok(root, "ingest", "t", "-", "--format", "jsonl", input=lines((1, 1, "x")))
    home = json.loads((root / "home").read_text())
    row = json.loads(server.sql(ROW, database="kept").stdout)
    assert row == {**home, "root": f"folder {root}"}

    server.sql("alter database kept rename to backup")
    server.sql("create database kept")
    made = server.sql("select 1", database="kept")
    assert made.returncode == 0
    other = tmp_path / "other"
    ok(other, "init", other, "--log-home", server.address("kept"))  # makes the table there
    before = files(root)
    for command in (("query", "t"), ("status",), ("check",), ("gc", "t", "--now"),
                    ("init", root), ("init", root, "--log-home", server.address("kept")),
                    ("table", "create", "u", "--schema", tmp_path / "schema.json")):
        told = fails(root, *command, says="knows nothing of the instance")
        assert home["id"] in told and "/kept" in told, told
    fails(root, "ingest", "t", "-", "--format", "jsonl", input=lines((3, 3, "z")),
          says="knows nothing of the instance")
    assert files(root) == before
    ok(other, "status")
    server.sql("drop database kept")
    server.sql("alter database backup rename to kept")
    assert len(ok(root, "query", "t", "--format", "jsonl").splitlines()) == 1
    ok(root, "ingest", "t", "-", "--format", "jsonl", input=lines((2, 2, "y")))
    assert "all is well" in ok(root, "check", "--read-data")


def test_a_home_that_was_lost_is_said_and_can_be_put_back(server, tmp_path):
    root = tmp_path / "instance"
    server.sql("create database sole")
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    ok(root, "init", root, "--log-home", server.address("sole"))
    ok(root, "table", "create", "t", "--schema", tmp_path / "schema.json")
    ok(root, "ingest", "t", "-", "--format", "jsonl", input=lines((1, 1, "x")))
    (root / "home").unlink()
    # Once with data files only, once with a snapshot, too.
    for number in range(2):
        before = files(root)
        for command in (("query", "t"), ("status",), ("check",), ("init", root),
                        ("init", root, "--log-home", server.address("sole"))):
            fails(root, *command, says="home was lost")
        fails(root, "ingest", "t", "-", "--format", "jsonl", input=lines((3, 3, "z")),
              says="home was lost")
        assert files(root) == before
        (root / "home").write_text(server.sql(ROW, database="sole").stdout)
        assert len(ok(root, "query", "t", "--format", "jsonl").splitlines()) == 1 + number
        ok(root, "ingest", "t", "-", "--format", "jsonl", input=lines((2, 2, "y")))
        assert "all is well" in ok(root, "check", "--read-data")
        ok(root, "log", "snapshot", "t")
        assert [name for name in files(root) if "/snapshot/" in name]
        (root / "home").unlink()


def test_patience_that_ended_is_said(server, tmp_path):
    """A command that had reached the database waits for it, and then says for how long it did."""
    root = tmp_path / "instance"
    begin(root, server, tmp_path)
    waiting = subprocess.Popen([GLIS, "ingest", "t", "-", "--format", "jsonl"], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE,
                               env={**CLEAN, "GLIS_INSTANCE": str(root), "PGPASSWORD": PASSWORD})
    try:
        while int(server.sql("select count(*) from pg_stat_activity where application_name = "
                             "'glis'").stdout) == 0:
            time.sleep(0.02)
        time.sleep(1.5)  # a state older than a second is read anew before a commit: that read is what waits
        server.stop()
        begun = time.monotonic()
        out, err = waiting.communicate(lines((1, 1, "x")), timeout=100)
        assert waiting.returncode == 1, (out, err)
        assert re.search(r"Connection refused.*\(the last of \d+ tries in 2\d\.\d s\)", err), err
        assert 19 < time.monotonic() - begun
    finally:
        waiting.kill()
        server.start()
    assert ok(root, "query", "t", "--format", "jsonl") == ""


def silent_door():
    """A port at which connections are taken and nothing is said, as by a machine that hangs."""
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    door.listen(16)
    return door


def test_the_next_host_is_tried_when_one_is_silent(server, tmp_path):
    root = tmp_path / "instance"
    with silent_door() as door:
        both = (f"postgresql://glis@127.0.0.1:{door.getsockname()[1]},127.0.0.1:{server.port}"
                "/postgres")
        ok(root, "init", root, "--log-home", both)
        ok(root, "status")


def test_who_waits_for_a_silent_database_can_be_stopped(server, tmp_path):
    root = tmp_path / "instance"
    begin(root, server, tmp_path)
    with server.held():
        waiting = subprocess.Popen([GLIS, "query", "t"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True,
                                   env={**CLEAN, "GLIS_INSTANCE": str(root),
                                        "PGPASSWORD": PASSWORD})
        time.sleep(1)
        begun = time.monotonic()
        waiting.send_signal(signal.SIGINT)
        waiting.communicate(timeout=30)
        assert waiting.returncode != 0 and time.monotonic() - begun < 3


def admit(door):
    """Lets one client in as a server would, and answers none of its questions."""
    client = door.accept()[0]
    size = int.from_bytes(client.recv(4), "big")
    startup = client.recv(size - 4)
    if startup[:4] == (80877103).to_bytes(4, "big"):  # TLS? No.
        client.send(b"N")
        client.recv(int.from_bytes(client.recv(4), "big") - 4)
    said = b"R" + (8).to_bytes(4, "big") + bytes(4)
    for name, value in (("server_version", "15.1"), ("client_encoding", "UTF8"),
                        ("default_transaction_read_only", "off"), ("in_hot_standby", "off")):
        text = f"{name}\0{value}\0".encode()
        said += b"S" + (4 + len(text)).to_bytes(4, "big") + text
    client.send(said + b"Z" + (5).to_bytes(4, "big") + b"I")
    return client


def test_a_pooler_without_a_server_is_an_error_in_time(tmp_path):
    fresh, clients = tmp_path / "fresh", []
    with silent_door() as door:
        thread = threading.Thread(target=lambda: clients.append(admit(door)), daemon=True)
        thread.start()
        fails(fresh, "init", fresh, "--log-home",
              f"postgresql://glis@127.0.0.1:{door.getsockname()[1]}/postgres?gssencmode=disable",
              says="does not answer")
        thread.join(10)
    assert len(clients) == 1
    clients[0].close()


def test_the_log_in_a_database_and_the_rest_in_a_bucket(server, tmp_path):
    """Each of the two keeps its share, and they work together for the whole life of a table."""
    root, fake = "s3://bucket/instance", s3_servers.Fake()
    keys = {"AWS_ACCESS_KEY_ID": s3_servers.KEY, "AWS_SECRET_ACCESS_KEY": s3_servers.SECRET,
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{fake.port}", "AWS_REGION": "us-east-1",
            "HOME": str(tmp_path)}
    try:
        (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
        ok(root, "init", root, "--log-home", server.address(), **keys)
        ok(root, "table", "create", "t", "--schema", tmp_path / "schema.json", **keys)
        for job in range(4):
            ok(root, "ingest", "t", "-", "--format", "jsonl", "--job", f"j{job}", **keys,
               input=lines(*[(k, job, "x") for k in range(50)]))
        ok(root, "maintain", "t", "--until-idle", **keys)
        ok(root, "compact", "t", **keys)
        ok(root, "gc", "t", **keys)
        got = [tuple(json.loads(line).values()) for line in
               ok(root, "query", "t", "--format", "jsonl", **keys).splitlines()]
        assert sorted(got) == sorted((k, job, "x") for k in range(50) for job in range(4))
        assert "all is well" in ok(root, "check", "--read-data", **keys)
        assert not [key for key in fake.objects if "/log/" in str(key)]
        assert [key for key in fake.objects if "/data/" in str(key)]
    finally:
        fake.close()


def test_an_instance_with_its_log_in_a_database_moves_into_a_bucket_and_back(server, tmp_path):
    """Its log stays where it is and goes with it."""
    first, fake = tmp_path / "first", s3_servers.Fake()
    there, back = "s3://bucket/moved", tmp_path / "back"
    keys = {"AWS_ACCESS_KEY_ID": s3_servers.KEY, "AWS_SECRET_ACCESS_KEY": s3_servers.SECRET,
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{fake.port}", "AWS_REGION": "us-east-1",
            "HOME": str(tmp_path)}
    put = ("ingest", "t", "-", "--format", "jsonl")
    try:
        begin(first, server, tmp_path)
        ok(first, *put, input=lines(*[(k, 1, "a") for k in range(100)]))
        for name in files(first):
            if not name.startswith(".glis-tmp"):
                fake.objects[f"moved/{name}"] = (first / name).read_bytes()
        ok(there, *put, input=lines(*[(k, 2, "b") for k in range(100)]), **keys)
        ok(there, "compact", "t", "--force", **keys)
        assert "all is well" in ok(there, "check", "--read-data", **keys)
        for key, body in fake.objects.items():
            path = back / key.removeprefix("moved/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        ok(back, *put, input=lines((-1, 3, "c")))
        got = [tuple(json.loads(line).values()) for line in
               ok(back, "query", "t", "--format", "jsonl").splitlines()]
        assert sorted(got) == [(-1, 3, "c")] + sorted((k, n, job) for k in range(100)
                                                      for n, job in ((1, "a"), (2, "b")))
        assert "all is well" in ok(back, "check", "--read-data")
        # The bucket was left behind: its log names a file that is not there, and that is said.
        words = f"the logs are in {server.address().replace('glis@', '')}, and all copies"
        assert words in fails(there, "query", "t", "--key", "-1", says="no longer there", **keys)
        assert words in fails(there, "check", says="", **keys)
    finally:
        fake.close()
