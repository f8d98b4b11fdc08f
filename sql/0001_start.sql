-- The first schema. One text for every driver: BIGINT for integers and times (milliseconds), BYTEA
-- for bytes, environment 0 = live, 1 = test. Money is whole cents. What must never be wrong is
-- enforced here as well as in code.

CREATE TABLE server_state (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE organisations (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    email      TEXT NOT NULL UNIQUE,
    created_ms BIGINT NOT NULL
);

CREATE TABLE organisation_settings (
    org_id                      TEXT NOT NULL REFERENCES organisations (id),
    environment                 BIGINT NOT NULL,
    platform_fee_ppm            BIGINT,
    auto_top_up_enabled         BIGINT NOT NULL DEFAULT 0,
    auto_top_up_threshold_cents BIGINT,
    auto_top_up_amount_cents    BIGINT,
    PRIMARY KEY (org_id, environment)
);

CREATE TABLE api_keys (
    id                    TEXT PRIMARY KEY,
    org_id                TEXT NOT NULL REFERENCES organisations (id),
    environment           BIGINT NOT NULL,
    name                  TEXT NOT NULL,
    prefix                TEXT NOT NULL,
    hint                  TEXT NOT NULL,
    hash                  TEXT NOT NULL UNIQUE,
    scopes                BIGINT NOT NULL,
    status                TEXT NOT NULL CHECK (status IN ('active', 'rotating', 'revoked')),
    rate_limit_per_minute BIGINT,
    created_ms            BIGINT NOT NULL,
    expires_ms            BIGINT,
    rotation_ends_ms      BIGINT,
    last_used_ms          BIGINT
);
CREATE INDEX api_keys_by_organisation ON api_keys (org_id, id);

-- Money ------------------------------------------------------------------------------------------

-- held_cents is what stands in escrow for the organisation's jobs.
CREATE TABLE balances (
    org_id           TEXT NOT NULL REFERENCES organisations (id),
    environment      BIGINT NOT NULL,
    balance_cents    BIGINT NOT NULL CHECK (balance_cents >= 0),
    held_cents       BIGINT NOT NULL CHECK (held_cents >= 0),
    last_transfer_id TEXT NOT NULL,
    updated_ms       BIGINT NOT NULL,
    PRIMARY KEY (org_id, environment)
);

-- Double entry: amount_cents leaves debit and enters credit, accounts being available, escrow (of
-- job_id), worker (worker_id), platform, promotions, external. Rows never change. The ones that
-- touch "available" are what listTransactions shows, with the balance after them. once names the
-- occurrence that may happen only once.
CREATE TABLE transfers (
    org_id                TEXT NOT NULL REFERENCES organisations (id),
    environment           BIGINT NOT NULL,
    id                    TEXT NOT NULL,
    kind                  TEXT NOT NULL,
    debit                 TEXT NOT NULL,
    credit                TEXT NOT NULL,
    amount_cents          BIGINT NOT NULL CHECK (amount_cents > 0),
    running_balance_cents BIGINT CHECK (running_balance_cents >= 0),
    job_id                TEXT,
    submission_id         TEXT,
    worker_id             TEXT,
    once                  TEXT,
    description           TEXT,
    expires_ms            BIGINT,
    created_ms            BIGINT NOT NULL,
    PRIMARY KEY (org_id, environment, id),
    CHECK (debit <> credit)
);
CREATE UNIQUE INDEX transfers_once ON transfers (once) WHERE once IS NOT NULL;

-- Spendable credit by expiry. The sum of remaining_cents over an organisation's lots is its balance.
CREATE TABLE lots (
    id              TEXT PRIMARY KEY,
    org_id          TEXT NOT NULL REFERENCES organisations (id),
    environment     BIGINT NOT NULL,
    granted_cents   BIGINT NOT NULL CHECK (granted_cents > 0),
    remaining_cents BIGINT NOT NULL CHECK (remaining_cents >= 0 AND remaining_cents <= granted_cents),
    expires_ms      BIGINT NOT NULL
);
CREATE INDEX lots_spendable ON lots (org_id, environment, expires_ms) WHERE remaining_cents > 0;

-- Jobs and files ---------------------------------------------------------------------------------

CREATE TABLE jobs (
    id                   TEXT PRIMARY KEY,
    org_id               TEXT NOT NULL REFERENCES organisations (id),
    environment          BIGINT NOT NULL,
    type                 TEXT NOT NULL CHECK (type IN ('data_collection', 'feedback')),
    description          TEXT NOT NULL,
    files_needed         BIGINT NOT NULL CHECK (files_needed > 0),
    formats              TEXT NOT NULL,
    price_cents          BIGINT NOT NULL CHECK (price_cents > 0),
    fee_ppm              BIGINT NOT NULL,
    payout_cents         BIGINT NOT NULL CHECK (payout_cents >= 0 AND payout_cents <= price_cents),
    metadata             TEXT NOT NULL,
    title                TEXT,
    scoring_criteria     TEXT,
    worker_guidelines    TEXT,
    min_stars            BIGINT NOT NULL CHECK (min_stars BETWEEN 1 AND 5),
    min_width            BIGINT,
    min_height           BIGINT,
    min_duration_ms      BIGINT,
    max_duration_ms      BIGINT,
    max_files_per_worker BIGINT,
    created_ms           BIGINT NOT NULL,
    status               TEXT NOT NULL CHECK (status IN ('open', 'in_progress', 'completed', 'cancelled')),
    files_approved       BIGINT NOT NULL CHECK (files_approved >= 0),
    files_pending        BIGINT NOT NULL CHECK (files_pending >= 0),
    slots_reserved       BIGINT NOT NULL CHECK (slots_reserved >= 0),
    escrow_cents         BIGINT NOT NULL CHECK (escrow_cents >= 0),
    completed_ms         BIGINT,
    cancelled_ms         BIGINT,
    CHECK (files_approved + files_pending + slots_reserved <= files_needed)
);
CREATE INDEX jobs_by_organisation ON jobs (org_id, environment, id);
CREATE INDEX jobs_feed_newest ON jobs (id)
    WHERE environment = 0 AND status IN ('open', 'in_progress');
CREATE INDEX jobs_feed_best_paid ON jobs (payout_cents, id)
    WHERE environment = 0 AND status IN ('open', 'in_progress');

-- Which lots a job's escrow came from, and how much of each is still in it.
CREATE TABLE job_lots (
    job_id     TEXT NOT NULL REFERENCES jobs (id),
    lot_id     TEXT NOT NULL REFERENCES lots (id),
    cents      BIGINT NOT NULL CHECK (cents >= 0),
    expires_ms BIGINT NOT NULL,
    PRIMARY KEY (job_id, lot_id)
);

-- Workers ----------------------------------------------------------------------------------------

CREATE TABLE workers (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    email         TEXT NOT NULL UNIQUE,
    password_hash TEXT,
    balance_cents BIGINT NOT NULL CHECK (balance_cents >= 0),
    created_ms    BIGINT NOT NULL
);

CREATE TABLE worker_sessions (
    token_hash   TEXT PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    worker_id    TEXT NOT NULL REFERENCES workers (id),
    created_ms   BIGINT NOT NULL,
    last_used_ms BIGINT NOT NULL,
    lifetime_ms  BIGINT
);

CREATE TABLE invites (
    id         TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,
    name       TEXT,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    worker_id  TEXT REFERENCES workers (id)
);

CREATE TABLE reservations (
    id            TEXT PRIMARY KEY,
    job_id        TEXT NOT NULL REFERENCES jobs (id),
    worker_id     TEXT NOT NULL REFERENCES workers (id),
    submission_id TEXT NOT NULL,
    attempt       BIGINT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('held', 'used', 'released', 'lapsed')),
    accepted_ms   BIGINT NOT NULL,
    renewed_ms    BIGINT NOT NULL,
    expires_ms    BIGINT NOT NULL
);
CREATE INDEX reservations_held_by_job ON reservations (job_id, expires_ms) WHERE state = 'held';
CREATE INDEX reservations_held_by_worker ON reservations (worker_id, job_id) WHERE state = 'held';
CREATE INDEX reservations_held_by_time ON reservations (expires_ms) WHERE state = 'held';

