-- createJob in one round trip: the Idempotency-Key, the job, the balance, its transfer, the lots it
-- draws on. Answers the job's id: another than was given when the key was used before for the same.
CREATE TYPE asked_job AS (
    id TEXT, org_id TEXT, environment BIGINT, type TEXT, description TEXT, files_needed BIGINT,
    formats TEXT, price_cents BIGINT, fee_ppm BIGINT, payout_cents BIGINT, metadata TEXT,
    title TEXT, scoring_criteria TEXT, worker_guidelines TEXT, min_stars BIGINT, min_width BIGINT,
    min_height BIGINT, min_duration_ms BIGINT, max_duration_ms BIGINT, max_files_per_worker BIGINT,
    created_ms BIGINT, status TEXT, files_approved BIGINT, files_pending BIGINT,
    slots_reserved BIGINT, escrow_cents BIGINT, completed_ms BIGINT, cancelled_ms BIGINT
);

CREATE FUNCTION create_job(job asked_job, asker TEXT, transfer TEXT, idempotency_key TEXT, asked BYTEA,
    audit_id TEXT, source TEXT, request_id TEXT)
RETURNS TEXT LANGUAGE plpgsql AS $$
DECLARE
    bound   RECORD;
    running BIGINT;
    missing BIGINT := job.escrow_cents;
    taken   BIGINT;
    lot     RECORD;
BEGIN
    -- The balance row first: it is what requests of one organisation wait for.
    UPDATE balances SET balance_cents = balance_cents - job.escrow_cents,
        held_cents = held_cents + job.escrow_cents, last_transfer_id = transfer, updated_ms = job.created_ms
        WHERE org_id = job.org_id AND environment = job.environment
        RETURNING balance_cents INTO running;
    INSERT INTO idempotency AS i (owner_id, environment, operation, key, fingerprint, asker_id, status,
        resource_id, is_sealed, created_ms) VALUES (job.org_id, job.environment, 'createJob',
        idempotency_key, asked, asker, 201, job.id, 0, job.created_ms)
        ON CONFLICT (owner_id, environment, operation, key) DO NOTHING;
    IF NOT FOUND THEN
        SELECT fingerprint, resource_id INTO bound FROM idempotency WHERE owner_id = job.org_id
            AND environment = job.environment AND operation = 'createJob' AND key = idempotency_key;
        IF bound.fingerprint <> asked THEN
            RAISE EXCEPTION 'idempotency_key_reused' USING ERRCODE = 'FH409';
        END IF;
        RAISE EXCEPTION '%', bound.resource_id USING ERRCODE = 'FH200';
    END IF;
    INSERT INTO jobs (
        id, org_id, environment, type, description, files_needed, formats, price_cents, fee_ppm,
        payout_cents, metadata, title, scoring_criteria, worker_guidelines, min_stars, min_width,
        min_height, min_duration_ms, max_duration_ms, max_files_per_worker, created_ms, status,
        files_approved, files_pending, slots_reserved, escrow_cents, completed_ms, cancelled_ms)
        VALUES (job.*);
    INSERT INTO transfers (org_id, environment, id, kind, debit, credit, amount_cents,
        running_balance_cents, job_id, once, description, created_ms) VALUES (job.org_id,
        job.environment, transfer, 'deduction', 'available', 'escrow', job.escrow_cents, running, job.id,
        'escrow:' || job.id, 'Job posted', job.created_ms);
    WHILE missing > 0 LOOP
        SELECT id, remaining_cents, expires_ms INTO lot FROM lots WHERE org_id = job.org_id
            AND environment = job.environment AND remaining_cents > 0 ORDER BY expires_ms, id LIMIT 1;
        taken := least(lot.remaining_cents, missing);
        missing := missing - taken;
        UPDATE lots SET remaining_cents = remaining_cents - taken WHERE id = lot.id;
        INSERT INTO job_lots (job_id, lot_id, cents, expires_ms) VALUES (job.id, lot.id, taken, lot.expires_ms);
    END LOOP;
    INSERT INTO audit_events VALUES (audit_id, job.org_id, job.environment, 'job.created', job.id, asker,
        source, request_id);
    RETURN job.id;
END $$;
