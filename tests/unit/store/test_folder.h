/* A folder of its own for each test, removed afterwards. */
#ifndef CYTOFS_TEST_FOLDER_H
#define CYTOFS_TEST_FOLDER_H

#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"

static inline int test_folder_make(void **state)
{
    static char path[64];
    strcpy(path, "/tmp/cytofs-store-XXXXXX");
    *state = mkdtemp(path);
    return *state ? 0 : -1;
}

static inline int test_folder_remove(void **state)
{
    return file_remove_tree(*state, NULL) == CODE_OK ? 0 : -1;
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, test_folder_make, test_folder_remove)

#endif
