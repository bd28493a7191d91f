/* Inside fs/relay: contents fetched before they are asked for. */
#ifndef CYTOFS_RELAY_AHEAD_H
#define CYTOFS_RELAY_AHEAD_H

#include "relay_message.h"

struct relay_handle;
struct relay_node;

/* A file of it was opened for reading. */
void relay_ahead_opened(struct relay *relay, struct relay_output *out, struct relay_node *file);

/* There is room again, or more of the folder is known. */
void relay_ahead_pump(struct relay *relay, struct relay_output *out, struct relay_node *folder);

/* A large file is read from `from` to `end`. */
void relay_ahead_read(struct relay *relay, struct relay_output *out, struct relay_handle *handle, uint64_t from,
                      uint64_t end);

#endif
