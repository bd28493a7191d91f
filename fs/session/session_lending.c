/* Lent keys: see session_lending.h.  Whose wraps are listed, and who lends, is the session's viewer; the member who opened
 * the store has nothing to lend. */
#include "session_lending.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "extra.h"
#include "secret.h"
#include "session_state.h"
#include "tree_lending.h"
#include "tree_path.h"
#include "viewer.h"

#define KEYS_AT_ONCE 4096 /* in one answer */

_Static_assert(KEYS_AT_ONCE * sizeof(struct extra_wrapped_key) <= (1u << 20), "an answer fits a message");

static void answer(struct session *session, const struct fuse_in_header *header, int error, const struct buffer *body)
{
    size_t count = body ? body->length : 0;
    const struct fuse_out_header out = {.len = (uint32_t)(sizeof out + count), .error = -error, .unique = header->unique};
    const struct iovec parts[] = {{(void *)&out, sizeof out}, {count ? body->data : NULL, count}};
    session->channel.peer.send(session->channel.peer.context, parts, count ? 2 : 1);
}

static bool add_wrap(void *context, const struct lending_wrap *wrap)
{
    struct buffer *out = context;
    struct extra_wrapped_key key = {.number = wrap->number, .generation = wrap->place.generation, .length = KEYWRAP_BYTES};
    memcpy(key.store, wrap->place.store.bytes, IDENTITY_BYTES);
    memcpy(key.space, wrap->place.space.bytes, IDENTITY_BYTES);
    memcpy(key.sender_id, wrap->sender.id.bytes, IDENTITY_BYTES);
    memcpy(key.sender_key, wrap->sender.key, MEMBER_KEY_BYTES);
    memcpy(key.wrapped, wrap->wrapped, KEYWRAP_BYTES);
    buffer_append(out, &key, sizeof key);
    return !out->failed && out->length < KEYS_AT_ONCE * sizeof key;
}

static void list(struct session *session, const struct fuse_in_header *header, const char *member)
{
    SCOPE_BUFFER body = {0};
    struct failure why;
    enum code code = lending_list(session->tree, member, add_wrap, &body, &why);
    if (code == CODE_OK)
        code = buffer_check(&body, "wrapped keys", &why);
    if (code != CODE_OK)
        tree_note_failure(session->tree, "lab/spaces", &why);
    answer(session, header, code == CODE_OK ? 0 : failure_to_errno(code), code == CODE_OK ? &body : NULL);
}

/* One that is not taken is told, and does not keep the others from being so. */
static void take(struct session *session, const struct fuse_in_header *header, const void *body, size_t count,
                 const char *member)
{
    struct failure why;
    for (size_t at = 0; at + sizeof(struct extra_lent_key) <= count; at += sizeof(struct extra_lent_key)) {
        struct extra_lent_key key;
        memcpy(&key, (const uint8_t *)body + at, sizeof key);
        enum code code = lending_take(session->tree, member, key.number, key.generation, key.key, &why);
        secret_wipe(&key, sizeof key);
        if (code != CODE_OK)
            tree_note_failure(session->tree, "lab/spaces", &why);
    }
    answer(session, header, 0, NULL);
}

bool session_lending_process(struct session *session, const void *message, size_t length)
{
    const struct fuse_in_header *header = message;
    const struct viewer *viewer = session->channel.peer.viewer;
    if (length < sizeof *header || (header->opcode != EXTRA_KEYS && header->opcode != EXTRA_LEND))
        return false;
    if (!viewer)
        answer(session, header, EPERM, NULL);
    else if (header->opcode == EXTRA_KEYS)
        list(session, header, viewer->name);
    else
        take(session, header, header + 1, length - sizeof *header, viewer->name);
    return true;
}
