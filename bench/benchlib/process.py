"""Processes under measurement: what they cost, from /proc, and their end."""
import contextlib
import os
import signal
import subprocess
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STOP_SECONDS_MAX = 30


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def cpu_seconds(pids):
    """User and system time of the processes, all threads. One that has ended meanwhile, as those
    with which PostgreSQL tidies up, is left out."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_SECOND


def run_us(pid):
    """Time on a processor, all threads that live; finer than cpu_seconds."""
    total_ns = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            total_ns += int(file.read().split()[0])
    return total_ns / 1000


def rss_mb(pids):
    total_kb = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    total_kb += int(line.split()[1])
    return total_kb / 1024


def pss_mb(pids):
    """What they use together: a page that several share is counted once."""
    total_kb = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            total_kb += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total_kb / 1024


def stop(child):
    """SIGTERM, then wait; SIGKILL when it does not end."""
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def wait_until(condition, what, seconds_max=20):
    deadline = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: waited too long for {what}")
        time.sleep(0.002)
