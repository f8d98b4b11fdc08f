-- Of a deleted endpoint nothing is kept that only sending to it needs.
UPDATE webhook_endpoints SET url = '', description = NULL, secret = '', old_secret = NULL,
    old_secret_ends_ms = NULL WHERE deleted_ms IS NOT NULL;
