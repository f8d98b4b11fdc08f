"""What a store is filled with before it is measured."""
from . import peers
from .load import JOB_BODY
import json

CREDITS_CENTS = "1000000000000"
JOBS_EACH = 30  # so that a page of 20 is full


def organisations(data_dir, count):
    """Keys of new organisations: [(id, live key)]."""
    made = []
    for i in range(count):
        answer = peers.command(data_dir, "admin", "create-org", "--name", f"Bench {i}", "--email",
                               f"bench{i}@example.com", "--credits", CREDITS_CENTS)
        made.append((answer["organization_id"], answer["live_key"]))
    return made


def keys(data_dir, organisation, count):
    """More keys of an organisation."""
    return [peers.command(data_dir, "admin", "create-key", "--org", organisation, "--environment",
                          "live")["secret"] for _ in range(count)]


def worker(data_dir):
    return peers.command(data_dir, "admin", "create-worker", "--name", "Bench", "--email",
                         "worker@example.com")["token"]


def jobs(server, keys, each=JOBS_EACH):
    """The ids made, [(id, key)]."""
    body = json.loads(JOB_BODY)
    made = []
    for _ in range(each):
        for key in keys:
            made.append((server.make("POST", "/v1/jobs", key, body)["id"], key))
    return made


def upload_targets(server, key, token, count, formats):
    """Reservations to PUT a file to, each of a job of its own: [(path, token)]."""
    body = {**json.loads(JOB_BODY), "accepted_formats": formats}
    targets = []
    for _ in range(count):
        job = server.make("POST", "/v1/jobs", key, body)["id"]
        reservation = server.make("POST", f"/worker/v1/jobs/{job}/accept", token)["id"]
        targets.append((f"/worker/v1/reservations/{reservation}/file", token))
    return targets
