/* Opening, migrating, transactions.  States of the connection:
 *
 *     idle --operation_begin--> in an operation --end--> pending --commit--> idle
 *                                     ^--------begin-------'
 *
 * Reads are possible in each, and see what was changed so far.
 */
#include "catalog_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum code read_version(struct database *database, int64_t *version, struct failure *why)
{
    static const char *const ask[] = {"PRAGMA user_version"};
    enum code code = database_prepare(database, ask, 1, why);
    if (code == CODE_OK)
        code = database_first(database, 0, DATABASE_NO_PARAMETERS, why);
    if (code != CODE_OK)
        return code;
    *version = database_integer(database, 0, 0);
    database_unprepare(database);
    return CODE_OK;
}

/* Applies one migration in a transaction of its own. */
static enum code migrate(struct database *database, int64_t version, struct failure *why)
{
    char mark[64];
    snprintf(mark, sizeof mark, "PRAGMA user_version=%d; COMMIT;", (int)version + 1);
    enum code code = database_script(database, "BEGIN IMMEDIATE", why);
    if (code == CODE_OK)
        code = database_script(database, catalog_schema_migrations[version], why);
    if (code == CODE_OK)
        code = database_script(database, mark, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "upgrading the catalog from format %d", (int)version);
}

static enum code prepare_schema(struct database *database, const struct catalog_options *options, struct failure *why)
{
    int64_t version;
    enum code code = read_version(database, &version, why);
    if (code != CODE_OK)
        return code;
    if (version < 0)
        return failure_set(why, CODE_CORRUPT, "the catalog is damaged: format %d", (int)version);
    if (version > CATALOG_FORMAT)
        return failure_set(why, CODE_NEWER_FORMAT,
                           "the catalog has format %d and this program knows up to %d: use a newer cytofs", (int)version,
                           CATALOG_FORMAT);
    if (options->create && version != 0)
        return failure_set(why, CODE_EXISTS, "there is a catalog already");
    if (!options->create && version == 0)
        return failure_set(why, CODE_NOT_FOUND, "the catalog was never finished: make the lab anew");
    for (; version < CATALOG_FORMAT; version++) {
        code = migrate(database, version, why);
        if (code != CODE_OK)
            return code;
    }
    code = database_script(database, catalog_schema_temporary, why);
    return code == CODE_OK ? database_prepare(database, catalog_schema_statements, SQL_COUNT, why) : code;
}

enum code catalog_open(const struct catalog_options *options, struct catalog **out, struct failure *why)
{
    *out = NULL;
    if (options->path && !options->create && access(options->path, F_OK) != 0)
        return failure_set(why, CODE_NOT_FOUND, "%s: there is no catalog (is this a lab?)", options->path);
    struct catalog *catalog = calloc(1, sizeof *catalog);
    if (!catalog)
        return failure_set(why, CODE_NO_MEMORY, "opening the catalog: no memory");
    pthread_mutex_init(&catalog->mutex, NULL);
    catalog->mirrors = options->mirrors;
    const struct database_options database = {options->path, options->read_only, options->mirrors};
    enum code code = CODE_OK;
    if (options->path && !(catalog->path = strdup(options->path)))
        code = failure_set(why, CODE_NO_MEMORY, "opening the catalog: no memory");
    if (code == CODE_OK)
        code = database_open(&database, &catalog->database, why);
    if (code == CODE_OK)
        code = prepare_schema(catalog->database, options, why);
    if (code != CODE_OK) {
        catalog_close(catalog);
        return code;
    }
    *out = catalog;
    return CODE_OK;
}

void catalog_close(struct catalog *catalog)
{
    if (!catalog)
        return;
    database_close(catalog->database);
    pthread_mutex_destroy(&catalog->mutex);
    free(catalog->path);
    free(catalog);
}

#define OPERATION_BYTES ((uint64_t)8 << 20) /* of the log, that one may write where much is changed already */

/* SQLite takes a whole transaction back when a disk is full at the wrong moment.  What it held cannot be made up for
 * here: callers have long been told that it happened.  So room for it is taken before (database_reserve), and this is met
 * only on disks that cannot set blocks aside, or by operations that change more than OPERATION_BYTES. */
