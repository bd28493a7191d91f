/* Files through a relay: right contents, and no more messages than needed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chunk_store_fault.h"
#include "random.h"
#include "relay_disk.h"
#include "relay_fixture.h"
#include "file.h"
#include "scope.h"
#include "testing.h"
#include "timing.h"

#define SOME_BYTES 300000
#define LARGE      (3u << 20)

/* Bytes that say where they belong. */
static void fill(uint8_t *bytes, size_t count, uint64_t seed)
{
    struct random random = {seed};
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(random_next(&random) >> 32);
}

/* Writes in steps of 100,000 bytes. */
static void write_all(struct station *station, uint64_t node, uint64_t handle, const uint8_t *bytes, size_t count)
{
    for (size_t at = 0; at < count;) {
        size_t step = count - at < 100000 ? count - at : 100000;
        assert_int_equal(fuse_call_write(&station->kernel, node, handle, at, bytes + at, (uint32_t)step), 0);
        at += step;
    }
}

static uint64_t make_file(struct station *station, uint64_t folder, const char *name, const uint8_t *bytes, size_t count)
{
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    assert_int_equal(fuse_call_create(&station->kernel, folder, name, O_WRONLY | O_CREAT | O_TRUNC, &entry, &open), 0);
    write_all(station, entry.nodeid, open.fh, bytes, count);
    assert_int_equal(fuse_call_flush(&station->kernel, entry.nodeid, open.fh), 0);
    assert_int_equal(fuse_call_release(&station->kernel, entry.nodeid, open.fh), 0);
    return entry.nodeid;
}

static void expect_bytes(struct station *station, uint64_t node, const uint8_t *bytes, size_t count)
{
    struct fuse_open_out open;
    SCOPE_FREE uint8_t *found = malloc(count + 1);
    size_t got = 1, total = 0;
    assert_int_equal(fuse_call_open(&station->kernel, node, O_RDONLY, &open), 0);
    while (got > 0 && total <= count) {
        size_t room = count + 1 - total < 100000 ? count + 1 - total : 100000;
        assert_int_equal(fuse_call_read(&station->kernel, node, open.fh, total, found + total, (uint32_t)room, &got), 0);
        total += got;
    }
    assert_int_equal(total, count);
    assert_memory_equal(found, bytes, count);
    assert_int_equal(fuse_call_release(&station->kernel, node, open.fh), 0);
}

static void a_file_is_fetched_once_however_often_it_is_read(void **state)
{
    struct relay_fixture *fixture = *state;
    SCOPE_FREE uint8_t *bytes = malloc(LARGE);
    fill(bytes, LARGE, 1);
    uint64_t node =
        make_file(&fixture->stations[0], relay_fixture_folder(&fixture->stations[0], "datasets/d"), "f", bytes, LARGE);
    struct station *reader = relay_fixture_join(fixture, NULL);
    struct fuse_entry_out entry;
    assert_int_equal(fuse_path_resolve(&reader->kernel, "datasets/d/f", &entry), 0);
    assert_int_equal(entry.nodeid, node);
    expect_bytes(reader, node, bytes, LARGE);
    relay_drain(reader->relay, TESTING_PATIENCE_MS);
    struct relay_counters before, after;
    int tries = 0;
    do {
        before = relay_fixture_counters(reader);
        assert_int_equal(before.contents_fetched, LARGE);
        expect_bytes(reader, node, bytes, LARGE);
        expect_bytes(reader, node, bytes, LARGE);
        after = relay_fixture_counters(reader);
    } while (after.messages_sent != before.messages_sent && ++tries < RELAY_FIXTURE_TRIES);
    assert_int_equal(after.messages_sent, before.messages_sent);
    assert_int_equal(after.bytes_received, before.bytes_received);
}

