-- Buying credit: what was meant to be bought, cards that may be charged again, and what Stripe takes
-- back.

-- An intent, made before anybody is asked for money. In "asking" the provider has not answered yet;
-- "open" waits for the payment. A local one is paid on this server's own page. customer is what the
-- provider was or will be asked with: a repeated question must be the same.
CREATE TABLE purchases (
    id             TEXT PRIMARY KEY,
    org_id         TEXT NOT NULL REFERENCES organisations (id),
    environment    BIGINT NOT NULL,
    kind           TEXT NOT NULL CHECK (kind IN ('checkout', 'top_up')),
    provider       TEXT NOT NULL CHECK (provider IN ('local', 'stripe')),
    state          TEXT NOT NULL CHECK (state IN
                       ('asking', 'open', 'paid', 'cancelled', 'expired', 'failed')),
    amount_cents   BIGINT NOT NULL CHECK (amount_cents > 0),
    bonus_cents    BIGINT NOT NULL CHECK (bonus_cents >= 0),
    link_key       BIGINT NOT NULL,
    customer       TEXT,
    payment_method TEXT,
    session_id     TEXT UNIQUE,
    checkout_url   TEXT,
    payment_id     TEXT UNIQUE,
    tries_count    BIGINT NOT NULL,
    tried_ms       BIGINT NOT NULL,
    created_ms     BIGINT NOT NULL,
    paid_ms        BIGINT
);
-- Never two top-ups at once.
CREATE UNIQUE INDEX purchases_topping_up ON purchases (org_id, environment)
    WHERE kind = 'top_up' AND state IN ('asking', 'open');

-- The card that the last paid checkout allowed to be charged again; of live credit only.
CREATE TABLE saved_cards (
    org_id         TEXT PRIMARY KEY REFERENCES organisations (id),
    customer       TEXT NOT NULL,
    payment_method TEXT NOT NULL,
    saved_ms       BIGINT NOT NULL
);

-- While one row of an organisation is not lifted it posts no live jobs. The event's id makes sure
-- that an event told again does not freeze again.
CREATE TABLE freezes (
    event_id    TEXT PRIMARY KEY,
    org_id      TEXT NOT NULL REFERENCES organisations (id),
    purchase_id TEXT NOT NULL REFERENCES purchases (id),
    reason      TEXT NOT NULL,
    created_ms  BIGINT NOT NULL,
    lifted_ms   BIGINT
);
CREATE INDEX freezes_standing ON freezes (org_id) WHERE lifted_ms IS NULL;

-- Which transaction granted a lot, and when its owner was told that it will expire soon.
ALTER TABLE lots ADD COLUMN transfer_id TEXT;
ALTER TABLE lots ADD COLUMN warned_ms BIGINT;
UPDATE lots SET transfer_id = (SELECT min(t.id) FROM transfers t WHERE t.org_id = lots.org_id
    AND t.environment = lots.environment AND t.expires_ms = lots.expires_ms
    AND t.amount_cents = lots.granted_cents AND t.kind IN ('purchase', 'bonus', 'free_tier'));
CREATE INDEX lots_to_warn_of ON lots (expires_ms)
    WHERE warned_ms IS NULL AND remaining_cents > 0 AND transfer_id IS NOT NULL;

-- Credit that was booked before this has no events.
INSERT INTO server_state (name, value)
    SELECT 'credit_events_since_ms', 1 + max(created_ms) FROM
        (SELECT created_ms FROM transfers UNION ALL SELECT 0) AS made;
