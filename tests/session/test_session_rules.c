/* What rules make of files, seen through the protocol: refusals, derived files, streams, the lab's own view. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "scope.h"
#include "session_fixture.h"

#define SHORTLY_MS 100 /* long enough for a wrong answer to arrive */

static void expect_happened(struct session_fixture *fixture, const char *expected)
{
    SCOPE_FREE char *happened = test_rules_happened(&fixture->rules);
    assert_string_equal(happened, expected);
}

/* Files that a rule watches --------------------------------------------------------------------------------------- */

static void a_good_spec_settles_once_when_released(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    uint64_t jobs = session_fixture_node(fixture, "jobs");
    assert_int_equal(fuse_call_create(client, jobs, "a.yaml", O_WRONLY, &entry, &open), 0);
    assert_int_equal(fuse_call_flush(client, entry.nodeid, open.fh), 0); /* a shell flushes before it writes */
    assert_int_equal(fuse_call_write(client, entry.nodeid, open.fh, 0, "good", 4), 0);
    assert_int_equal(fuse_call_flush(client, entry.nodeid, open.fh), 0);
    expect_happened(fixture, "");
    assert_int_equal(fuse_call_release(client, entry.nodeid, open.fh), 0);
    expect_happened(fixture, "settled jobs/a.yaml 4\n");
    session_fixture_expect(fixture, "jobs/a.yaml", "good");
    expect_happened(fixture, "settled jobs/a.yaml 4\n"); /* reading does nothing */
}

static void a_bad_spec_fails_the_close_is_kept_and_explained(void **state)
{
    struct session_fixture *fixture = *state;
    SCOPE_BUFFER words = {0};
    assert_int_equal(fuse_path_put(&fixture->client, "jobs/a.yaml", "this is bad"), EINVAL);
    session_fixture_expect(fixture, "jobs/a.yaml", "this is bad");
    assert_int_equal(fuse_path_get(&fixture->client, "lab/last-error", &words), 0);
    assert_non_null(strstr(buffer_text(&words), "jobs/a.yaml"));
    assert_non_null(strstr(buffer_text(&words), "write something better"));
}

static void renaming_onto_a_watched_name_settles_it_and_hidden_names_never_do(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    uint64_t jobs = session_fixture_node(fixture, "jobs");
    assert_int_equal(fuse_path_put(client, "jobs/.a.yaml.swp", "good"), 0);
    assert_int_equal(fuse_path_put(client, "jobs/.a.yaml", "good"), 0);
    assert_int_equal(fuse_path_put(client, "jobs/a.yaml~", "good"), 0);
    expect_happened(fixture, "");
    assert_int_equal(fuse_call_rename(client, jobs, "a.yaml~", jobs, "a.yaml", 0), 0);
    expect_happened(fixture, "settled jobs/a.yaml 4\n");
    assert_int_equal(fuse_call_remove(client, jobs, "a.yaml", false), 0);
    expect_happened(fixture, "settled jobs/a.yaml 4\nremoved jobs/a.yaml\n");
}

/* Derived files --------------------------------------------------------------------------------------------------- */

static void a_derived_file_has_its_true_size_and_follows_its_source(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_entry_out entry;
    struct fuse_attr attributes;
    assert_int_equal(fuse_call_mkdir(client, session_fixture_node(fixture, "datasets"), "d", &entry), 0);
    assert_int_equal(fuse_path_resolve(client, "datasets/d/size", &entry), ENOENT);
    assert_int_equal(fuse_path_put(client, "datasets/d/data", "12345"), 0);
    session_fixture_expect(fixture, "datasets/d/size", "5 bytes\n");
    uint64_t node = session_fixture_node(fixture, "datasets/d/size");
    assert_int_equal(fuse_call_getattr(client, node, &attributes), 0);
    assert_int_equal(attributes.size, strlen("5 bytes\n"));
    assert_int_equal(attributes.mode, S_IFREG | 0444);
    assert_int_equal(fuse_path_put(client, "datasets/d/data", "123456789012"), 0);
    assert_int_equal(fuse_call_getattr(client, node, &attributes), 0);
    assert_int_equal(attributes.size, strlen("12 bytes\n"));
    session_fixture_expect(fixture, "datasets/d/size", "12 bytes\n");
}

