-- What the scorer found, for the buyer: JSON, absent when nobody measured.
ALTER TABLE files ADD COLUMN annotations TEXT;

-- The sub-scores that take no part in the score of its files: names joined by spaces, as asked.
ALTER TABLE jobs ADD COLUMN scoring_ignore TEXT;

-- Of a task's failures, those that may be the fault of its subject. From here on first_failed_ms is
-- of the first of these.
ALTER TABLE tasks ADD COLUMN subject_failures_count BIGINT NOT NULL DEFAULT 0;
UPDATE tasks SET first_failed_ms = NULL;
