#include "api/upload_table_private.h"

#include "base/encode.h"
#include "base/num.h"
#include "platform/disk.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 256 << 10 };

/* --- begin and drop --- */

/* A finish that ended between its rename and its commit left the bytes under the blob's name. */
static bool find_renamed(struct upload_session *session, struct error *error)
{
    const struct blob_store  *blobs = session->table->api->blobs;
    const struct reservation *reservation = &session->reservation;
    struct arena              arena;
    if (!session->has_row || reservation->state == RESERVATION_USED) return false;
    if (blob_part_size(blobs, id_str(&session->id)) >= 0) return false;
    arena_init(&arena, ARENA_BLOCK_BYTES);
    struct str name =
        submission_blob_name(&reservation->submission_id, reservation->attempt, &arena);
    enum err e = blob_open(blobs, name, error, &session->fd, &session->offset);
    arena_deinit(&arena);
    if (e) error_clear(error);
    return e == ERR_OK;
}

static enum err open_bytes(struct upload_session *session, struct error *error)
{
    session->is_renamed = find_renamed(session, error);
    if (session->is_renamed) {
        session->size_bytes = session->offset;
        session->is_name_durable = true;
        return ERR_OK;
    }
    enum err e =
        blob_part_open(session->table->api->blobs, id_str(&session->id), error, &session->fd);
    if (e) return e;
    session->offset = disk_file_size(session->fd);
    if (session->offset < 0) return disk_fail(error, "ask the size of", "a part");
    return ERR_OK;
}

/* The first bytes again, to tell the type from. */
static enum err read_first(struct upload_session *session, struct error *error)
{
    size_t  wanted = (size_t)num_min(session->offset, MEDIA_SNIFF_BYTES);
    ssize_t got = pread(session->fd, session->first, wanted, 0);
    if (got < 0 || (size_t)got != wanted) return disk_fail(error, "read", "a part");
    session->first_len = wanted;
    if (wanted < MEDIA_SNIFF_BYTES) return ERR_OK;
    session->types =
        media_sniff((struct str){ (const char *)session->first, wanted }) & session->formats;
    if (session->types) session->bytes_max = upload_bytes_max(session->types);
    return ERR_OK;
}

enum err upload_session_begin(struct upload_session *session, const struct upload_origin *origin,
                              struct error *error)
{
    session->id = origin->id;
    session->formats = origin->formats;
    session->reservation = origin->reservation;
    session->size_bytes = origin->size_bytes;
    session->has_row = origin->has_row;
    session->bytes_max = upload_bytes_max(origin->formats);
    session->life = UPLOAD_LIVES;
    enum err e = open_bytes(session, error);
    if (e) return e;
    session->durable_offset = session->offset;
    sha256_begin(&session->hash);
    return read_first(session, error);
}

void upload_session_rest(struct upload_session *session)
{
    fd_close(&session->fd);
    session->fd = -1;
}

enum err upload_session_wake(struct upload_session *session, const struct upload_origin *origin,
                             struct error *error)
{
    if (session->life != UPLOAD_LIVES) return ERR_OK; /* take answers */
    int64_t offset = session->offset;
    session->reservation = origin->reservation;
    enum err e = open_bytes(session, error);
    if (session->is_cut_due) session->offset = offset;
    if (e || session->offset == offset) return e;
    session->durable_offset = session->offset;
    session->is_name_durable = false; /* nor is it known that these bytes are: sync anew */
    session->first_len = 0;
    session->types = 0;
    session->hex[0] = '\0';
    session->hashed = 0;
    sha256_drop(&session->hash);
    sha256_begin(&session->hash);
    return read_first(session, error);
}

void upload_session_drop(struct upload_session *session)
{
    fd_close(&session->fd);
    sha256_drop(&session->hash);
    session->fd = -1;
    session->is_leaving = session->is_renamed = session->has_row = session->is_cut_due = false;
    session->is_name_durable = session->is_part_unwanted = false;
    session->offset = session->durable_offset = session->size_bytes = session->hashed = 0;
    session->types = 0;
    session->first_len = 0;
    session->hex[0] = '\0';
    session->id = (struct id){ 0 };
}

/* --- small questions --- */

static enum err check_life(const struct upload_session *session, struct error *error)
{
    if (session->life == UPLOAD_LIVES) return ERR_OK;
    if (session->life == UPLOAD_IS_REFUSED)
        return FAIL(error, ERR_GONE, "upload_refused", "the upload was refused");
    return FAIL(error, ERR_GONE, "upload_ended", "the upload has ended");
}

