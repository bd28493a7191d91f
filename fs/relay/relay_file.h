/* Inside fs/relay: what the kernel asks about files.  Each takes over the request; with the lock. */
#ifndef CYTOFS_RELAY_FILE_H
#define CYTOFS_RELAY_FILE_H

#include "relay_message.h"

void relay_file_open(struct relay *relay, struct relay_request *request, struct relay_output *out);
void relay_file_create(struct relay *relay, struct relay_request *request, struct relay_output *out);
void relay_file_read(struct relay *relay, struct relay_request *request, struct relay_output *out);
void relay_file_flush(struct relay *relay, struct relay_request *request, struct relay_output *out);
void relay_file_release(struct relay *relay, struct relay_request *request, struct relay_output *out);
void relay_file_poll(struct relay *relay, struct relay_request *request, struct relay_output *out);
void relay_file_copy(struct relay *relay, struct relay_request *request, struct relay_output *out);
void relay_file_lock(struct relay *relay, struct relay_request *request, struct relay_output *out);

/* All others that begin with a handle: after what was written through it, to the server. */
void relay_file_by_handle(struct relay *relay, struct relay_request *request, struct relay_output *out);

/* Sends on a request whose body begins with a handle, which the server has. */
struct relay_handle;
struct relay_call *relay_file_forward(struct relay *relay, struct relay_output *out, struct relay_request *request,
                                      struct relay_handle *handle);

#endif
