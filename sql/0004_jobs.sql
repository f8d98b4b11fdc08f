-- Jobs with a deadline or a place, what the buyer thinks of one, and what workers report of it.

-- The place is in billionths of a degree; without a radius the job is anywhere.
ALTER TABLE jobs ADD COLUMN deadline_ms BIGINT;
ALTER TABLE jobs ADD COLUMN lat_nano BIGINT;
ALTER TABLE jobs ADD COLUMN lng_nano BIGINT;
ALTER TABLE jobs ADD COLUMN radius_mm BIGINT CHECK (radius_mm > 0);
ALTER TABLE jobs ADD COLUMN rating BIGINT CHECK (rating BETWEEN 1 AND 5);
ALTER TABLE jobs ADD COLUMN rating_comment TEXT;
ALTER TABLE jobs ADD COLUMN flags_count BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN flag_reason TEXT;
CREATE INDEX jobs_live_by_deadline ON jobs (deadline_ms)
    WHERE deadline_ms IS NOT NULL AND status IN ('open', 'in_progress');

-- Each worker flags a job once.
CREATE TABLE job_flags (
    job_id     TEXT NOT NULL REFERENCES jobs (id),
    worker_id  TEXT NOT NULL REFERENCES workers (id),
    reason     TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (job_id, worker_id)
);
