#define JOB_COLUMNS "id, title, " MORE_COLUMNS
#define MORE_COLUMNS "price_cents"
#define JOB_TABLE   job_table()

void job_load(struct db *db, const char *name)
{
    db_query(db, "SELECT 1");
    db_query(db, "SELECT " JOB_COLUMNS /* all of them */
                 " FROM lots WHERE id = $1");
    db_query(db, name);
    db_query(db, text_of("a", "b"));
    db_query(
        db, "SELECT 1 FROM " JOB_TABLE);
    db_query(db, is_open ? "SELECT 1" : "SELECT 2");
    db_script(db, "DROP TABLE lots", error);
}
