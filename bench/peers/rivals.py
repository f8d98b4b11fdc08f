"""The peers as servers to be measured: Fastify over PostgreSQL, and over SQLite."""
import glob
import json
import os
import shutil
import subprocess
import tempfile

from benchlib import peers, process

HERE = os.path.dirname(os.path.abspath(__file__))
CREDITS_CENTS = "1000000000000"
POSTGRES_SETTINGS = {
    "listen_addresses": "", "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
    "shared_buffers": "256MB", "max_wal_size": "4GB", "max_connections": "40",
}


class Rival(peers.Firsthand):
    """A Fastify cluster; the place is what its store is opened with."""
    workers = 2

    def __init__(self, kind, place, organisations_count):
        self.kind, self.place = kind, place
        stock = self.run("stock", str(organisations_count), CREDITS_CENTS)
        self.keys = [secret for _, secret in json.loads(stock)]
        self.child = subprocess.Popen(self.command("serve", str(self.workers)), text=True,
                                      env={**os.environ, "NODE_ENV": "production"},
                                      stdout=subprocess.PIPE)
        line = self.child.stdout.readline()
        if "http://" not in line:
            raise SystemExit(f"bench: {kind} did not start")
        self.url = line.split()[-1]
        self.port = int(self.url.rpartition(":")[2])

    def command(self, name, *rest):
        return ["node", os.path.join(HERE, "main.mjs"), name, self.kind, self.place, *rest]

    def run(self, name, *rest):
        return subprocess.run(self.command(name, *rest), check=True, text=True,
                              stdout=subprocess.PIPE).stdout

    def pids(self):
        return [self.child.pid, *process.children_of(self.child.pid)]

    def breaches(self):
        return self.run("check").splitlines()


class SqliteRival(Rival):
    def __init__(self, directory, organisations_count):
        os.makedirs(directory)
        super().__init__("sqlite", os.path.join(directory, "store.db"), organisations_count)


def binaries():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not found:
        raise SystemExit("bench: PostgreSQL is missing: tools/install-deps bench-peers")
    return found[-1]


class Postgres:
    """A cluster in a folder of its own, on a socket in it. PostgreSQL does not run as root."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="firsthand-bench-")
        self.user = None
        if os.getuid() == 0:
            self.user = "postgres"
            shutil.chown(self.directory, self.user)
        data = os.path.join(self.directory, "data")
        self.call("initdb", "-D", data, "-U", "bench", "--auth", "trust", "--locale", "C.UTF-8")
        flags = [word for name, value in POSTGRES_SETTINGS.items() for word in ("-c", f"{name}={value}")]
        self.child = subprocess.Popen(
            [os.path.join(binaries(), "postgres"), "-D", data, "-k", self.directory, *flags],
            cwd=self.directory, user=self.user, stdout=subprocess.DEVNULL,
            stderr=open(os.path.join(self.directory, "log"), "w"))
        process.wait_until(self.answers, "PostgreSQL")
        self.call("createdb", "-h", self.directory, "-U", "bench", "bench")

    def call(self, name, *arguments, check=True):
        return subprocess.run([os.path.join(binaries(), name), *arguments], check=check,
                              cwd=self.directory, user=self.user, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode

    def answers(self):
        if self.child.poll() is not None:
            raise SystemExit(f"bench: PostgreSQL did not start: see {self.directory}/log")
        return self.call("pg_isready", "-h", self.directory, check=False) == 0

    def pids(self):
        return [self.child.pid, *process.children_of(self.child.pid)]

    def stop(self):
        process.stop(self.child)
        shutil.rmtree(self.directory, ignore_errors=True)


class PostgresRival(Rival):
    def __init__(self, organisations_count):
        self.database = Postgres()
        super().__init__("pg", self.database.directory, organisations_count)

    def pids(self):
        return [*super().pids(), *self.database.pids()]

    def stop(self):
        super().stop()
        self.database.stop()
