-- listSubmissions: an organisation's submissions across its jobs, newest first.

CREATE INDEX submissions_by_organisation ON submissions (org_id, environment, id);
