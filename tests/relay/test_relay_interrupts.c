/* Who is killed or interrupted while he waits: he waits no longer, wherever his call is, and nothing is carried out twice.
 *
 * A caller that was killed is a child of this process that has exited and was not waited for: /proc shows it as the kernel
 * shows one that closes its files.  Where something must not be answered, a moment passes without an answer; that can only
 * overlook a fault, never make one up. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "relay_fixture.h"
#include "relay_caller.h"
#include "scope.h"
#include "testing.h"
#include "timing.h"

#define MOMENT_MS   200
#define ROUNDS      40
#define WINDOW      4096
#define WRITE_BYTES 4096

static uint32_t make_dead(void)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(0);
    siginfo_t end;
    assert_int_equal(waitid(P_PID, (id_t)child, &end, WEXITED | WNOWAIT), 0);
    return (uint32_t)child;
}

static void bury(uint32_t dead)
{
    assert_int_equal(waitpid((pid_t)dead, NULL, 0), (pid_t)dead);
}

static void await_requests(struct station *station, uint64_t count)
{
    int64_t until_ms = timing_monotonic_ms() + TESTING_PATIENCE_MS;
    while (relay_fixture_counters(station).requests < count) {
        assert_true(timing_monotonic_ms() < until_ms);
        usleep(1000);
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

static uint64_t send_write(struct station *station, uint64_t node, uint64_t handle, uint64_t offset)
{
    static const char bytes[WRITE_BYTES] = "written";
    const struct fuse_write_in body = {.fh = handle, .offset = offset, .size = sizeof bytes};
    const struct fuse_client_request request = {.opcode = FUSE_WRITE,
                                                .node = node,
                                                .fixed = &body,
                                                .fixed_bytes = sizeof body,
                                                .first = bytes,
                                                .first_bytes = sizeof bytes};
    return fuse_client_send(&station->kernel, &request);
}

static uint64_t send_lock(struct station *station, uint64_t node, uint64_t handle, uint32_t opcode, uint32_t type)
{
    const struct fuse_lk_in body = {.fh = handle, .owner = 7, .lk = {.start = 0, .end = INT64_MAX, .type = type, .pid = 1}};
    const struct fuse_client_request request = {.opcode = opcode, .node = node, .fixed = &body, .fixed_bytes = sizeof body};
    return fuse_client_send(&station->kernel, &request);
}

static int answer_of(struct station *station, uint64_t unique)
{
    return fuse_client_await(&station->kernel, unique, TESTING_PATIENCE_MS, NULL, NULL);
}

static void expect_no_answer(struct station *station, uint64_t unique)
{
    assert_int_equal(fuse_client_await(&station->kernel, unique, MOMENT_MS, NULL, NULL), FUSE_CLIENT_NO_ANSWER);
}

static bool is_answer(const struct fuse_out_header *message)
{
    return message->unique != 0;
}

/* A file that the server has open for the station, to be written. */
static uint64_t open_file(struct station *station, const char *path, uint64_t *handle)
{
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    assert_int_equal(fuse_path_put(&station->kernel, path, "before"), 0);
    assert_true(relay_drain(station->relay, TESTING_PATIENCE_MS));
    assert_int_equal(fuse_path_resolve(&station->kernel, path, &entry), 0);
    assert_int_equal(fuse_call_open(&station->kernel, entry.nodeid, O_RDWR, &open), 0);
    *handle = open.fh;
    return entry.nodeid;
}

/* Tests ------------------------------------------------------------------------------------------------------------- */

static void a_caller_is_gone_when_it_exits_and_not_before(void **state)
{
    (void)state;
    uint32_t dead = make_dead();
    assert_true(relay_caller_is_gone(dead));
    bury(dead);
    assert_false(relay_caller_is_gone((uint32_t)getpid()));
    assert_false(relay_caller_is_gone(0));
}