static void a_new_small_file_is_one_message(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    struct relay_counters before, after;
    uint8_t bytes[5000];
    uint64_t node = 0;
    int tries = 0;
    fill(bytes, sizeof bytes, 2);
    uint64_t folder = relay_fixture_folder(station, "datasets/small");
    make_file(station, folder, "first", bytes, sizeof bytes);
    do {
        relay_drain(station->relay, TESTING_PATIENCE_MS);
        before = relay_fixture_counters(station);
        for (int i = 0; i < 20; i++) {
            char name[32];
            snprintf(name, sizeof name, "n%d-%d", tries, i);
            node = make_file(station, folder, name, bytes, sizeof bytes);
            expect_bytes(station, node, bytes, sizeof bytes); /* also before the server has it */
        }
        assert_true(relay_drain(station->relay, TESTING_PATIENCE_MS));
        after = relay_fixture_counters(station);
    } while (after.messages_sent - before.messages_sent != 20 && ++tries < RELAY_FIXTURE_TRIES);
    assert_int_equal(after.messages_sent - before.messages_sent, 20);
    assert_int_equal(after.puts - before.puts, 20);
    struct station *other = relay_fixture_join(fixture, NULL);
    relay_fixture_folder(other, "datasets/small");
    expect_bytes(other, node, bytes, sizeof bytes);
}

static void what_is_done_to_a_new_file_before_it_is_sent_goes_with_it(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    struct fuse_attr attr;
    uint64_t folder = relay_fixture_folder(station, "datasets/with");
    assert_int_equal(fuse_call_create(&station->kernel, folder, "f", O_RDWR | O_CREAT | O_TRUNC, &entry, &open), 0);
    assert_int_equal(fuse_call_write(&station->kernel, entry.nodeid, open.fh, 10, "text", 4), 0);
    const struct fuse_setattr_in change = {
        .valid = FATTR_MODE | FATTR_MTIME | FATTR_SIZE, .mode = 0100640, .mtime = 1000000000, .mtimensec = 5, .size = 12};
    assert_int_equal(fuse_call_setattr(&station->kernel, entry.nodeid, &change, &attr), 0);
    assert_int_equal(attr.size, 12);
    assert_int_equal(fuse_call_release(&station->kernel, entry.nodeid, open.fh), 0);
    assert_true(relay_drain(station->relay, TESTING_PATIENCE_MS));
    struct station *other = relay_fixture_join(fixture, NULL);
    assert_int_equal(fuse_path_resolve(&other->kernel, "datasets/with/f", &entry), 0);
    assert_int_equal(entry.attr.mode, 0100640);
    assert_int_equal(entry.attr.mtime, 1000000000);
    assert_int_equal(entry.attr.mtimensec, 5);
    expect_bytes(other, entry.nodeid, (const uint8_t *)"\0\0\0\0\0\0\0\0\0\0te", 12);
}

static void a_new_file_that_grows_large_goes_on_at_the_server(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    SCOPE_FREE uint8_t *bytes = malloc(LARGE);
    fill(bytes, LARGE, 3);
    uint64_t node = make_file(station, relay_fixture_folder(station, "datasets/grows"), "f", bytes, LARGE);
    expect_bytes(station, node, bytes, LARGE);
    struct station *other = relay_fixture_join(fixture, NULL);
    struct fuse_entry_out entry;
    assert_int_equal(fuse_path_resolve(&other->kernel, "datasets/grows/f", &entry), 0);
    assert_int_equal(entry.nodeid, node);
    expect_bytes(other, node, bytes, LARGE);
}

