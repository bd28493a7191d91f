/* A lab for the tests of jobs: a tree whose rules are those of jobs alone, used as a session uses it (create,
 * write, flush, release, rename), and nodes that are played by the test. */
#ifndef CYTOFS_TEST_LAB_H
#define CYTOFS_TEST_LAB_H

#include "testing.h"

#include "jobs.h"
#include "run_state.h"
#include "tree_path.h"

struct member_key;

struct lab {
    char folder[64]; /* on the host, with the catalog */
    char catalog[96];
    struct chunk_store *chunks;
    struct member_key *member;
    struct tree *tree;
    struct jobs *jobs;
    struct failure why; /* of the latest call */
};

/* A cmocka fixture: *state is the lab, with datasets/cells (one file) and datasets/nuclei. */
int lab_setup(void **state);
int lab_teardown(void **state);

/* Stops the file server and starts another over the same store. */
void lab_restart(struct lab *lab);

struct node_id lab_node(struct lab *lab, const char *path); /* fails the test where it is missing */

/* open(O_WRONLY|O_CREAT|O_TRUNC), write, close.  Returns what close(2) would. */
enum code lab_save(struct lab *lab, const char *path, const char *text);
void lab_rename(struct lab *lab, const char *from, const char *to);
void lab_unlink(struct lab *lab, const char *path);

/* Compares the file with text; shows both where they differ. */
void lab_expect_file(struct lab *lab, const char *path, const char *text);

/* Whether the file holds `part`; fails with the file's text where it does not. */
void lab_expect_part(struct lab *lab, const char *path, const char *part);

/* How many runs the experiment has. */
int lab_count_runs(struct lab *lab, const char *experiment);

struct run_summary lab_summary(struct lab *lab, const char *run);
void lab_expect_state(struct lab *lab, const char *run, enum run_state state);

/* A node: holds its lease open. */
struct fake_node {
    struct lab *lab;
    const char *name;
    struct tree_file *lease;
};
void fake_node_start(struct fake_node *node, struct lab *lab, const char *name, int cpus, int gpus);
void fake_node_die(struct fake_node *node);
enum code fake_node_claim(struct fake_node *node, const char *run);
void fake_node_say(struct fake_node *node, const char *run, enum run_event_kind kind, const char *reason);

#endif