/* Cut what stands beyond the offset: it was not counted, or is not certain to be there. A disk that
 * refuses even this is asked again by the next request. */
static void cut(struct upload_session *session)
{
    session->is_cut_due = ftruncate(session->fd, session->offset) != 0;
}

static enum err cut_again(struct upload_session *session, struct error *error)
{
    if (session->is_cut_due) cut(session);
    return session->is_cut_due ? disk_fail(error, "cut", "a part") : ERR_OK;
}

static enum err check_sender(const struct upload_session *session, uint64_t generation,
                             struct error *error)
{
    enum err e = check_life(session, error);
    if (e) return e;
    if (session->generation != generation)
        return FAIL(error, ERR_CONFLICT, "upload_taken_over",
                    "a later request has taken this upload over");
    return ERR_OK;
}

enum err upload_session_check(struct upload_session *session, uint64_t generation,
                              struct error *error)
{
    pthread_mutex_lock(&session->lock);
    enum err e = check_sender(session, generation, error);
    pthread_mutex_unlock(&session->lock);
    return e;
}

enum err upload_session_take(struct upload_session *session, int64_t expected_offset,
                             struct error *error, uint64_t *ret_generation)
{
    pthread_mutex_lock(&session->lock);
    enum err e = check_life(session, error);
    if (e == ERR_OK && expected_offset >= 0 && expected_offset != session->offset)
        e = FAIL(error, ERR_CONFLICT, "wrong_offset", "the upload stands at %lld",
                 (long long)session->offset);
    if (e == ERR_OK) e = cut_again(session, error);
    if (e == ERR_OK) *ret_generation = ++session->generation;
    pthread_mutex_unlock(&session->lock);
    return e;
}

void upload_session_set_row(struct upload_session *session)
{
    pthread_mutex_lock(&session->lock);
    session->has_row = true;
    pthread_mutex_unlock(&session->lock);
}

int64_t upload_session_size(struct upload_session *session)
{
    pthread_mutex_lock(&session->lock);
    int64_t size_bytes = session->size_bytes;
    pthread_mutex_unlock(&session->lock);
    return size_bytes;
}

int64_t upload_session_offset(struct upload_session *session)
{
    pthread_mutex_lock(&session->lock);
    int64_t offset = session->offset;
    pthread_mutex_unlock(&session->lock);
    return offset;
}

bool upload_session_is_complete(struct upload_session *session)
{
    pthread_mutex_lock(&session->lock);
    bool is_complete = session->size_bytes > 0 && session->offset == session->size_bytes;
    pthread_mutex_unlock(&session->lock);
    return is_complete;
}

static bool is_renewal_due(const struct upload_session *session, int64_t now_ms)
{
    return !session->is_renewing &&
           now_ms >= session->reservation.renewed_ms + RESERVATION_RENEW_EVERY_MS;
}

bool upload_session_take_renewal(struct upload_session *session, int64_t now_ms,
                                 struct reservation *ret_reservation)
{
    pthread_mutex_lock(&session->lock);
    bool is_due = is_renewal_due(session, now_ms);
    if (is_due) {
        *ret_reservation = session->reservation;
        session->reservation.renewed_ms = now_ms;
    }
    pthread_mutex_unlock(&session->lock);
    return is_due;
}

/* --- judging, under the session's lock --- */

static enum err refuse_type(struct upload_session *session, struct error *error)
{
    session->life = UPLOAD_IS_REFUSED;
    return FAIL(error, ERR_MEDIA_TYPE, "unsupported_format",
                "the content is of no type that the job accepts");
}

static enum err refuse_size(struct upload_session *session, struct error *error)
{
    session->life = UPLOAD_IS_REFUSED;
    return FAIL(error, ERR_TOO_LARGE, "file_too_large", "such a file may have %lld bytes",
                (long long)session->bytes_max);
}

/* Tell the type from the first bytes, all there are or enough of them. */
static enum err judge(struct upload_session *session, struct error *error)
{
    if (session->types == 0) {
        struct str first = { (const char *)session->first, session->first_len };
        session->types = media_sniff(first) & session->formats;
        if (session->types == 0) return refuse_type(session, error);
        session->bytes_max = upload_bytes_max(session->types);
    }
    if (session->size_bytes > session->bytes_max) return refuse_size(session, error);
    return ERR_OK;
}

