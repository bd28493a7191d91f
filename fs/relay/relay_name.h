/* Inside fs/relay: what the kernel asks about names and attributes.  Each takes over the request; with the lock. */
#ifndef CYTOFS_RELAY_NAME_H
#define CYTOFS_RELAY_NAME_H

#include "relay_message.h"

struct relay_node;

/* 0, or the errno of a request for this name in this folder. */
int relay_name_check(const char *name, const struct relay_node *folder);

void relay_name_lookup(struct relay *relay, struct relay_request *request, struct relay_output *out);
void relay_name_getattr(struct relay *relay, struct relay_request *request, struct relay_output *out);
void relay_name_setattr(struct relay *relay, struct relay_request *request, struct relay_output *out);
void relay_name_make(struct relay *relay, struct relay_request *request,
                     struct relay_output *out); /* MKDIR, MKNOD, SYMLINK, LINK */
void relay_name_remove(struct relay *relay, struct relay_request *request, struct relay_output *out);
void relay_name_rename(struct relay *relay, struct relay_request *request, struct relay_output *out);
void relay_name_xattr(struct relay *relay, struct relay_request *request, struct relay_output *out);

/* Answers, without the lock, a request for the relay's own description (an attribute of the root that is listed nowhere);
 * false: it is none. */
bool relay_name_describes(struct relay *relay, struct relay_request *request, struct relay_output *out);

/* Whether something written to the node, or the node itself, is still on its way to the server: then the request is parked.
 */
bool relay_name_settles(struct relay *relay, struct relay_output *out, struct relay_node *node,
                        struct relay_request *request);

/* The reply to the kernel that names a node, after we learnt of it; `kept`: the name is. */
struct fuse_entry_out;
void relay_name_tell(struct relay *relay, struct relay_node *node, struct fuse_entry_out *entry, bool kept);

#endif
