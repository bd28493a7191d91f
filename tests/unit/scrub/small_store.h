/* A small store without keys: chunks of random bytes, rows that name them; and what lies in its folders. */
#ifndef CYTOFS_SMALL_STORE_H
#define CYTOFS_SMALL_STORE_H

#include <stdint.h>

#include "catalog.h"
#include "chunk_store.h"
#include "mirror_set.h"
#include "scrub.h"

#define SMALL_STORE_CHUNKS 12 /* put when it is made */

struct small_store {
    char folder[64]; /* temporary; holds a, b, ... */
    char a[80], b[80];
    struct mirror_set *mirrors;
    struct chunk_store *chunks;
    struct catalog *catalog;
    uint64_t chunk_count;
};

/* Makes the store a and opens it. */
void small_store_make(struct small_store *store);
void small_store_remove(struct small_store *store); /* closes it first, where it is open */

/* Through the folder at path.  The first says what happened. */
enum code small_store_try_open(struct small_store *store, const char *path, struct failure *why);
void small_store_open(struct small_store *store, const char *path);
void small_store_close(struct small_store *store);

/* As if the process had died: nothing is noted as closed.  The files are as they are at this moment. */
void small_store_die(struct small_store *store);

/* One more chunk of 100 to 3000 bytes that a row names; durable. */
void small_store_put(struct small_store *store);

/* Every chunk that a row names is there and what was put; the number of those that are not. */
uint64_t small_store_count_wrong(struct small_store *store);

/* Makes b a mirror, or brings it up to date. */
void small_store_mirror(struct small_store *store);

struct scrub_summary small_store_scrub(struct small_store *store, bool look_only);

/* A test of cmocka's whose state is a store of its own; with b as its mirror. */
#define SMALL_STORE_TEST(name) cmocka_unit_test_setup_teardown(name, small_store_set_up, small_store_tear_down)
#define SMALL_STORE_MIRRORED_TEST(name)                                                                                     \
    cmocka_unit_test_setup_teardown(name, small_store_set_up_mirrored, small_store_tear_down)
int small_store_set_up(void **state);
int small_store_set_up_mirrored(void **state);
int small_store_tear_down(void **state);

#endif
