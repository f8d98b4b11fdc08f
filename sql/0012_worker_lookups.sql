-- What a job has of one worker: for the job's own cap, which the feed asks for every job that has one.
CREATE INDEX submissions_by_worker_and_job ON submissions (worker_id, job_id)
    WHERE status IN ('pending_score', 'approved');

-- The uploads that a worker has not finished.
CREATE INDEX uploads_open_by_worker ON uploads (worker_id, expires_ms) WHERE state = 'open';

-- For dropping a worker's expired sessions at the next sign-in.
CREATE INDEX worker_sessions_by_worker ON worker_sessions (worker_id);
