/* What several fuzz targets stand on: the product's own contract, server keys that are the same in
 * every run, and small edits of a genuine text. */
#ifndef FIRSTHAND_TESTS_FUZZ_CALL_H
#define FIRSTHAND_TESTS_FUZZ_CALL_H

#include "contract/contract.h"
#include "platform/embedded.h"
#include "platform/keyring.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FUZZ_KEY_1 "1 1111111111111111111111111111111111111111111111111111111111111111\n"
#define FUZZ_KEY_2 "2 2222222222222222222222222222222222222222222222222222222222222222\n"
#define FUZZ_KEY_3 "3 3333333333333333333333333333333333333333333333333333333333333333\n"

/* For what is made once and lives as long as the process. */
static inline struct arena *fuzz_forever(void)
{
    static struct arena arena;
    static bool         is_there;
    if (!is_there) arena_init(&arena, SIZE_MAX);
    is_there = true;
    return &arena;
}

/* The contract of this server, compiled once. */
static inline const struct contract *fuzz_contract(void)
{
    static const struct contract *contract;
    const struct embedded_file   *file = embedded_files;
    struct error                  error = { 0 };
    if (contract) return contract;
    while (strcmp(file->name, "openapi.json") != 0)
        file++;
    struct str               text = { file->data, file->size_bytes };
    static const char *const settings_off[] = { NULL };
    CHECK(contract_compile(fuzz_forever(), text, settings_off, &error, &contract) == ERR_OK);
    return contract;
}

/* A keyring of these lines, newest first. */
static inline const struct keyring *fuzz_keyring(const char *lines)
{
    const struct keyring *keyring;
    struct error          error = { 0 };
    char                  path[] = "/tmp/fuzz-key-XXXXXX";
    int                   fd = mkstemp(path); /* mode 0600 */
    CHECK(fd >= 0 && write(fd, lines, strlen(lines)) == (ssize_t)strlen(lines));
    CHECK(keyring_open(path, false, fuzz_forever(), &error, &keyring) == ERR_OK);
    close(fd);
    unlink(path);
    return keyring;
}

/* One byte of text put in another's place, in between, or taken away. */
static inline struct str fuzz_edit_once(struct arena *arena, struct str text, const uint8_t step[3])
{
    size_t     at = step[1] % (text.len + 1);
    bool       is_removing = step[0] % 3 != 1;
    bool       is_adding = step[0] % 3 != 2;
    struct str head = str_take(text, at), tail = str_skip(text, at + is_removing);
    char      *out = NEW(arena, char, head.len + 1 + tail.len);
    memcpy(out, head.data, head.len);
    if (is_adding) out[head.len] = (char)step[2];
    if (tail.len) memcpy(out + head.len + is_adding, tail.data, tail.len);
    return (struct str){ out, head.len + is_adding + tail.len };
}

/* The text with the edits that data asks for, three bytes each, up to eight. */
static inline struct str fuzz_edit(struct arena *arena, struct str text, const uint8_t *data,
                                   size_t size)
{
    for (size_t at = 0; at + 3 <= size && at < 24; at += 3)
        text = fuzz_edit_once(arena, text, data + at);
    return text;
}

#endif
