#define JOB_COLUMNS "id, org_id"

void job_load(struct db *db)
{
    db_query(db, "SELECT " JOB_COLUMNS " FROM jobs WHERE id = $1");
    db_query(db, "SELECT id FROM jobs WHERE id = $1 AND org_id = $2");
    db_query(db, "UPDATE jobs SET org_id = $1");
    db_query(db, "DELETE FROM files "
                 "WHERE id = $1");
    db_query(db, "SELECT l.id FROM lots l JOIN api_keys k ON k.id = l.key_id");
    db_query(db, "SELECT id FROM lots WHERE id = $1");
    db_query(db, "INSERT INTO jobs (id) VALUES ($1)");
    /* tenant: a worker's feed crosses organisations by design */
    db_query(db, "SELECT id FROM jobs WHERE status = 'open'");
    /* tenant: */
    db_query(db, "SELECT id FROM submissions WHERE id = $1");
    /* tenant: keyed by the transfer's own id, and two lines of reason
     * are fine too */
    struct stmt *q =
        db_query(db, "SELECT id FROM transfers WHERE id = $1");
    db_query(db, "SELECT id FROM transfers WHERE id = $1");
}
