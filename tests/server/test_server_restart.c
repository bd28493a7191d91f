/* A server that is stopped and started again under its clients: what they had open goes on, and each request is carried out
 * once. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "random.h"
#include "scope.h"
#include "served_lab.h"

#define served_test(name) cmocka_unit_test_setup_teardown(name, served_lab_setup, served_lab_teardown)

static void create(struct served_client *client, const char *folder, const char *name, uint32_t flags,
                   struct fuse_entry_out *entry, uint64_t *handle)
{
    struct fuse_entry_out above;
    struct fuse_open_out open;
    assert_int_equal(fuse_path_resolve(&client->fuse, folder, &above), 0);
    assert_int_equal(fuse_call_create(&client->fuse, above.nodeid, name, flags, entry, &open), 0);
    *handle = open.fh;
}

static int answer_of(struct served_client *client, uint64_t unique, int timeout_ms)
{
    const void *body;
    size_t bytes;
    return fuse_client_await(&client->fuse, unique, timeout_ms, &body, &bytes);
}

static uint64_t send_lock(struct served_client *client, uint64_t node, uint64_t handle, uint32_t opcode, uint32_t type)
{
    const struct fuse_lk_in in = {.fh = handle, .owner = 7, .lk = {.end = INT64_MAX, .type = type, .pid = 70}};
    const struct fuse_client_request request = {.opcode = opcode, .node = node, .fixed = &in, .fixed_bytes = sizeof in};
    return fuse_client_send(&client->fuse, &request);
}

static void expect_read(struct served_client *client, uint64_t node, uint64_t handle, const char *text)
{
    char bytes[64];
    size_t got = 0;
    assert_int_equal(fuse_call_read(&client->fuse, node, handle, 0, bytes, sizeof bytes, &got), 0);
    assert_int_equal(got, strlen(text));
    assert_memory_equal(bytes, text, got);
}

static void open_files_and_nodes_go_on(void **state)
{
    struct served_lab *lab = *state;
    struct served_client ada;
    struct fuse_entry_out entry, gone, folder;
    uint64_t handle, gone_handle;
    served_client_connect(&ada, lab, "ada");
    create(&ada, "datasets/cells", "notes", O_RDWR, &entry, &handle);
    assert_int_equal(fuse_call_write(&ada.fuse, entry.nodeid, handle, 0, "before ", 7), 0);
    create(&ada, "datasets/cells", "scratch", O_RDWR, &gone, &gone_handle);
    assert_int_equal(fuse_call_write(&ada.fuse, gone.nodeid, gone_handle, 0, "no name", 7), 0);
    assert_int_equal(fuse_path_resolve(&ada.fuse, "datasets/cells", &folder), 0);
    assert_int_equal(fuse_call_remove(&ada.fuse, folder.nodeid, "scratch", false), 0);
    served_lab_part(lab);
    served_lab_start(lab);
    assert_int_equal(fuse_call_write(&ada.fuse, entry.nodeid, handle, 7, "after", 5), 0);
    expect_read(&ada, entry.nodeid, handle, "before after");
    expect_read(&ada, gone.nodeid, gone_handle, "no name");
    assert_int_equal(fuse_call_write(&ada.fuse, gone.nodeid, gone_handle, 7, " still", 6), 0);
    expect_read(&ada, gone.nodeid, gone_handle, "no name still");
    assert_int_equal(fuse_call_release(&ada.fuse, gone.nodeid, gone_handle), 0);
    fuse_call_forget(&ada.fuse, gone.nodeid, 1);
    struct fuse_attr attributes;
    assert_int_equal(fuse_call_getattr(&ada.fuse, folder.nodeid, &attributes), 0);
    assert_int_equal(ada.seen.renewed, 0);
    assert_int_equal(served_client_expect(&ada, "datasets/cells/notes", "before after"), 0);
    served_client_leave(&ada);
}

static void a_key_of_before_is_never_given_out_again(void **state)
{
    struct served_lab *lab = *state;
    struct served_client ada;
    struct fuse_entry_out entry;
    uint64_t closed, kept, fresh;
    served_client_connect(&ada, lab, "ada");
    create(&ada, "datasets/cells", "a", O_RDWR, &entry, &closed);
    create(&ada, "datasets/cells", "b", O_RDWR, &entry, &kept);
    assert_int_equal(fuse_call_release(&ada.fuse, entry.nodeid, closed), 0);
    served_lab_part(lab);
    served_lab_start(lab);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        create(&ada, "datasets/cells", name, O_RDWR, &entry, &fresh);
        assert_true(fresh != closed && fresh != kept);
    }
    served_client_leave(&ada);
}

static void locks_hold_and_those_who_wait_for_them_go_on_waiting(void **state)
{
    struct served_lab *lab = *state;
    struct served_client ada, bob;
    struct fuse_entry_out entry, his;
    struct fuse_open_out open;
    uint64_t handle;
    served_client_connect(&ada, lab, "ada");
    served_client_connect(&bob, lab, "bob");
    create(&ada, "datasets/cells", "a", O_RDWR, &entry, &handle);
    assert_int_equal(fuse_path_resolve(&bob.fuse, "datasets/cells/a", &his), 0);
    assert_int_equal(fuse_call_open(&bob.fuse, his.nodeid, O_RDWR, &open), 0);
    assert_int_equal(answer_of(&ada, send_lock(&ada, entry.nodeid, handle, FUSE_SETLK, F_WRLCK), FUSE_CLIENT_TIMEOUT_MS), 0);
    uint64_t waiting = send_lock(&bob, his.nodeid, open.fh, FUSE_SETLKW, F_WRLCK);
    assert_int_equal(answer_of(&bob, waiting, 100), FUSE_CLIENT_NO_ANSWER);
    served_lab_part(lab);
    served_lab_start(lab);
    assert_int_equal(answer_of(&bob, send_lock(&bob, his.nodeid, open.fh, FUSE_SETLK, F_WRLCK), FUSE_CLIENT_TIMEOUT_MS),
                     EAGAIN);
    assert_int_equal(answer_of(&bob, waiting, 0), FUSE_CLIENT_NO_ANSWER);
    assert_int_equal(answer_of(&ada, send_lock(&ada, entry.nodeid, handle, FUSE_SETLK, F_UNLCK), FUSE_CLIENT_TIMEOUT_MS), 0);
    assert_int_equal(answer_of(&bob, waiting, FUSE_CLIENT_TIMEOUT_MS), 0);
    served_client_leave(&ada);
    served_client_leave(&bob);
}

static void a_reader_of_a_stream_and_a_poller_go_on(void **state)
{
    struct served_lab *lab = *state;
    struct served_client ada;
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    char bytes[64];
    size_t got = 1;
    uint32_t events;
    const void *body;
    served_client_connect(&ada, lab, "ada");
    assert_int_equal(fuse_path_resolve(&ada.fuse, "jobs/events", &entry), 0);
    assert_int_equal(fuse_call_open(&ada.fuse, entry.nodeid, O_RDONLY, &open), 0);
    assert_int_equal(fuse_call_read(&ada.fuse, entry.nodeid, open.fh, 0, bytes, sizeof bytes, &got), 0);
    assert_int_equal(got, 0); /* its end, told once */
    assert_int_equal(fuse_call_poll(&ada.fuse, entry.nodeid, open.fh, 77, &events), 0);
    uint64_t waiting = fuse_call_send_read(&ada.fuse, entry.nodeid, open.fh, sizeof bytes, 0);
    assert_int_equal(answer_of(&ada, waiting, 100), FUSE_CLIENT_NO_ANSWER);
    served_lab_part(lab);
    served_lab_start(lab);
    int code;
    do
        assert_int_equal(fuse_client_await_notice(&ada.fuse, FUSE_CLIENT_TIMEOUT_MS, &code, &body), 0);
    while (code != FUSE_NOTIFY_POLL);
    assert_int_equal(((const struct fuse_notify_poll_wakeup_out *)body)->kh, 77);
    assert_int_equal(answer_of(&ada, waiting, 100), FUSE_CLIENT_NO_ANSWER);
    test_rules_say(&lab->rules, "news");
    assert_int_equal(fuse_client_await(&ada.fuse, waiting, FUSE_CLIENT_TIMEOUT_MS, &body, &got), 0);
    assert_int_equal(got, 5);
    assert_memory_equal(body, "news\n", 5);
    served_client_leave(&ada);
}

