struct stmt *q = db_query(db, "SELECT id FROM jobs WHERE id > $1");
