-- The feed walks the jobs that have a slot left, and never meets the full ones.
DROP INDEX jobs_feed_newest;
DROP INDEX jobs_feed_best_paid;
CREATE INDEX jobs_feed_newest ON jobs (id)
    WHERE environment = 0 AND status IN ('open', 'in_progress')
    AND files_needed - files_approved - files_pending - slots_reserved > 0;
CREATE INDEX jobs_feed_best_paid ON jobs (payout_cents, id)
    WHERE environment = 0 AND status IN ('open', 'in_progress')
    AND files_needed - files_approved - files_pending - slots_reserved > 0;

-- And of the slots that lapsed it reads whose they were from the index alone.
DROP INDEX reservations_held_by_time;
CREATE INDEX reservations_held_by_time ON reservations (expires_ms, job_id) WHERE state = 'held';
