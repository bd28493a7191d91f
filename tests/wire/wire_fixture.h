/* A lab with certificates, a server that echoes, and a proxy that cuts: what the tests of links stand on. */
#ifndef CYTOFS_WIRE_FIXTURE_H
#define CYTOFS_WIRE_FIXTURE_H

#include <pthread.h>

#include "wire_server.h"

struct fixture_lab {
    struct buffer key;
    struct wire_credentials server;
};

void fixture_lab_make(struct fixture_lab *lab);
void fixture_lab_free(struct fixture_lab *lab);
void fixture_credentials_make(const struct fixture_lab *lab, const char *name, struct wire_credentials *out);
void fixture_credentials_free(struct wire_credentials *credentials);

/* What one end has seen; also a server's whole context. */
struct fixture_end {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct wire_link *link;
    struct wire_peer peer;
    uint64_t messages, bytes;
    uint64_t out_of_order; /* messages whose first 8 bytes are not their number */
    int connected, lost, renewed, ended;
    struct failure why; /* of the last LOST or ENDED */
    bool echoes;
    const char *refused; /* this member is not admitted */
    const char *answer;  /* to a question; NULL refuses */
};

void fixture_end_init(struct fixture_end *end);
void fixture_end_free(struct fixture_end *end);
extern const struct wire_events fixture_events;
extern const struct wire_server_events fixture_server_events;

/* Sends message `number` of that length (at least 8), waiting where the window is full. */
void fixture_send(struct wire_link *link, uint64_t number, size_t length);

/* Waits until *counter >= value, two minutes at most; false: not. */
bool fixture_await(struct fixture_end *end, const uint64_t *messages, uint64_t value);
bool fixture_await_state(struct fixture_end *end, const int *state, int value);

/* A TCP proxy in front of a port of this machine, which cuts each connection after some bytes. */
struct fixture_proxy;
struct fixture_proxy *fixture_proxy_start(uint16_t to, size_t cut_after_min, size_t cut_after_max, unsigned seed);
uint16_t fixture_proxy_port(const struct fixture_proxy *proxy);
int fixture_proxy_cuts(struct fixture_proxy *proxy);
void fixture_proxy_calm(struct fixture_proxy *proxy); /* cuts no more */
void fixture_proxy_stop(struct fixture_proxy *proxy);

#endif