static void writes_over_each_other_end_as_they_were_made(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    SCOPE_FREE uint8_t *bytes = malloc(LARGE);
    struct fuse_open_out open;
    struct random random = {4};
    fill(bytes, LARGE, 4);
    uint64_t node = make_file(station, relay_fixture_folder(station, "datasets/over"), "f", bytes, LARGE);
    assert_int_equal(fuse_call_open(&station->kernel, node, O_RDWR, &open), 0);
    for (int i = 0; i < 200; i++) {
        uint32_t from = random_below(&random, SOME_BYTES), count = 1 + random_below(&random, 60000);
        fill(bytes + from, count, 100 + (uint64_t)i);
        assert_int_equal(fuse_call_write(&station->kernel, node, open.fh, from, bytes + from, count), 0);
        if (i % 20 == 0) {
            uint8_t found[100];
            size_t got;
            assert_int_equal(fuse_call_read(&station->kernel, node, open.fh, from, found, sizeof found, &got), 0);
            assert_int_equal(got, sizeof found);
            assert_memory_equal(found, bytes + from, sizeof found);
        }
    }
    assert_int_equal(fuse_call_flush(&station->kernel, node, open.fh), 0);
    assert_int_equal(fuse_call_release(&station->kernel, node, open.fh), 0);
    expect_bytes(station, node, bytes, LARGE);
}

static void a_write_that_fails_is_told_by_close(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    struct fuse_open_out open;
    SCOPE_FREE uint8_t *bytes = malloc(LARGE);
    fill(bytes, LARGE, 5);
    uint64_t node = make_file(station, relay_fixture_folder(station, "datasets/fails"), "f", bytes, LARGE);
    struct fuse_attr attr;
    assert_int_equal(fuse_call_open(&station->kernel, node, O_WRONLY, &open), 0);
    const struct fuse_setattr_in mode = {.valid = FATTR_MODE, .mode = 0100444};
    assert_int_equal(fuse_call_setattr(&station->kernel, node, &mode, &attr), 0);
    /* Beyond the largest file there can be. */
    assert_int_equal(fuse_call_write(&station->kernel, node, open.fh, UINT64_C(1) << 50, bytes, 1000), 0);
    assert_int_equal(fuse_call_flush(&station->kernel, node, open.fh), EFBIG);
    assert_int_equal(fuse_call_flush(&station->kernel, node, open.fh), 0); /* told once */
    assert_int_equal(fuse_call_release(&station->kernel, node, open.fh), 0);
    expect_bytes(station, node, bytes, LARGE);
}

static void a_file_that_was_removed_can_be_read_while_it_is_open(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    struct fuse_open_out open;
    uint8_t bytes[100], found[200];
    size_t got;
    fill(bytes, sizeof bytes, 6);
    uint64_t folder = relay_fixture_folder(station, "datasets/removed");
    uint64_t node = make_file(station, folder, "f", bytes, sizeof bytes);
    assert_int_equal(fuse_call_open(&station->kernel, node, O_RDONLY, &open), 0);
    assert_int_equal(fuse_call_remove(&station->kernel, folder, "f", false), 0);
    assert_int_equal(fuse_call_read(&station->kernel, node, open.fh, 0, found, sizeof found, &got), 0);
    assert_int_equal(got, sizeof bytes);
    assert_memory_equal(found, bytes, sizeof bytes);
    assert_int_equal(fuse_call_release(&station->kernel, node, open.fh), 0);
}

static void a_rename_over_an_open_file_leaves_what_is_open(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    struct fuse_open_out open;
    uint8_t old[100], new[50], found[200];
    size_t got;
    fill(old, sizeof old, 7);
    fill(new, sizeof new, 8);
    uint64_t folder = relay_fixture_folder(station, "datasets/replaced");
    uint64_t node = make_file(station, folder, "f", old, sizeof old);
    assert_int_equal(fuse_call_open(&station->kernel, node, O_RDONLY, &open), 0);
    uint64_t other = make_file(station, folder, "g", new, sizeof new);
    assert_int_equal(fuse_call_rename(&station->kernel, folder, "g", folder, "f", 0), 0);
    assert_int_equal(fuse_call_read(&station->kernel, node, open.fh, 0, found, sizeof found, &got), 0);
    assert_int_equal(got, sizeof old);
    assert_memory_equal(found, old, sizeof old);
    assert_int_equal(fuse_call_release(&station->kernel, node, open.fh), 0);
    struct fuse_entry_out entry;
    assert_int_equal(fuse_call_lookup(&station->kernel, folder, "f", &entry), 0);
    assert_int_equal(entry.nodeid, other);
    expect_bytes(station, other, new, sizeof new);
}

