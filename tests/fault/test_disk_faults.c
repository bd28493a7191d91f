/* The disk fails at the n-th call of a kind, for every n: once, or from then on.  The day of fault_scenario.h, over the real
 * store.
 *
 *     test_disk_faults [--every]      all n; without it each STRIDEth
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk_calls.h"
#include "fault_scenario.h"
#include "file.h"
#include "testing.h"

#define STRIDE 17

struct disk_fault {
    enum disk_call call;
    int error;    /* 0: the write is made shorter instead */
    bool is_on, on, paused;
    uint64_t n;
    atomic_ullong calls;
    char root[64];
};

static struct disk_fault fault;
static bool every;

static int refuse(void *context, enum disk_call call, size_t *count)
{
    (void)context;
    if (!fault.is_on || fault.paused || call != fault.call)
        return 0;
    uint64_t number = atomic_fetch_add(&fault.calls, 1) + 1;
    if (number != fault.n && !(fault.on && number > fault.n))
        return 0;
    if (fault.error == 0 && count && *count > 1)
        *count /= 2;
    return fault.error;
}

static void arm(void *context, uint64_t n, bool on)
{
    (void)context;
    fault.n = n;
    fault.on = on;
    fault.is_on = true;
    atomic_store(&fault.calls, 0);
}

static void pause_it(void *context, bool paused)
{
    (void)context;
    fault.paused = paused;
}

static void disarm(void *context)
{
    (void)context;
    fault.is_on = false;
}

static uint64_t count_calls(void *context)
{
    (void)context;
    return atomic_load(&fault.calls);
}

static void fail_each(const char *name, enum disk_call call, int error, bool on, bool must_go_on)
{
    struct fault_outcome outcome;
    const struct fault_switch switch_of = {
        .arm = arm, .pause = pause_it, .disarm = disarm, .count = count_calls, .must_go_on = must_go_on};
    fault.call = call;
    fault.error = error;
    fault_scenario_run(&switch_of, name, fault.root, every ? 1 : STRIDE, on, &outcome);
    assert_int_equal(outcome.violations, 0);
}

static void a_read_that_fails_is_told_and_the_next_one_succeeds(void **state)
{
    (void)state;
    fail_each("read EIO", DISK_CALL_READ, EIO, false, false);
}

static void a_write_that_fails_loses_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    fail_each("write EIO", DISK_CALL_WRITE, EIO, false, false);
    fail_each("write EIO", DISK_CALL_WRITE, EIO, true, false);
}

static void a_sync_that_fails_loses_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    fail_each("sync EIO", DISK_CALL_SYNC, EIO, false, false);
    fail_each("sync EIO", DISK_CALL_SYNC, EIO, true, false);
}

static void a_full_disk_is_told_and_the_lab_goes_on_when_there_is_room(void **state)
{
    (void)state;
    fail_each("write ENOSPC", DISK_CALL_WRITE, ENOSPC, false, false);
    fail_each("write ENOSPC", DISK_CALL_WRITE, ENOSPC, true, false);
}

static void short_writes_and_reads_are_gone_on_with(void **state)
{
    (void)state;
    fail_each("short write", DISK_CALL_WRITE, 0, true, true);
}

static void files_that_cannot_be_opened_or_named_are_told(void **state)
{
    (void)state;
    fail_each("open EIO", DISK_CALL_OPEN, EIO, false, false);
    fail_each("open EMFILE", DISK_CALL_OPEN, EMFILE, true, false);
    fail_each("names EIO", DISK_CALL_NAMES, EIO, false, false);
    fail_each("size EIO", DISK_CALL_SIZE, EIO, true, false);
}

int main(int count, char **arguments)
{
    every = count > 1 && strcmp(arguments[1], "--every") == 0;
    snprintf(fault.root, sizeof fault.root, "%s/fault-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(fault.root))
        return 3;
    disk_calls_watch(&(struct disk_watch){.root = fault.root, .refuse = refuse});
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_that_fails_is_told_and_the_next_one_succeeds),
        cmocka_unit_test(a_write_that_fails_loses_nothing_that_was_acknowledged),
        cmocka_unit_test(a_sync_that_fails_loses_nothing_that_was_acknowledged),
        cmocka_unit_test(a_full_disk_is_told_and_the_lab_goes_on_when_there_is_room),
        cmocka_unit_test(short_writes_and_reads_are_gone_on_with),
        cmocka_unit_test(files_that_cannot_be_opened_or_named_are_told),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    disk_calls_watch(NULL);
    (void)!file_remove_tree(fault.root, NULL);
    return failed;
}
