/* Calls about files below one folder that fail, by number (../crash/disk_calls.h). */
#ifndef CYTOFS_DISK_FAULT_H
#define CYTOFS_DISK_FAULT_H

#include <stdbool.h>

#include "disk_calls.h"
#include "fault_scenario.h"

#define DISK_FAULT_ANY (-1)

struct disk_fault_kind {
    const char *name;
    int call;  /* enum disk_call, or DISK_FAULT_ANY */
    int error; /* 0: writes and reads are made shorter instead */
};

/* Watches the folder, which need not exist yet; NULL: no more. */
void disk_fault_watch(const char *root);

/* A switch for calls of one kind; valid until the next call. */
struct fault_switch disk_fault_switch(const struct disk_fault_kind *kind);

#endif
