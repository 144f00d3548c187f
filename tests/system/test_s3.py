"""Instances in buckets: the whole command line on Ceph's gateway beside a folder, an instance that
moves between both, servers that must be refused, and everything that goes wrong with credentials,
certificates, regions and bodies: a clear error in time, nothing half done, no secret shown."""

import datetime
import json
import os
import random
import shutil
import subprocess
import sys
import time

import pytest
from s3_servers import KEY, SECRET, Ceph, Client, Fake, Program, free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GLIS = os.environ.get("GLIS", os.path.join(ROOT, "build", "glis"))
TOKEN = "tOkEn/of+a+SeSsIoN==012345678901234567890123456789"
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("GLIS", "AWS"))}
SCHEMA = {"rowKeyFields": [{"name": "k", "type": "LongType"}],
          "valueFields": [{"name": "v", "type": "StringType"}]}


def environment(port, scheme="http", **more):
    return {**CLEAN, "HOME": "/nonexistent", "GLIS_CACHE_DISK": "0",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": f"{scheme}://127.0.0.1:{port}", **more}


class Glis:
    """The command on one root; every output is searched for secrets."""

    def __init__(self, root, folder, env):
        self.root, self.folder, self.env = root, folder, env
        self.rows = {}

    def run(self, *words, **more):
        done = subprocess.run([GLIS, *map(str, words)], capture_output=True, text=True, timeout=120,
                              env={**self.env, "GLIS_INSTANCE": str(self.root), **more})
        shown = (done.stdout + done.stderr).replace("Signature=***", "")
        for secret in (SECRET[:8], TOKEN[:8], "Signature="):
            assert secret not in shown, words
        return done

    def ok(self, *words, **more):
        done = self.run(*words, **more)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def begin(self):
        self.folder.mkdir(exist_ok=True)
        (self.folder / "schema.json").write_text(json.dumps(SCHEMA))
        self.ok("init", self.root)
        self.ok("table", "create", "t", "--schema", self.folder / "schema.json")
        return self

    def csv(self, rows):
        path = self.folder / "in.csv"
        path.write_text("k,v\n" + "".join(f"{k},{v}\n" for k, v in rows.items()))
        self.rows |= rows
        return path

    def read(self, *words, table="t"):
        out = self.ok("query", table, "--format", "jsonl", *words)
        rows = [(row["k"], row["v"]) for row in map(json.loads, out.splitlines())]
        assert len(rows) == len(dict(rows))
        return dict(rows)


@pytest.fixture(scope="session")
def ceph(tmp_path_factory):
    if not Ceph.is_there():
        pytest.skip("no Ceph (Debian: ceph-mon ceph-osd radosgw ceph-common)")
    server = Ceph(tmp_path_factory.mktemp("ceph"))
    server.client.ok("PUT", "bucket")
    yield server
    server.close()


@pytest.fixture
def fake():
    server = Fake()
    yield server
    server.close()


@pytest.fixture(params=["folder", "ceph", "moto", "versitygw", "minio"])
def glis(request, tmp_path):
    """A begun instance with an empty table, in each kind of home. The last two are tried where they are
    installed (`go install github.com/versity/versitygw/cmd/versitygw@latest`,
    `go install github.com/minio/minio@latest`)."""
    server = None
    if request.param == "folder":
        yield Glis(tmp_path / "instance", tmp_path, CLEAN).begin()
    elif request.param == "ceph":
        server = request.getfixturevalue("ceph")
        yield Glis(f"s3://bucket/{tmp_path.name} of/gl+is", tmp_path, environment(server.port)).begin()
    else:
        server = request.getfixturevalue(request.param)
        yield Glis("s3://bucket/" + tmp_path.name, tmp_path, environment(server.port)).begin()


@pytest.fixture(scope="session")
def moto(tmp_path_factory):
    program = os.path.join(os.path.dirname(sys.executable), "moto_server")
    if not os.path.exists(program):
        pytest.skip("no moto (scripts/install-deps check)")
    port = free_port()
    server = Program([program, "-H", "127.0.0.1", "-p", str(port)], port,
                     tmp_path_factory.mktemp("moto") / "log")
    Client(port).ok("PUT", "bucket")
    yield server
    server.close()


def other_server(name, folder, words, **variables):
    """A server that is on the path, or where Go puts what it installs; skips without it."""
    program = shutil.which(name, path=os.environ.get("PATH", "") + ":" + os.path.expanduser("~/go/bin"))
    if not program:
        pytest.skip(f"no {name}")
    port, data = free_port(), folder / "data"
    data.mkdir()
    os.environ.update(variables)
    try:
        server = Program([program, *(word.format(port=port, data=data) for word in words)], port, folder / "log")
    finally:
        for variable in variables:
            del os.environ[variable]
    client = Client(port)
    end = time.monotonic() + 30
    while client.request("PUT", "bucket")[0] != 200 and time.monotonic() < end:
        time.sleep(0.1)
    client.ok("PUT", "conform")
    return server


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory):
    server = other_server("versitygw", tmp_path_factory.mktemp("versitygw"), [
        "--port", "127.0.0.1:{port}", "--quiet", "--keep-alive", "posix", "{data}"],
        ROOT_ACCESS_KEY=KEY, ROOT_SECRET_KEY=SECRET)
    yield server
    server.close()


