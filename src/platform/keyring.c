#include "platform/keyring.h"

#include "base/world.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

enum { LISTS_MAX = 64 };

static const char *const purpose_names[] = {
    [PURPOSE_API_KEY] = "api-key", [PURPOSE_LINK] = "link",   [PURPOSE_SEAL] = "seal",
    [PURPOSE_CURSOR] = "cursor",   [PURPOSE_AUDIT] = "audit",
};
static_assert(COUNT_OF(purpose_names) == PURPOSE__COUNT, "every purpose has a name");

/* Written once, before is_known. */
struct server_key {
    atomic_bool   is_known;
    bool          is_audit_only;
    unsigned char derived[PURPOSE__COUNT][CRYPTO_KEY_BYTES];
};

/* Which keys are in use, newest first. Written once, before it becomes the current one. */
struct list {
    int           count;
    unsigned char numbers[KEYRING_KEYS_MAX];
};

struct keyring_state {
    const char       *path;
    pthread_mutex_t   reloading;
    struct stat       seen; /* the file as it was loaded */
    atomic_int        current;
    struct list       lists[LISTS_MAX];
    struct server_key keys[KEYRING_NUMBER_MAX + 1]; /* by number */
};

struct keyring {
    struct keyring_state *state;
};

/* --- loading --- */

static void derive(const struct keyring_line *line, struct server_key *key)
{
    key->is_audit_only = line->is_dropped;
    if (line->is_dropped) {
        memcpy(key->derived[PURPOSE_AUDIT], line->secret, CRYPTO_KEY_BYTES);
        return;
    }
    for (int purpose = 0; purpose < PURPOSE__COUNT; purpose++)
        crypto_derive(line->secret, purpose_names[purpose], key->derived[purpose]);
}

/* The same key as the one that is known under its number? */
static bool is_same(const struct keyring_line *line, const struct server_key *known)
{
    struct server_key key;
    derive(line, &key);
    bool is_equal =
        (line->is_dropped || !known->is_audit_only) &&
        crypto_equal(key.derived[PURPOSE_AUDIT], known->derived[PURPOSE_AUDIT], CRYPTO_KEY_BYTES);
    explicit_bzero(&key, sizeof(key));
    return is_equal;
}

static bool may_replace(const struct keyring_state *state, const struct keyring_file *file)
{
    bool has_newest = false;
    int  newest = state->lists[atomic_load(&state->current)].numbers[0];
    for (int i = 0; i < file->count; i++) {
        const struct keyring_line *line = &file->lines[i];
        const struct server_key   *known = &state->keys[line->number];
        if (atomic_load(&known->is_known) && !is_same(line, known)) return false;
        has_newest |= line->number == newest && !line->is_dropped;
    }
    return has_newest;
}

static void load(struct keyring_state *state, const struct keyring_file *file, int at)
{
    struct list *list = &state->lists[at];
    for (int i = 0; i < file->count; i++) {
        const struct keyring_line *line = &file->lines[i];
        struct server_key         *key = &state->keys[line->number];
        if (!atomic_load(&key->is_known)) {
            derive(line, key);
            atomic_store(&key->is_known, true);
        }
        if (!line->is_dropped) list->numbers[list->count++] = (unsigned char)line->number;
    }
    atomic_store(&state->current, at);
}

/* Looked at before it is read: what changes meanwhile is seen as new the next time. */
static void look(const char *path, struct stat *info)
{
    if (stat(path, info) != 0) *info = (struct stat){ 0 };
}

enum err keyring_open(const char *path, bool may_create, struct arena *arena, struct error *error,
                      const struct keyring **ret_keyring)
{
    CLEANUP(keyring_file_wipe) struct keyring_file file = { 0 };
    struct stat                                    seen;
    look(path, &seen);
    enum err e = keyring_file_read(path, may_create, arena, error, &file);
    if (e) return e;
    struct keyring *keyring = NEW(arena, struct keyring, 1);
    keyring->state = NEW(arena, struct keyring_state, 1);
    keyring->state->path = str_c(arena, str_of(path));
    keyring->state->seen = seen;
    CHECK(pthread_mutex_init(&keyring->state->reloading, NULL) == 0);
    load(keyring->state, &file, 0);
    *ret_keyring = keyring;
    return ERR_OK;
}

