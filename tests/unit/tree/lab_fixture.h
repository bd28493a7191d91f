/* Labs for the tree's tests: in memory, or in a folder of their own that can be closed, copied and opened
 * again. */
#ifndef CYTOFS_TEST_LAB_FIXTURE_H
#define CYTOFS_TEST_LAB_FIXTURE_H

#include "chunk_store.h"
#include "identity.h"
#include "member_key.h"
#include "tree.h"
#include "tree_path.h"

struct lab {
    struct chunk_store *chunks;
    struct chunk_store *faulty; /* the fault layer, where it was asked for: the same object as chunks */
    struct tree *tree;
    struct member_key *member;
    struct store_id store;
    char folder[64]; /* "" in memory */
};

/* In memory, with a fault layer over the chunks. */
void lab_open_memory(struct lab *lab);

/* A new one in a temporary folder. */
void lab_create(struct lab *lab);

/* Closes and opens the same store again.  lab_open: opens what lies in `folder` with lab's key. */
void lab_close(struct lab *lab);
void lab_open(struct lab *lab);
void lab_open_read_only(struct lab *lab);
void lab_reopen(struct lab *lab);

/* Fails the test with the report where the check (check.h) finds a problem. */
void lab_check(struct lab *lab);

/* Closes it, and removes its folder. */
void lab_destroy(struct lab *lab);

/* By path, failing the test where the tree refuses. */
struct node_id lab_node(struct lab *lab, const char *path);
void lab_make_folder(struct lab *lab, const char *path);
void lab_write(struct lab *lab, const char *path, const char *text);
void lab_expect(struct lab *lab, const char *path, const char *text);

/* As a user does, through handles: create or truncate, write, flush, release.  Returns what flush returned.
 */
enum code lab_save(struct lab *lab, const char *path, const char *text, struct failure *why);

/* Until nothing of the space is sealed with an older key any more, and lab/spaces/SPACE shows the text `generation` (NULL:
 * any). */
void lab_wait_for_rotation(struct lab *lab, const char *space, const char *generation);

/* The folder that holds the path's last component, and where that component begins. */
struct node_id lab_parent(struct lab *lab, const char *path, const char **name);

/* The names of a folder, joined with blanks. */
void lab_list(struct lab *lab, const char *path, struct buffer *out);

#endif