static void a_second_mount_reads_what_the_first_kept_on_disk(void **state)
{
    struct relay_fixture *fixture = *state;
    struct failure why;
    struct fuse_entry_out entry;
    char folder[] = "/tmp/cytofs-relay-files-XXXXXX";
    assert_non_null(mkdtemp(folder));
    SCOPE_FREE uint8_t *bytes = malloc(LARGE);
    fill(bytes, LARGE, 9);
    make_file(&fixture->stations[0], relay_fixture_folder(&fixture->stations[0], "datasets/kept"), "f", bytes, LARGE);
    for (int mount = 0; mount < 2; mount++) {
        struct relay_disk *disk;
        const struct relay_disk_options kept = {.folder = folder};
        assert_code_ok(relay_disk_open(&kept, &disk, &why), why);
        const struct relay_options options = {.disk = disk};
        struct station *station = relay_fixture_join(fixture, &options);
        assert_int_equal(fuse_path_resolve(&station->kernel, "datasets/kept/f", &entry), 0);
        expect_bytes(station, entry.nodeid, bytes, LARGE);
        assert_int_equal(relay_fixture_counters(station).contents_fetched, mount == 0 ? LARGE : 0);
        assert_int_equal(relay_fixture_counters(station).contents_from_disk, mount == 0 ? 0 : LARGE);
        relay_fixture_leave(station);
        relay_disk_close(disk);
    }
    assert_code_ok(file_remove_tree(folder, &why), why);
}

static void the_next_files_of_a_scan_are_there_before_they_are_asked_for(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *maker = &fixture->stations[0];
    SCOPE_FREE uint8_t *bytes = malloc(SOME_BYTES);
    uint64_t folder = relay_fixture_folder(maker, "datasets/scan");
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "%02d", i);
        fill(bytes, SOME_BYTES, 20 + (uint64_t)i);
        make_file(maker, folder, name, bytes, SOME_BYTES);
    }
    assert_true(relay_drain(maker->relay, TESTING_PATIENCE_MS));
    struct station *reader = relay_fixture_join(fixture, NULL);
    SCOPE_BUFFER names = {0};
    folder = relay_fixture_folder(reader, "datasets/scan");
    assert_int_equal(fuse_call_list(&reader->kernel, folder, true, &names), 0);
    for (int i = 0; i < 20; i++) {
        struct fuse_entry_out entry;
        char name[16];
        snprintf(name, sizeof name, "%02d", i);
        assert_int_equal(fuse_call_lookup(&reader->kernel, folder, name, &entry), 0);
        fill(bytes, SOME_BYTES, 20 + (uint64_t)i);
        expect_bytes(reader, entry.nodeid, bytes, SOME_BYTES);
        if (i == 0) { /* all others come of themselves */
            assert_true(relay_drain(reader->relay, TESTING_PATIENCE_MS));
            assert_int_equal(relay_fixture_counters(reader).contents_fetched, 20 * SOME_BYTES);
        }
    }
    assert_int_equal(relay_fixture_counters(reader).contents_fetched, 20 * SOME_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        relay_test(a_file_is_fetched_once_however_often_it_is_read),
        relay_test(a_new_small_file_is_one_message),
        relay_test(what_is_done_to_a_new_file_before_it_is_sent_goes_with_it),
        relay_test(a_new_file_that_grows_large_goes_on_at_the_server),
        relay_test(writes_over_each_other_end_as_they_were_made),
        relay_test(a_write_that_fails_is_told_by_close),
        relay_test(a_file_that_was_removed_can_be_read_while_it_is_open),
        relay_test(a_rename_over_an_open_file_leaves_what_is_open),
        relay_test(a_second_mount_reads_what_the_first_kept_on_disk),
        relay_test(the_next_files_of_a_scan_are_there_before_they_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