CREATE TABLE uploads (
    id             TEXT PRIMARY KEY,
    worker_id      TEXT NOT NULL REFERENCES workers (id),
    reservation_id TEXT NOT NULL REFERENCES reservations (id),
    size_bytes     BIGINT,
    filename       TEXT,
    metadata       TEXT,
    state          TEXT NOT NULL CHECK (state IN ('open', 'done', 'refused', 'terminated', 'expired')),
    content_hash   TEXT,
    submission_id  TEXT,
    created_ms     BIGINT NOT NULL,
    expires_ms     BIGINT NOT NULL
);
CREATE INDEX uploads_by_worker ON uploads (worker_id, id);
CREATE INDEX uploads_open ON uploads (expires_ms) WHERE state = 'open';

CREATE TABLE submissions (
    id           TEXT PRIMARY KEY,
    job_id       TEXT NOT NULL REFERENCES jobs (id),
    org_id       TEXT NOT NULL,
    environment  BIGINT NOT NULL,
    worker_id    TEXT NOT NULL REFERENCES workers (id),
    attempt      BIGINT NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('pending_score', 'approved', 'rejected', 'retry_pending')),
    media_type   BIGINT NOT NULL,
    size_bytes   BIGINT NOT NULL,
    sha256       TEXT NOT NULL,
    filename     TEXT,
    width        BIGINT,
    height       BIGINT,
    duration_ms  BIGINT,
    captured_ms  BIGINT,
    stars        BIGINT CHECK (stars BETWEEN 1 AND 5),
    gate         TEXT,
    reasoning    TEXT,
    score_record TEXT,
    file_id      TEXT,
    paid_cents   BIGINT,
    created_ms   BIGINT NOT NULL,
    scored_ms    BIGINT
);
CREATE INDEX submissions_by_job ON submissions (job_id, id);
CREATE INDEX submissions_by_worker ON submissions (worker_id, id);
-- What was sent in a day; the id will not do, which is as old as the slot.
CREATE INDEX submissions_by_day ON submissions (worker_id, created_ms);

