/* Finding the mounted lab: see lab_place.h.  A lab is recognised by jobs/queue, which every lab has and no ordinary
 * folder is likely to. */
#include "lab_place.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "scope.h"

static bool is_lab(const char *folder)
{
    SCOPE_FREE char *queue = file_join(folder, "jobs/queue");
    return queue && file_exists(queue);
}

static enum code check_lab(const char *folder, char **out, struct failure *why)
{
    if (!is_lab(folder))
        return failure_set(why, CODE_NOT_FOUND, "%s: is not a mounted lab (mount one: cytofs mount STORE DIR)", folder);
    *out = strdup(folder);
    return *out ? CODE_OK : failure_set(why, CODE_NO_MEMORY, "out of memory");
}

enum code lab_place_find(const char *given, char **folder, struct failure *why)
{
    *folder = NULL;
    const char *named = given ? given : getenv("CYTOFS_LAB");
    if (named && named[0])
        return check_lab(named, folder, why);
    SCOPE_FREE char *here = getcwd(NULL, 0);
    while (here && here[0]) {
        if (is_lab(here))
            return check_lab(here, folder, why);
        *strrchr(here, '/') = 0;
    }
    return failure_set(why, CODE_NOT_FOUND, "no mounted lab here: go into one, name it with --lab DIR, or set CYTOFS_LAB");
}
