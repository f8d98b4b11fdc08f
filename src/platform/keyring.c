#include "platform/keyring.h"

#include "base/encode.h"
#include "base/world.h"
#include "platform/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = KEYRING_KEYS_MAX * 128, NUMBER_MAX = 255 };

static const char *const purpose_names[] = {
    [PURPOSE_API_KEY] = "api-key", [PURPOSE_LINK] = "link",   [PURPOSE_SEAL] = "seal",
    [PURPOSE_CURSOR] = "cursor",   [PURPOSE_AUDIT] = "audit",
};
static_assert(COUNT_OF(purpose_names) == PURPOSE__COUNT, "every purpose has a name");

struct server_key {
    int           number;
    unsigned char derived[PURPOSE__COUNT][CRYPTO_KEY_BYTES];
};

struct keyring {
    int               count;
    struct server_key keys[KEYRING_KEYS_MAX];
};

static enum err fail_unreadable(struct error *error, const char *act, const char *path)
{
    return FAIL(error, ERR_UNAVAILABLE, "server_key_unreadable", "%s %s: %s", act, path,
                strerror(errno));
}

/* Under its own name only once it is whole: whoever finds the file may read it, also when several
 * make it at once (the first keeps it) or the power fails in between. */
static enum err create_file(const char *path, struct arena *arena, struct error *error)
{
    unsigned char key[CRYPTO_KEY_BYTES];
    world_random(key, sizeof(key));
    struct str line = str_format(arena, "1 %s\n", encode_hex(arena, key, sizeof(key)).data);
    explicit_bzero(key, sizeof(key));

    struct str            draft = str_format(arena, "%s.XXXXXX", path);
    CLEANUP(fd_close) int fd = mkostemp((char *)draft.data, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) return fail_unreadable(error, "create", path);
    bool is_made = disk_write_all(fd, line.data, line.len) && fsync(fd) == 0 &&
                   (link(draft.data, path) == 0 || errno == EEXIST);
    int reason = errno;
    unlink(draft.data);
    errno = reason;
    if (!is_made) return fail_unreadable(error, "write", path);
    return disk_sync_parent(path, error);
}

static enum err read_file(const char *path, bool may_create, struct arena *arena,
                          struct error *error, struct str *ret_text)
{
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        if (!may_create)
            return FAIL(error, ERR_UNAVAILABLE, "server_key_missing",
                        "%s is missing beside a filled store: restore it from a backup", path);
        enum err e = create_file(path, arena, error);
        if (e) return e;
    }
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat           info;
    if (fd < 0 || fstat(fd, &info) != 0) return fail_unreadable(error, "open", path);
    if (info.st_mode & 077)
        return FAIL(error, ERR_UNAVAILABLE, "server_key_permissions",
                    "%s must be readable by its owner only (chmod 600)", path);
    char   *text = NEW(arena, char, FILE_BYTES_MAX);
    ssize_t got = disk_read_all(fd, text, FILE_BYTES_MAX);
    if (got < 0) return fail_unreadable(error, "read", path);
    if (got == FILE_BYTES_MAX)
        return FAIL(error, ERR_UNAVAILABLE, "server_key_malformed", "%s is longer than %d keys",
                    path, KEYRING_KEYS_MAX);
    *ret_text = (struct str){ text, (size_t)got };
    return ERR_OK;
}

static bool parse_line(struct str line, struct server_key *key)
{
    struct str    number_text;
    int64_t       number;
    unsigned char secret[CRYPTO_KEY_BYTES];
    if (!str_cut(&line, ' ', &number_text) || !str_to_int64(number_text, &number)) return false;
    if (number < 1 || number > NUMBER_MAX || !decode_hex(line, secret, sizeof(secret)))
        return false;
    key->number = (int)number;
    for (int purpose = 0; purpose < PURPOSE__COUNT; purpose++)
        crypto_derive(secret, purpose_names[purpose], key->derived[purpose]);
    explicit_bzero(secret, sizeof(secret));
    return true;
}

static const struct server_key *find(const struct keyring *keyring, int number)
{
    for (int i = 0; i < keyring->count; i++)
        if (keyring->keys[i].number == number) return &keyring->keys[i];
    return NULL;
}

/* Values name the key they were made under: a number given twice would hide the second. */
static bool add_line(struct keyring *keyring, struct str line)
{
    struct server_key key;
    if (keyring->count == KEYRING_KEYS_MAX || !parse_line(line, &key)) return false;
    if (find(keyring, key.number)) return false;
    keyring->keys[keyring->count++] = key;
    return true;
}

enum err keyring_open(const char *path, bool may_create, struct arena *arena, struct error *error,
                      const struct keyring **ret_keyring)
{
    struct str text;
    enum err   e = read_file(path, may_create, arena, error, &text);
    if (e) return e;
    struct keyring *keyring = NEW(arena, struct keyring, 1);
    struct str      line;
    while (str_cut(&text, '\n', &line)) {
        if (line.len == 0) continue;
        if (!add_line(keyring, line))
            return FAIL(error, ERR_UNAVAILABLE, "server_key_malformed", "%s, key %d", path,
                        keyring->count + 1);
    }
    if (keyring->count == 0)
        return FAIL(error, ERR_UNAVAILABLE, "server_key_malformed", "%s holds no key", path);
    *ret_keyring = keyring;
    return ERR_OK;
}

int keyring_count(const struct keyring *keyring)
{
    return keyring->count;
}

int keyring_newest(const struct keyring *keyring)
{
    return keyring->keys[0].number;
}

void keyring_mac_at(const struct keyring *keyring, int position, enum keyring_purpose purpose,
                    struct str bytes, unsigned char mac[SHA256_BYTES])
{
    CHECK(position >= 0 && position < keyring->count);
    crypto_hmac(keyring->keys[position].derived[purpose], bytes, mac);
}

bool keyring_mac(const struct keyring *keyring, int number, enum keyring_purpose purpose,
                 struct str bytes, unsigned char mac[SHA256_BYTES])
{
    const struct server_key *key = find(keyring, number);
    if (key == NULL) return false;
    crypto_hmac(key->derived[purpose], bytes, mac);
    return true;
}

struct str keyring_seal(const struct keyring *keyring, struct str plain, struct str context,
                        struct arena *arena)
{
    const struct server_key *key = &keyring->keys[0];
    struct str sealed = crypto_seal(key->derived[PURPOSE_SEAL], plain, context, arena);
    char      *numbered = NEW(arena, char, sealed.len + 1);
    numbered[0] = (char)key->number;
    memcpy(numbered + 1, sealed.data, sealed.len);
    return (struct str){ numbered, sealed.len + 1 };
}

bool keyring_unseal(const struct keyring *keyring, struct str sealed, struct str context,
                    struct arena *arena, struct str *ret_plain)
{
    if (sealed.len == 0) return false;
    const struct server_key *key = find(keyring, (unsigned char)sealed.data[0]);
    if (key == NULL) return false;
    return crypto_open(key->derived[PURPOSE_SEAL], str_skip(sealed, 1), context, arena, ret_plain);
}
