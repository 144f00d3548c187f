"""A table whose log is in PostgreSQL lives through the deaths of everybody who works on it
(test_life.py), and of the database: it is stopped, stopped at once and killed, again and again, and
comes back each time. Its files are in a folder, or in a bucket behind a bad network
(test_s3_life.py). What must hold is the same: every acknowledged row is there once, every query saw a
state that was, and nothing is left that nothing refers to.

GLIS_LIFE_MINUTES=N lets it live so long; GLIS_LIFE_WRITERS=N has N ingesting processes and a quarter
as many readers at the same time.
"""

import json
import os
import signal
import time

import pytest
from chaos_proxy import ChaosProcess
from postgres_servers import PASSWORD, Server
from s3_servers import Ceph
from test_life import SECONDS, SEED, Life, begin, judge, live
from test_s3_life import FAULTS, WRITERS, BucketLife, Outages, interrupt_gateway

WORKERS = {"ingest": WRITERS, "compact": 2, "maintain": 1, "split": 1, "collect": 1,
           "query": max(2, WRITERS // 4), "bulk": 1, "change": 1, "trim": 1}
IS_LONG = "GLIS_LIFE_MINUTES" in os.environ
# What a command may end with when the database has gone under it: the work is done again then.
TROUBLE = ["Connection refused", "the connection to the database broke", "does not answer",
           "the database system is", "server closed the connection", "terminating connection",
           "tries in", "the outcome", "nothing can tell", "GLIS_EUNKNOWN", "time limit"]


class InDatabase:
    """A life whose logs are in a database; in front of the class of the rest."""

    def in_database(self, server):
        self.server, self.trouble = server, [*self.trouble, *TROUBLE]
        self.init_words = ("--log-home", server.address())
        self.more = {**self.more, "PGPASSWORD": PASSWORD}
        return self

    def objects(self, prefix):
        if "/log/" not in prefix:
            return super().objects(prefix)
        name = json.loads(self.home())["id"]
        told = self.server.sql("select substr(log || key, 28) from glis_log where "
                               f"starts_with(log || key, '{name}/{prefix}') order by 1")
        return told.stdout.splitlines()


class FolderLife(InDatabase, Life):
    orphan_seconds = 6 + WRITERS // 2
    run_seconds_max = 600

    def home(self):
        return (self.root / "home").read_text()


class PairLife(InDatabase, BucketLife):
    orphan_seconds = BucketLife.orphan_seconds if IS_LONG else 12 + WRITERS

    def home(self):
        return self.ceph.client.ok("GET", "life", "an/instance/home")


def interrupt_database(server):
    def interrupt(number):
        server.stop((signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)[number % 3])
        time.sleep(0.3)
        server.start()
    return interrupt


@pytest.fixture
def server():
    if not Server.is_there():
        pytest.skip("no PostgreSQL (Debian: postgresql)")
    print(f"GLIS_LIFE_SEED={SEED}")
    server = Server().start()
    yield server
    server.close()


def test_a_table_lives_through_deaths_and_a_database_that_dies(server, tmp_path):
    seconds = SECONDS if IS_LONG else 10
    life = FolderLife(tmp_path).in_database(server)
    begin(life)
    with Outages(interrupt_database(server), min(seconds / 4, 30)) as outages:
        live(life, WORKERS, seconds)
    print(f"the database died {outages.n} times")
    assert outages.n >= 2
    judge(life, WORKERS)


def test_a_table_in_a_bucket_lives_through_a_bad_network_and_a_database_that_dies(server, tmp_path):
    if not Ceph.is_there():
        pytest.skip("no Ceph (Debian: ceph-mon ceph-osd radosgw ceph-common)")
    seconds = SECONDS if IS_LONG else 10
    ceph = Ceph(tmp_path / "ceph")
    proxy = ChaosProcess(("127.0.0.1", ceph.port), seed=SEED)
    try:
        ceph.client.ok("PUT", "life")
        life = PairLife(tmp_path, ceph, proxy.address[1]).in_database(server)
        begin(life)
        proxy.faults = FAULTS
        with Outages(interrupt_gateway(ceph), min(seconds / 3, 40)) as outages, \
                Outages(interrupt_database(server), min(seconds / 4, 30)) as deaths:
            live(life, WORKERS, seconds)
        print(f"{outages.n} outages; the database died {deaths.n} times; {dict(proxy.counts)}")
        time.sleep(3)  # what is late comes now
        proxy.faults = {}
        judge(life, WORKERS)
    finally:
        proxy.close()
        ceph.close()
