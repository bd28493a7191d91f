/* The gate: see session_gate.h.  Two looks, in this order: could a kernel have sent this; may this viewer have it carried
 * out. */
#include "session_gate.h"

#include <errno.h>

#include "session_audit.h"
#include "session_rights.h"
#include "session_state.h"
#include "tree_path.h"
#include "viewer.h"

static void answer(struct session *session, const struct message *message, int error)
{
    const struct fuse_out_header header = {.len = sizeof header, .error = -error, .unique = message->unique};
    const struct iovec part = {(void *)&header, sizeof header};
    if (message->unique)
        session->channel.peer.send(session->channel.peer.context, &part, 1);
}

/* By its own name alone: the path to it may hold names that the viewer may not see. */
static void note(struct session *session, const struct message *message, const struct failure *why)
{
    viewer_enter(session->channel.peer.viewer);
    tree_note_failure(session->tree, message->name ? message->name : "", why);
    viewer_leave();
}

enum code session_gate_admit(struct session *session, void *bytes, size_t *length, int greeted, struct message *known,
                             struct failure *why)
{
    enum code code = message_check(bytes, length, greeted, known, why);
    if (code != CODE_OK) {
        answer(session, known, code == CODE_UNSUPPORTED ? ENOSYS : EINVAL);
        return code;
    }
    code = session_rights_check(session, known, why);
    if (code == CODE_OK)
        session_audit_admitted(session, known);
    if (code == CODE_OK)
        return CODE_OK;
    if (code == CODE_DENIED) {
        note(session, known, why);
        session_audit_refused(session, known, why);
    }
    answer(session, known, code == CODE_NOT_FOUND ? ESTALE : failure_to_errno(code));
    return code == CODE_INVALID ? CODE_DENIED : code;
}
