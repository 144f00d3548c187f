"""PostgreSQL for tests: a cluster of its own that is started, stopped and killed, and a pooler before
it (pgbouncer) that gives each transaction another session."""

import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("GLIS", "PG"))}
PASSWORD = "gEheim+sEhr/gEheim=="


def binaries():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    return os.path.dirname(found[-1]) if found else None


def free_port():
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


class Server:
    """A cluster of its own, run as a user without rights (the server refuses to run as root)."""

    @staticmethod
    def is_there():
        return binaries() is not None

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="glis-postgres-")
        self.data = os.path.join(self.folder, "data")
        self.port = free_port()
        self.process = None
        secret = os.path.join(self.folder, "secret")
        with open(secret, "w") as file:
            file.write(PASSWORD + "\n")
        self.user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self.user:
            shutil.chown(self.folder, "postgres")
            shutil.chown(secret, "postgres")
        subprocess.run([*self.user, f"{binaries()}/initdb", "-D", self.data, "-U", "glis", "-A",
                        "scram-sha-256", f"--pwfile={secret}", "--no-sync"], check=True,
                       capture_output=True, cwd=self.folder)
        os.remove(secret)

    def address(self, database="postgres", user="glis"):
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self, *options):
        words = [f"{binaries()}/postgres", "-D", self.data, "-p", str(self.port), "-k",
                 self.folder, "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=400"]
        for option in options:
            words += ["-c", option]
        self.process = None
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            # It gives up while children of one that was killed are still there.
            if not self.process or self.process.poll() is not None:
                with open(os.path.join(self.folder, "log"), "ab") as log:
                    self.process = subprocess.Popen([*self.user, *words], stdout=log, stderr=log,
                                                    cwd=self.folder)
            if self.sql("select 1", check=False).returncode == 0:
                return self
            time.sleep(0.05)
        raise AssertionError("the server does not come up")

    def pid(self):
        with open(os.path.join(self.data, "postmaster.pid")) as file:
            return int(file.readline())

    def stop(self, how=signal.SIGINT):
        os.kill(self.pid(), how)
        self.process.wait(30)

    @contextlib.contextmanager
    def held(self):
        """The server's first process stands still, so that nobody is let in."""
        os.kill(self.pid(), signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid(), signal.SIGCONT)
            self.process.send_signal(signal.SIGCONT)  # runuser stood still with it

    def sql(self, text, check=True, database="postgres", port=None):
        return subprocess.run([f"{binaries()}/psql", "-XAtq", "-h", "127.0.0.1", "-p",
                               str(port or self.port), "-U", "glis", database, "-c", text],
                              capture_output=True, text=True, check=check,
                              env={**CLEAN, "PGPASSWORD": PASSWORD, "PGCONNECT_TIMEOUT": "5"})

    def close(self):
        if self.process and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class PgBouncer:
    """A pooler in transaction mode: what a session sets, another client's transaction may find."""

    @staticmethod
    def is_there():
        return shutil.which("pgbouncer", path="/usr/sbin:" + os.environ["PATH"]) is not None

    def __init__(self, server, sessions=2):
        self.port, self.folder = free_port(), tempfile.mkdtemp(prefix="glis-pgbouncer-")
        users, settings = os.path.join(self.folder, "users"), os.path.join(self.folder, "settings")
        with open(users, "w") as file:
            file.write(f'"glis" "{PASSWORD}"\n')
        with open(settings, "w") as file:
            file.write(f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\n"
                       f"listen_addr=127.0.0.1\nlisten_port={self.port}\nunix_socket_dir=\n"
                       f"auth_type=scram-sha-256\nauth_file={users}\npool_mode=transaction\n"
                       f"default_pool_size={sessions}\nserver_round_robin=1\n"
                       f"server_login_retry=1\nlogfile=\npidfile={self.folder}/pid\n")
        if server.user:
            for path in (self.folder, users, settings):
                shutil.chown(path, "postgres")
        program = shutil.which("pgbouncer", path="/usr/sbin:" + os.environ["PATH"])
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen([*server.user, program, settings], stdout=log,
                                            stderr=log, cwd=self.folder)
        self.server = server
        deadline = time.monotonic() + 20
        while self.sql("select 1").returncode:
            assert time.monotonic() < deadline, open(os.path.join(self.folder, "log")).read()
            time.sleep(0.05)

    def address(self, database="postgres"):
        return f"postgresql://glis@127.0.0.1:{self.port}/{database}"

    def sql(self, text):
        return self.server.sql(text, check=False, port=self.port)

    def close(self):
        with open(os.path.join(self.folder, "pid")) as file:
            os.kill(int(file.read()), signal.SIGTERM)
        self.process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)