static void who_is_killed_does_not_wait_for_a_server_that_says_nothing(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    uint64_t folder = relay_fixture_folder(station, "datasets");
    uint32_t dead = make_dead();
    relay_fixture_hold(station, is_answer);
    station->kernel.process = dead;
    uint64_t unique = send_mkdir(station, folder, "once");
    fuse_call_interrupt(&station->kernel, unique);
    assert_int_equal(answer_of(station, unique), EINTR);
    station->kernel.process = 0;
    relay_fixture_let_held_come(station);
    bury(dead);
    struct fuse_entry_out entry;
    assert_int_equal(fuse_call_mkdir(&station->kernel, folder, "once", &entry), EEXIST); /* it was carried out, once */
    assert_int_equal(fuse_call_lookup(&station->kernel, folder, "once", &entry), 0);
}

static void who_goes_on_after_a_signal_gets_the_answer_of_a_server_that_is_there(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    uint64_t folder = relay_fixture_folder(station, "datasets");
    relay_fixture_hold(station, is_answer);
    uint64_t unique = send_mkdir(station, folder, "made");
    fuse_call_interrupt(&station->kernel, unique);
    expect_no_answer(station, unique);
    relay_fixture_let_held_come(station);
    assert_int_equal(answer_of(station, unique), 0);
}

static void an_interrupt_that_comes_before_its_request_is_not_lost(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    uint64_t folder = relay_fixture_folder(station, "datasets");
    relay_fixture_stop_server(fixture);
    relay_fixture_await_lost(station);
    uint64_t before = relay_fixture_counters(station).requests;
    fuse_call_interrupt(&station->kernel, station->kernel.last_unique + 4); /* its own number comes first */
    await_requests(station, before + 1);
    assert_int_equal(answer_of(station, send_mkdir(station, folder, "late")), EINTR);
    relay_fixture_start_server(fixture); /* who leaves says good-bye to it */
}

static void who_waits_for_room_can_be_killed_and_has_written_nothing(void **state)
{
    struct relay_fixture *fixture = *state;
    relay_fixture_folder(&fixture->stations[0], "datasets/room");
    const struct relay_options options = {.limits.pending = WINDOW};
    struct station *station = relay_fixture_join(fixture, &options);
    struct fuse_entry_out entry;
    assert_int_equal(fuse_path_resolve(&station->kernel, "datasets/room", &entry), 0);
    uint64_t handle, node = open_file(station, "datasets/room/f", &handle);
    relay_fixture_hold(station, is_answer);
    assert_int_equal(answer_of(station, send_write(station, node, handle, 0)), 0);
    uint32_t dead = make_dead();
    station->kernel.process = dead;
    uint64_t waits = send_write(station, node, handle, WRITE_BYTES);
    expect_no_answer(station, waits);
    fuse_call_interrupt(&station->kernel, waits);
    assert_int_equal(answer_of(station, waits), EINTR);
    station->kernel.process = 0;
    bury(dead);
    relay_fixture_let_held_come(station);
    assert_int_equal(fuse_call_fsync(&station->kernel, node, handle), 0);
    struct fuse_attr_out attributes;
    const struct fuse_getattr_in asked = {0};
    const struct fuse_client_request request = {
        .opcode = FUSE_GETATTR, .node = node, .fixed = &asked, .fixed_bytes = sizeof asked};
    assert_int_equal(fuse_client_call(&station->kernel, &request, &attributes, sizeof attributes, NULL), 0);
    assert_int_equal(attributes.attr.size, WRITE_BYTES);
    assert_int_equal(fuse_call_release(&station->kernel, node, handle), 0);
}

