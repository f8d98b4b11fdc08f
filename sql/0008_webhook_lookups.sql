-- The events of an occurrence: for dropping both when their time is over.
CREATE INDEX webhook_events_by_occurrence ON webhook_events (occurrence_id);
