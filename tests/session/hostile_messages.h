/* Messages of somebody who knows the protocol and means harm: of every operation, on nodes and handles that were really
 * given out, on such as belong to others, and made up; half of them then spoilt.  The same seed and the same answers make
 * the same messages. */
#ifndef CYTOFS_HOSTILE_MESSAGES_H
#define CYTOFS_HOSTILE_MESSAGES_H

#include <stddef.h>
#include <stdint.h>

struct hostile_messages;

struct hostile_messages *hostile_messages_create(uint64_t seed);
void hostile_messages_destroy(struct hostile_messages *messages);

/* The next one, valid until the next call: *bytes, and how many. */
size_t hostile_messages_next(struct hostile_messages *messages, const void **bytes);

/* A node that it may try; and what a request, the one sent last or one before, was answered with (behind the header): nodes
 * and handles. */
void hostile_messages_add_node(struct hostile_messages *messages, uint64_t node);
void hostile_messages_learn(struct hostile_messages *messages, uint64_t unique, const void *body, size_t count);

/* Forgets all nodes and handles. */
void hostile_messages_forget(struct hostile_messages *messages);

#endif
