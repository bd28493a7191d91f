/* One of the two folders of a mirrored store fails at the n-th call, for every n: its disk answers EIO, has become
 * read-only, or is full; once, or from then on.  The lab goes on with the other folder and no operation fails; when the disk
 * works again the folder is brought up to date, and each of the two alone is the whole lab.
 *
 * But for one case: where the folder that the lab was opened by has a full disk, that is told, as without mirrors.
 *
 *     test_mirror_faults [--every]      all n; without it each STRIDEth
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk_fault.h"
#include "file.h"
#include "testing.h"

#define STRIDE 29

static char root[64];
static bool every;

static void lose(const char *side, const struct disk_fault_kind *kind, bool on)
{
    struct fault_outcome outcome;
    struct fault_switch fault = disk_fault_switch(kind);
    char watched[128], name[160];
    snprintf(watched, sizeof watched, "%s/" FAULT_SCENARIO_RUN "/%s", root, side);
    snprintf(name, sizeof name, "%s: %s", side, kind->name);
    fault.mirrored = true;
    disk_fault_watch(watched);
    fault_scenario_run(&fault, name, root, every ? 1 : STRIDE, on, &outcome);
    disk_fault_watch(NULL);
    assert_int_equal(outcome.violations, 0);
    assert_true(outcome.runs >= 2);
}

static void lose_either(const struct disk_fault_kind *kind, bool on)
{
    lose(FAULT_SCENARIO_MIRROR, kind, on);
    lose("store", kind, on);
}

static void the_lab_goes_on_without_a_folder_whose_disk_gives_errors(void **state)
{
    (void)state;
    const struct disk_fault_kind any = {"all EIO", DISK_FAULT_ANY, EIO}, write = {"write EIO", DISK_CALL_WRITE, EIO},
                                 sync = {"sync EIO", DISK_CALL_SYNC, EIO}, names = {"names EIO", DISK_CALL_NAMES, EIO};
    lose_either(&any, true);
    lose_either(&write, false);
    lose_either(&sync, false);
    lose_either(&names, false);
}

static void the_lab_goes_on_without_a_folder_that_can_only_be_read(void **state)
{
    (void)state;
    const struct disk_fault_kind write = {"write EROFS", DISK_CALL_WRITE, EROFS},
                                 names = {"names EROFS", DISK_CALL_NAMES, EROFS};
    lose_either(&write, true);
    lose_either(&names, true);
}

static void the_lab_goes_on_without_a_mirror_whose_disk_is_full(void **state)
{
    (void)state;
    const struct disk_fault_kind full = {"write ENOSPC", DISK_CALL_WRITE, ENOSPC};
    lose(FAULT_SCENARIO_MIRROR, &full, true);
    lose(FAULT_SCENARIO_MIRROR, &full, false);
}

static void a_read_that_fails_is_answered_by_the_other_folder(void **state)
{
    (void)state;
    const struct disk_fault_kind read = {"read EIO", DISK_CALL_READ, EIO};
    lose_either(&read, false);
    lose_either(&read, true);
}

int main(int count, char **arguments)
{
    every = count > 1 && strcmp(arguments[1], "--every") == 0;
    snprintf(root, sizeof root, "%s/fault-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(root))
        return 3;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lab_goes_on_without_a_folder_whose_disk_gives_errors),
        cmocka_unit_test(the_lab_goes_on_without_a_folder_that_can_only_be_read),
        cmocka_unit_test(the_lab_goes_on_without_a_mirror_whose_disk_is_full),
        cmocka_unit_test(a_read_that_fails_is_answered_by_the_other_folder),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)!file_remove_tree(root, NULL);
    return failed;
}