static void a_file_that_is_being_written_settles_when_it_is_closed_not_before(void **state)
{
    struct served_lab *lab = *state;
    struct served_client ada;
    struct fuse_entry_out entry;
    uint64_t handle;
    served_client_connect(&ada, lab, "ada");
    create(&ada, "jobs", "a.yaml", O_RDWR, &entry, &handle);
    assert_int_equal(fuse_call_write(&ada.fuse, entry.nodeid, handle, 0, "half", 4), 0);
    served_lab_part(lab);
    served_lab_start(lab);
    SCOPE_FREE char *before = test_rules_happened(&lab->rules);
    assert_string_equal(before, "");
    assert_int_equal(fuse_call_flush(&ada.fuse, entry.nodeid, handle), 0);
    assert_int_equal(fuse_call_release(&ada.fuse, entry.nodeid, handle), 0);
    SCOPE_FREE char *after = test_rules_happened(&lab->rules);
    assert_string_equal(after, "settled jobs/a.yaml 4\n");
    served_client_leave(&ada);
}

static void what_is_asked_while_the_server_is_away_is_done_once(void **state)
{
    struct served_lab *lab = *state;
    struct served_client ada;
    struct fuse_entry_out folder, entry;
    uint64_t handle, asked[200];
    SCOPE_BUFFER text = {0};
    served_client_connect(&ada, lab, "ada");
    assert_int_equal(fuse_path_resolve(&ada.fuse, "datasets/cells", &folder), 0);
    create(&ada, "datasets/cells", "log", O_WRONLY | O_APPEND, &entry, &handle);
    const struct fuse_write_in in = {.fh = handle, .size = 1, .flags = O_APPEND};
    const struct fuse_client_request append = {
        .opcode = FUSE_WRITE, .node = entry.nodeid, .fixed = &in, .fixed_bytes = sizeof in, .first = "x", .first_bytes = 1};
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 100; i++)
            asked[i] = fuse_client_send(&ada.fuse, &append);
        served_lab_part(lab); /* some were carried out, some only taken, some not even that */
        for (int i = 100; i < 200; i++)
            asked[i] = fuse_client_send(&ada.fuse, &append);
        served_lab_start(lab);
        for (int i = 0; i < 200; i++)
            assert_int_equal(answer_of(&ada, asked[i], FUSE_CLIENT_TIMEOUT_MS), 0);
    }
    assert_int_equal(fuse_path_get(&ada.fuse, "datasets/cells/log", &text), 0);
    assert_int_equal(text.length, 1000);
    assert_int_equal(ada.seen.renewed, 0);
    served_client_leave(&ada);
}