@pytest.fixture(scope="session")
def minio(tmp_path_factory):
    server = other_server("minio", tmp_path_factory.mktemp("minio"), [
        "server", "--quiet", "--address", "127.0.0.1:{port}", "{data}"],
        MINIO_ROOT_USER=KEY, MINIO_ROOT_PASSWORD=SECRET, MINIO_BROWSER="off", MINIO_UPDATE="off")
    yield server
    server.close()


# ---- what works on a folder works on a bucket ----

def rows_of(seed, n, start=0):
    chance = random.Random(seed)
    return {start + i * 7: f"{seed}-{chance.getrandbits(64):x}" for i in range(n)}


def test_the_whole_command_line(glis):
    for i in range(3):
        done = glis.ok("ingest", "t", glis.csv(rows_of(i, 400, start=i)), "--job", f"j{i}")
        assert glis.ok("ingest", "t", glis.folder / "in.csv", "--job", f"j{i}") != done  # done once
    assert glis.read() == glis.rows
    assert glis.read("--key", 7) == {7: glis.rows[7]}
    assert glis.read("--from", 100, "--to", 200) == {k: v for k, v in glis.rows.items() if 100 <= k < 200}

    glis.ok("table", "pin", "t", "before")
    pinned = dict(glis.rows)
    glis.ok("table", "set", "t", "glis.table.partition.splitting.threshold=500",
            "glis.table.partition.splitting.min.rows=10", "glis.table.gc.delay=0s",
            "glis.table.bulk.import.min.leaf.partitions=2")
    glis.ok("split", "t")
    glis.ok("compact", "t", "--force")
    glis.ok("maintain", "t", "--until-idle")
    assert json.loads(glis.ok("status", "t", "--json"))["leaves"] >= 2
    assert glis.read() == glis.rows
    assert "all is well" in glis.ok("check", "--read-data")

    many = glis.folder / "many"
    many.mkdir()
    for i in range(2):
        shutil.copy(glis.csv(rows_of(10 + i, 300, start=100000 + i)), many / f"{i}.csv")
    glis.ok("bulk-import", "t", many, "--job", "bulk")
    assert glis.read() == glis.rows

    export = glis.folder / "export"
    glis.ok("export", "t", export)
    glis.ok("export", export, "--restore", "--as", "again")
    assert glis.read(table="again") == glis.rows

    glis.ok("table", "restore", "t", "--to-pin", "before", "--yes")
    assert glis.read() == pinned
    glis.ok("table", "unpin", "t", "before")
    glis.rows = {k: v for k, v in pinned.items() if not 0 <= k < 70}
    glis.ok("delete", "t", "--from", 0, "--to", 70, "--yes")
    assert glis.read() == glis.rows
    glis.ok("gc", "t", "--now", "--full")
    for part in ("files", "partitions", "jobs", "log"):
        assert glis.ok("status", "t", part)
    assert "again" in glis.ok("status")
    assert "record" in glis.ok("log", "show", "t")
    glis.ok("log", "snapshot", "t")
    glis.ok("table", "rename", "again", "later")
    glis.ok("table", "drop", "later")
    assert "all is well" in glis.ok("check", "--read-data")
    assert glis.read() == glis.rows


