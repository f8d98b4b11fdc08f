"""One round of load on one server, and several interleaved."""
import os
import statistics
import subprocess
import time
from dataclasses import dataclass

from . import process

REQUESTS_LUA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                            "requests.lua")
JOB_BODY = ('{"type":"data_collection","description":"Photos of street signs, one sign filling most'
            ' of the frame, by daylight.","files_needed":10,"accepted_formats":["image/jpeg",'
            '"image/png"],"price_per_file_cents":50,"metadata":{"batch":"signs-7"}}')


@dataclass
class Round:
    per_second: float  # requests, or MB of an upload
    p50_ms: float
    p99_ms: float
    cpu_s: float  # of the server, its helpers apart
    cpu_us_each: float  # the same, per request or MB
    rss_mb: float


def median(rounds):
    """Each figure's median for itself."""
    return Round(*(statistics.median(getattr(r, name) for r in rounds)
                   for name in Round.__dataclass_fields__))


def write_requests(path, rows):
    """Rows of (method, path, token, body)."""
    with open(path, "w") as file:
        file.writelines("\t".join(row) + "\n" for row in rows)
    return path


def wrk(server, requests, connections, seconds, pause_ms=None):
    pids = server.pids()
    before = process.cpu_seconds(pids)
    done = subprocess.run(["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "-s", REQUESTS_LUA,
                           server.url, "--", requests,
                           *([str(pause_ms)] if pause_ms else [])], check=True, stdout=subprocess.PIPE,
                          text=True)
    cpu_s = process.cpu_seconds(pids) - before
    words = next(line for line in done.stdout.splitlines() if line.startswith("result ")).split()
    count, took_us, p50_us, p99_us, refused, broken = map(int, words[1:])
    if refused or broken or not count:
        raise SystemExit(f"bench: {refused} refused, {broken} broken of {count} requests")
    return Round(count / took_us * 1e6, p50_us / 1000, p99_us / 1000, cpu_s, cpu_s / count * 1e6,
                 process.rss_mb(pids))


def interleave(rounds_count, measures):
    """Run {name: function} in turns, as often as asked; {name: median}. The machine may be shared:
    what disturbs one of them should disturb its neighbour too."""
    found = {name: [] for name in measures}
    for i in range(rounds_count):
        order = list(measures) if i % 2 == 0 else list(reversed(measures))
        for name in order:
            found[name].append(measures[name]())
            time.sleep(0.2)
    return {name: median(rounds) for name, rounds in found.items()}
