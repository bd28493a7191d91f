/* A lab on disk, served over TLS from this very process, that can be stopped and started again; and clients that speak FUSE
 * to it as a kernel would, over links. */
#ifndef CYTOFS_TEST_SERVED_LAB_H
#define CYTOFS_TEST_SERVED_LAB_H

#include <semaphore.h>

#include "fuse_call.h"
#include "fuse_client.h"
#include "fuse_path.h"
#include "identity.h"
#include "server.h"
#include "test_rules.h"
#include "wire_fixture.h"

struct served_lab {
    char folder[64];
    struct store_id store;
    struct member_key *member;
    struct chunk_store *chunks;
    struct tree *tree;
    struct test_rules rules;
    struct fixture_lab certificates;
    struct server *server;
    uint16_t port;
    int workers;
    struct buffer saved; /* by served_lab_part */
    uint64_t number;     /* of the last commit then */
    sem_t at_gate, gate; /* closing slow/x posts the one and waits for the other */
    const char *refused; /* this member is not let in */
    int gone;            /* members who have no session any more */
};

/* For cmocka_unit_test_setup_teardown: *state is the lab, with datasets/cells in it. */
int served_lab_setup(void **state);
int served_lab_teardown(void **state);

/* Stops the server, and closes the store.  What is saved can be changed before served_lab_start. */
void served_lab_part(struct served_lab *lab);

/* Opens the store and serves it, with what was saved if anything was. */
void served_lab_start(struct served_lab *lab);

/* Ends it without anything saved. */
void served_lab_kill(struct served_lab *lab);

/* A member's kernel: what it sends goes over a link. */
struct served_client {
    struct fuse_client fuse;
    struct wire_link *link;
    struct wire_credentials credentials;
    int socket; /* the link's end of the pair */
    pthread_t thread;
    struct fixture_end seen; /* its states */
};

void served_client_connect(struct served_client *client, struct served_lab *lab, const char *member);
void served_client_leave(struct served_client *client);

/* Text of a path, or the errno. */
int served_client_expect(struct served_client *client, const char *path, const char *text);

#endif
