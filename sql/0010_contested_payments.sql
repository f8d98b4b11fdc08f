-- A refund or dispute that came before the payment it is about was told of: it freezes whoever the
-- payment turns out to be. Most are of payments that are none of ours, and are dropped after a while.
CREATE TABLE contested_payments (
    event_id   TEXT PRIMARY KEY,
    payment_id TEXT NOT NULL,
    reason     TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE INDEX contested_payments_by_payment ON contested_payments (payment_id);
CREATE INDEX contested_payments_by_time ON contested_payments (created_ms);

-- How many top-ups an organisation began lately.
CREATE INDEX purchases_top_ups ON purchases (org_id, environment, created_ms) WHERE kind = 'top_up';
