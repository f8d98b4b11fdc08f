/* server.key itself: mode 0600, a line a key, newest first. "NUMBER HEX" is a key in use; "NUMBER
 * audit HEX" is what is kept of a dropped one: it checks old seals of the audit and nothing else.
 *
 * A new key is listed second first, known but not used, until every process knows it; then it is
 * made the first. Every step replaces the file as a whole: a crash leaves the one or the other. */
#ifndef FIRSTHAND_PLATFORM_KEYRING_FILE_H
#define FIRSTHAND_PLATFORM_KEYRING_FILE_H

#include "platform/crypto.h"

enum { KEYRING_KEYS_MAX = 16, KEYRING_LINES_MAX = 32, KEYRING_NUMBER_MAX = 255 };

struct keyring_line {
    int           number;
    bool          is_dropped;               /* secret is the audit's derived key */
    unsigned char secret[CRYPTO_KEY_BYTES]; /* caller wipes: keyring_file_wipe */
};

struct keyring_file {
    int                 count;
    struct keyring_line lines[KEYRING_LINES_MAX];
};

/* CLEANUP function: no secret stays in memory. */
void keyring_file_wipe(struct keyring_file *file);

/* Read path, or make it with one fresh key when it is absent and may_create. Errors are those of
 * keyring_open. */
MUST_USE enum err keyring_file_read(const char *path, bool may_create, struct arena *arena,
                                    struct error *error, struct keyring_file *ret_file);

/* Replace path, durably, as a whole. ERR_UNAVAILABLE "server_key_unreadable", or what
 * disk_sync_parent answers. */
MUST_USE enum err keyring_file_write(const char *path, const struct keyring_file *file,
                                     struct arena *arena, struct error *error);

/* One at a time changes the file: holds until *ret_fd is closed. ERR_CONFLICT "server_key_busy". */
MUST_USE enum err keyring_file_lock(const char *path, struct arena *arena, struct error *error,
                                    int *ret_fd);

/* --- changes, in memory --- */

int keyring_file_used(const struct keyring_file *file);    /* the number of the first */
int keyring_file_highest(const struct keyring_file *file); /* among those in use */
int keyring_file_in_use(const struct keyring_file *file);  /* how many */

/* List a fresh key second. ERR_CONFLICT "server_key_full": too many are listed. */
MUST_USE enum err keyring_file_announce(struct keyring_file *file, struct error *error,
                                        int *ret_number);

/* Make the key the first. */
void keyring_file_use(struct keyring_file *file, int number);

/* Keep of the key what checks the audit's seals. CHECKs that it is not the first. */
void keyring_file_drop(struct keyring_file *file, int number);

#endif
