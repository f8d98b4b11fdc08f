struct stmt *db_query(struct db *db, const char *sql);
enum err     db_script(struct db *db, const char *script, struct error *error);
