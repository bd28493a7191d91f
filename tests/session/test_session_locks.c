/* Locks through the protocol: what no kernel would do, or not when a test wants it to. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>

#include "lock_table.h"
#include "session_fixture.h"
#include "tree.h"

static struct fuse_client_request lock_request(uint32_t opcode, uint64_t node, struct fuse_lk_in *in)
{
    return (struct fuse_client_request){.opcode = opcode, .node = node, .fixed = in, .fixed_bytes = sizeof *in};
}

static struct fuse_lk_in lock_of(uint64_t handle, uint64_t owner, uint32_t type)
{
    return (struct fuse_lk_in){
        .fh = handle, .owner = owner, .lk = {.start = 0, .end = INT64_MAX, .type = type, .pid = (uint32_t)owner}};
}

static int set_lock(struct fuse_client *client, uint64_t node, struct fuse_lk_in in)
{
    const struct fuse_client_request request = lock_request(FUSE_SETLK, node, &in);
    return fuse_client_call(client, &request, NULL, 0, NULL);
}

static uint64_t send_waiting_lock(struct fuse_client *client, uint64_t node, struct fuse_lk_in in)
{
    const struct fuse_client_request request = lock_request(FUSE_SETLKW, node, &in);
    return fuse_client_send(client, &request);
}

static int answer_of(struct fuse_client *client, uint64_t unique, int timeout_ms)
{
    const void *body;
    size_t bytes;
    return fuse_client_await(client, unique, timeout_ms, &body, &bytes);
}

static uint64_t make(struct session_fixture *fixture, uint64_t *handle)
{
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(fuse_call_create(&fixture->client, datasets, "a", O_RDWR, &entry, &open), 0);
    *handle = open.fh;
    return entry.nodeid;
}

static void waiting_requests_take_no_worker_and_are_answered_in_turn(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    enum { WAITING = 50 }; /* many more than there are workers */
    uint64_t handle, node = make(fixture, &handle), waiting[WAITING];
    assert_int_equal(set_lock(client, node, lock_of(handle, 1000, F_WRLCK)), 0);
    for (uint64_t i = 0; i < WAITING; i++)
        waiting[i] = send_waiting_lock(client, node, lock_of(handle, i, F_WRLCK));
    struct fuse_attr attributes;
    assert_int_equal(fuse_call_getattr(client, node, &attributes), 0);
    assert_int_equal(answer_of(client, waiting[0], 0), FUSE_CLIENT_NO_ANSWER);
    assert_int_equal(set_lock(client, node, lock_of(handle, 1000, F_UNLCK)), 0);
    for (int answered = 0; answered < WAITING; answered++) /* workers may have taken them up in another order */
        for (uint64_t i = 0; i < WAITING; i++)
            if (waiting[i] && answer_of(client, waiting[i], 20) == 0) {
                waiting[i] = 0;
                assert_int_equal(set_lock(client, node, lock_of(handle, i, F_UNLCK)), 0);
            }
    for (uint64_t i = 0; i < WAITING; i++)
        assert_int_equal(waiting[i], 0);
    assert_int_equal(lock_table_count(tree_locks(fixture->tree)), 0);
}

static void an_interrupted_wait_ends_and_takes_nothing(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    uint64_t handle, node = make(fixture, &handle);
    assert_int_equal(set_lock(client, node, lock_of(handle, 1, F_WRLCK)), 0);
    uint64_t waiting = send_waiting_lock(client, node, lock_of(handle, 2, F_WRLCK));
    fuse_call_interrupt(client, waiting);
    assert_int_equal(answer_of(client, waiting, FUSE_CLIENT_TIMEOUT_MS), EINTR);
    assert_int_equal(set_lock(client, node, lock_of(handle, 1, F_UNLCK)), 0);
    assert_int_equal(set_lock(client, node, lock_of(handle, 3, F_WRLCK)), 0);
}

static void a_client_that_goes_away_lets_go_of_what_it_has_and_waits_for(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client, other;
    uint64_t handle, node = make(fixture, &handle);
    assert_true(fuse_client_start(&other, fixture->tree, 2));
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    assert_int_equal(fuse_path_resolve(&other, "datasets/a", &entry), 0);
    assert_int_equal(fuse_call_open(&other, entry.nodeid, O_RDWR, &open), 0);
    struct fuse_lk_in first = lock_of(open.fh, 1, F_WRLCK);
    first.lk.end = 9;
    assert_int_equal(set_lock(&other, node, first), 0);
    struct fuse_lk_in mine = lock_of(handle, 1, F_WRLCK);
    mine.lk.start = 20;
    assert_int_equal(set_lock(client, node, mine), 0);
    send_waiting_lock(&other, node, lock_of(open.fh, 2, F_WRLCK));
    uint64_t waiting = send_waiting_lock(client, node, lock_of(handle, 2, F_RDLCK)); /* for both of them */
    assert_int_equal(answer_of(client, waiting, 50), FUSE_CLIENT_NO_ANSWER);
    assert_int_equal(set_lock(client, node, lock_of(handle, 1, F_UNLCK)), 0);
    fuse_client_stop(&other);
    assert_int_equal(answer_of(client, waiting, FUSE_CLIENT_TIMEOUT_MS), 0);
    assert_int_equal(lock_table_count(tree_locks(fixture->tree)), 1);
    assert_int_equal(fuse_call_release(client, node, handle), 0);
    assert_int_equal(lock_table_count(tree_locks(fixture->tree)), 0);
}

