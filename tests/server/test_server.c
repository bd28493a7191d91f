/* Clients of a served lab: what reaches them, in which order, and what one of them may cost the others. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static uint64_t send_write(struct served_client *client, uint64_t node, uint64_t handle, uint64_t offset, const void *bytes,
                           uint32_t count)
{
    const struct fuse_write_in in = {.fh = handle, .offset = offset, .size = count, .flags = O_APPEND};
    const struct fuse_client_request request = {
        .opcode = FUSE_WRITE, .node = node, .fixed = &in, .fixed_bytes = sizeof in, .first = bytes, .first_bytes = count};
    return fuse_client_send(&client->fuse, &request);
}

static uint64_t send_flush(struct served_client *client, uint64_t node, uint64_t handle)
{
    const struct fuse_flush_in in = {.fh = handle};
    const struct fuse_client_request request = {.opcode = FUSE_FLUSH, .node = node, .fixed = &in, .fixed_bytes = sizeof in};
    return fuse_client_send(&client->fuse, &request);
}

static int answer_of(struct served_client *client, uint64_t unique, int timeout_ms)
{
    const void *body;
    size_t bytes;
    return fuse_client_await(&client->fuse, unique, timeout_ms, &body, &bytes);
}

static void what_one_writes_another_reads(void **state)
{
    struct served_lab *lab = *state;
    struct served_client ada, bob;
    struct fuse_entry_out entry;
    served_client_connect(&ada, lab, "ada");
    served_client_connect(&bob, lab, "bob");
    assert_int_equal(fuse_path_resolve(&ada.fuse, "datasets/cells", &entry), 0);
    assert_int_equal(fuse_call_mkdir(&ada.fuse, entry.nodeid, "plate1", &entry), 0);
    assert_int_equal(fuse_path_put(&ada.fuse, "datasets/cells/plate1/notes", "round ones"), 0);
    assert_int_equal(served_client_expect(&bob, "datasets/cells/plate1/notes", "round ones"), 0);
    assert_int_equal(fuse_path_put(&bob.fuse, "jobs/a.yaml", "bad"), EINVAL);
    served_client_leave(&ada);
    served_client_leave(&bob);
}

static void appends_that_wait_for_no_answer_arrive_in_their_order(void **state)
{
    struct served_lab *lab = *state;
    struct served_client ada;
    struct fuse_entry_out entry;
    uint64_t handle, last = 0;
    enum { LINES = 2000 };
    SCOPE_BUFFER wanted = {0};
    SCOPE_BUFFER found = {0};
    served_client_connect(&ada, lab, "ada");
    create(&ada, "datasets/cells", "log", O_WRONLY | O_APPEND, &entry, &handle);
    for (int i = 0; i < LINES; i++) {
        char line[16];
        int length = snprintf(line, sizeof line, "%d\n", i);
        last = send_write(&ada, entry.nodeid, handle, 0, line, (uint32_t)length);
        buffer_append_text(&wanted, line);
    }
    assert_int_equal(answer_of(&ada, last, FUSE_CLIENT_TIMEOUT_MS), 0);
    assert_int_equal(fuse_path_get(&ada.fuse, "datasets/cells/log", &found), 0);
    assert_string_equal(buffer_text(&found), buffer_text(&wanted));
    served_client_leave(&ada);
}

static void a_client_that_keeps_workers_busy_leaves_some_to_others(void **state)
{
    struct served_lab *lab = *state;
    struct served_client ada, bob;
    enum { FILES = 40, BUSY = 4 }; /* of 6 workers */
    uint64_t handles[FILES], flushes[FILES];
    struct fuse_entry_out entries[FILES];
    served_client_connect(&ada, lab, "ada");
    served_client_connect(&bob, lab, "bob");
    for (int i = 0; i < FILES; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        create(&ada, "datasets/slow", name, O_WRONLY, &entries[i], &handles[i]);
        assert_int_equal(fuse_call_write(&ada.fuse, entries[i].nodeid, handles[i], 0, "x", 1), 0);
    }
    for (int i = 0; i < FILES; i++)
        flushes[i] = send_flush(&ada, entries[i].nodeid, handles[i]);
    for (int i = 0; i < BUSY; i++)
        assert_int_equal(sem_wait(&lab->at_gate), 0);
    /* All that she may have are busy until the gate opens. */
    for (int i = 0; i < 20; i++)
        assert_int_equal(fuse_path_put(&bob.fuse, "datasets/cells/b", "mine"), 0);
    assert_int_equal(served_client_expect(&bob, "datasets/cells/b", "mine"), 0);
    assert_int_equal(sem_trywait(&lab->at_gate), -1);
    for (int i = 0; i < FILES; i++)
        sem_post(&lab->gate);
    for (int i = 0; i < FILES; i++)
        assert_int_equal(answer_of(&ada, flushes[i], FUSE_CLIENT_TIMEOUT_MS), 0);
    served_client_leave(&ada);
    served_client_leave(&bob);
}