/* An exiting process closes its files, and nothing interrupts that. */
static void closing_by_a_process_that_exits_waits_for_no_lost_server(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    relay_fixture_folder(station, "datasets/exit");
    uint64_t handle, node = open_file(station, "datasets/exit/f", &handle);
    assert_int_equal(answer_of(station, send_lock(station, node, handle, FUSE_SETLK, F_WRLCK)),
                     0); /* so that the server is asked */
    relay_fixture_stop_server(fixture);
    relay_fixture_await_lost(station);
    assert_int_equal(answer_of(station, send_write(station, node, handle, 0)), 0);
    const struct fuse_flush_in body = {.fh = handle, .lock_owner = 7};
    const struct fuse_client_request flush = {
        .opcode = FUSE_FLUSH, .node = node, .fixed = &body, .fixed_bytes = sizeof body};
    uint64_t alive = fuse_client_send(&station->kernel, &flush);
    expect_no_answer(station, alive);
    uint32_t dead = make_dead();
    station->kernel.process = dead;
    uint64_t unique = fuse_client_send(&station->kernel, &flush);
    assert_int_equal(answer_of(station, unique), EINTR);
    bury(dead);
    station->kernel.process = 0;
    relay_fixture_start_server(fixture);
    int told = answer_of(station, alive); /* EIO: what came before may be gone with the server */
    assert_true(told == 0 || told == EIO);
    assert_int_equal(fuse_call_release(&station->kernel, node, handle), 0);

    struct station *other = relay_fixture_join(fixture, NULL);
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    assert_int_equal(fuse_path_resolve(&other->kernel, "datasets/exit/f", &entry), 0);
    assert_int_equal(entry.attr.size, WRITE_BYTES);
    assert_int_equal(fuse_call_open(&other->kernel, entry.nodeid, O_RDWR, &open), 0);
    assert_int_equal(answer_of(other, send_lock(other, entry.nodeid, open.fh, FUSE_SETLKW, F_WRLCK)),
                     0); /* the lock has ended */
    assert_int_equal(fuse_call_release(&other->kernel, entry.nodeid, open.fh), 0);
}

/* Here the request waits for an answer to a write, and then at the server, whose workers may see the interrupt first. */
static void an_interrupt_reaches_the_server_with_the_request_that_was_parked(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0], *other = relay_fixture_join(fixture, NULL);
    uint64_t folder = relay_fixture_folder(station, "datasets/locked");
    uint64_t handle, node = open_file(station, "datasets/locked/f", &handle);
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    assert_int_equal(fuse_path_resolve(&other->kernel, "datasets/locked/f", &entry), 0);
    assert_int_equal(fuse_call_open(&other->kernel, entry.nodeid, O_RDWR, &open), 0);
    assert_int_equal(answer_of(other, send_lock(other, entry.nodeid, open.fh, FUSE_SETLK, F_WRLCK)), 0);
    for (int i = 0; i < ROUNDS; i++) {
        relay_fixture_hold(station, is_answer);
        assert_int_equal(answer_of(station, send_write(station, node, handle, 0)), 0);
        uint64_t before = relay_fixture_counters(station).requests;
        uint64_t unique = send_lock(station, node, handle, FUSE_SETLKW, F_WRLCK);
        await_requests(station, before + 1);
        fuse_call_interrupt(&station->kernel, unique);
        await_requests(station, before + 2);
        relay_fixture_let_held_come(station);
        uint64_t noise = send_mkdir(station, folder, "f");
        assert_int_equal(answer_of(station, unique), EINTR);
        assert_int_equal(answer_of(station, noise), EEXIST);
    }
    assert_int_equal(fuse_call_release(&other->kernel, entry.nodeid, open.fh), 0);
    assert_int_equal(fuse_call_release(&station->kernel, node, handle), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_caller_is_gone_when_it_exits_and_not_before),
        relay_test(who_is_killed_does_not_wait_for_a_server_that_says_nothing),
        relay_test(who_goes_on_after_a_signal_gets_the_answer_of_a_server_that_is_there),
        relay_test(an_interrupt_that_comes_before_its_request_is_not_lost),
        relay_test(who_waits_for_room_can_be_killed_and_has_written_nothing),
        relay_test(closing_by_a_process_that_exits_waits_for_no_lost_server),
        relay_test(an_interrupt_reaches_the_server_with_the_request_that_was_parked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