/* Releases the handle of a request that waits, then that of the lock in its way: its answer, which is EBADF where the worker
 * that has the request came to it only now. */
static int release_under_a_wait(struct fuse_client *client, uint64_t node)
{
    struct fuse_open_out holder, waiter;
    assert_int_equal(fuse_call_open(client, node, O_RDWR, &holder), 0);
    assert_int_equal(fuse_call_open(client, node, O_RDWR, &waiter), 0);
    assert_int_equal(set_lock(client, node, lock_of(holder.fh, 1, F_WRLCK)), 0);
    uint64_t waiting = send_waiting_lock(client, node, lock_of(waiter.fh, 2, F_WRLCK));
    struct fuse_attr attributes;
    assert_int_equal(fuse_call_getattr(client, node, &attributes), 0);
    assert_int_equal(answer_of(client, waiting, 50), FUSE_CLIENT_NO_ANSWER);
    assert_int_equal(fuse_call_release(client, node, waiter.fh), 0);
    assert_int_equal(fuse_call_release(client, node, holder.fh), 0);
    return answer_of(client, waiting, FUSE_CLIENT_TIMEOUT_MS);
}

/* Takes the lock and gives it back; whether the client had to drop the file's pages before it was told. */
static bool lock_drops_pages(struct fuse_client *client, uint64_t node, uint64_t handle, uint32_t type)
{
    int code;
    const void *body;
    assert_int_equal(set_lock(client, node, lock_of(handle, 1, type)), 0);
    bool told = fuse_client_await_notice(client, 0, &code, &body) == 0;
    if (told) {
        const struct fuse_notify_inval_inode_out *what = body;
        assert_true(code == FUSE_NOTIFY_INVAL_INODE && what->ino == node && what->off == 0 && what->len == 0);
    }
    assert_int_equal(set_lock(client, node, lock_of(handle, 1, F_UNLCK)), 0);
    return told;
}

static void pages_are_dropped_before_a_lock_is_granted_where_others_changed_them(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client, other;
    uint64_t handle, node = make(fixture, &handle);
    struct fuse_open_out open;
    assert_true(fuse_client_start(&other, fixture->tree, 2));
    struct fuse_entry_out entry;
    assert_int_equal(fuse_path_resolve(&other, "datasets/a", &entry), 0);
    assert_int_equal(fuse_call_open(&other, node, O_RDWR, &open), 0);
    assert_int_equal(fuse_call_write(client, node, handle, 0, "own", 3), 0);
    assert_false(lock_drops_pages(client, node, handle, F_WRLCK));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(fuse_call_write(&other, node, open.fh, 0, "other", 5), 0);
        assert_true(lock_drops_pages(client, node, handle, i % 2 ? F_RDLCK : F_WRLCK));
        assert_false(lock_drops_pages(client, node, handle, i % 2 ? F_RDLCK : F_WRLCK));
        assert_int_equal(fuse_call_write(client, node, handle, 0, "own", 3), 0);
        assert_false(lock_drops_pages(client, node, handle, F_RDLCK));
    }
    assert_true(lock_drops_pages(&other, node, open.fh, F_RDLCK));
    assert_int_equal(fuse_call_release(&other, node, open.fh), 0);
    fuse_client_stop(&other);
    assert_int_equal(fuse_call_release(client, node, handle), 0);
}

static void a_handle_released_under_a_waiting_request_is_kept_until_it_is_answered(void **state)
{
    struct session_fixture *fixture = *state;
    uint64_t handle, node = make(fixture, &handle);
    int error = EBADF;
    for (int i = 0; error == EBADF && i < 100; i++)
        error = release_under_a_wait(&fixture->client, node);
    assert_int_equal(error, 0);
    assert_int_equal(lock_table_count(tree_locks(fixture->tree)), 0); /* it went with its handle, at once */
}

static void nonsense_is_refused(void **state)
{
    struct session_fixture *fixture = *state;
    struct fuse_client *client = &fixture->client;
    uint64_t handle, node = make(fixture, &handle);
    struct fuse_lk_in in = lock_of(handle, 1, 99);
    assert_int_equal(set_lock(client, node, in), EINVAL);
    in = lock_of(handle, 1, F_WRLCK);
    in.lk.start = (uint64_t)1 << 63;
    assert_int_equal(set_lock(client, node, in), EINVAL);
    assert_int_equal(set_lock(client, node, lock_of(12345, 1, F_WRLCK)), EBADF);
    assert_int_equal(lock_table_count(tree_locks(fixture->tree)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        session_test(waiting_requests_take_no_worker_and_are_answered_in_turn),
        session_test(an_interrupted_wait_ends_and_takes_nothing),
        session_test(a_client_that_goes_away_lets_go_of_what_it_has_and_waits_for),
        session_test(a_handle_released_under_a_waiting_request_is_kept_until_it_is_answered),
        session_test(pages_are_dropped_before_a_lock_is_granted_where_others_changed_them),
        session_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
