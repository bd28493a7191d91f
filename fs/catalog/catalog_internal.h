/* What the catalog's own files share. */
#ifndef CYTOFS_CATALOG_INTERNAL_H
#define CYTOFS_CATALOG_INTERNAL_H

#include <pthread.h>

#include "catalog.h"
#include "catalog_schema.h"
#include "database.h"
#include "scope.h"

struct catalog {
    pthread_mutex_t mutex; /* guards the database; a leaf: nothing else is locked under it */
    struct database *database;
    struct mirror_set *mirrors; /* NULL: none */
    char *path;                 /* NULL in memory */
    bool open; /* a transaction was begun and not committed: if the database has none then, it dropped one */
};

#endif
