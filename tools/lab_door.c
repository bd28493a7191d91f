/* The lab's door: see lab_door.h.
 *
 *   closed --open--> open --part, keep--> parted --close--> closed
 *                      `--------------close-------------------^
 *
 * From other machines: who has a certificate of the lab's and is a member under that very key.  Through the UNIX socket:
 * whom lab/users names; the user who runs the server is the member whose key it has.
 *
 * What is kept of the clients is the server's own (server_part) behind the keys that members have lent, without which their
 * open files could not be opened again:
 *
 *     count (4), keys: member (65), space (8), generation (4), key (32) | server_part's bytes
 *
 * Threads: the wire's, which asks who may come in; workers, which show lab/clients.  `lock` guards the pointer that they
 * look at. */
#include "lab_door.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authority.h"
#include "bytes.h"
#include "file.h"
#include "logging.h"
#include "people.h"
#include "people_users.h"
#include "rule.h"
#include "scope.h"
#include "secret.h"
#include "server_state.h"
#include "timing.h"
#include "tree.h"
#include "tree_lending.h"
#include "tree_members.h"
#include "tree_parting.h"

#define SOCKET_MODE 0666 /* the kernel says who it is */
#define KEY_BYTES   (MEMBER_NAME_MAX + 1 + 8 + 4 + SPACE_KEY_BYTES)

struct lab_door {
    struct people *people;
    struct tree *tree;
    struct lab_door_options options;
    struct buffer kept;
    bool parted;
    pthread_mutex_t lock;
    struct server *server; /* NULL: closed */
};

/* Who may come in ----------------------------------------------------------------------------------------------------- */

static enum code admit_user(const struct lab_door *door, const struct wire_peer *peer, struct viewer *viewer,
                            struct failure *why)
{
    struct member_public self = {0};
    enum code code = people_users_find(door->tree, peer->uid, viewer->name, why);
    if (code == CODE_OK)
        code = members_find(door->tree, viewer->name, &self, why);
    if (code == CODE_OK)
        code = members_role(door->tree, viewer->name, &viewer->role, why);
    viewer->id = self.id;
    return code;
}

static enum code on_admit(void *context, const struct wire_peer *peer, struct viewer *viewer, struct failure *why)
{
    const struct lab_door *door = context;
    if (peer->uid != (uid_t)-1)
        return admit_user(door, peer, viewer, why);
    struct people_admission admission;
    enum code code = people_admit(door->people, &peer->holder, &admission, why);
    if (code != CODE_OK)
        return code;
    strcpy(viewer->name, peer->holder.name);
    viewer->role = admission.role;
    viewer->id = admission.id;
    return CODE_OK;
}

static enum code on_answer(void *context, const void *question, size_t count, const char *address, struct buffer *answer,
                           struct failure *why)
{
    const struct lab_door *door = context;
    return people_answer(door->people, question, count, address, answer, why);
}

/* What the member lent is forgotten. */
static void on_gone(void *context, const char *member)
{
    const struct lab_door *door = context;
    logging_info("%s has no session any more", member);
    lending_end(door->tree, member);
}

static void end_sessions(void *context, const char *member)
{
    const struct lab_door *door = context;
    server_expel(door->server, member);
}

static void set_role(void *context, const char *member, enum member_role role)
{
    const struct lab_door *door = context;
    server_set_role(door->server, member, role);
}

/* lab/clients --------------------------------------------------------------------------------------------------------- */

static enum code render_clients(void *context, const char *path, struct buffer *out, struct failure *why)
{
    struct lab_door *door = context;
    const struct viewer *viewer = viewer_current();
    bool all = !viewer || viewer->role == ROLE_STEWARD || viewer->role == ROLE_ADMIN;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&door->lock);
    if (door->server && !door->parted)
        server_describe(door->server, all ? NULL : viewer->name, out);
    return buffer_check(out, path, why);
}

/* Each second another. */
static void stamp_clients(void *context, const char *path, uint64_t *version, int64_t *modify_ns)
{
    (void)context;
    (void)path;
    *version = (uint64_t)(timing_wall_ns() / 1000000000);
    *modify_ns = (int64_t)*version * 1000000000;
}