static void a_derived_file_is_listed_only_while_it_exists(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_entry_out folder;
    assert_int_equal(fuse_call_mkdir(client, session_fixture_node(fixture, "datasets"), "d", &folder), 0);
    for (int with_attributes = 0; with_attributes < 2; with_attributes++) {
        SCOPE_BUFFER before = {0};
        SCOPE_BUFFER after = {0};
        assert_int_equal(fuse_call_list(client, folder.nodeid, with_attributes, &before), 0);
        assert_null(strstr(buffer_text(&before), "size"));
        assert_int_equal(fuse_path_put(client, "datasets/d/data", "12345"), 0);
        assert_int_equal(fuse_call_list(client, folder.nodeid, with_attributes, &after), 0);
        assert_non_null(strstr(buffer_text(&after), "size"));
        assert_int_equal(fuse_call_remove(client, folder.nodeid, "data", false), 0);
    }
}

static void what_programs_try_all_day_is_not_noted_as_an_error(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_entry_out entry;
    SCOPE_BUFFER value = {0};
    SCOPE_BUFFER words = {0};
    assert_int_equal(fuse_path_resolve(client, "datasets/nothing", &entry), ENOENT);
    assert_int_not_equal(fuse_call_getxattr(client, session_fixture_node(fixture, "README"), "security.selinux", &value), 0);
    assert_int_not_equal(fuse_call_getxattr(client, session_fixture_node(fixture, "datasets"), "user.none", &value), 0);
    assert_int_equal(fuse_path_get(client, "lab/last-error", &words), 0);
    assert_string_equal(buffer_text(&words), "nothing was refused since the server started\n");
}

static void the_kernel_is_told_not_to_keep_what_it_knows_of_derived_files(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_entry_out derived, stored;
    assert_int_equal(fuse_path_resolve(&fixture->client, "README", &derived), 0);
    assert_int_equal(derived.attr_valid, 0);
    assert_int_equal(derived.entry_valid, 0);
    assert_int_equal(fuse_path_resolve(&fixture->client, "datasets", &stored), 0);
    assert_int_equal(stored.attr_valid, 1);
    assert_int_equal(stored.entry_valid, 1);
}

static void a_derived_file_can_be_neither_written_nor_moved_and_stays_when_removed(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out open;
    uint64_t node = session_fixture_node(fixture, "README");
    int error = fuse_call_open(client, node, O_WRONLY, &open);
    assert_true(error == EPERM || error == EACCES);
    assert_int_equal(fuse_call_remove(client, FUSE_ROOT_ID, "README", false), 0); /* as rm -r needs it */
    assert_int_not_equal(session_fixture_node(fixture, "README"), 0);
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_rename(client, FUSE_ROOT_ID, "README", datasets, "mine", 0), EPERM);
}

/* Streams --------------------------------------------------------------------------------------------------------- */

static void expect_answer(struct session_fixture *fixture, uint64_t unique, const char *text)
{
    const void *body = NULL;
    size_t bytes = 0;
    assert_int_equal(fuse_client_await(&fixture->client, unique, TESTING_PATIENCE_MS, &body, &bytes), 0);
    assert_int_equal(bytes, strlen(text));
    assert_memory_equal(body, text, bytes);
}

/* Opens it and comes to its end, as cat does. */
static uint64_t open_stream(struct session_fixture *fixture, struct fuse_open_out *open)
{
    uint64_t node = session_fixture_node(fixture, "jobs/events");
    assert_int_equal(fuse_call_open(&fixture->client, node, O_RDONLY, open), 0);
    assert_true(open->open_flags & FOPEN_DIRECT_IO);
    assert_true(open->open_flags & FOPEN_NONSEEKABLE);
    expect_answer(fixture, fuse_call_send_read(&fixture->client, node, open->fh, 100, 0), "");
    return node;
}

static void a_read_waits_for_the_stream_while_others_are_served(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out open;
    uint64_t node = open_stream(fixture, &open);
    enum { WAITING = 20 }; /* more than there are workers */
    uint64_t unique[WAITING];
    for (int i = 0; i < WAITING; i++)
        unique[i] = fuse_call_send_read(client, node, open.fh, 5, 0);
    assert_int_equal(fuse_client_await(client, unique[0], SHORTLY_MS, NULL, NULL), FUSE_CLIENT_NO_ANSWER);
    assert_int_equal(fuse_path_put(client, "datasets/a", "served"), 0);
    /* Each line answers one of them; which one is the workers' affair, for they park the reads side by side. */
    for (int i = 0; i < WAITING; i++)
        test_rules_say(&fixture->rules, "tick");
    for (int i = 0; i < WAITING; i++)
        expect_answer(fixture, unique[i], "tick\n");
    assert_int_equal(fuse_call_release(client, node, open.fh), 0);
}

