-- A minimum of 0 is one that was asked for; until now it was stored for none, too.
UPDATE jobs SET min_duration_ms = NULL WHERE min_duration_ms = 0;