static void derived_files_keep_their_numbers(void **state)
{
    struct served_lab *lab = *state;
    struct served_client ada;
    struct fuse_entry_out before, after;
    struct fuse_attr attributes;
    served_client_connect(&ada, lab, "ada");
    assert_int_equal(fuse_path_put(&ada.fuse, "datasets/cells/data", "12345"), 0);
    assert_int_equal(fuse_path_resolve(&ada.fuse, "datasets/cells/size", &before), 0);
    served_lab_part(lab);
    served_lab_start(lab);
    assert_int_equal(fuse_call_getattr(&ada.fuse, before.nodeid, &attributes), 0);
    assert_int_equal(attributes.size, 8);
    served_lab_kill(lab);
    served_lab_start(lab);
    assert_true(fixture_await_state(&ada.seen, &ada.seen.renewed, 1));
    served_client_leave(&ada);
    served_client_connect(&ada, lab, "ada");
    assert_int_equal(fuse_path_resolve(&ada.fuse, "datasets/cells/size", &after), 0);
    assert_true(before.nodeid == after.nodeid);
    served_client_leave(&ada);
}

static void a_state_that_makes_no_sense_renews_the_clients(void **state)
{
    struct served_lab *lab = *state;
    struct served_client ada;
    struct fuse_entry_out entry;
    struct random random = {5};
    uint64_t handle;
    served_client_connect(&ada, lab, "ada");
    create(&ada, "datasets/cells", "a", O_RDWR, &entry, &handle);
    assert_int_equal(answer_of(&ada, send_lock(&ada, entry.nodeid, handle, FUSE_SETLK, F_WRLCK), FUSE_CLIENT_TIMEOUT_MS), 0);
    served_lab_part(lab);
    SCOPE_BUFFER whole = {0};
    buffer_append(&whole, lab->saved.data, lab->saved.length);
    lab->saved.length -= 1;
    served_lab_start(lab);
    assert_true(fixture_await_state(&ada.seen, &ada.seen.renewed, 1));
    served_client_leave(&ada);
    for (int i = 0; i < 40; i++) {
        served_lab_kill(lab);
        buffer_append(&lab->saved, whole.data, whole.length);
        lab->saved.length = i % 2 ? random_below(&random, (uint32_t)whole.length) : whole.length;
        for (int change = 0; change < i % 5 && lab->saved.length; change++)
            lab->saved.data[random_below(&random, (uint32_t)lab->saved.length)] ^= (char)(1 << random_below(&random, 8));
        lab->number = 0;
        served_lab_start(lab); /* whatever comes of it, it serves */
        struct served_client bob;
        served_client_connect(&bob, lab, "bob");
        assert_int_equal(fuse_path_resolve(&bob.fuse, "datasets/cells", &entry), 0);
        served_client_leave(&bob);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        served_test(open_files_and_nodes_go_on),
        served_test(a_key_of_before_is_never_given_out_again),
        served_test(locks_hold_and_those_who_wait_for_them_go_on_waiting),
        served_test(a_reader_of_a_stream_and_a_poller_go_on),
        served_test(a_file_that_is_being_written_settles_when_it_is_closed_not_before),
        served_test(what_is_asked_while_the_server_is_away_is_done_once),
        served_test(derived_files_keep_their_numbers),
        served_test(a_state_that_makes_no_sense_renews_the_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
