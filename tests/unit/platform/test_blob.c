#include "platform/blob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../expect_abort.h"
#include "base/time_text.h"
#include "platform/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARENA_BYTES_MAX = 16 << 20, LARGE_BYTES = 3 << 20 };

struct scene {
    char                     dir[64];
    struct arena             arena;
    struct error             error;
    const struct blob_store *store;
};

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    snprintf(scene->dir, sizeof(scene->dir), "/tmp/firsthand-blob-XXXXXX");
    assert_non_null(mkdtemp(scene->dir));
    arena_init(&scene->arena, ARENA_BYTES_MAX);
    assert_int_equal(
        blob_store_open(str_of(scene->dir), &scene->arena, &scene->error, &scene->store), ERR_OK);
    *state = scene;
    return 0;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    arena_deinit(&scene->arena);
    nftw(scene->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(scene);
    return 0;
}

#define blob_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const char *path_of(struct scene *scene, const char *name)
{
    return str_format(&scene->arena, "%s/%s", scene->dir, name).data;
}

static struct str text_of(struct scene *scene, const char *name)
{
    struct stat           info;
    CLEANUP(fd_close) int fd = open(path_of(scene, name), O_RDONLY);
    if (fd < 0 || fstat(fd, &info) != 0) return STR_NONE;
    char *text = NEW(&scene->arena, char, (size_t)info.st_size + 1);
    assert_int_equal(read(fd, text, (size_t)info.st_size), info.st_size);
    return (struct str){ text, (size_t)info.st_size };
}

static mode_t mode_of(struct scene *scene, const char *name)
{
    struct stat info;
    assert_int_equal(stat(path_of(scene, name), &info), 0);
    return info.st_mode & 07777;
}