static void without_waiting_an_empty_stream_is_eagain(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_open_out open;
    uint64_t node = open_stream(fixture, &open);
    uint64_t unique = fuse_call_send_read(&fixture->client, node, open.fh, 100, O_NONBLOCK);
    assert_int_equal(fuse_client_await(&fixture->client, unique, TESTING_PATIENCE_MS, NULL, NULL), EAGAIN);
    test_rules_say(&fixture->rules, "here");
    unique = fuse_call_send_read(&fixture->client, node, open.fh, 100, O_NONBLOCK);
    expect_answer(fixture, unique, "here\n");
    assert_int_equal(fuse_call_release(&fixture->client, node, open.fh), 0);
}

static void an_interrupted_read_is_answered_eintr_and_the_next_one_gets_the_line(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out open;
    uint64_t node = open_stream(fixture, &open);
    uint64_t interrupted = fuse_call_send_read(client, node, open.fh, 100, 0);
    uint64_t patient = fuse_call_send_read(client, node, open.fh, 100, 0);
    assert_int_equal(fuse_client_await(client, interrupted, SHORTLY_MS, NULL, NULL), FUSE_CLIENT_NO_ANSWER);
    fuse_call_interrupt(client, interrupted);
    assert_int_equal(fuse_client_await(client, interrupted, TESTING_PATIENCE_MS, NULL, NULL), EINTR);
    test_rules_say(&fixture->rules, "line");
    expect_answer(fixture, patient, "line\n");
    assert_int_equal(fuse_call_release(client, node, open.fh), 0);
}

static void an_interrupt_that_overtakes_its_read_still_ends_it(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out open;
    uint64_t node = open_stream(fixture, &open);
    for (int i = 0; i < 200; i++) { /* workers race: either may come first */
        uint64_t unique = fuse_call_send_read(client, node, open.fh, 100, 0);
        fuse_call_interrupt(client, unique);
        assert_int_equal(fuse_client_await(client, unique, TESTING_PATIENCE_MS, NULL, NULL), EINTR);
    }
    assert_int_equal(fuse_call_release(client, node, open.fh), 0);
}

static void a_poller_is_notified_when_a_line_arrives(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_open_out open;
    uint32_t events;
    uint64_t node = open_stream(fixture, &open);
    int code;
    const void *body;
    for (uint64_t key = 40; key < 43; key++) {
        assert_int_equal(fuse_call_poll(client, node, open.fh, key, &events), 0);
        assert_int_equal(events & POLLIN, 0);
        assert_int_equal(fuse_client_await_notice(client, SHORTLY_MS, &code, &body), FUSE_CLIENT_NO_ANSWER);
        test_rules_say(&fixture->rules, "line");
        assert_int_equal(fuse_client_await_notice(client, TESTING_PATIENCE_MS, &code, &body), 0);
        assert_int_equal(code, FUSE_NOTIFY_POLL);
        struct fuse_notify_poll_wakeup_out wakeup;
        memcpy(&wakeup, body, sizeof wakeup);
        assert_int_equal(wakeup.kh, key);
        assert_int_equal(fuse_call_poll(client, node, open.fh, key, &events), 0);
        assert_int_equal(events & POLLIN, POLLIN);
        expect_answer(fixture, fuse_call_send_read(client, node, open.fh, 100, 0), "line\n");
    }
    assert_int_equal(fuse_call_release(client, node, open.fh), 0);
}

static void ordinary_files_are_always_ready(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_open_out open;
    uint32_t events;
    assert_int_equal(fuse_path_put(&fixture->client, "datasets/a", ""), 0);
    uint64_t node = session_fixture_node(fixture, "datasets/a");
    assert_int_equal(fuse_call_open(&fixture->client, node, O_RDWR, &open), 0);
    assert_int_equal(fuse_call_poll(&fixture->client, node, open.fh, 1, &events), 0);
    assert_int_equal(events & (POLLIN | POLLOUT), POLLIN | POLLOUT);
    assert_int_equal(fuse_call_release(&fixture->client, node, open.fh), 0);
}

/* Snapshots ------------------------------------------------------------------------------------------------------- */

