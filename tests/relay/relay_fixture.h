/* A small lab with a real server, and workstations: each a relay with a real link on one side and a test that plays its
 * kernel on the other.  All in one process, without a mount. */
#ifndef CYTOFS_RELAY_FIXTURE_H
#define CYTOFS_RELAY_FIXTURE_H

#include "buffer.h"
#include "fuse_call.h"
#include "fuse_client.h"
#include "fuse_path.h"
#include "relay.h"
#include "test_rules.h"
#include "wire_fixture.h"

#define STATIONS_MAX 4

struct relay_fixture;
struct relay_disk;

struct station {
    struct relay_fixture *fixture;
    struct wire_credentials credentials;
    struct wire_link *link;
    struct relay *relay;
    struct fuse_client kernel;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int lost, connected; /* times */
    bool (*holds)(const struct fuse_out_header *message);
    struct buffer held; /* messages, one after the other */
};

struct relay_fixture {
    char folder[64]; /* the catalog's; removed again */
    struct member_key *member;
    struct chunk_store *chunks; /* in memory, below a layer that can be made to fail (chunk_store_fault.h) */
    struct tree *tree;
    struct test_rules rules;
    struct fixture_lab lab;
    struct server *server;
    uint16_t port;
    struct fixture_proxy *proxy; /* NULL: straight to the server */
    struct station stations[STATIONS_MAX];
    int count;
    void (*before_init)(struct relay_fixture *fixture); /* unless NULL: while a station joins, when it has a link and its
                                                           kernel has said nothing */
};

/* For cmocka_unit_test_setup_teardown: *state is the fixture, with one station. */
int relay_fixture_setup(void **state);
int relay_fixture_teardown(void **state);

#define relay_test(name) cmocka_unit_test_setup_teardown(name, relay_fixture_setup, relay_fixture_teardown)

/* Another station; options NULL or with limits, timeout and disk. */
struct station *relay_fixture_join(struct relay_fixture *fixture, const struct relay_options *options);
/* As unmounting does: what was written is sent first. */
void relay_fixture_leave(struct station *station);

/* From now on messages from the server of which that says so are held back, and overtaken by the others; then they come. */
void relay_fixture_hold(struct station *station, bool (*holds)(const struct fuse_out_header *message));
bool relay_fixture_is_held(struct station *station);
void relay_fixture_let_held_come(struct station *station);

/* Cuts all connections of stations that join from now on, after some bytes. */
void relay_fixture_cut_often(struct relay_fixture *fixture, size_t least, size_t most, unsigned seed);

/* The server's process dies, and comes back without memory of its clients; or stays away. */
void relay_fixture_stop_server(struct relay_fixture *fixture);
void relay_fixture_start_server(struct relay_fixture *fixture);

/* Waits until the station has noticed that its connection is gone. */
void relay_fixture_await_lost(struct station *station);

/* A folder below datasets/, made through the station; its node. */
uint64_t relay_fixture_folder(struct station *station, const char *path);

/* Fails unless the file soon (a second) holds exactly this text, seen from the station. */
void relay_fixture_expect(struct station *station, const char *path, const char *text);

struct relay_counters relay_fixture_counters(struct station *station);

/* How often a test that counts messages tries: where its thread slept for seconds, the relay has done more meanwhile. */
#define RELAY_FIXTURE_TRIES 10

#endif
