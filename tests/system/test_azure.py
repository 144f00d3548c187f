"""Instances in containers of Azure's blob service: the whole command line on Microsoft's emulator, by
the account's key and by shared access signatures, and what goes wrong with both: a clear error in time,
nothing half done, no secret shown."""

import json
import os
import subprocess
import threading
import time
import urllib.parse

import pytest
from azure_servers import ACCOUNT, KEY, Azurite
from s3_servers import free_port
from test_s3 import CLEAN, GLIS, Glis, assert_error, rows_of

BASE = {name: value for name, value in CLEAN.items() if not name.startswith("AZURE")}


@pytest.fixture(scope="session")
def azurite(tmp_path_factory):
    if not Azurite.is_there():
        pytest.skip("no Azurite (scripts/install-deps check, with npm)")
    server = Azurite(tmp_path_factory.mktemp("azurite"))
    server.make("box")
    yield server
    server.close()


def environment(server, **more):
    return {**BASE, "HOME": "/nonexistent", "GLIS_CACHE_DISK": "0",
            "AZURE_STORAGE_CONNECTION_STRING": server.connection, **more}


class AzureGlis(Glis):
    """Every output is searched for Azure's secrets, too."""

    def run(self, *words, **more):
        done = super().run(*words, **more)
        shown = done.stdout + done.stderr
        assert KEY[:16] not in shown and "sig=" not in shown, words
        return done


def test_every_store_does_the_same(azurite):
    """The unit tests' table of what any store must do, on the emulator."""
    program = os.path.join(os.path.dirname(GLIS), "tests", "unit", "test_store_azure")
    if not os.path.exists(program):
        pytest.skip("the unit tests are not built")
    azurite.make("conform")
    done = subprocess.run([program], capture_output=True, text=True, timeout=300, env={
        **BASE, "GLIS_TEST_AZURE": "az://conform", "GLIS_TEST_AZURE_CONNECTION": azurite.connection})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SKIPPED" not in done.stdout + done.stderr


def test_the_whole_command_line(azurite, tmp_path):
    glis = AzureGlis(f"az://box/{tmp_path.name} of/gl+is", tmp_path, environment(azurite)).begin()
    for i in range(3):
        glis.ok("ingest", "t", glis.csv(rows_of(i, 400, start=i)), "--job", f"j{i}")
    assert glis.read() == glis.rows
    assert glis.read("--key", 7) == {7: glis.rows[7]}
    glis.ok("table", "pin", "t", "before")
    pinned = dict(glis.rows)
    glis.ok("table", "set", "t", "glis.table.partition.splitting.threshold=500",
            "glis.table.partition.splitting.min.rows=10", "glis.table.gc.delay=0s")
    glis.ok("split", "t")
    glis.ok("compact", "t", "--force")
    glis.ok("maintain", "t", "--until-idle")
    assert json.loads(glis.ok("status", "t", "--json"))["leaves"] >= 2
    assert glis.read() == glis.rows
    there = f"az://box/exports/{tmp_path.name}"
    glis.ok("export", "t", there)
    glis.ok("export", there, "--restore", "--as", "again")
    assert glis.read(table="again") == glis.rows
    glis.ok("table", "restore", "t", "--to-pin", "before", "--yes")
    assert glis.read() == pinned
    glis.rows = pinned
    glis.ok("gc", "t", "--now", "--full")
    glis.ok("log", "snapshot", "t")
    glis.ok("log", "trim", "t")
    for part in ("files", "partitions", "jobs", "log"):
        assert glis.ok("status", "t", part)
    assert "all is well" in glis.ok("check", "--read-data")
    assert "an instance can be kept here" in glis.ok("store", "probe", glis.root)
    # An input in a container, by its name and by its prefix.
    body = "k,v\n-1,from a container\n"
    for name in ("in/a.csv", "in/b.csv"):
        status, _ = azurite.request("PUT", "box/" + name, body=body.replace("-1", f"-{len(name)}{name[3]}".replace(
            "a", "1").replace("b", "2")).encode(), headers=[("x-ms-blob-type", "BlockBlob")])
        assert status == 201
    glis.ok("ingest", "t", "az://box/in/a.csv")
    glis.ok("ingest", "t", "az://box/in/")
    assert glis.read("--key", -82) == {-82: "from a container"}


