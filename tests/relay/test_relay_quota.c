/* A member's quota and files that are written behind: what close(2) said is stored is stored, and what is not stored was
 * refused. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "relay_fixture.h"
#include "testing.h"
#include "tree.h"
#include "tree_path.h"
#include "tree_quota.h"

#define KIB   1024u
#define FILES 100
#define LARGE (40 * KIB)

static struct failure why;
static uint8_t bytes[96 * KIB];
static unsigned rounds; /* of names */

static uint64_t used(struct relay_fixture *fixture)
{
    const struct tree_quota_storage storage = tree_quota_storage(fixture->tree, NULL);
    return storage.bytes + storage.held;
}

/* So much more than there is now, nothing being set aside. */
static void allow(struct relay_fixture *fixture, uint64_t more)
{
    struct quota quota = quota_unset;
    relay_fixture_leave(&fixture->stations[0]);
    while (used(fixture) > sizeof bytes)
        usleep(1000);
    quota.most[QUOTA_STORAGE] = used(fixture) + more;
    assert_code_ok(tree_quota_say(fixture->tree, "alice", &quota, &why), why);
}

/* As cp does: 0, or the first errno that anybody was told. */
static int save(struct station *station, uint64_t folder, const char *name, uint32_t count)
{
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    int error = fuse_call_create(&station->kernel, folder, name, O_WRONLY | O_CREAT | O_TRUNC, &entry, &open);
    if (error)
        return error;
    error = fuse_call_write(&station->kernel, entry.nodeid, open.fh, 0, bytes, count);
    int closing = fuse_call_flush(&station->kernel, entry.nodeid, open.fh);
    assert_int_equal(fuse_call_release(&station->kernel, entry.nodeid, open.fh), 0);
    return error ? error : closing;
}

/* Until the folder is known whole, and numbers and bytes are set aside: new files are made here from then on. */
static void begin_writing_behind(struct station *station, uint64_t folder)
{
    char name[32];
    uint64_t before = relay_fixture_counters(station).puts;
    rounds++;
    for (int i = 0; relay_fixture_counters(station).puts == before; i++) {
        snprintf(name, sizeof name, "small%u-%d", rounds, i);
        assert_int_equal(save(station, folder, name, 1), 0);
        assert_true(relay_drain(station->relay, TESTING_PATIENCE_MS));
        usleep(1000);
    }
}

static bool is_whole(struct relay_fixture *fixture, const char *name, uint64_t size)
{
    char path[64];
    struct node_attributes attributes;
    snprintf(path, sizeof path, "datasets/d/%s", name);
    return tree_path_attributes(fixture->tree, path, &attributes, &why) == CODE_OK && attributes.size == size;
}

/* Saves FILES files; what was saved without an error has to be there. */
static void save_all_and_look(struct relay_fixture *fixture, struct station *station, uint64_t folder, int *saved,
                              int *refused)
{
    int errors[FILES];
    char name[32];
    *saved = *refused = 0;
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "f%u-%d", rounds, i);
        errors[i] = save(station, folder, name, LARGE);
        if (errors[i])
            assert_int_equal(errors[i], EDQUOT);
    }
    assert_true(relay_drain(station->relay, TESTING_PATIENCE_MS));
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "f%u-%d", rounds, i);
        *saved += errors[i] == 0;
        *refused += errors[i] != 0;
        if (!errors[i] && !is_whole(fixture, name, LARGE))
            fail_msg("%s was closed without an error and is not there", name);
    }
}

static void what_close_said_is_stored_is_stored_and_the_rest_was_refused(void **state)
{
    struct relay_fixture *fixture = *state;
    allow(fixture, FILES / 2 * LARGE); /* before the workstation has anything set aside */
    struct station *station = relay_fixture_join(fixture, NULL);
    uint64_t folder = relay_fixture_folder(station, "datasets/d");
    int saved, refused;
    begin_writing_behind(station, folder);
    save_all_and_look(fixture, station, folder, &saved, &refused);
    assert_true(saved <= FILES / 2 && saved > FILES / 3 && refused >= FILES / 2);
    assert_true(relay_fixture_counters(station).puts > 1);
}

static void a_quota_that_is_lowered_breaks_no_promise(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    uint64_t folder = relay_fixture_folder(station, "datasets/d");
    int saved, refused = 1;
    for (int i = 0; refused && i < 10; i++) { /* again, where this thread slept and what was set aside was given back */
        struct quota quota = quota_unset;
        assert_code_ok(tree_quota_say(fixture->tree, "alice", &quota, &why), why);
        begin_writing_behind(station, folder); /* 64 MiB are set aside */
        quota.most[QUOTA_STORAGE] = 0;
        assert_code_ok(tree_quota_say(fixture->tree, "alice", &quota, &why), why);
        save_all_and_look(fixture, station, folder, &saved, &refused);
    }
    assert_int_equal(saved, FILES);
}

static void fsync_of_what_is_too_much_says_so(void **state)
{
    struct relay_fixture *fixture = *state;
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    allow(fixture, 50 * KIB);
    struct station *station = relay_fixture_join(fixture, NULL);
    uint64_t folder = relay_fixture_folder(station, "datasets/d");
    begin_writing_behind(station, folder);
    assert_int_equal(fuse_call_create(&station->kernel, folder, "large", O_WRONLY | O_CREAT | O_TRUNC, &entry, &open), 0);
    int error = fuse_call_write(&station->kernel, entry.nodeid, open.fh, 0, bytes, sizeof bytes);
    assert_int_equal(error ? error : fuse_call_fsync(&station->kernel, entry.nodeid, open.fh), EDQUOT);
    assert_int_equal(fuse_call_release(&station->kernel, entry.nodeid, open.fh), 0);
}

static void what_was_set_aside_is_given_back_when_it_is_not_needed(void **state)
{
    struct relay_fixture *fixture = *state;
    relay_fixture_leave(&fixture->stations[0]);
    uint64_t before;
    while ((before = used(fixture)) > sizeof bytes)
        usleep(1000);
    struct station *station = relay_fixture_join(fixture, NULL);
    uint64_t folder = relay_fixture_folder(station, "datasets/d");
    char name[32];
    do { /* again, where this thread slept until what was set aside had been given back already */
        before += KIB;
        snprintf(name, sizeof name, "f%llu", (unsigned long long)before);
        assert_int_equal(save(station, folder, name, KIB), 0);
        assert_true(relay_drain(station->relay, TESTING_PATIENCE_MS));
    } while (used(fixture) <= before);
    relay_fixture_stop_server(fixture); /* its sessions end */
    assert_int_equal(used(fixture), before);
    relay_fixture_start_server(fixture);
    assert_int_equal(save(station, folder, "second", KIB), 0);
    assert_true(relay_drain(station->relay, TESTING_PATIENCE_MS));
    assert_true(is_whole(fixture, "second", KIB));
    while (used(fixture) > before + KIB) /* nobody makes files any more */
        usleep(10000);
    assert_int_equal(save(station, folder, "third", KIB), 0);
    assert_true(relay_drain(station->relay, TESTING_PATIENCE_MS));
    assert_true(is_whole(fixture, "third", KIB));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        relay_test(what_close_said_is_stored_is_stored_and_the_rest_was_refused),
        relay_test(a_quota_that_is_lowered_breaks_no_promise),
        relay_test(fsync_of_what_is_too_much_says_so),
        relay_test(what_was_set_aside_is_given_back_when_it_is_not_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
