/* Cut links, and servers that are lost or restarted: everything exactly once, or a clear error. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay_fixture.h"
#include "scope.h"
#include "testing.h"
#include "timing.h"

#define ROUNDS     100
#define TIMEOUT_MS 300

/* mkdir, rename and append, each of which must take place once: twice gives EEXIST, ENOENT or a line too many. */
static void every_operation_takes_place_once_however_often_the_link_is_cut(void **state)
{
    struct relay_fixture *fixture = *state;
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    relay_fixture_folder(&fixture->stations[0], "datasets/cut");
    assert_int_equal(fuse_path_put(&fixture->stations[0].kernel, "datasets/cut/log", ""), 0);
    relay_fixture_leave(&fixture->stations[0]);
    relay_fixture_cut_often(fixture, 5000, 40000, 17);
    struct station *station = relay_fixture_join(fixture, NULL);
    struct fuse_client *kernel = &station->kernel;
    uint64_t folder = relay_fixture_folder(station, "datasets/cut");
    assert_int_equal(fuse_call_lookup(kernel, folder, "log", &entry), 0);
    uint64_t log = entry.nodeid;
    assert_int_equal(fuse_call_open(kernel, log, O_WRONLY | O_APPEND, &open), 0);
    SCOPE_BUFFER lines = {0};
    for (int i = 0; i < ROUNDS; i++) {
        char name[32], moved[32], line[32];
        snprintf(name, sizeof name, "f%d", i);
        snprintf(moved, sizeof moved, "moved%d", i);
        int length = snprintf(line, sizeof line, "line %d\n", i);
        assert_int_equal(fuse_call_mkdir(kernel, folder, name, &entry), 0);
        assert_int_equal(fuse_call_rename(kernel, folder, name, folder, moved, 0), 0);
        assert_int_equal(fuse_call_write(kernel, log, open.fh, 0, line, (uint32_t)length), 0);
        buffer_append_text(&lines, line);
        snprintf(name, sizeof name, "datasets/cut/s%d", i);
        assert_int_equal(fuse_path_put(kernel, name, line), 0);
    }
    assert_int_equal(fuse_call_flush(kernel, log, open.fh), 0);
    assert_int_equal(fuse_call_release(kernel, log, open.fh), 0);
    assert_true(relay_drain(station->relay, TESTING_PATIENCE_MS));
    assert_true(fixture_proxy_cuts(fixture->proxy) >= 5);

    relay_fixture_leave(station);
    fixture_proxy_calm(fixture->proxy);
    struct station *other = relay_fixture_join(fixture, NULL);
    relay_fixture_expect(other, "datasets/cut/log", buffer_text(&lines));
    for (int i = 0; i < ROUNDS; i++) {
        char path[32], line[32];
        snprintf(path, sizeof path, "datasets/cut/moved%d", i);
        assert_int_equal(fuse_path_resolve(&other->kernel, path, &entry), 0);
        snprintf(path, sizeof path, "datasets/cut/s%d", i);
        snprintf(line, sizeof line, "line %d\n", i);
        relay_fixture_expect(other, path, line);
    }
}

static uint64_t send_mkdir(struct station *station, uint64_t folder, const char *name)
{
    const struct fuse_mkdir_in body = {.mode = 0755};
    const struct fuse_client_request request = {.opcode = FUSE_MKDIR,
                                                .node = folder,
                                                .fixed = &body,
                                                .fixed_bytes = sizeof body,
                                                .first = name,
                                                .first_bytes = strlen(name) + 1};
    return fuse_client_send(&station->kernel, &request);
}

static void a_request_waits_for_a_lost_server_only_as_long_as_was_asked(void **state)
{
    struct relay_fixture *fixture = *state;
    const struct relay_options options = {.timeout_ms = TIMEOUT_MS};
    struct station *station = relay_fixture_join(fixture, &options);
    uint64_t folder = relay_fixture_folder(station, "datasets");
    relay_fixture_stop_server(fixture);
    relay_fixture_await_lost(station);
    uint64_t unique = send_mkdir(station, folder, "late");
    assert_int_equal(fuse_client_await(&station->kernel, unique, TESTING_PATIENCE_MS, NULL, NULL), ETIMEDOUT);
}