static enum err judge_piece(struct upload_session *session, struct str piece, struct error *error)
{
    int64_t end = session->offset + (int64_t)piece.len;
    if (session->size_bytes > 0 && end > session->size_bytes)
        return FAIL(error, ERR_TOO_LARGE, "too_many_bytes", "more bytes than Upload-Length says");
    size_t wanted = MEDIA_SNIFF_BYTES - session->first_len;
    if (wanted > piece.len) wanted = piece.len;
    memcpy(session->first + session->first_len, piece.data, wanted);
    session->first_len += wanted;
    bool     can_tell = session->first_len == MEDIA_SNIFF_BYTES || end == session->size_bytes;
    enum err e = can_tell ? judge(session, error) : ERR_OK;
    if (e) return e;
    return end > session->bytes_max ? refuse_size(session, error) : ERR_OK;
}

/* Has it just been refused? That has to reach the row, once; without a row whoever made the session
 * ends it. */
static bool must_settle(const struct upload_session *session, bool was_alive)
{
    return was_alive && session->life == UPLOAD_IS_REFUSED && session->has_row;
}

/* Forget what was seen of the first bytes beyond the offset. */
static void forget_first(struct upload_session *session)
{
    if ((int64_t)session->first_len <= session->offset) return;
    session->first_len = (size_t)session->offset;
    session->types = 0;
    session->bytes_max = upload_bytes_max(session->formats);
}

/* --- bytes --- */

static enum err write_piece(struct upload_session *session, struct str piece, struct error *error)
{
    if (!disk_write_all_at(session->fd, piece.data, piece.len, session->offset)) {
        enum err e = disk_fail(error, "write", "a part");
        /* What was written of the piece is not counted: the size is the offset. */
        cut(session);
        forget_first(session);
        return e;
    }
    if (session->hashed == session->offset && session->hash.state) {
        sha256_add(&session->hash, piece.data, piece.len);
        session->hashed += (int64_t)piece.len;
    }
    session->offset += (int64_t)piece.len;
    return ERR_OK;
}

enum err upload_session_append(struct upload_session *session, uint64_t generation,
                               struct str piece, struct error *error)
{
    int64_t now_ms = world_now_ms(session->table->api->world);
    bool    is_renewing = false;
    pthread_mutex_lock(&session->lock);
    bool     was_alive = session->life == UPLOAD_LIVES;
    enum err e = check_sender(session, generation, error);
    if (e == ERR_OK) e = judge_piece(session, piece, error);
    if (e == ERR_OK) e = write_piece(session, piece, error);
    if (e == ERR_OK && is_renewal_due(session, now_ms)) {
        is_renewing = session->is_renewing = true;
        session->renewal_ms = now_ms;
    }
    bool is_refused_now = must_settle(session, was_alive);
    pthread_mutex_unlock(&session->lock);
    if (is_renewing) upload_session_renew_later(session);
    if (is_refused_now) upload_session_end_later(session);
    return e;
}

static enum err set_size(struct upload_session *session, int64_t size_bytes, struct error *error)
{
    enum err e = check_life(session, error);
    if (e) return e;
    if (session->size_bytes > 0 && session->size_bytes != size_bytes)
        return FAIL(error, ERR_INVALID, "upload_length_differs", "Upload-Length was %lld before",
                    (long long)session->size_bytes);
    if (size_bytes == 0) return refuse_type(session, error);
    if (size_bytes < session->offset)
        return FAIL(error, ERR_TOO_LARGE, "upload_length_too_small", "%lld bytes are there already",
                    (long long)session->offset);
    if (size_bytes > session->bytes_max) return refuse_size(session, error);
    session->size_bytes = size_bytes;
    return ERR_OK;
}

enum err upload_session_set_size(struct upload_session *session, int64_t size_bytes,
                                 struct error *error)
{
    pthread_mutex_lock(&session->lock);
    bool     was_alive = session->life == UPLOAD_LIVES;
    enum err e = set_size(session, size_bytes, error);
    bool     is_refused_now = must_settle(session, was_alive);
    pthread_mutex_unlock(&session->lock);
    if (is_refused_now) upload_session_end_later(session);
    return e;
}

/* --- on the I/O pool --- */

