-- Webhooks: who wants to hear, what happened, who has to hear of it, and how telling them went.

-- secret and old_secret are sealed. events is a set of BIT(event type). failures_count and
-- first_failed_ms are of the attempts since the last success.
CREATE TABLE webhook_endpoints (
    id                 TEXT PRIMARY KEY,
    org_id             TEXT NOT NULL REFERENCES organisations (id),
    environment        BIGINT NOT NULL,
    url                TEXT NOT NULL,
    description        TEXT,
    events             BIGINT NOT NULL,
    status             TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
    disabled_reason    TEXT,
    secret             BYTEA NOT NULL,
    old_secret         BYTEA,
    old_secret_ends_ms BIGINT,
    failures_count     BIGINT NOT NULL,
    first_failed_ms    BIGINT,
    created_ms         BIGINT NOT NULL,
    updated_ms         BIGINT NOT NULL,
    deleted_ms         BIGINT
);
CREATE INDEX webhook_endpoints_by_organisation ON webhook_endpoints (org_id, environment, id)
    WHERE deleted_ms IS NULL;

-- One row for everything that happened, whoever listens, written in its commit. data is the resource
-- as it was, with places for download links that are signed when it is told.
CREATE TABLE occurrences (
    id          TEXT PRIMARY KEY,
    org_id      TEXT NOT NULL REFERENCES organisations (id),
    environment BIGINT NOT NULL,
    type        TEXT NOT NULL,
    subject_id  TEXT NOT NULL,
    data        TEXT NOT NULL,
    created_ms  BIGINT NOT NULL
);
CREATE INDEX occurrences_by_organisation ON occurrences (org_id, environment, id);

-- One row per occurrence and endpoint. A pending one is due at next_ms, unless it awaits a job's
-- last delivery.
CREATE TABLE webhook_events (
    id             TEXT PRIMARY KEY,
    org_id         TEXT NOT NULL,
    environment    BIGINT NOT NULL,
    endpoint_id    TEXT NOT NULL REFERENCES webhook_endpoints (id),
    occurrence_id  TEXT NOT NULL REFERENCES occurrences (id),
    status         TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts_count BIGINT NOT NULL,
    next_ms        BIGINT NOT NULL,
    awaits_job_id  TEXT,
    created_ms     BIGINT NOT NULL,
    delivered_ms   BIGINT
);
CREATE INDEX webhook_events_by_organisation ON webhook_events (org_id, environment, id);
CREATE INDEX webhook_events_due ON webhook_events (endpoint_id, next_ms)
    WHERE status = 'pending' AND awaits_job_id IS NULL;
CREATE INDEX webhook_events_awaiting ON webhook_events (awaits_job_id)
    WHERE awaits_job_id IS NOT NULL;

-- number counts on through replays, attempts_count does not.
CREATE TABLE webhook_attempts (
    event_id    TEXT NOT NULL REFERENCES webhook_events (id),
    number      BIGINT NOT NULL,
    started_ms  BIGINT NOT NULL,
    latency_ms  BIGINT NOT NULL,
    http_status BIGINT,
    error       TEXT,
    reply       TEXT,
    PRIMARY KEY (event_id, number)
);

-- Which of a job's files have yet to be delivered.
CREATE INDEX files_undelivered ON files (job_id) WHERE delivered_ms IS NULL;

-- What was made before this has had state changes that nothing tells of.
INSERT INTO server_state (name, value)
    SELECT 'events_since_ms', 1 + max(created_ms) FROM
        (SELECT created_ms FROM jobs UNION ALL SELECT created_ms FROM submissions
         UNION ALL SELECT 0) AS made;