static void a_request_that_waits_for_a_lost_server_can_be_interrupted(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    uint64_t folder = relay_fixture_folder(station, "datasets");
    relay_fixture_stop_server(fixture);
    relay_fixture_await_lost(station);
    uint64_t before = relay_fixture_counters(station).requests;
    uint64_t unique = send_mkdir(station, folder, "late");
    while (relay_fixture_counters(station).requests == before)
        usleep(1000); /* whoever is interrupted waits */
    fuse_call_interrupt(&station->kernel, unique);
    assert_int_equal(fuse_client_await(&station->kernel, unique, TESTING_PATIENCE_MS, NULL, NULL), EINTR);
}

static int lock(struct station *station, uint64_t node, uint64_t handle, uint32_t type)
{
    const struct fuse_lk_in body = {.fh = handle, .owner = 7, .lk = {.start = 0, .end = INT64_MAX, .type = type, .pid = 1}};
    const struct fuse_client_request request = {
        .opcode = FUSE_SETLK, .node = node, .fixed = &body, .fixed_bytes = sizeof body};
    return fuse_client_call(&station->kernel, &request, NULL, 0, NULL);
}

static void open_files_and_locks_outlive_a_server_that_was_killed(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    relay_fixture_folder(station, "datasets/renewed");
    assert_int_equal(fuse_path_put(&station->kernel, "datasets/renewed/f", "0000"), 0);
    assert_true(relay_drain(station->relay, TESTING_PATIENCE_MS));
    assert_int_equal(fuse_path_resolve(&station->kernel, "datasets/renewed/f", &entry), 0);
    assert_int_equal(fuse_call_open(&station->kernel, entry.nodeid, O_RDWR, &open), 0);
    assert_int_equal(lock(station, entry.nodeid, open.fh, F_WRLCK), 0);
    assert_int_equal(fuse_call_write(&station->kernel, entry.nodeid, open.fh, 0, "11", 2), 0);
    assert_int_equal(fuse_call_fsync(&station->kernel, entry.nodeid, open.fh), 0);

    relay_fixture_stop_server(fixture);
    relay_fixture_start_server(fixture);
    assert_int_equal(fuse_call_write(&station->kernel, entry.nodeid, open.fh, 2, "22", 2), 0);
    assert_int_equal(fuse_call_flush(&station->kernel, entry.nodeid, open.fh), 0);
    assert_int_equal(relay_fixture_counters(station).renewals, 1);
    assert_int_equal(fuse_path_put(&station->kernel, "datasets/renewed/new", "made afterwards"), 0);

    struct station *other = relay_fixture_join(fixture, NULL);
    struct fuse_open_out open_other;
    relay_fixture_expect(other, "datasets/renewed/f", "1122");
    relay_fixture_expect(other, "datasets/renewed/new", "made afterwards");
    assert_int_equal(fuse_call_open(&other->kernel, entry.nodeid, O_RDWR, &open_other), 0);
    assert_int_equal(lock(other, entry.nodeid, open_other.fh, F_WRLCK), EAGAIN);
    assert_int_equal(lock(station, entry.nodeid, open.fh, F_UNLCK), 0);
    assert_int_equal(lock(other, entry.nodeid, open_other.fh, F_WRLCK), 0);
    assert_int_equal(fuse_call_release(&station->kernel, entry.nodeid, open.fh), 0);
}

static int sync_folder(struct station *station, uint64_t folder)
{
    struct fuse_open_out open;
    const struct fuse_open_in how = {.flags = O_RDONLY | O_DIRECTORY};
    const struct fuse_client_request opening = {
        .opcode = FUSE_OPENDIR, .node = folder, .fixed = &how, .fixed_bytes = sizeof how};
    assert_int_equal(fuse_client_call(&station->kernel, &opening, &open, sizeof open, NULL), 0);
    const struct fuse_fsync_in body = {.fh = open.fh};
    const struct fuse_client_request request = {
        .opcode = FUSE_FSYNCDIR, .node = folder, .fixed = &body, .fixed_bytes = sizeof body};
    int error = fuse_client_call(&station->kernel, &request, NULL, 0, NULL);
    const struct fuse_release_in closing = {.fh = open.fh};
    const struct fuse_client_request release = {
        .opcode = FUSE_RELEASEDIR, .node = folder, .fixed = &closing, .fixed_bytes = sizeof closing};
    assert_int_equal(fuse_client_call(&station->kernel, &release, NULL, 0, NULL), 0);
    return error;
}