static void write_text(struct scene *scene, const char *name, struct str text)
{
    CLEANUP(fd_close) int fd = open(path_of(scene, name), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_true(disk_write_all(fd, text.data, text.len));
}

static void write_part(struct scene *scene, const char *name, struct str text)
{
    CLEANUP(fd_close) int fd = -1;
    assert_int_equal(blob_part_open(scene->store, str_of(name), &scene->error, &fd), ERR_OK);
    assert_true(disk_write_all_at(fd, text.data, text.len, 0));
    assert_int_equal(blob_part_sync(scene->store, fd, true, &scene->error), ERR_OK);
}

static void make_blob(struct scene *scene, const char *name, struct str text)
{
    write_part(scene, "upl_x", text);
    assert_int_equal(blob_part_finish(scene->store, STR("upl_x"), str_of(name), &scene->error),
                     ERR_OK);
}

static void a_finished_part_is_a_blob_nobody_writes(void **state)
{
    struct scene *scene = *state;
    write_part(scene, "upl_1", STR("bytes"));
    assert_int_equal(blob_part_size(scene->store, STR("upl_1")), 5);
    assert_int_equal(mode_of(scene, "uploads/upl_1"), 0600);
    assert_int_equal(blob_part_finish(scene->store, STR("upl_1"), STR("sub_1.1"), &scene->error),
                     ERR_OK);
    assert_int_equal(blob_part_size(scene->store, STR("upl_1")), -1);
    assert_true(str_eq(text_of(scene, "blobs/sub_1.1"), STR("bytes")));
    assert_int_equal(mode_of(scene, "blobs/sub_1.1"), 0444);
    int64_t               size_bytes;
    CLEANUP(fd_close) int fd = -1;
    assert_int_equal(blob_open(scene->store, STR("sub_1.1"), &scene->error, &fd, &size_bytes),
                     ERR_OK);
    assert_int_equal(size_bytes, 5);
}

static void finishing_again_is_fine_and_without_bytes_is_not(void **state)
{
    struct scene *scene = *state;
    make_blob(scene, "sub_1.1", STR("bytes"));
    assert_int_equal(blob_part_finish(scene->store, STR("upl_x"), STR("sub_1.1"), &scene->error),
                     ERR_OK);
    assert_int_equal(blob_part_finish(scene->store, STR("upl_x"), STR("sub_2.1"), &scene->error),
                     ERR_NOT_FOUND);
    assert_string_equal(scene->error.slug, "blob");
}

static void a_part_opens_with_what_it_has(void **state)
{
    struct scene *scene = *state;
    write_part(scene, "upl_1", STR("first"));
    CLEANUP(fd_close) int fd = -1;
    assert_int_equal(blob_part_open(scene->store, STR("upl_1"), &scene->error, &fd), ERR_OK);
    assert_int_equal(disk_file_size(fd), 5);
    blob_part_remove(scene->store, STR("upl_1"));
    blob_part_remove(scene->store, STR("upl_1"));
    assert_int_equal(blob_part_size(scene->store, STR("upl_1")), -1);
}

static void a_name_that_is_no_file_name_is_a_broken_invariant(void **state)
{
    struct scene *scene = *state;
    char          longest[200];
    memset(longest, 'a', sizeof(longest));
    const struct str names[] = {
        STR(""),    STR("."),           STR(".."),   STR(".hidden"),
        STR("a/b"), STR("/etc/passwd"), STR("a\0b"), { longest, sizeof(longest) },
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_aborts(blob_part_remove(scene->store, names[i]));
    }
}

static void a_link_in_the_folder_is_not_followed(void **state)
{
    struct scene *scene = *state;
    int64_t       size_bytes;
    int           fd;
    write_text(scene, "secret", STR("secret"));
    assert_int_equal(symlink("../secret", path_of(scene, "blobs/sub_1.1")), 0);
    assert_int_equal(symlink("../secret", path_of(scene, "uploads/upl_1")), 0);
    assert_int_not_equal(blob_open(scene->store, STR("sub_1.1"), &scene->error, &fd, &size_bytes),
                         ERR_OK);
    assert_int_not_equal(blob_part_open(scene->store, STR("upl_1"), &scene->error, &fd), ERR_OK);
}

static void the_hash_is_of_the_bytes_on_disk(void **state)
{
    struct scene *scene = *state;
    struct str    hex;
    make_blob(scene, "sub_1.1", STR("abc"));
    assert_int_equal(blob_hash(scene->store, STR("sub_1.1"), &scene->arena, &scene->error, &hex),
                     ERR_OK);
    assert_true(
        str_eq(hex, STR("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")));
    assert_int_equal(blob_hash(scene->store, STR("sub_2.1"), &scene->arena, &scene->error, &hex),
                     ERR_NOT_FOUND);
    blob_remove(scene->store, STR("sub_1.1"));
    blob_remove(scene->store, STR("sub_1.1"));
    assert_int_equal(blob_hash(scene->store, STR("sub_1.1"), &scene->arena, &scene->error, &hex),
                     ERR_NOT_FOUND);
}

/* --- delivering --- */

#define FOLDER "delivered/org_1/job_1/"

static enum err deliver_as(struct scene *scene, const char *blob, const char *file_id,
                           bool may_be_there)
{
    struct blob_delivery delivery = {
        .blob_name = str_of(blob),
        .folder = STR("org_1/job_1"),
        .file_name = str_format(&scene->arena, "%s.png", file_id),
        .file_id = str_of(file_id),
        .manifest_line = str_format(&scene->arena, "{\"id\":\"%s\"}\n", file_id),
        .may_be_there = may_be_there,
    };
    return blob_deliver(scene->store, &delivery, &scene->arena, &scene->error);
}

static enum err deliver(struct scene *scene, const char *blob, const char *file_id)
{
    return deliver_as(scene, blob, file_id, true);
}

static void a_delivery_is_a_copy_and_a_line(void **state)
{
    struct scene *scene = *state;
    struct stat   blob, file;
    make_blob(scene, "sub_1.1", STR("one"));
    make_blob(scene, "sub_2.1", STR("two"));
    assert_int_equal(deliver(scene, "sub_1.1", "file_1"), ERR_OK);
    assert_int_equal(deliver(scene, "sub_2.1", "file_2"), ERR_OK);
    assert_true(str_eq(text_of(scene, FOLDER "file_1.png"), STR("one")));
    assert_true(str_eq(text_of(scene, FOLDER "file_2.png"), STR("two")));
    assert_int_equal(mode_of(scene, FOLDER "file_1.png"), 0444);
    assert_true(str_eq(text_of(scene, FOLDER "manifest.jsonl"),
                       STR("{\"id\":\"file_1\"}\n{\"id\":\"file_2\"}\n")));
    assert_int_equal(stat(path_of(scene, "blobs/sub_1.1"), &blob), 0);
    assert_int_equal(stat(path_of(scene, FOLDER "file_1.png"), &file), 0);
    assert_int_equal(file.st_nlink, 1);
    assert_int_not_equal(file.st_ino, blob.st_ino);
    struct str folder = blob_delivered_path(scene->store, STR("org_1/job_1"), &scene->arena);
    assert_int_equal(access(folder.data, R_OK), 0);
}

static void what_was_delivered_is_left_alone(void **state)
{
    struct scene *scene = *state;
    make_blob(scene, "sub_1.1", STR("one"));
    assert_int_equal(deliver(scene, "sub_1.1", "file_1"), ERR_OK);
    make_blob(scene, "sub_1.1", STR("other"));
    assert_int_equal(deliver(scene, "sub_1.1", "file_1"), ERR_OK);
    assert_true(str_eq(text_of(scene, FOLDER "file_1.png"), STR("one")));
    assert_true(str_eq(text_of(scene, FOLDER "manifest.jsonl"), STR("{\"id\":\"file_1\"}\n")));
}

static void an_undelivered_file_leaves_its_line_and_its_neighbours(void **state)
{
    struct scene *scene = *state;
    make_blob(scene, "sub_1.1", STR("one"));
    make_blob(scene, "sub_2.1", STR("two"));
    assert_int_equal(deliver(scene, "sub_1.1", "file_1"), ERR_OK);
    assert_int_equal(deliver(scene, "sub_2.1", "file_2"), ERR_OK);
    blob_undeliver(scene->store, STR("org_1/job_1"), STR("file_1.png"));
    blob_undeliver(scene->store, STR("org_1/job_1"), STR("file_1.png")); /* absent is fine */
    blob_undeliver(scene->store, STR("org_1/job_2"), STR("file_2.png"));
    assert_int_not_equal(access(path_of(scene, FOLDER "file_1.png"), F_OK), 0);
    assert_true(str_eq(text_of(scene, FOLDER "file_2.png"), STR("two")));
    assert_true(str_eq(text_of(scene, FOLDER "manifest.jsonl"),
                       STR("{\"id\":\"file_1\"}\n{\"id\":\"file_2\"}\n")));
}

static void a_torn_last_line_is_cut(void **state)
{
    struct scene *scene = *state;
    make_blob(scene, "sub_1.1", STR("one"));
    assert_int_equal(deliver(scene, "sub_1.1", "file_1"), ERR_OK);
    write_text(scene, FOLDER "manifest.jsonl", STR("{\"id\":\"file_0\"}\n{\"id\":\"file_1"));
    assert_int_equal(deliver(scene, "sub_1.1", "file_1"), ERR_OK);
    assert_true(str_eq(text_of(scene, FOLDER "manifest.jsonl"),
                       STR("{\"id\":\"file_0\"}\n{\"id\":\"file_1\"}\n")));
}

static void a_long_manifest_is_read_to_its_end(void **state)
{
    struct scene *scene = *state;
    make_blob(scene, "sub_1.1", STR("one"));
    assert_int_equal(deliver(scene, "sub_1.1", "file_z"), ERR_OK);
    struct str manifest = text_of(scene, FOLDER "manifest.jsonl"), whole = STR_NONE;
    char      *text = NEW(&scene->arena, char, 300000);
    size_t     len = 0;
    for (int i = 0; i < 9000; i++)
        len += (size_t)snprintf(text + len, 300000 - len, "{\"id\":\"file_%d\"}\n", i);
    memcpy(text + len, manifest.data, manifest.len);
    whole = (struct str){ text, len + manifest.len };
    write_text(scene, FOLDER "manifest.jsonl", whole);
    assert_int_equal(deliver(scene, "sub_1.1", "file_z"), ERR_OK);
    assert_int_equal(deliver(scene, "sub_1.1", "file_77"), ERR_OK);
    assert_true(str_eq(text_of(scene, FOLDER "manifest.jsonl"), whole));
    assert_int_equal(deliver(scene, "sub_1.1", "file_new"), ERR_OK);
    assert_int_equal(text_of(scene, FOLDER "manifest.jsonl").len,
                     whole.len + strlen("{\"id\":\"file_new\"}\n"));
}

static void a_first_delivery_to_a_long_manifest_cuts_its_torn_end_and_appends(void **state)
{
    struct scene *scene = *state;
    make_blob(scene, "sub_1.1", STR("one"));
    assert_int_equal(deliver(scene, "sub_1.1", "file_z"), ERR_OK);
    char  *text = NEW(&scene->arena, char, 300000);
    size_t whole_len = 0;
    for (int i = 0; i < 9000; i++)
        whole_len +=
            (size_t)snprintf(text + whole_len, 300000 - whole_len, "{\"id\":\"file_%d\"}\n", i);
    struct str whole = { text, whole_len };
    write_text(scene, FOLDER "manifest.jsonl",
               str_format(&scene->arena, "%.*s{\"id\":\"file_to", STR_ARG(whole)));
    assert_int_equal(deliver_as(scene, "sub_1.1", "file_new", false), ERR_OK);
    assert_true(str_eq(text_of(scene, FOLDER "manifest.jsonl"),
                       str_format(&scene->arena, "%.*s{\"id\":\"file_new\"}\n", STR_ARG(whole))));
}

static void a_delivery_that_broke_off_is_done_again(void **state)
{
    struct scene *scene = *state;
    char         *large = NEW(&scene->arena, char, LARGE_BYTES);
    for (size_t i = 0; i < LARGE_BYTES; i++)
        large[i] = (char)(i * 31 + i / 977);
    struct str bytes = { large, LARGE_BYTES };
    make_blob(scene, "sub_1.1", bytes);
    assert_int_equal(deliver(scene, "sub_1.1", "file_0"), ERR_OK);
    write_text(scene, FOLDER ".file_1.png.new", STR("half"));
    assert_int_equal(deliver(scene, "sub_1.1", "file_1"), ERR_OK);
    assert_true(str_eq(text_of(scene, FOLDER "file_1.png"), bytes));
    assert_int_equal(access(path_of(scene, FOLDER ".file_1.png.new"), F_OK), -1);
}

static void a_delivery_without_its_blob_fails_and_leaves_no_line(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(deliver(scene, "sub_9.1", "file_1"), ERR_NOT_FOUND);
    assert_string_equal(scene->error.slug, "blob");
    assert_null(text_of(scene, FOLDER "manifest.jsonl").data);
}

static void a_link_in_the_delivered_folder_is_not_followed(void **state)
{
    static const char *const planted[] = { "delivered/org_1", "delivered/org_1/job_1",
                                           FOLDER "manifest.jsonl" };
    struct scene            *scene = *state;
    make_blob(scene, "sub_1.1", STR("abc"));
    assert_int_equal(mkdir(path_of(scene, "elsewhere"), 0700), 0);
    for (size_t i = 0; i < COUNT_OF(planted); i++) {
        const char *target = i < 2 ? path_of(scene, "elsewhere") : path_of(scene, "elsewhere/file");
        assert_int_equal(symlink(target, path_of(scene, planted[i])), 0);
        assert_int_equal(deliver(scene, "sub_1.1", "file_1"), ERR_UNAVAILABLE);
        assert_int_equal(unlink(path_of(scene, planted[i])), 0);
        assert_int_equal(rmdir(path_of(scene, "elsewhere")), 0); /* still empty */
        assert_int_equal(mkdir(path_of(scene, "elsewhere"), 0700), 0);
        if (i < 2) assert_int_equal(mkdir(path_of(scene, planted[i]), 0700), 0);
    }
    assert_int_equal(
        symlink(path_of(scene, "elsewhere/file"), path_of(scene, FOLDER ".file_2.png.new")), 0);
    assert_int_equal(deliver(scene, "sub_1.1", "file_2"), ERR_OK);
    assert_int_equal(rmdir(path_of(scene, "elsewhere")), 0);
}

/* --- sweeping --- */

static void make_old(struct scene *scene, const char *name)
{
    /* Only the content's time can be set back, not that of the last change of state: which counts.
     */
    struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    assert_int_equal(utimensat(AT_FDCWD, path_of(scene, name), times, 0), 0);
}

static bool keeps_wanted(void *context, struct str name)
{
    int *asked = context;
    ++*asked;
    return str_starts_with(name, STR("wanted"));
}

static void the_sweep_removes_what_is_old_and_unwanted(void **state)
{
    struct scene *scene = *state;
    int           asked = 0;
    write_part(scene, "wanted_part", STR("x"));
    write_part(scene, "left_part", STR("x"));
    make_blob(scene, "wanted.1", STR("x"));
    make_blob(scene, "left.1", STR("x"));
    make_old(scene, "uploads/left_part");
    assert_int_equal(blob_sweep(scene->store, MS_PER_DAY, keeps_wanted, &asked), 0);
    assert_int_equal(asked, 0); /* touched just now: not even asked about */
    assert_int_equal(blob_sweep(scene->store, -MS_PER_DAY, keeps_wanted, &asked), 2);
    assert_int_equal(asked, 4);
    assert_int_equal(blob_part_size(scene->store, STR("left_part")), -1);
    assert_int_equal(blob_part_size(scene->store, STR("wanted_part")), 1);
    assert_null(text_of(scene, "blobs/left.1").data);
    assert_non_null(text_of(scene, "blobs/wanted.1").data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        blob_test(a_finished_part_is_a_blob_nobody_writes),
        blob_test(finishing_again_is_fine_and_without_bytes_is_not),
        blob_test(a_part_opens_with_what_it_has),
        blob_test(a_name_that_is_no_file_name_is_a_broken_invariant),
        blob_test(a_link_in_the_folder_is_not_followed),
        blob_test(a_link_in_the_delivered_folder_is_not_followed),
        blob_test(the_hash_is_of_the_bytes_on_disk),
        blob_test(a_delivery_is_a_copy_and_a_line),
        blob_test(what_was_delivered_is_left_alone),
        blob_test(an_undelivered_file_leaves_its_line_and_its_neighbours),
        blob_test(a_torn_last_line_is_cut),
        blob_test(a_long_manifest_is_read_to_its_end),
        blob_test(a_first_delivery_to_a_long_manifest_cuts_its_torn_end_and_appends),
        blob_test(a_delivery_that_broke_off_is_done_again),
        blob_test(a_delivery_without_its_blob_fails_and_leaves_no_line),
        blob_test(the_sweep_removes_what_is_old_and_unwanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