/* The number in front of a word of the client's line in lab/clients. */
static unsigned long long figure(struct served_lab *lab, const char *word)
{
    SCOPE_BUFFER text = {0};
    server_describe(lab->server, NULL, &text);
    const char *at = strstr(buffer_text(&text), word);
    assert_non_null(at);
    while (at > text.data && at[-1] >= '0' && at[-1] <= '9')
        at--;
    return strtoull(at, NULL, 10);
}

static void a_full_queue_makes_the_client_wait_instead_of_growing(void **state)
{
    struct served_lab *lab = *state;
    struct served_client ada;
    struct failure why;
    struct fuse_entry_out entry;
    uint64_t handle;
    const size_t most = (8 << 20) + (4 << 20); /* what the queue holds, and what comes before the pause is heard of */
    served_client_connect(&ada, lab, "ada");
    create(&ada, "datasets/slow", "f", O_RDWR, &entry, &handle);
    assert_int_equal(fuse_call_write(&ada.fuse, entry.nodeid, handle, 0, "x", 1), 0);
    uint64_t flush = send_flush(&ada, entry.nodeid, handle);
    assert_int_equal(sem_wait(&lab->at_gate), 0);
    static struct {
        struct fuse_in_header header;
        struct fuse_write_in in;
        char bytes[1 << 20];
    } message;
    message.header = (struct fuse_in_header){.len = sizeof message, .opcode = FUSE_WRITE, .nodeid = entry.nodeid};
    message.in = (struct fuse_write_in){.fh = handle, .size = sizeof message.bytes};
    struct iovec part = {&message, sizeof message};
    uint64_t sent = 0;
    for (;; sent++) {
        message.header.unique = 1000001 + 2 * sent;
        message.in.offset = sent << 20;
        if (wire_link_send(ada.link, &part, 1, &why) != CODE_OK)
            break;
    }
    assert_int_equal(why.code, CODE_AGAIN);
    assert_true(sent > 32);
    usleep(200000); /* nothing is to happen */
    assert_true(figure(lab, " bytes), ") <= most);
    sem_post(&lab->gate);
    assert_int_equal(answer_of(&ada, flush, FUSE_CLIENT_TIMEOUT_MS), 0);
    assert_int_equal(answer_of(&ada, 1000001 + 2 * (sent - 1), FUSE_CLIENT_TIMEOUT_MS), 0);
    struct fuse_attr attributes;
    assert_int_equal(fuse_call_getattr(&ada.fuse, entry.nodeid, &attributes), 0);
    assert_int_equal(attributes.size, sent << 20);
    served_client_leave(&ada);
}

static void a_member_who_is_expelled_is_out_and_his_locks_are_free(void **state)
{
    struct served_lab *lab = *state;
    struct served_client ada, bob;
    served_client_connect(&ada, lab, "ada");
    served_client_connect(&bob, lab, "bob");
    lab->refused = "bob";
    server_expel(lab->server, "bob");
    assert_true(fixture_await_state(&bob.seen, &bob.seen.ended, 1));
    assert_int_equal(fuse_path_put(&ada.fuse, "datasets/cells/a", "still here"), 0);
    served_client_leave(&bob);
    served_client_leave(&ada);
    for (int i = 0; i < TESTING_PATIENCE_MS / 10 && __atomic_load_n(&lab->gone, __ATOMIC_SEQ_CST) < 2; i++)
        usleep(10000);
    assert_int_equal(__atomic_load_n(&lab->gone, __ATOMIC_SEQ_CST), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        served_test(what_one_writes_another_reads),
        served_test(appends_that_wait_for_no_answer_arrive_in_their_order),
        served_test(a_client_that_keeps_workers_busy_leaves_some_to_others),
        served_test(a_full_queue_makes_the_client_wait_instead_of_growing),
        served_test(a_member_who_is_expelled_is_out_and_his_locks_are_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
