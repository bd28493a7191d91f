/* What cytofs fsck --repair does around the repair itself (fs/tree/repair.h). */
#ifndef CYTOFS_STORE_REPAIR_H
#define CYTOFS_STORE_REPAIR_H

#include "command.h"

/* Saves the catalog beside itself, repairs, prints what was done and what would have to be accepted.  Returns the exit
 * status: 1 where something is left. */
int store_repair(const struct command *command, const char *path, const char *key, bool accept);

#endif
