/* A lab in memory with the test's rules and the lab's own view, and one client of it: what each session test starts from. */
#ifndef CYTOFS_SESSION_FIXTURE_H
#define CYTOFS_SESSION_FIXTURE_H

#include "fuse_call.h"
#include "fuse_client.h"
#include "fuse_path.h"
#include "test_rules.h"

struct chunk_store;
struct people;
struct tree;

struct session_fixture {
    struct chunk_store *chunks; /* in memory, below a layer that can be made to fail (chunk_store_fault.h) */
    struct tree *tree;
    struct people *people;
    struct test_rules rules;
    struct fuse_client client;
};

/* For cmocka_unit_test_setup_teardown: *state is the fixture. */
int session_fixture_setup(void **state);
int session_fixture_teardown(void **state);

#define session_test(name) cmocka_unit_test_setup_teardown(name, session_fixture_setup, session_fixture_teardown)

/* The node id of a path that must exist. */
uint64_t session_fixture_node(struct session_fixture *fixture, const char *path);

/* Fails unless the node is soon unknown.  FORGET has no answer, so what follows it may overtake it. */
void session_fixture_expect_gone(struct session_fixture *fixture, uint64_t node);

/* Fails unless the file holds exactly this text. */
void session_fixture_expect(struct session_fixture *fixture, const char *path, const char *text);

#endif