static bool is_unchanged(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static enum err reload(struct keyring_state *state, struct arena *arena, struct error *error)
{
    CLEANUP(keyring_file_wipe) struct keyring_file file = { 0 };
    struct stat                                    seen;
    look(state->path, &seen);
    if (is_unchanged(&seen, &state->seen)) return ERR_OK;
    enum err e = keyring_file_read(state->path, false, arena, error, &file);
    if (e) return e;
    if (!may_replace(state, &file))
        return FAIL(error, ERR_CONFLICT, "server_key_replaced",
                    "%s lists other keys than those in use: start the server anew", state->path);
    int next = atomic_load(&state->current) + 1;
    if (next == LISTS_MAX)
        return FAIL(error, ERR_CONFLICT, "server_key_reloads",
                    "%s has changed too often: start the server anew", state->path);
    load(state, &file, next);
    state->seen = seen;
    return ERR_OK;
}

enum err keyring_reload(const struct keyring *keyring, struct arena *arena, struct error *error)
{
    struct keyring_state *state = keyring->state;
    pthread_mutex_lock(&state->reloading);
    enum err e = reload(state, arena, error);
    pthread_mutex_unlock(&state->reloading);
    return e;
}

/* --- using --- */

static const struct list *current_list(const struct keyring *keyring)
{
    return &keyring->state->lists[atomic_load(&keyring->state->current)];
}

static bool is_listed(const struct keyring *keyring, int number)
{
    const struct list *list = current_list(keyring);
    return memchr(list->numbers, number, (size_t)list->count) != NULL;
}

/* The derived key, or NULL. */
static const unsigned char *find(const struct keyring *keyring, int number,
                                 enum keyring_purpose purpose)
{
    if (number < 1 || number > KEYRING_NUMBER_MAX) return NULL;
    const struct server_key *key = &keyring->state->keys[number];
    if (!atomic_load(&key->is_known)) return NULL;
    if (purpose != PURPOSE_AUDIT && !is_listed(keyring, number)) return NULL;
    return key->derived[purpose];
}

int keyring_count(const struct keyring *keyring)
{
    return current_list(keyring)->count;
}

int keyring_newest(const struct keyring *keyring)
{
    return current_list(keyring)->numbers[0];
}

int keyring_highest(const struct keyring *keyring)
{
    const struct list *list = current_list(keyring);
    int                highest = 0;
    for (int i = 0; i < list->count; i++)
        if (list->numbers[i] > highest) highest = list->numbers[i];
    return highest;
}

bool keyring_mac_at(const struct keyring *keyring, int position, enum keyring_purpose purpose,
                    struct str bytes, unsigned char mac[SHA256_BYTES])
{
    const struct list *list = current_list(keyring);
    CHECK(position >= 0);
    if (position >= list->count) return false;
    crypto_hmac(keyring->state->keys[list->numbers[position]].derived[purpose], bytes, mac);
    return true;
}

bool keyring_mac(const struct keyring *keyring, int number, enum keyring_purpose purpose,
                 struct str bytes, unsigned char mac[SHA256_BYTES])
{
    const unsigned char *key = find(keyring, number, purpose);
    if (key == NULL) return false;
    crypto_hmac(key, bytes, mac);
    return true;
}

struct str keyring_seal(const struct keyring *keyring, struct str plain, struct str context,
                        struct arena *arena)
{
    int                  number = keyring_newest(keyring);
    const unsigned char *key = keyring->state->keys[number].derived[PURPOSE_SEAL];
    struct str           sealed = crypto_seal(key, plain, context, arena);
    char                *numbered = NEW(arena, char, sealed.len + 1);
    numbered[0] = (char)number;
    memcpy(numbered + 1, sealed.data, sealed.len);
    return (struct str){ numbered, sealed.len + 1 };
}

int keyring_sealed_under(struct str sealed)
{
    return sealed.len ? (unsigned char)sealed.data[0] : 0;
}

bool keyring_unseal(const struct keyring *keyring, struct str sealed, struct str context,
                    struct arena *arena, struct str *ret_plain)
{
    const unsigned char *key = find(keyring, keyring_sealed_under(sealed), PURPOSE_SEAL);
    if (key == NULL) return false;
    return crypto_open(key, str_skip(sealed, 1), context, arena, ret_plain);
}