def test_many_writers_lose_nothing(azurite, tmp_path):
    """Processes that commit to one table at the same time: each acknowledged row is there once."""
    glis = AzureGlis("az://box/writers-" + tmp_path.name, tmp_path, environment(azurite)).begin()
    rows = [rows_of(i, 50, start=i * 1000) for i in range(6)]
    threads = []
    for i, some in enumerate(rows):
        path = tmp_path / f"{i}.csv"
        path.write_text("k,v\n" + "".join(f"{k},{v}\n" for k, v in some.items()))
        glis.rows |= some
        threads.append(threading.Thread(target=glis.ok, args=("ingest", "t", path, "--job", f"w{i}")))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert glis.read() == glis.rows
    assert "all is well" in glis.ok("check", "--read-data")


def test_a_shared_access_signature_is_enough(azurite, tmp_path):
    """The permissions that docs/s3.md names, and no more."""
    def signed(permissions, minutes=60):
        return environment(azurite, AZURE_STORAGE_CONNECTION_STRING="", AZURE_STORAGE_ACCOUNT=ACCOUNT,
                           AZURE_STORAGE_SERVICE_ENDPOINT=azurite.endpoint,
                           AZURE_STORAGE_SAS_TOKEN=azurite.signature("least", permissions, minutes))
    azurite.make("least")
    glis = AzureGlis("az://least/a/b", tmp_path, signed("rcwdl")).begin()
    glis.ok("ingest", "t", glis.csv(rows_of(1, 300)))
    glis.ok("compact", "t", "--force")
    glis.ok("gc", "t", "--now", "--full")
    assert "an instance can be kept" in glis.ok("store", "probe", glis.root)
    reader = AzureGlis(glis.root, tmp_path, signed("rl"))
    assert reader.read() == glis.rows
    assert "all is well" in reader.ok("check", "--read-data")
    before = azurite.keys("least")
    assert_error(reader, 10, "Authorization", words=("ingest", "t", tmp_path / "in.csv"))
    ended = AzureGlis(glis.root, tmp_path, signed("rl", minutes=-60))
    assert_error(ended, 10, "Auth", words=("status",))
    assert azurite.keys("least") == before


def test_what_is_wrong_is_said(azurite, tmp_path):
    glis = AzureGlis("az://box/wrong-" + tmp_path.name, tmp_path, environment(azurite))
    other = azurite.connection.replace(KEY, "b3RoZXIta2V5")
    assert_error(glis, 10, "AZURE_STORAGE_KEY", AZURE_STORAGE_CONNECTION_STRING=other)
    assert_error(glis, 10, "AZURE_STORAGE_ACCOUNT", AZURE_STORAGE_CONNECTION_STRING="")
    assert_error(glis, 10, "AZURE_STORAGE_KEY", AZURE_STORAGE_CONNECTION_STRING="", AZURE_STORAGE_ACCOUNT="acc")
    nobox = AzureGlis("az://nobox/x", tmp_path, environment(azurite))
    assert_error(nobox, 10, "make the container first")
    assert_error(nobox, 10, "nobox", words=("status",))
    closed = AzureGlis("az://box/x", tmp_path, environment(azurite, GLIS_S3_TRIES="2"))
    assert_error(closed, 10, "connect", AZURE_STORAGE_CONNECTION_STRING=azurite.connection.replace(
        str(azurite.port), str(free_port())))
    assert_error(AzureGlis("az://x", tmp_path, environment(azurite)), 5, "no name of a bucket")
    assert azurite.keys("box", "wrong-") == []


def test_a_certificate_that_nobody_signed(azurite, tmp_path):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    server = Azurite(tmp_path, (certificate, key))
    try:
        glis = AzureGlis("az://box/x", tmp_path, environment(server))
        message = assert_error(glis, 10)
        assert "certificate" in message.lower() and "REQUESTS_CA_BUNDLE" in message
        # Trusted, the server is asked: the container is not there.
        assert_error(glis, 10, "make the container first", REQUESTS_CA_BUNDLE=str(certificate))
    finally:
        server.close()