def test_an_export_goes_into_a_bucket_and_comes_back(ceph, tmp_path):
    glis = Glis("s3://bucket/export-" + tmp_path.name, tmp_path, environment(ceph.port)).begin()
    glis.ok("ingest", "t", glis.csv(rows_of(1, 500)))
    there = "s3://bucket/exports/" + tmp_path.name
    glis.ok("export", "t", there)
    glis.ok("export", there, "--restore", "--as", "u")
    assert glis.read(table="u") == glis.rows


def test_an_instance_moves_into_a_bucket_and_back(ceph, tmp_path):
    home = tmp_path / "home"
    local = Glis(home, tmp_path, CLEAN).begin()
    local.ok("ingest", "t", local.csv(rows_of(1, 1000)))
    prefix = "moved-" + tmp_path.name
    for path in sorted(home.rglob("*")):
        name = str(path.relative_to(home))
        if path.is_file() and not name.startswith(".glis-tmp"):
            ceph.client.ok("PUT", "bucket", f"{prefix}/{name}", body=path.read_bytes())
    there = Glis("s3://bucket/" + prefix, tmp_path, environment(ceph.port))
    there.rows = local.rows
    assert there.read() == there.rows
    there.ok("ingest", "t", there.csv(rows_of(2, 1000, start=1)))
    there.ok("compact", "t", "--force")
    assert "all is well" in there.ok("check", "--read-data")
    back = tmp_path / "back"
    for key in ceph.client.keys("bucket", prefix + "/"):
        path = back / key[len(prefix) + 1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ceph.client.ok("GET", "bucket", key))
    again = Glis(back, tmp_path, CLEAN)
    assert again.read() == there.rows
    assert "all is well" in again.ok("check", "--read-data")
    again.ok("ingest", "t", again.csv({-1: "here again"}))
    assert again.read() == there.rows | {-1: "here again"}


