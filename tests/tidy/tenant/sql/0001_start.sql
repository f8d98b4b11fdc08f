CREATE TABLE organisations (
    id TEXT PRIMARY KEY
);
CREATE TABLE api_keys (
    id     TEXT PRIMARY KEY,
    org_id TEXT NOT NULL REFERENCES organisations (id)
);
CREATE TABLE jobs (
    id     TEXT PRIMARY KEY,
    org_id TEXT NOT NULL
);
CREATE TABLE files (
    id     TEXT PRIMARY KEY,
    org_id TEXT NOT NULL
);
CREATE TABLE submissions (
    id     TEXT PRIMARY KEY,
    org_id TEXT NOT NULL
);
CREATE TABLE transfers (
    org_id TEXT NOT NULL,
    id     INTEGER NOT NULL,
    PRIMARY KEY (org_id, id)
);
/* A lot belongs to a job, which has org_id. */
CREATE TABLE lots (
    id     TEXT PRIMARY KEY,
    job_id TEXT NOT NULL REFERENCES jobs (id)
);