-- The bytes a job has seen, whoever sent them: the first commit wins.
CREATE TABLE submission_hashes (
    job_id        TEXT NOT NULL REFERENCES jobs (id),
    sha256        TEXT NOT NULL,
    submission_id TEXT NOT NULL,
    attempt       BIGINT NOT NULL,
    PRIMARY KEY (job_id, sha256)
);

CREATE TABLE files (
    id            TEXT PRIMARY KEY,
    submission_id TEXT NOT NULL UNIQUE REFERENCES submissions (id),
    job_id        TEXT NOT NULL REFERENCES jobs (id),
    org_id        TEXT NOT NULL,
    environment   BIGINT NOT NULL,
    media_type    BIGINT NOT NULL,
    size_bytes    BIGINT NOT NULL,
    sha256        TEXT NOT NULL,
    width         BIGINT,
    height        BIGINT,
    duration_ms   BIGINT,
    captured_ms   BIGINT,
    filename      TEXT,
    stars         BIGINT NOT NULL,
    blob          TEXT NOT NULL,
    created_ms    BIGINT NOT NULL,
    delivered_ms  BIGINT
);
CREATE INDEX files_by_job ON files (job_id, id);

CREATE TABLE payouts (
    id            TEXT PRIMARY KEY,
    worker_id     TEXT NOT NULL REFERENCES workers (id),
    submission_id TEXT NOT NULL UNIQUE REFERENCES submissions (id),
    job_id        TEXT NOT NULL REFERENCES jobs (id),
    amount_cents  BIGINT NOT NULL CHECK (amount_cents >= 0),
    created_ms    BIGINT NOT NULL
);
CREATE INDEX payouts_by_worker ON payouts (worker_id, id);

-- Work ---------------------------------------------------------------------------------------------

-- What must happen after a commit, exactly once. A runner claims a due row by moving run_ms to the
-- end of its lease, acts, and deletes it in the transaction that records the result.
CREATE TABLE tasks (
    id              TEXT PRIMARY KEY,
    kind            TEXT NOT NULL,
    subject_id      TEXT NOT NULL,
    run_ms          BIGINT NOT NULL,
    claims_count    BIGINT NOT NULL,
    failures_count  BIGINT NOT NULL,
    first_failed_ms BIGINT,
    last_failure    TEXT,
    created_ms      BIGINT NOT NULL,
    UNIQUE (kind, subject_id)
);
CREATE INDEX tasks_due ON tasks (kind, run_ms);

-- owner_id is an organisation or a worker. response is sealed when it carries a secret; it is absent
-- where the reply can be rebuilt from resource_id.
CREATE TABLE idempotency (
    owner_id    TEXT NOT NULL,
    environment BIGINT NOT NULL,
    operation   TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    asker_id    TEXT NOT NULL,
    status      BIGINT NOT NULL,
    resource_id TEXT,
    response    BYTEA,
    is_sealed   BIGINT NOT NULL,
    created_ms  BIGINT NOT NULL,
    PRIMARY KEY (owner_id, environment, operation, key)
);
CREATE INDEX idempotency_by_time ON idempotency (created_ms);