def test_every_store_does_the_same(ceph):
    """The unit tests' table of what any store must do, on the real server."""
    program = os.path.join(os.path.dirname(GLIS), "tests", "unit", "test_store_s3")
    if not os.path.exists(program):
        pytest.skip("the unit tests are not built")
    ceph.client.ok("PUT", "conform")
    done = subprocess.run([program], capture_output=True, text=True, timeout=120,
                          env=environment(ceph.port, GLIS_TEST_S3="s3://conform"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SKIPPED" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["versitygw", "minio"])
def test_every_store_does_the_same_elsewhere(request, name):
    server = request.getfixturevalue(name)
    program = os.path.join(os.path.dirname(GLIS), "tests", "unit", "test_store_s3")
    done = subprocess.run([program], capture_output=True, text=True, timeout=300,
                          env=environment(server.port, GLIS_TEST_S3="s3://conform"))
    assert done.returncode == 0 and "SKIPPED" not in done.stdout, done.stdout + done.stderr
    env = environment(server.port)
    done = subprocess.run([GLIS, "store", "probe", "s3://bucket/probe"], capture_output=True, text=True, env=env,
                          timeout=120)
    assert done.returncode == 0 and "an instance can be kept here" in done.stdout, done.stdout + done.stderr


def test_signatures_of_awkward_keys(ceph):
    program = os.path.join(os.path.dirname(GLIS), "tests", "unit", "test_s3_server")
    if not os.path.exists(program):
        pytest.skip("the unit tests are not built")
    done = subprocess.run([program], capture_output=True, text=True, timeout=120,
                          env={**environment(ceph.port), "GLIS_TEST_S3": "s3://awkward"})
    assert done.returncode == 0 and "SKIPPED" not in done.stdout, done.stdout + done.stderr


# ---- the probe ----

def test_the_probe_knows_good_homes(ceph, tmp_path):
    for glis in (Glis("s3://bucket/probe", tmp_path, environment(ceph.port)),
                 Glis(tmp_path, tmp_path, CLEAN)):
        before = ceph.client.keys("bucket", "probe/glis-probe")
        probe = json.loads(glis.ok("store", "probe", glis.root, "--json"))
        assert probe["good"] and all(step["good"] for step in probe["steps"]), probe
        assert {"conditional put", "16 conditional puts at once", "ranges", "delete", "clock"} <= {
            step["step"] for step in probe["steps"]}
        assert (probe["requests"] > 0) == str(glis.root).startswith("s3:")
        assert "an instance can be kept here" in glis.ok("store", "probe", glis.root)
        assert ceph.client.keys("bucket", "probe/glis-probe") == before == []
    assert os.listdir(tmp_path) == [".glis-tmp"]


def assert_refused(glis):
    for words in (("store", "probe", glis.root), ("init", glis.root)):
        done = glis.run(*words)
        assert done.returncode == 1
        assert "accepts a conditional put" in done.stderr and "docs/s3.md" in done.stderr, done.stderr


def test_a_server_that_ignores_conditions_is_refused(fake, tmp_path):
    honest = fake.carry_out

    def dishonest(handler, method, key, query, body):
        if "If-None-Match" in handler.headers:
            handler.headers.replace_header("If-None-Match", "ignored")
        return honest(handler, method, key, query, body)
    fake.carry_out = dishonest
    assert_refused(Glis("s3://bucket/x", tmp_path, environment(fake.port)))
    assert fake.objects == {}


def test_a_server_that_looks_first_and_puts_afterwards_is_refused(fake, tmp_path):
    def wrong(handler, method, key):
        if method == "PUT" and "If-None-Match" in handler.headers:
            if key in fake.objects:
                fake.error(handler, 412, "PreconditionFailed")
                return True
            time.sleep(0.2)
            handler.headers.replace_header("If-None-Match", "ignored")
        return False
    fake.wrong = wrong
    glis = Glis("s3://bucket/x", tmp_path, environment(fake.port))
    assert_error(glis, 10, "accepts several conditional puts of one object at once")
    assert fake.objects == {}


def test_s3rver_is_refused(tmp_path):
    script = os.path.join(ROOT, ".venv", "npm", "node_modules", "s3rver", "bin", "s3rver.js")
    if not os.path.exists(script):
        pytest.skip("no s3rver (scripts/install-deps check, with npm)")
    port = free_port()
    server = Program([shutil.which("node") or shutil.which("nodejs"), script, "-d", str(tmp_path / "data"), "-a", "127.0.0.1",
                      "-p", str(port), "--configure-bucket", "bucket"], port, tmp_path / "log")
    try:
        env = environment(port, AWS_ACCESS_KEY_ID="S3RVER", AWS_SECRET_ACCESS_KEY="S3RVER")
        assert_refused(Glis("s3://bucket/x", tmp_path, env))
    finally:
        server.close()


# ---- what goes wrong ----

def assert_error(glis, seconds, *texts, words=None, **more):
    begun = time.monotonic()
    done = glis.run(*(words or ("init", glis.root)), **more)
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stderr.startswith("glis: ") and len(done.stderr.splitlines()) <= 2
    for text in texts:
        assert text in done.stderr, done.stderr
    assert time.monotonic() - begun < seconds
    return done.stderr


def test_credentials_that_the_server_does_not_take(ceph, tmp_path):
    glis = Glis("s3://bucket/wrong-" + tmp_path.name, tmp_path, environment(ceph.port))
    assert_error(glis, 10, "SignatureDoesNotMatch", AWS_SECRET_ACCESS_KEY="not the secret".replace(" ", ""))
    assert_error(glis, 10, "InvalidAccessKeyId", AWS_ACCESS_KEY_ID="NOBODY")
    assert_error(glis, 10, "AWS_ACCESS_KEY_ID", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    ceph.user("other", "OTHERKEY", "othersecret")
    assert_error(glis, 10, "AccessDenied", AWS_ACCESS_KEY_ID="OTHERKEY", AWS_SECRET_ACCESS_KEY="othersecret")
    assert ceph.client.keys("bucket", "wrong-") == []


def test_a_bucket_that_is_not_there(ceph, tmp_path):
    glis = Glis("s3://nobucket/x", tmp_path, environment(ceph.port))
    assert_error(glis, 10, "nobucket", "NoSuchBucket")
    assert_error(glis, 10, "nobucket", words=("status",))


def refuse(fake, status, code, extra="", only=None):
    def wrong(handler, method, key):
        if only and only not in key:
            return False
        fake.error(handler, status, code, extra)
        return True
    return wrong


def test_an_expired_token(fake, tmp_path):
    glis = Glis("s3://bucket/x", tmp_path, environment(fake.port, AWS_SESSION_TOKEN=TOKEN))
    fake.wrong = refuse(fake, 400, "ExpiredToken", f"<Token>{TOKEN}</Token><X>{SECRET}</X>")
    assert_error(glis, 10, "ExpiredToken")
    fake.wrong = lambda handler, method, key: (
        handler.headers["x-amz-security-token"] != TOKEN and (fake.error(handler, 403, "AccessDenied") or True))
    glis.begin()


def test_a_server_that_repeats_secrets(fake, tmp_path):
    glis = Glis("s3://bucket/x", tmp_path, environment(fake.port, AWS_SESSION_TOKEN=TOKEN))

    def wrong(handler, method, key):
        said = f"you said {handler.headers['Authorization']} {TOKEN} {SECRET}"
        fake.answer(handler, 403, f"<Error><Code>AccessDenied</Code><Message>{said}</Message></Error>".encode())
        return True
    fake.wrong = wrong
    assert_error(glis, 10, "AccessDenied")
    fake.wrong = lambda *words: False
    glis.begin()
    fake.wrong = wrong
    for words in (("query", "t", "--explain"), ("--set", "glis.log.level=debug", "status"), ("check",),
                  ("store", "probe", glis.root), ("--json", "status")):
        glis.run(*words)  # looks for secrets itself


def test_a_prefix_that_is_denied(fake, tmp_path):
    glis = Glis("s3://bucket/x", tmp_path, environment(fake.port)).begin()
    path = glis.csv(rows_of(1, 100))
    before = dict(fake.objects)
    fake.wrong = refuse(fake, 403, "AccessDenied", only="/data/")
    assert_error(glis, 10, "AccessDenied", "/data/", words=("ingest", "t", path))
    fake.wrong = lambda *words: False
    assert glis.read() == {}
    assert set(key for key in fake.objects if "/data/" in key) == set()
    assert {key: body for key, body in fake.objects.items() if "/log/" in key and "hint" not in key} == {
        key: body for key, body in before.items() if "/log/" in key and "hint" not in key}


def test_clocks_an_hour_apart(fake, tmp_path):
    """Nothing is written; reading goes by the server's time."""
    def server_now():
        return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)

    def wrong(handler, method, key):
        signed = datetime.datetime.strptime(handler.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(
            tzinfo=datetime.timezone.utc)
        handler.date_time_string = lambda timestamp=None: server_now().strftime("%a, %d %b %Y %H:%M:%S GMT")
        if abs((signed - server_now()).total_seconds()) < 900:
            return False
        fake.error(handler, 403, "RequestTimeTooSkewed",
                   f"<ServerTime>{server_now().strftime('%Y-%m-%dT%H:%M:%SZ')}</ServerTime>")
        return True
    glis = Glis("s3://bucket/x", tmp_path, environment(fake.port)).begin()
    glis.ok("ingest", "t", glis.csv(rows_of(1, 100)))
    before = dict(fake.objects)
    fake.wrong = wrong
    assert glis.read() == glis.rows
    assert_error(glis, 10, "this machine's clock differs by", words=("ingest", "t", glis.folder / "in.csv"))
    assert fake.objects == before
    probe = json.loads(glis.ok("store", "probe", glis.root, "--json"))
    clock = next(step for step in probe["steps"] if step["step"] == "clock")
    assert not clock["good"] and "the store's clock is 3" in clock["problem"], clock


def test_a_certificate_that_nobody_signed(tmp_path):
    pem = tmp_path / "server.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pem, "-out",
                    tmp_path / "certificate.pem", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + (tmp_path / "certificate.pem").read_bytes())
    server = Fake(pem)
    try:
        glis = Glis("s3://bucket/x", tmp_path, environment(server.port, "https"))
        assert "certificate" in assert_error(glis, 10).lower()
        assert server.objects == {} and not server.counts
        Glis("s3://bucket/x", tmp_path, environment(
            server.port, "https", AWS_CA_BUNDLE=str(tmp_path / "certificate.pem"))).begin()
    finally:
        server.close()


def test_a_bucket_in_another_region(fake, tmp_path):
    glis = Glis("s3://bucket/x", tmp_path, environment(fake.port))
    fake.wrong = refuse(fake, 301, "PermanentRedirect", "<Endpoint>bucket.s3.eu-west-1.amazonaws.com</Endpoint>"
                                                        "<Region>eu-west-1</Region>")
    assert_error(glis, 10, "eu-west-1")
    assert fake.objects == {}
    # A server that names the region that it wants signed is followed.
    fake.wrong = lambda handler, method, key: "/eu-west-1/s3/" not in handler.headers["Authorization"] and (
        fake.error(handler, 400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>") or True)
    glis.begin()
    glis.ok("ingest", "t", glis.csv(rows_of(1, 100)))
    assert glis.read() == glis.rows


def test_a_body_that_breaks_off(fake, tmp_path):
    glis = Glis("s3://bucket/x", tmp_path, environment(fake.port, GLIS_S3_TRIES="3")).begin()
    glis.ok("ingest", "t", glis.csv(rows_of(1, 2000)))

    def wrong(handler, method, key):
        if method != "GET" or ".parquet" not in key:
            return False
        fake.answer(handler, 206, b"PAR1", {"Content-Range": "bytes 0-999/99999"}, length=1000)
        handler.close_connection = True
        return True
    fake.wrong = wrong
    assert_error(glis, 30, ".parquet", words=("query", "t"))
    fake.wrong = lambda *words: False
    assert glis.read() == glis.rows


def test_a_server_that_does_not_answer(tmp_path, fake):
    glis = Glis("s3://bucket/x", tmp_path, environment(free_port(), GLIS_S3_TRIES="2"))
    assert_error(glis, 10, "connect")
    held = []

    def silent(handler, method, key):
        held.append(handler)
        time.sleep(3)
        handler.close_connection = True
        return True
    fake.wrong = silent
    glis = Glis("s3://bucket/x", tmp_path, environment(fake.port, GLIS_S3_TRIES="2", GLIS_S3_TIMEOUT="300ms"))
    assert_error(glis, 15, "timed out")
    assert fake.objects == {}


def test_addresses_that_are_none(tmp_path):
    glis = Glis("s3://b", tmp_path, environment(1))
    assert_error(glis, 5, "no name of a bucket")
    assert_error(Glis("s3://bucket/a//b", tmp_path, environment(1)), 5, "prefix")
    assert_error(Glis("s3://bucket/x", tmp_path, environment(1)), 5, "AWS_ENDPOINT_URL",
                 AWS_ENDPOINT_URL=f"http://me:{SECRET}@host/")


# ---- what it costs ----

def test_requests_are_counted_and_priced(fake, tmp_path):
    glis = Glis("s3://bucket/x", tmp_path, environment(fake.port, XDG_CACHE_HOME=str(tmp_path / "cache"))).begin()
    glis.ok("ingest", "t", glis.csv(rows_of(1, 2000)))

    def call(*words):
        fake.counts.clear()
        answer = json.loads(glis.ok(*words, "--json"))
        return answer.get("cost", answer), dict(fake.counts)

    cost, counts = call("status", "t")
    assert (cost["reads"], cost["lists"], cost["writes"], cost["deletes"]) == (
        counts["read"], counts["list"], 0, 0)
    assert cost["nanodollars"] == counts["read"] * 400 + counts["list"] * 5000
    size = sum(len(body) for key, body in fake.objects.items() if key.endswith(".parquet") and "/data/" in key)
    assert cost["dollarsAMonth"] == pytest.approx(size / 1e9 * 0.023, rel=1e-4)
    prices = {"put": 1, "get": 2, "list": 3, "delete": 4, "storage": 5, "transfer": 6}
    glis.ok("set", *(f"glis.price.{kind}={price}" for kind, price in prices.items()))
    explain, counts = call("query", "t", "--explain")
    assert (explain["sent_reads"], explain["sent_lists"]) == (counts["read"], counts["list"])
    least = (counts["read"] * 2 + counts["list"] * 3) * 1000000
    assert least + explain["bytes_read"] * 6 <= explain["nanodollars"] <= least + 2 * size * 6
    assert call("status", "t")[0]["dollarsAMonth"] == pytest.approx(size / 1e9 * 5, rel=1e-4)
    local = Glis(tmp_path / "local", tmp_path, CLEAN).begin()
    cost = json.loads(local.ok("status", "t", "--json"))["cost"]
    assert cost == {"reads": 0, "lists": 0, "writes": 0, "deletes": 0, "nanodollars": 0}
    assert "costs" not in local.ok("status", "t")


def documented(heading):
    """The part of docs/s3.md below a heading."""
    text = open(os.path.join(ROOT, "docs", "s3.md"), encoding="utf-8").read()
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_commands_send_no_more_than_documented(fake, tmp_path):
    """Each line of the table is run in its order, in processes of their own."""
    env = environment(fake.port, XDG_CACHE_HOME=str(tmp_path / "cache"))
    glis = Glis("s3://bucket/x", tmp_path, env)
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    os.chdir(tmp_path)
    measured, wrong = [], []
    for line in documented("What a command costs").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not cells[0].startswith("`glis "):
            continue
        words = cells[0].split("`")[1].split()[1:]
        if words[0] == "ingest":
            glis.csv(rows_of(len(measured), 1000, start=len(measured)))
        fake.counts.clear()
        glis.ok(*words)
        counts = [fake.counts[kind] for kind in ("read", "list", "write", "delete")]
        measured.append(f"{cells[0]}: {counts}")
        if any(count > int(limit) for count, limit in zip(counts, cells[1:5])):
            wrong.append((cells[0], counts, cells[1:5]))
    assert len(measured) >= 12
    assert not wrong, "\n".join(measured)


def test_a_lookup_waits_for_few_requests(fake, tmp_path):
    """How many requests of a lookup wait for each other, in a fresh process and again: with a young log, with a
    snapshot and records behind it, and over several files. The store counts, for it knows when it sends what."""
    env = environment(fake.port)
    glis = Glis("s3://bucket/x", tmp_path, env).begin()

    def lookup(key):
        done = subprocess.run([os.path.join(os.path.dirname(GLIS), "bench", "s3_run"), "lookup", str(glis.root), "t",
                               str(key)], env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    key = 700
    glis.ok("ingest", "t", glis.csv(rows_of(1, 2000)))
    young = lookup(key)
    assert young["rows"] == young["warm_rows"] == 1
    assert young["depth"] <= 6 and young["warm_depth"] <= 2, young
    glis.ok("log", "snapshot", "t")
    glis.ok("ingest", "t", glis.csv(rows_of(2, 10, start=3)))
    older = lookup(key)
    assert older["rows"] == 1
    assert older["depth"] <= 6 and older["warm_depth"] <= 2, older
    assert lookup(10**9)["depth"] <= 6


# ---- permissions ----

def test_the_documented_permissions_are_enough(ceph, tmp_path):
    """The policies of docs/s3.md, given to users of Ceph who have no others."""
    policies = [json.loads(block.split("```")[0])
                for block in documented("Permissions").split("```json\n")[1:]]
    assert len(policies) == 2
    statements = []
    for policy, user in zip(policies, ("writer", "reader")):
        ceph.user(user, user.upper(), user + "-secret")
        for statement in policy["Statement"]:
            resources = json.dumps(statement["Resource"]).replace("BUCKET", "least").replace("PREFIX", "a/b")
            statement = json.loads(json.dumps(statement).replace("PREFIX", "a/b"))
            statements.append({**statement, "Resource": json.loads(resources),
                               "Principal": {"AWS": f"arn:aws:iam:::user/{user}"}})
    ceph.client.ok("PUT", "least")
    ceph.client.ok("PUT", "least", query=[("policy", "")], body=json.dumps(
        {"Version": "2012-10-17", "Statement": statements}).encode())
    glis = Glis("s3://least/a/b", tmp_path, environment(
        ceph.port, AWS_ACCESS_KEY_ID="WRITER", AWS_SECRET_ACCESS_KEY="writer-secret")).begin()
    for i in range(3):
        glis.ok("ingest", "t", glis.csv(rows_of(i, 300, start=i)))
    glis.ok("compact", "t", "--force")
    glis.ok("gc", "t", "--now", "--full")
    glis.ok("maintain", "t", "--until-idle")
    assert "all is well" in glis.ok("check", "--read-data")
    assert "an instance can be kept" in glis.ok("store", "probe", glis.root)
    reader = Glis(glis.root, tmp_path, environment(
        ceph.port, AWS_ACCESS_KEY_ID="READER", AWS_SECRET_ACCESS_KEY="reader-secret"))
    assert reader.read() == glis.rows
    assert "all is well" in reader.ok("check", "--read-data")
    assert_error(reader, 10, "AccessDenied", words=("ingest", "t", tmp_path / "in.csv"))
    assert_error(reader, 10, "AccessDenied", words=("init", "s3://least/elsewhere"))
    assert reader.read() == glis.rows
