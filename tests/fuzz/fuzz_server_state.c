/* What a server that was stopped left of its clients (the inside: it is sealed, but by whoever had the key), taken up by the
 * next one: links with their ledgers, sessions with nodes, open files and locks, requests that were not answered, polls.
 * Whatever it says, the server starts, serves and stops; the seeds are what the real one wrote with clients who had all of
 * these. */
#include "fuzzing.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "served_lab.h"

static struct served_lab *lab;
static struct buffer written; /* by the real server */

/* The log, which would be long (CMakeLists.txt links these in its place). */
void __wrap_logging_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void __wrap_logging_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

void __wrap_logging_info(const char *format, ...)
{
    (void)format;
}

void __wrap_logging_warning(const char *format, ...)
{
    (void)format;
}

static void end(void)
{
    server_stop(lab->server);
    lab->server = NULL;
    served_lab_kill(lab);
    void *state = lab;
    served_lab_teardown(&state);
    buffer_free(&written);
}

static void open_and_lock(struct served_client *client, const char *name)
{
    struct fuse_entry_out folder, entry;
    struct fuse_open_out open;
    int error = fuse_path_resolve(&client->fuse, "datasets/cells", &folder);
    if (!error)
        error = fuse_call_create(&client->fuse, folder.nodeid, name, O_RDWR, &entry, &open);
    assert(!error);
    const struct fuse_lk_in in = {.fh = open.fh, .owner = 7, .lk = {.end = INT64_MAX, .type = F_WRLCK, .pid = 70}};
    struct fuse_client_request request = {
        .opcode = FUSE_SETLK, .node = entry.nodeid, .fixed = &in, .fixed_bytes = sizeof in};
    error = fuse_client_call(&client->fuse, &request, NULL, 0, NULL);
    assert(!error);
    request.opcode = FUSE_SETLKW;
    struct fuse_lk_in other = in;
    other.owner = 8;
    request.fixed = &other;
    fuse_client_send(&client->fuse, &request); /* waits */
}

static void poll_and_read(struct served_client *client)
{
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    char bytes[64];
    size_t got;
    uint32_t events;
    int error = fuse_path_resolve(&client->fuse, "jobs/events", &entry);
    if (!error)
        error = fuse_call_open(&client->fuse, entry.nodeid, O_RDONLY, &open);
    if (!error)
        error = fuse_call_read(&client->fuse, entry.nodeid, open.fh, 0, bytes, sizeof bytes, &got);
    if (!error)
        error = fuse_call_poll(&client->fuse, entry.nodeid, open.fh, 77, &events);
    assert(!error);
    fuse_call_send_read(&client->fuse, entry.nodeid, open.fh, sizeof bytes, 0); /* waits */
}

static void prepare(void)
{
    struct served_client ada, bob;
    void *state;
    if (lab)
        return;
    served_lab_setup(&state);
    lab = state;
    served_client_connect(&ada, lab, "ada");
    served_client_connect(&bob, lab, "bob");
    open_and_lock(&ada, "a");
    open_and_lock(&bob, "b");
    poll_and_read(&bob);
    served_lab_part(lab);
    buffer_append(&written, lab->saved.data, lab->saved.length);
    buffer_clear(&lab->saved);
    served_lab_start(lab);
    served_client_leave(&ada);
    served_client_leave(&bob);
    server_stop(lab->server);
    lab->server = NULL;
    atexit(end);
}

static enum code admit(void *context, const struct wire_peer *peer, struct viewer *viewer, struct failure *why)
{
    const struct served_lab *served = context;
    (void)why;
    strcpy(viewer->name, peer->holder.name);
    viewer->role = ROLE_SCIENTIST;
    viewer->id = member_key_public(served->member)->id;
    return CODE_OK;
}

static void gone(void *context, const char *member)
{
    (void)context;
    assert(strlen(member) <= MEMBER_NAME_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct failure why;
    prepare();
    uint8_t *saved = malloc(count ? count : 1); /* of its own size, so that the address sanitizer sees one byte too many */
    assert(saved);
    memcpy(saved, bytes, count);
    const struct server_options options = {
        .door = {.admit = admit, .gone = gone, .context = lab}, .workers = 1, .saved = saved, .saved_count = count};
    enum code code = server_start(lab->tree, &options, &lab->server, &why);
    assert(code == CODE_OK);
    server_stop(lab->server);
    lab->server = NULL;
    free(saved);
    return 0;
}

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    if (index > 0)
        return NULL;
    prepare();
    *count = written.length;
    uint8_t *copy = malloc(written.length);
    if (copy)
        memcpy(copy, written.data, written.length);
    return copy;
}