static void await_renewal(struct station *station)
{
    int64_t until_ms = timing_monotonic_ms() + TESTING_PATIENCE_MS;
    while (relay_fixture_counters(station).renewals == 0) {
        assert_true(timing_monotonic_ms() < until_ms);
        usleep(1000);
    }
}

static void fsync_calls_nothing_durable_that_a_killed_server_may_have_lost(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    struct fuse_client *kernel = &station->kernel;
    struct fuse_entry_out synced, written, unlinked;
    struct fuse_open_out open_synced, open_written;
    uint64_t folder = relay_fixture_folder(station, "datasets/durable"),
             quiet = relay_fixture_folder(station, "datasets/quiet");
    assert_int_equal(fuse_call_create(kernel, folder, "synced.lock", O_RDWR | O_EXCL, &synced, &open_synced), 0);
    assert_int_equal(fuse_call_create(kernel, folder, "written.lock", O_RDWR | O_EXCL, &written, &open_written), 0);
    assert_int_equal(sync_folder(station, folder), 0);
    assert_int_equal(sync_folder(station, quiet), 0);
    assert_int_equal(fuse_call_write(kernel, synced.nodeid, open_synced.fh, 0, "1", 1), 0);
    assert_int_equal(fuse_call_fsync(kernel, synced.nodeid, open_synced.fh), 0);
    assert_int_equal(fuse_call_write(kernel, written.nodeid, open_written.fh, 0, "1", 1), 0);
    assert_int_equal(fuse_call_mkdir(kernel, folder, "new", &unlinked), 0);
    assert_true(relay_drain(station->relay, TESTING_PATIENCE_MS));

    relay_fixture_stop_server(fixture);
    relay_fixture_await_lost(station);
    const struct fuse_fsync_in body = {.fh = open_written.fh};
    const struct fuse_client_request early = {
        .opcode = FUSE_FSYNC, .node = written.nodeid, .fixed = &body, .fixed_bytes = sizeof body};
    uint64_t unique = fuse_client_send(kernel, &early); /* waits over the restart */
    relay_fixture_start_server(fixture);
    assert_int_equal(fuse_client_await(kernel, unique, TESTING_PATIENCE_MS, NULL, NULL), EIO);
    await_renewal(station);
    assert_int_equal(fuse_call_fsync(kernel, synced.nodeid, open_synced.fh), 0);
    assert_int_equal(sync_folder(station, quiet), 0);
    assert_int_equal(sync_folder(station, folder), EIO);
    assert_int_equal(sync_folder(station, folder), 0); /* told once */
    assert_int_equal(fuse_call_write(kernel, written.nodeid, open_written.fh, 0, "2", 1), 0);
    int again = fuse_call_fsync(kernel, written.nodeid, open_written.fh);
    assert_int_equal(again ? fuse_call_fsync(kernel, written.nodeid, open_written.fh) : 0, 0);
    assert_int_equal(fuse_call_release(kernel, synced.nodeid, open_synced.fh), 0);
    assert_int_equal(fuse_call_release(kernel, written.nodeid, open_written.fh), 0);
}

static void closing_tells_what_a_killed_server_may_have_lost_although_it_was_under_way(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    struct fuse_client *kernel = &station->kernel;
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    uint64_t folder = relay_fixture_folder(station, "datasets/closed");
    assert_int_equal(fuse_call_create(kernel, folder, "f.lock", O_RDWR | O_EXCL, &entry, &open), 0);
    assert_int_equal(lock(station, entry.nodeid, open.fh, F_WRLCK), 0); /* so that the server is asked */
    assert_int_equal(fuse_call_write(kernel, entry.nodeid, open.fh, 0, "1", 1), 0);
    assert_true(relay_drain(station->relay, TESTING_PATIENCE_MS));

    relay_fixture_stop_server(fixture);
    relay_fixture_await_lost(station);
    const struct fuse_flush_in body = {.fh = open.fh, .lock_owner = 7};
    const struct fuse_client_request flush = {
        .opcode = FUSE_FLUSH, .node = entry.nodeid, .fixed = &body, .fixed_bytes = sizeof body};
    uint64_t unique = fuse_client_send(kernel, &flush);
    relay_fixture_start_server(fixture);
    assert_int_equal(fuse_client_await(kernel, unique, TESTING_PATIENCE_MS, NULL, NULL), EIO);
    assert_int_equal(fuse_call_flush(kernel, entry.nodeid, open.fh), 0); /* told once */
    assert_int_equal(fuse_call_release(kernel, entry.nodeid, open.fh), 0);
}

