#!/usr/bin/env python3
"""Everything bench/peers/run prints; see bench/README.md."""
import argparse
import json
import os
import re
import shutil
import subprocess
import uuid

import rivals
from benchlib import load, peers, process, stock
from benchlib.report import Report

DIRECTORY = os.path.join(peers.REPOSITORY, "build", "bench", "peers")
CONNECTIONS = 64
PAUSE_MS = 8  # of the paced parts: at most 8,000 requests/s, which all three can do
SIGNIFICANT = 1.3  # a smaller ratio is no difference


def arguments():
    parser = argparse.ArgumentParser(prog="bench/peers/run", description=__doc__)
    parser.add_argument("--seconds", type=int, default=4, help="length of a round (4)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (3)")
    parser.add_argument("--organisations", type=int, default=100, help="(100)")
    parser.add_argument("--only", default="get,paced,list,post", help="parts to run (all: %(default)s)")
    return parser.parse_args()


class Ours(peers.Firsthand):
    def __init__(self, data_dir, organisations_count):
        made = stock.organisations(data_dir, organisations_count)
        self.data_dir = data_dir
        self.keys = [key for _, key in made]
        super().__init__(data_dir)

    def pids(self):
        return [*super().pids(), *self.zygote_pids()]

    def breaches(self):
        done = subprocess.run([peers.BINARY, "audit", "--data-dir", self.data_dir],
                              env=peers.ENVIRONMENT, stdout=subprocess.PIPE, text=True)
        lines = done.stdout.splitlines()
        # With tasks off nobody seals the audit; its rows are there.
        return [line for line in lines
                if line.startswith("breach ") and "audit_rows_are_sealed" not in line]


# --- do they answer alike?

