/* The audit log of a store that lies in two folders: in both, line by line; through the loss of either; and looked after
 * without keys: a sample of its bytes is flipped, with CYTOFS_SCRUB_ALL=1 each. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "audit_files.h"
#include "chunk_store_memory.h"
#include "scope.h"
#include "small_store.h"
#include "testing.h"
#include "tree.h"
#include "tree_audit.h"

static struct failure why;

/* A store of two folders, and a lab in memory whose log is kept in them. */
struct kept {
    struct small_store store;
    struct chunk_store *chunks;
    struct tree *tree;
    struct audit *audit;
    char folder_a[96], folder_b[96];
    unsigned told;
};

static int set_up(void **state)
{
    struct kept *kept = calloc(1, sizeof *kept);
    small_store_make(&kept->store);
    small_store_mirror(&kept->store);
    snprintf(kept->folder_a, sizeof kept->folder_a, "%s/audit", kept->store.a);
    snprintf(kept->folder_b, sizeof kept->folder_b, "%s/audit", kept->store.b);
    assert_code_ok(chunk_store_memory_create(0, &kept->chunks, &why), why);
    const struct tree_open_options options = {.chunks = kept->chunks, .member_name = "ada"};
    assert_code_ok(tree_open(&options, &kept->tree, &why), why);
    assert_code_ok(audit_open(kept->tree, kept->folder_a, kept->store.mirrors, &kept->audit, &why), why);
    *state = kept;
    return 0;
}

static int tear_down(void **state)
{
    struct kept *kept = *state;
    audit_close(kept->audit);
    tree_close(kept->tree);
    chunk_store_destroy(kept->chunks);
    small_store_remove(&kept->store);
    free(kept);
    return 0;
}

static void tell(struct kept *kept)
{
    char path[64];
    snprintf(path, sizeof path, "models/m/alias-%u", kept->told++);
    tree_audit(kept->tree, AUDIT_DEPLOY, path, "-> 3");
    audit_flush(kept->audit);
}

static void read_log(const char *folder, struct buffer *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%020d.log", folder, 0);
    buffer_clear(text);
    (void)!file_read(path, 1 << 20, text, NULL);
}

static bool are_equal(struct kept *kept)
{
    SCOPE_BUFFER a = {0};
    SCOPE_BUFFER b = {0};
    read_log(kept->folder_a, &a);
    read_log(kept->folder_b, &b);
    return a.length && a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

/* The writer takes a folder up at its own pace. */
static void wait_until_equal(struct kept *kept)
{
    for (int i = 0; i < TESTING_PATIENCE_MS / 10 && !are_equal(kept); i++)
        usleep(10000);
    assert_true(are_equal(kept));
}

static void expect_whole(struct kept *kept)
{
    uint64_t lines;
    assert_code_ok(audit_verify(kept->tree, audit_folder(kept->audit), &lines, &why), why);
    assert_int_equal(lines, kept->told);
}

static void a_line_lies_in_both_folders(void **state)
{
    struct kept *kept = *state;
    tell(kept);
    wait_until_equal(kept);
    for (int i = 0; i < 20; i++) {
        tell(kept);
        assert_true(are_equal(kept));
    }
    expect_whole(kept);
}

static void either_folder_may_go_and_come_back(void **state)
{
    struct kept *kept = *state;
    char away[120];
    const struct {
        const char *path, *other;
    } sides[] = {{kept->store.b, kept->folder_a}, {kept->store.a, kept->folder_b}};
    tell(kept);
    wait_until_equal(kept);
    for (int i = 0; i < 2; i++) {
        snprintf(away, sizeof away, "%s.away", sides[i].path);
        assert_int_equal(rename(sides[i].path, away), 0);
        mirror_set_look(kept->store.mirrors);
        tell(kept);
        tell(kept);
        assert_string_equal(audit_folder(kept->audit), sides[i].other);
        expect_whole(kept);
        assert_int_equal(rename(away, sides[i].path), 0);
        size_t side;
        assert_code_ok(mirror_set_add(kept->store.mirrors, sides[i].path, &side, &why), why);
        assert_code_ok(mirror_set_mark_unwhole(kept->store.mirrors, side, &why), why);
        mirror_set_begin_fill(kept->store.mirrors, side);
        assert_code_ok(mirror_set_join(kept->store.mirrors, side, &why), why);
        wait_until_equal(kept); /* with what it missed */
        tell(kept);
        assert_true(are_equal(kept));
        expect_whole(kept);
    }
}

static void flip(const char *folder, size_t at)
{
    char path[160], byte;
    snprintf(path, sizeof path, "%s/%020d.log", folder, 0);
    SCOPE_CLOSE int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static void each_flipped_byte_is_found_without_a_key_and_mended(void **state)
{
    struct kept *kept = *state;
    SCOPE_BUFFER text = {0};
    for (int i = 0; i < 4; i++)
        tell(kept);
    wait_until_equal(kept);
    read_log(kept->folder_b, &text);
    const size_t step = getenv("CYTOFS_SCRUB_ALL") ? 1 : 41;
    for (size_t at = 0; at < text.length - 1; at += step) { /* without its last line feed: it could be on its way */
        flip(kept->folder_b, at);
        struct scrub_summary summary = small_store_scrub(&kept->store, true);
        if (summary.damages != 1 && summary.damages != 2) /* a line feed in the middle makes two of one */
            fail_msg("byte %zu: %lu damages", at, (unsigned long)summary.damages);
        summary = small_store_scrub(&kept->store, false);
        assert_int_equal(summary.damages, summary.mended);
        assert_true(are_equal(kept));
    }
    expect_whole(kept);
}

int main(void)
{
#define kept_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        kept_test(a_line_lies_in_both_folders),
        kept_test(either_folder_may_go_and_come_back),
        kept_test(each_flipped_byte_is_found_without_a_key_and_mended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