enum code lab_door_create(struct people *people, const struct lab_door_options *options, struct lab_door **out,
                          struct failure *why)
{
    struct lab_door *door = calloc(1, sizeof *door);
    if (!door)
        return failure_set(why, CODE_NO_MEMORY, "serving: no memory");
    *door = (struct lab_door){.people = people, .tree = people_tree(people), .options = *options};
    door->kept.max = SERVER_STATE_BYTES_MAX;
    pthread_mutex_init(&door->lock, NULL);
    const struct rule clients = {.kind = RULE_DERIVED,
                                 .pattern = "lab/clients",
                                 .context = door,
                                 .render = render_clients,
                                 .stamp = stamp_clients,
                                 .personal = true};
    enum code code = rule_add(door->tree, &clients, why);
    if (code == CODE_OK)
        code = people_users_add(door->tree, why);
    if (code == CODE_OK)
        *out = door;
    else
        lab_door_destroy(door);
    return code;
}

/* What is kept -------------------------------------------------------------------------------------------------------- */

static struct server_state_place state_place(const struct lab_door *door)
{
    return (struct server_state_place){.folder = door->options.state_folder, .store = door->options.store};
}

/* The buffer held keys. */
static void wipe(struct buffer *kept)
{
    if (kept->data)
        secret_wipe(kept->data, kept->length);
    buffer_free(kept);
}

static void keep_key(void *context, const char *member, uint64_t space, uint32_t generation, const uint8_t *key)
{
    struct buffer *kept = context;
    uint8_t bytes[KEY_BYTES] = {0};
    memcpy(bytes, member, strnlen(member, MEMBER_NAME_MAX));
    bytes_store64(bytes + MEMBER_NAME_MAX + 1, space);
    bytes_store32(bytes + MEMBER_NAME_MAX + 9, generation);
    memcpy(bytes + MEMBER_NAME_MAX + 13, key, SPACE_KEY_BYTES);
    buffer_append(kept, bytes, sizeof bytes);
    secret_wipe(bytes, sizeof bytes);
}

bool lab_door_part(struct lab_door *door)
{
    struct failure why;
    uint8_t count[4];
    SCOPE_BUFFER keys = {.max = door->kept.max};
    SCOPE_BUFFER clients = {0};
    if (!door->server)
        return false; /* it was never opened */
    server_describe(door->server, NULL, &clients);
    people_set_sessions(door->people, NULL);
    pthread_mutex_lock(&door->lock);
    door->parted = true;
    pthread_mutex_unlock(&door->lock);
    lending_visit_keys(door->tree, keep_key, &keys);
    bytes_store32(count, (uint32_t)(keys.length / KEY_BYTES));
    buffer_append(&door->kept, count, sizeof count);
    buffer_append(&door->kept, buffer_text(&keys), keys.length);
    wipe(&keys);
    enum code code = server_part(door->server, &door->kept, &why);
    if (code != CODE_OK)
        logging_warning("the clients will begin anew: %s", why.text);
    if (code != CODE_OK || !door->options.state_folder || !clients.length)
        wipe(&door->kept);
    return code == CODE_OK;
}

void lab_door_keep(struct lab_door *door, uint64_t number)
{
    struct failure why;
    const struct server_state_place place = state_place(door);
    if (door->kept.length && server_state_write(&place, number, &door->kept, &why) != CODE_OK)
        logging_warning("the clients will begin anew: %s", why.text);
    wipe(&door->kept);
}

static int by_generation(const void *left, const void *right)
{
    const uint8_t *a = left, *b = right;
    uint32_t first = bytes_load32(a + MEMBER_NAME_MAX + 9), second = bytes_load32(b + MEMBER_NAME_MAX + 9);
    return (first < second) - (first > second);
}

/* The newest first, as the tree wants them.  One that is refused is lent anew by its member. */
static void take_keys(struct lab_door *door, uint8_t *keys, size_t count)
{
    struct failure why;
    qsort(keys, count, KEY_BYTES, by_generation);
    for (const uint8_t *key = keys; key < keys + count * KEY_BYTES; key += KEY_BYTES) {
        char member[MEMBER_NAME_MAX + 1] = "";
        memcpy(member, key, MEMBER_NAME_MAX);
        if (lending_take(door->tree, member, bytes_load64(key + MEMBER_NAME_MAX + 1),
                         bytes_load32(key + MEMBER_NAME_MAX + 9), key + MEMBER_NAME_MAX + 13, &why) != CODE_OK)
            logging_info("a key that %s had lent: %s", member, why.text);
    }
}