static void what_may_have_been_carried_out_by_a_killed_server_is_not_repeated(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    uint64_t folder = relay_fixture_folder(station, "datasets");
    relay_fixture_stop_server(fixture);
    relay_fixture_await_lost(station);
    uint64_t mkdir = send_mkdir(station, folder, "perhaps");
    relay_fixture_start_server(fixture);
    assert_int_equal(fuse_client_await(&station->kernel, mkdir, TESTING_PATIENCE_MS, NULL, NULL), EIO);
    struct fuse_entry_out entry;
    assert_int_equal(fuse_call_mkdir(&station->kernel, folder, "surely", &entry), 0);
}

static void *start_when_init_has_come(void *argument)
{
    struct relay_fixture *fixture = argument;
    while (relay_fixture_counters(&fixture->stations[fixture->count - 1]).requests == 0)
        usleep(1000);
    relay_fixture_start_server(fixture);
    return NULL;
}

static pthread_t starter;

static void take_the_server_away(struct relay_fixture *fixture)
{
    relay_fixture_stop_server(fixture);
    relay_fixture_await_lost(&fixture->stations[fixture->count - 1]);
    assert_int_equal(pthread_create(&starter, NULL, start_when_init_has_come, fixture), 0);
}

static void a_server_that_is_killed_while_somebody_mounts_is_waited_for(void **state)
{
    struct relay_fixture *fixture = *state;
    relay_fixture_folder(&fixture->stations[0], "datasets/there");
    fixture->before_init = take_the_server_away;
    struct station *late = relay_fixture_join(fixture, NULL);
    fixture->before_init = NULL;
    assert_int_equal(pthread_join(starter, NULL), 0);
    struct fuse_entry_out entry;
    assert_int_equal(fuse_path_resolve(&late->kernel, "datasets/there", &entry), 0);
}

/* A new file waits for another number after the restart, while its folder is listed anew: a race, so more than once. */
static void what_was_made_when_a_server_was_killed_is_there_afterwards(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    struct fuse_client *kernel = &station->kernel;
    uint64_t folder = relay_fixture_folder(station, "datasets/made");
    for (unsigned round = 1; round <= 12; round++) {
        char name[16];
        struct fuse_entry_out entry;
        struct fuse_open_out open;
        snprintf(name, sizeof name, "f%u", round);
        assert_int_equal(fuse_call_lookup(kernel, folder, "nothing", &entry), ENOENT); /* the folder is known whole again */
        assert_int_equal(fuse_call_create(kernel, folder, name, O_WRONLY | O_TRUNC, &entry, &open), 0);
        assert_int_equal(fuse_call_write(kernel, entry.nodeid, open.fh, 0, "1", 1), 0);
        relay_fixture_stop_server(fixture);
        assert_int_equal(fuse_call_release(kernel, entry.nodeid, open.fh), 0);
        relay_fixture_start_server(fixture);
        while (relay_fixture_counters(station).renewals < round)
            usleep(100);
        assert_int_equal(fuse_call_lookup(kernel, folder, "nothing", &entry), ENOENT);
        assert_true(relay_drain(station->relay, TESTING_PATIENCE_MS));
        assert_int_equal(fuse_call_lookup(kernel, folder, name, &entry), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        relay_test(every_operation_takes_place_once_however_often_the_link_is_cut),
        relay_test(a_request_waits_for_a_lost_server_only_as_long_as_was_asked),
        relay_test(a_request_that_waits_for_a_lost_server_can_be_interrupted),
        relay_test(open_files_and_locks_outlive_a_server_that_was_killed),
        relay_test(fsync_calls_nothing_durable_that_a_killed_server_may_have_lost),
        relay_test(closing_tells_what_a_killed_server_may_have_lost_although_it_was_under_way),
        relay_test(a_server_that_is_killed_while_somebody_mounts_is_waited_for),
        relay_test(what_was_made_when_a_server_was_killed_is_there_afterwards),
        relay_test(what_may_have_been_carried_out_by_a_killed_server_is_not_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
