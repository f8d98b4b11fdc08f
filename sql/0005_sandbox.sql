-- The sandbox: simulated workers, and files whose bytes are kept for a time only.

-- Whose test jobs a simulated worker fills; absent for a person.
ALTER TABLE workers ADD COLUMN simulated_for TEXT REFERENCES organisations (id);

-- From removed_ms on nobody gets the bytes; once they are off the disk, blob is empty.
ALTER TABLE files ADD COLUMN removed_ms BIGINT;
CREATE INDEX files_kept_by_organisation ON files (org_id, id)
    WHERE environment = 1 AND removed_ms IS NULL;
CREATE INDEX files_kept_by_age ON files (created_ms) WHERE environment = 1 AND removed_ms IS NULL;
CREATE INDEX files_to_remove ON files (removed_ms) WHERE removed_ms IS NOT NULL AND blob <> '';

-- What was posted before there were simulated workers waits for them, too.
INSERT INTO tasks (id, kind, subject_id, run_ms, claims_count, failures_count, created_ms)
    SELECT 'tsk_' || substr(id, 5), 'sandbox', id, created_ms, 0, 0, created_ms
        FROM jobs WHERE environment = 1 AND status IN ('open', 'in_progress');
