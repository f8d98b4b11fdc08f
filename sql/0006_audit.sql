-- Audit: who asked for what, and seals that tell when a row of it was changed.

-- One row for everything that somebody asked for, written in its commit and never changed. actor is
-- a key's or a worker's id, or 'operator', 'system', 'visitor'; source an address, 'command' or
-- 'server'. org_id is empty for what concerns the server itself. There is no index by organisation,
-- which would cost a page per organisation and commit: audit_seals is it, written later in bulk.
CREATE TABLE audit_events (
    id          TEXT PRIMARY KEY,
    org_id      TEXT NOT NULL,
    environment BIGINT NOT NULL,
    action      TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    actor       TEXT NOT NULL,
    source      TEXT NOT NULL,
    request_id  TEXT NOT NULL
);

-- The rows of an organisation and environment, chained: number counts them from 1, seal is a server
-- key's number and the HMAC of the row and of the seal before it.
CREATE TABLE audit_seals (
    org_id      TEXT NOT NULL,
    environment BIGINT NOT NULL,
    event_id    TEXT NOT NULL,
    number      BIGINT NOT NULL,
    seal        BYTEA NOT NULL,
    PRIMARY KEY (org_id, environment, event_id)
);

-- One row per round of sealing: event_id is the last row sealed, seals_count how many are in all.
-- Chained as well, so that an end that was cut off is missed.
CREATE TABLE audit_heads (
    number      BIGINT PRIMARY KEY,
    event_id    TEXT NOT NULL,
    seals_count BIGINT NOT NULL,
    seal        BYTEA NOT NULL,
    logged_ms   BIGINT
);

-- The number of the server key that a hash was made under; absent: made before this was noted.
ALTER TABLE api_keys ADD COLUMN server_key BIGINT;
ALTER TABLE worker_sessions ADD COLUMN server_key BIGINT;
ALTER TABLE invites ADD COLUMN server_key BIGINT;
