/* Inside fs/relay: writing behind: the kernel is told that it is done, the server is told in the background. */
#ifndef CYTOFS_RELAY_WRITE_H
#define CYTOFS_RELAY_WRITE_H

#include "relay_message.h"

struct relay_node;
struct relay_write; /* a range of a file on its way */

void relay_write(struct relay *relay, struct relay_request *request, struct relay_output *out);

#endif
