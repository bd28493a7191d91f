/* Whether the viewer of a session may have a message carried out (rights_table.h). */
#ifndef CYTOFS_SESSION_RIGHTS_H
#define CYTOFS_SESSION_RIGHTS_H

#include <stdbool.h>

#include "message_check.h"
#include "tree.h"

struct session;
struct viewer;

/* CODE_OK; CODE_DENIED with words that name the thing and the role; CODE_NOT_FOUND where there is no such node any more. The
 * message was checked. Operations on what is open are not looked at: it was when it was opened. */
MUST_CHECK enum code session_rights_check(struct session *session, const struct message *message, struct failure *why);

/* Whether the viewer may hear what happens to the node, and in it: whoever may read it. */
bool session_rights_may_hear(struct session *session, struct node_id node);

/* The mode to show to the session's viewer: the node's, less what he may not do there; of a folder w says that names can be
 * made in it. */
struct node_attributes;
uint32_t session_rights_mode(const struct session *session, const struct node_attributes *attributes);

#endif