/* Those who lent and did not come back lend no more. */
static void end_lending(struct lab_door *door, const uint8_t *keys, size_t count)
{
    for (const uint8_t *key = keys; key < keys + count * KEY_BYTES; key += KEY_BYTES) {
        char member[MEMBER_NAME_MAX + 1] = "";
        memcpy(member, key, MEMBER_NAME_MAX);
        if (!server_has(door->server, member))
            lending_end(door->tree, member);
    }
}

/* Takes up what the last server kept; empty where there is nothing, or nothing of use. */
static void read_kept(struct lab_door *door, struct buffer *kept)
{
    struct failure why;
    const struct server_state_place place = state_place(door);
    if (!place.folder)
        return;
    enum code code = server_state_read(&place, tree_opened_at(door->tree), kept, &why);
    if (code == CODE_OK && (kept->length < 4 || bytes_load32(kept->data) > (kept->length - 4) / KEY_BYTES))
        code = failure_set(&why, CODE_CORRUPT, "the clients' state is damaged");
    if (code == CODE_OK)
        return;
    if (code != CODE_NO_DATA)
        logging_warning("%s; they begin anew", why.text);
    wipe(kept);
}

/* Life ---------------------------------------------------------------------------------------------------------------- */

static enum code make_folder_of(const char *path, struct failure *why)
{
    SCOPE_FREE char *folder = strdup(path);
    if (!folder)
        return failure_set(why, CODE_NO_MEMORY, "serving: no memory");
    *strrchr(folder, '/') = 0;
    return folder[0] ? file_make_folders(folder, why) : CODE_OK;
}

static enum code start(struct lab_door *door, const struct buffer *kept, size_t keys, struct failure *why)
{
    struct wire_credentials credentials = {0};
    size_t before = 4 + keys * KEY_BYTES;
    struct server_options server = {
        .address = door->options.address,
        .port = door->options.port,
        .socket_path = door->options.socket_path,
        .socket_mode = SOCKET_MODE,
        .door = {.admit = on_admit, .answer = on_answer, .gone = on_gone, .context = door},
        .saved = kept->length ? kept->data + before : NULL,
        .saved_count = kept->length ? kept->length - before : 0,
    };
    struct server *started = NULL;
    enum code code = door->options.socket_path ? make_folder_of(door->options.socket_path, why) : CODE_OK;
    if (code == CODE_OK && door->options.address)
        code = people_credentials(door->people, &credentials, why);
    if (door->options.address)
        server.credentials = &credentials;
    if (code == CODE_OK)
        code = server_start(door->tree, &server, &started, why);
    authority_free_credentials(&credentials);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&door->lock);
    door->server = started;
    return code;
}

enum code lab_door_open(struct lab_door *door, struct failure *why)
{
    SCOPE_BUFFER kept = {.max = SERVER_STATE_BYTES_MAX};
    read_kept(door, &kept);
    uint8_t *keys = kept.length ? (uint8_t *)kept.data + 4 : NULL;
    size_t count = keys ? bytes_load32(kept.data) : 0;
    if (count)
        take_keys(door, keys, count);
    enum code code = start(door, &kept, count, why);
    if (code == CODE_OK)
        code = tree_drop_nameless(door->tree, why);
    if (code == CODE_OK) {
        if (count)
            end_lending(door, keys, count);
        people_set_sessions(door->people, &(struct people_sessions){end_sessions, set_role, door});
    }
    wipe(&kept);
    return code;
}

uint16_t lab_door_port(const struct lab_door *door)
{
    return server_port(door->server);
}

void lab_door_close(struct lab_door *door)
{
    if (!door || !door->server)
        return;
    people_set_sessions(door->people, NULL);
    pthread_mutex_lock(&door->lock);
    struct server *server = door->server;
    door->server = NULL;
    pthread_mutex_unlock(&door->lock);
    server_stop(server);
}

void lab_door_destroy(struct lab_door *door)
{
    if (!door)
        return;
    lab_door_close(door);
    wipe(&door->kept);
    pthread_mutex_destroy(&door->lock);
    free(door);
}