/* The kernel may have dropped what it could not write: only what was durable before is certain. */
static void go_back(struct upload_session *session)
{
    session->generation++;
    session->offset = session->durable_offset;
    cut(session);
    forget_first(session);
    sha256_drop(&session->hash);
    session->hashed = 0;
}

enum err upload_session_sync(struct upload_session *session, struct error *error,
                             int64_t *ret_offset)
{
    pthread_mutex_lock(&session->lock);
    int64_t offset = session->offset;
    bool    is_new = !session->is_name_durable;
    bool    is_durable = !is_new && offset <= session->durable_offset;
    pthread_mutex_unlock(&session->lock);
    enum err e = is_durable
                     ? ERR_OK
                     : blob_part_sync(session->table->api->blobs, session->fd, is_new, error);
    pthread_mutex_lock(&session->lock);
    if (e) {
        go_back(session);
    } else {
        session->is_name_durable = true;
        session->durable_offset = num_max(session->durable_offset, offset);
    }
    pthread_mutex_unlock(&session->lock);
    if (e == ERR_OK) *ret_offset = offset;
    return e;
}

enum err upload_session_type(struct upload_session *session, struct error *error,
                             enum media_type *ret_type)
{
    pthread_mutex_lock(&session->lock);
    bool     was_alive = session->life == UPLOAD_LIVES;
    enum err e = check_life(session, error);
    if (e == ERR_OK) e = judge(session, error);
    unsigned types = session->types;
    bool     is_refused_now = must_settle(session, was_alive);
    pthread_mutex_unlock(&session->lock);
    if (is_refused_now) upload_session_end_later(session);
    if (e) return e;
    int type = 0;
    while (!(types & BIT(type)))
        type++;
    *ret_type = (enum media_type)type;
    return ERR_OK;
}

enum err upload_session_holds(struct upload_session *session, struct str blob_name,
                              struct error *error, bool *ret_holds)
{
    struct stat           mine, theirs;
    int64_t               size_bytes;
    CLEANUP(fd_close) int fd = -1;
    enum err e = blob_open(session->table->api->blobs, blob_name, error, &fd, &size_bytes);
    if (e == ERR_NOT_FOUND) {
        error_clear(error);
        *ret_holds = false;
        return ERR_OK;
    }
    if (e) return e;
    if (fstat(session->fd, &mine) != 0 || fstat(fd, &theirs) != 0)
        return disk_fail(error, "ask about", "a blob");
    *ret_holds = mine.st_dev == theirs.st_dev && mine.st_ino == theirs.st_ino;
    return ERR_OK;
}

/* The rest of the file, from where the running hash stands. */
static enum err hash_rest(struct upload_session *session, struct sha256 *hash, int64_t from,
                          int64_t until, struct arena *arena, struct error *error)
{
    struct arena_mark mark = arena_mark(arena);
    char             *block = NEW(arena, char, READ_BYTES);
    while (from < until) {
        ssize_t got = pread(session->fd, block, (size_t)num_min(READ_BYTES, until - from), from);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return disk_fail(error, "read", "a part");
        sha256_add(hash, block, (size_t)got);
        from += got;
    }
    arena_rewind(arena, mark);
    return ERR_OK;
}

enum err upload_session_hash(struct upload_session *session, struct arena *arena,
                             struct error *error, struct str *ret_sha256)
{
    CLEANUP(sha256_drop) struct sha256 hash = { 0 };
    pthread_mutex_lock(&session->lock);
    bool is_known = session->hex[0] != '\0';
    if (!is_known) hash = session->hash;
    int64_t hashed = hash.state ? session->hashed : 0, until = session->offset;
    if (!is_known) session->hash.state = NULL;
    pthread_mutex_unlock(&session->lock);
    if (!is_known) {
        if (hash.state == NULL) sha256_begin(&hash);
        enum err e = hash_rest(session, &hash, hashed, until, arena, error);
        if (e) return e;
        unsigned char digest[SHA256_BYTES];
        sha256_end(&hash, digest);
        struct str hex = encode_hex(arena, digest, sizeof(digest));
        pthread_mutex_lock(&session->lock);
        memcpy(session->hex, hex.data, UPLOAD_HEX_BYTES - 1);
        session->hex[UPLOAD_HEX_BYTES - 1] = '\0';
        pthread_mutex_unlock(&session->lock);
    }
    *ret_sha256 = str_copy(arena, str_of(session->hex));
    return ERR_OK;
}
