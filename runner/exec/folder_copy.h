/* Copying a folder of ordinary files so that it is on disk before its name is. */
#ifndef CYTOFS_FOLDER_COPY_H
#define CYTOFS_FOLDER_COPY_H

#include <stddef.h>

#include "failure.h"

struct folder_copy_limits {
    size_t files; /* at most so many files and folders */
    int depth;    /* and folders in folders */
};

/* Copies the folder `from` with all that is in it to `to`, which must not exist; each file is fsynced.  Symbolic links are
 * refused (what they point at may be gone tomorrow), and so is all that is neither file nor folder. */
MUST_CHECK enum code folder_copy(const char *from, const char *to, struct folder_copy_limits limits, struct failure *why);

/* Takes the write bits of all files below the folder, fsyncs them, then the folders. */
MUST_CHECK enum code folder_copy_seal(const char *folder, struct failure *why);

#endif
