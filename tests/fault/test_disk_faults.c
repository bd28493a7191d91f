/* The disk fails at the n-th call of a kind, for every n: once, or from then on.  The day of fault_scenario.h, over the real
 * store.
 *
 *     test_disk_faults [--every]      all n; without it each STRIDEth
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk_fault.h"
#include "file.h"
#include "testing.h"

#define STRIDE 17

static char root[64];
static bool every;

static void fail_each(const char *name, enum disk_call call, int error, bool on, bool must_go_on)
{
    struct fault_outcome outcome;
    struct fault_switch fault = disk_fault_switch(&(struct disk_fault_kind){name, (int)call, error});
    fault.must_go_on = must_go_on;
    fault_scenario_run(&fault, name, root, every ? 1 : STRIDE, on, &outcome);
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
    snprintf(root, sizeof root, "%s/fault-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(root))
        return 3;
    disk_fault_watch(root);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_that_fails_is_told_and_the_next_one_succeeds),
        cmocka_unit_test(a_write_that_fails_loses_nothing_that_was_acknowledged),
        cmocka_unit_test(a_sync_that_fails_loses_nothing_that_was_acknowledged),
        cmocka_unit_test(a_full_disk_is_told_and_the_lab_goes_on_when_there_is_room),
        cmocka_unit_test(short_writes_and_reads_are_gone_on_with),
        cmocka_unit_test(files_that_cannot_be_opened_or_named_are_told),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    disk_fault_watch(NULL);
    (void)!file_remove_tree(root, NULL);
    return failed;
}
