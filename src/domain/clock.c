#include "domain/clock.h"

enum err clock_load_offset(struct db *db, struct error *error, int64_t *ret_offset_ms)
{
    struct stmt *q = db_query(db, "SELECT value FROM server_state WHERE name = 'clock_offset_ms'");
    *ret_offset_ms = stmt_step(q) ? column_int(q, 0) : 0;
    return stmt_end(q, error);
}

enum err clock_store_offset(struct call *call, int64_t offset_ms)
{
    struct stmt *q = db_query(call->db, "INSERT INTO server_state (name, value)"
                                        " VALUES ('clock_offset_ms', $1) ON CONFLICT (name)"
                                        " DO UPDATE SET value = excluded.value");
    bind_int(q, 1, offset_ms);
    return stmt_run(q, &call->error, NULL);
}