static void a_snapshot_cannot_be_changed(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    struct fuse_entry_out entry;
    assert_int_equal(fuse_call_mkdir(client, session_fixture_node(fixture, "datasets"), "d", &entry), 0);
    assert_int_equal(fuse_path_put(client, "datasets/d/a", "then"), 0);
    uint64_t snapshots = session_fixture_node(fixture, "datasets/d/.snap");
    assert_int_equal(fuse_call_mkdir(client, snapshots, "v1", &entry), 0);
    assert_int_equal(fuse_path_put(client, "datasets/d/a", "now"), 0);
    session_fixture_expect(fixture, "datasets/d/.snap/v1/a", "then");
    assert_int_equal(fuse_path_put(client, "datasets/d/.snap/v1/a", "changed"), EROFS);
    assert_int_equal(fuse_path_put(client, "datasets/d/.snap/v1/b", "new"), EROFS);
    assert_int_equal(fuse_call_remove(client, session_fixture_node(fixture, "datasets/d/.snap/v1"), "a", false), EROFS);
    session_fixture_expect(fixture, "datasets/d/.snap/v1/a", "then");
}

/* The lab's own view ---------------------------------------------------------------------------------------------- */

static void readme_greets_the_member_and_names_a_dataset_that_exists(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_entry_out entry;
    SCOPE_BUFFER before = {0};
    SCOPE_BUFFER after = {0};
    assert_int_equal(fuse_path_get(&fixture->client, "README", &before), 0);
    assert_non_null(strstr(buffer_text(&before), "cytofs synth"));
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_mkdir(&fixture->client, datasets, "nuclei", &entry), 0);
    assert_int_equal(fuse_path_get(&fixture->client, "README", &after), 0);
    assert_non_null(strstr(buffer_text(&after), "ls datasets/nuclei"));
}

static void health_counts_files(void **state)
{
    struct session_fixture *fixture = *state;
    SCOPE_BUFFER health = {0};
    assert_int_equal(fuse_path_put(&fixture->client, "datasets/a", "12345"), 0);
    assert_int_equal(fuse_path_get(&fixture->client, "lab/health", &health), 0);
    assert_non_null(strstr(buffer_text(&health), "\nfiles "));
    assert_non_null(strstr(buffer_text(&health), "\nuptime_s "));
    unsigned long long files = 0;
    assert_int_equal(sscanf(strstr(buffer_text(&health), "\nfiles "), " files %llu", &files), 1);
    assert_int_equal(files, 1);
}

static void trace_categories_are_switched_by_writing_and_wrong_names_refused(void **state)
{
    struct session_fixture *fixture = *state;
    SCOPE_BUFFER text = {0};
    assert_int_equal(fuse_path_put(&fixture->client, "lab/trace", "store\n"), 0);
    assert_int_equal(fuse_path_get(&fixture->client, "lab/trace", &text), 0);
    assert_non_null(strstr(buffer_text(&text), "store    on"));
    assert_non_null(strstr(buffer_text(&text), "jobs     off"));
    assert_int_equal(fuse_path_put(&fixture->client, "lab/trace", "everything\n"), EINVAL);
    buffer_clear(&text);
    assert_int_equal(fuse_path_get(&fixture->client, "lab/last-error", &text), 0);
    assert_non_null(strstr(buffer_text(&text), "is not a category"));
    assert_int_equal(fuse_path_put(&fixture->client, "lab/trace", "none\n"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        session_test(a_good_spec_settles_once_when_released),
        session_test(a_bad_spec_fails_the_close_is_kept_and_explained),
        session_test(renaming_onto_a_watched_name_settles_it_and_hidden_names_never_do),
        session_test(a_derived_file_has_its_true_size_and_follows_its_source),
        session_test(a_derived_file_is_listed_only_while_it_exists),
        session_test(what_programs_try_all_day_is_not_noted_as_an_error),
        session_test(the_kernel_is_told_not_to_keep_what_it_knows_of_derived_files),
        session_test(a_derived_file_can_be_neither_written_nor_moved_and_stays_when_removed),
        session_test(a_read_waits_for_the_stream_while_others_are_served),
        session_test(without_waiting_an_empty_stream_is_eagain),
        session_test(an_interrupted_read_is_answered_eintr_and_the_next_one_gets_the_line),
        session_test(an_interrupt_that_overtakes_its_read_still_ends_it),
        session_test(a_poller_is_notified_when_a_line_arrives),
        session_test(ordinary_files_are_always_ready),
        session_test(a_snapshot_cannot_be_changed),
        session_test(readme_greets_the_member_and_names_a_dataset_that_exists),
        session_test(health_counts_files),
        session_test(trace_categories_are_switched_by_writing_and_wrong_names_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