def plain(text):
    """A reply without what differs by nature: ids, times, cursors, and the words of an error."""
    text = re.sub(r"\b(job|org|req|key|crtx)_[0-9A-Z]{26}\b", r"\1_X", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    value = json.loads(text)
    if "error" in value:
        return value["error"]["type"]
    if value.get("next_cursor"):
        value["next_cursor"] = "CURSOR"
    return value


# What a job may ask for that the peers leave out, when it is absent.
def known_to_all(value, names):
    if isinstance(value, dict) and value.get("object") == "job":
        return {name: value[name] for name in names}
    if isinstance(value, dict) and "data" in value:
        return {**value, "data": [known_to_all(row, names) for row in value["data"]]}
    return value


def conversation(server):
    """The same requests to each server; [(status, plain reply)]."""
    key, other = server.keys[:2]
    body = json.loads(load.JOB_BODY)
    named = {"Idempotency-Key": str(uuid.uuid4())}
    said = []

    def ask(method, path, token, body=None, headers=None):
        status, text = server.call(method, path, token, body, headers)
        said.append((status, plain(text.decode())))
        return text.decode()

    first = ask("POST", "/v1/jobs", key, body, named)
    again = ask("POST", "/v1/jobs", key, body, named)
    assert first == again, "a repeat is answered byte for byte"
    job = json.loads(first)["id"]
    ask("POST", "/v1/jobs", key, {**body, "files_needed": 11}, named)
    ask("POST", "/v1/jobs", key, body)
    ask("POST", "/v1/jobs", key, {**body, "files_needed": 0}, {"Idempotency-Key": str(uuid.uuid4())})
    ask("POST", "/v1/jobs", "fh_live_nobody", body, named)
    large = {**body, "files_needed": 10000, "price_per_file_cents": 100000}
    for _ in range(2):
        ask("POST", "/v1/jobs", key, large, {"Idempotency-Key": str(uuid.uuid4())})
    ask("GET", f"/v1/jobs/{job}", key)
    ask("GET", f"/v1/jobs/{job}", other)
    ask("GET", "/v1/jobs?limit=20", key)
    ask("GET", "/v1/jobs?limit=2", key)
    ask("GET", "/v1/jobs?limit=0", key)
    return said


def check_alike(servers):
    said = {name: conversation(server) for name, server in servers.items()}
    ours = said.pop("firsthand")
    for name, theirs in said.items():
        names = next(reply for _, reply in theirs if isinstance(reply, dict)).keys()
        for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            if (mine[0], known_to_all(mine[1], names)) != other:
                raise SystemExit(f"bench: {name} answers request {number} otherwise:\n{other}\n{mine}")


# --- figures

class Bench:
    def __init__(self, options):
        self.options = options
        self.report = Report()
        self.servers = {}
        self.jobs = {}

    def start(self):
        count = self.options.organisations
        self.servers["firsthand"] = Ours(os.path.join(DIRECTORY, "firsthand"), count)
        self.servers["PostgreSQL"] = rivals.PostgresRival(count)
        self.servers["SQLite"] = rivals.SqliteRival(os.path.join(DIRECTORY, "sqlite"), count)
        check_alike(self.servers)
        self.jobs = {name: stock.jobs(server, server.keys) for name, server in self.servers.items()}

    def compare(self, what, rows_of, aims, pause_ms=None):
        files = {name: load.write_requests(os.path.join(DIRECTORY, f"{name}.requests"),
                                           rows_of(name, server))
                 for name, server in self.servers.items()}
        found = load.interleave(self.options.rounds, {
            name: lambda name=name, server=server: load.wrk(server, files[name], CONNECTIONS,
                                                            self.options.seconds, pause_ms)
            for name, server in self.servers.items()})
        pace = f", each pausing {pause_ms} ms" if pause_ms else ""
        self.report.heading(f"{what}, {CONNECTIONS} connections{pace}")
        for name, result in found.items():
            self.report.row(name, result)
        ours = found["firsthand"]
        for name, aim in aims.items():
            ratio = ours.per_second / found[name].per_second
            if aim:
                self.report.at_least(f"{what}: times {name}", ratio, max(aim, SIGNIFICANT))
            self.report.at_most(f"{what}: p99 beside {name}", ours.p99_ms / found[name].p99_ms, 0.5)

    def get(self):
        self.compare("GET job", lambda name, server: [
            ("GET", f"/v1/jobs/{job}", key, "") for job, key in self.jobs[name]],
            {"PostgreSQL": 4, "SQLite": 2})

    def paced(self):
        """How long a request takes when each server has the same to do."""
        self.compare("GET job, paced", lambda name, server: [
            ("GET", f"/v1/jobs/{job}", key, "") for job, key in self.jobs[name]],
            {"PostgreSQL": None, "SQLite": None}, PAUSE_MS)

    def list(self):
        self.compare("list 20", lambda name, server: [
            ("GET", "/v1/jobs?limit=20", key, "") for key in server.keys],
            {"PostgreSQL": 2.5, "SQLite": 2.5})

    def post(self):
        self.compare(f"POST, {self.options.organisations} orgs", lambda name, server: [
            ("POST", "/v1/jobs", key, load.JOB_BODY) for key in server.keys],
            {"PostgreSQL": 2, "SQLite": 1.5})
        self.compare("POST, one hot org", lambda name, server: [
            ("POST", "/v1/jobs", server.keys[0], load.JOB_BODY)], {"PostgreSQL": 8})

    def memory(self):
        used = {name: process.pss_mb(server.pids()) for name, server in self.servers.items()}
        print("\nMemory after the load, all processes, shared pages counted once (PSS):")
        for name, mb in used.items():
            print(f"  {name:24}{mb:10.1f} MB")
        for name in ("PostgreSQL", "SQLite"):
            self.report.at_most(f"memory beside {name}", used["firsthand"] / used[name], 0.5)

    def run(self):
        try:
            self.start()
            for part in self.options.only.split(","):
                getattr(self, part)()
            self.memory()
            for name, server in self.servers.items():
                if breaches := server.breaches():
                    raise SystemExit(f"bench: {name} does not add up: {breaches[:3]}")
            print("\nAll three add up.")
        finally:
            for server in self.servers.values():
                server.stop()


def main():
    options = arguments()
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    os.makedirs(DIRECTORY)
    try:
        bench = Bench(options)
        bench.run()
        bench.report.summary()
    finally:
        shutil.rmtree(DIRECTORY, ignore_errors=True)


if __name__ == "__main__":
    main()