static enum code check_kept(const struct catalog *catalog, struct failure *why)
{
    if (catalog->open && !database_in_transaction(catalog->database))
        return failure_set(why, CODE_IO,
                           "the catalog has dropped changes that were not durable yet (is the disk full?): make room, "
                           "and mount the lab anew");
    return CODE_OK;
}

enum code catalog_operation_begin(struct catalog *catalog, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = check_kept(catalog, why);
    if (code == CODE_OK && database_is_crowded(catalog->database))
        code = database_reserve(catalog->database, OPERATION_BYTES, why);
    if (code == CODE_OK && !catalog->open)
        code = database_run(catalog->database, SQL_BEGIN, DATABASE_NO_PARAMETERS, why);
    if (code != CODE_OK)
        return code;
    catalog->open = true;
    return database_run(catalog->database, SQL_SAVEPOINT, DATABASE_NO_PARAMETERS, why);
}

enum code catalog_operation_end(struct catalog *catalog, bool keep, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = CODE_OK;
    if (keep) {
        code = database_run(catalog->database, SQL_RELEASE, DATABASE_NO_PARAMETERS, why);
        if (code == CODE_OK)
            return CODE_OK;
    }
    /* Taking back cannot meet a full disk: it only forgets.  A failure here means that the transaction is gone, which
     * catalog_commit tells. */
    if (database_in_transaction(catalog->database)) {
        (void)!database_run(catalog->database, SQL_ROLLBACK_TO, DATABASE_NO_PARAMETERS, NULL);
        (void)!database_run(catalog->database, SQL_RELEASE, DATABASE_NO_PARAMETERS, NULL);
    }
    return code;
}

enum code catalog_has_room(struct catalog *catalog, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    enum code code = database_is_tight(catalog->database) ? database_reserve(catalog->database, 0, why) : CODE_OK;
    if (code == CODE_OK && database_is_tight(catalog->database))
        code = failure_set(why, CODE_NO_SPACE, "the disk that holds the lab is full: make room on it, or remove something");
    return code;
}

enum code catalog_commit(struct catalog *catalog, bool *lost, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    *lost = false;
    if (!catalog->open)
        return CODE_OK;
    enum code code = check_kept(catalog, why);
    if (code == CODE_OK)
        code = database_reserve(catalog->database, 0, why);
    if (code == CODE_OK)
        code = database_run(catalog->database, SQL_COMMIT, DATABASE_NO_PARAMETERS, why);
    if (code == CODE_OK)
        catalog->open = false;
    else
        *lost = !database_in_transaction(catalog->database);
    return code;
}

enum code catalog_sync(struct catalog *catalog, struct failure *why)
{
    return database_sync(catalog->database, why); /* touches only the log's descriptor: no mutex */
}

enum code catalog_reading_begin(struct catalog *catalog, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    if (database_in_transaction(catalog->database))
        return CODE_OK;
    return database_run(catalog->database, SQL_BEGIN_READING, DATABASE_NO_PARAMETERS, why);
}

void catalog_reading_end(struct catalog *catalog)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    if (!catalog->open && database_in_transaction(catalog->database))
        (void)!database_run(catalog->database, SQL_COMMIT, DATABASE_NO_PARAMETERS, NULL); /* there is nothing to lose */
}

bool catalog_pending(struct catalog *catalog)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return catalog->open;
}

enum code catalog_get_number(struct catalog *catalog, enum catalog_number which, uint64_t *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    *out = 0;
    enum code code = database_first(catalog->database, SQL_NUMBER_GET, DATABASE_BIND(DATABASE_INTEGER(which)), why);
    if (code == CODE_NO_DATA)
        return CODE_OK;
    if (code != CODE_OK)
        return code;
    *out = (uint64_t)database_integer(catalog->database, SQL_NUMBER_GET, 0);
    database_done(catalog->database, SQL_NUMBER_GET);
    return CODE_OK;
}

enum code catalog_set_number(struct catalog *catalog, enum catalog_number which, uint64_t value, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    return database_run(catalog->database, SQL_NUMBER_SET, DATABASE_BIND(DATABASE_INTEGER(which), DATABASE_INTEGER(value)),
                        why);
}

void catalog_fail_after(struct catalog *catalog, uint64_t count, enum code code)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&catalog->mutex);
    database_fail_after(catalog->database, count, code);
}
