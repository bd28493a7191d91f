/* See relay_fixture.h. */
#include "relay_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "testing.h"

#include "chunk_store.h"
#include "chunk_store_fault.h"
#include "chunk_store_memory.h"
#include "file.h"
#include "lab_view.h"
#include "member_key.h"
#include "scope.h"
#include "server.h"
#include "timing.h"
#include "tree.h"

/* The server -------------------------------------------------------------------------------------------------------- */

static enum code admit(void *context, const struct wire_peer *peer, struct viewer *viewer, struct failure *why)
{
    const struct relay_fixture *fixture = context;
    (void)why;
    viewer->id = member_key_public(fixture->member)->id;
    strcpy(viewer->name, peer->holder.name);
    viewer->role = ROLE_ADMIN;
    return CODE_OK;
}

static enum code answer(void *context, const void *question, size_t count, const char *address, struct buffer *out,
                        struct failure *why)
{
    (void)context;
    (void)question;
    (void)count;
    (void)out;
    return failure_set(why, CODE_DENIED, "%s: nobody is invited", address);
}

static void gone(void *context, const char *member)
{
    (void)context;
    (void)member;
}

void relay_fixture_start_server(struct relay_fixture *fixture)
{
    struct failure why;
    const struct server_options options = {.address = "127.0.0.1",
                                           .port = fixture->port ? fixture->port : (uint16_t)-1,
                                           .credentials = &fixture->lab.server,
                                           .workers = 4,
                                           .door = {.admit = admit, .answer = answer, .gone = gone, .context = fixture}};
    int64_t until_ms = timing_monotonic_ms() + TESTING_PATIENCE_MS;
    enum code code;
    do
        code = server_start(fixture->tree, &options, &fixture->server, &why);
    while (code != CODE_OK && timing_monotonic_ms() < until_ms);
    assert_code_ok(code, why);
    fixture->port = server_port(fixture->server);
}

void relay_fixture_stop_server(struct relay_fixture *fixture)
{
    server_stop(fixture->server);
    fixture->server = NULL;
}

void relay_fixture_cut_often(struct relay_fixture *fixture, size_t least, size_t most, unsigned seed)
{
    fixture->proxy = fixture_proxy_start(fixture->port, least, most, seed);
}

/* Stations ---------------------------------------------------------------------------------------------------------- */

static struct relay *relay_of(struct station *station)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&station->lock);
    while (!station->relay)
        pthread_cond_wait(&station->changed, &station->lock);
    return station->relay;
}

static bool hold(struct station *station, const void *bytes, size_t length)
{
    struct fuse_out_header header;
    memcpy(&header, bytes, sizeof header);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&station->lock);
    if (!station->holds || !station->holds(&header))
        return false;
    buffer_append(&station->held, bytes, length);
    return true;
}

static void on_message(void *context, const void *bytes, size_t length)
{
    struct relay *relay = relay_of(context);
    if (!hold(context, bytes, length))
        relay_take_message(relay, bytes, length);
}

void relay_fixture_hold(struct station *station, bool (*holds)(const struct fuse_out_header *message))
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&station->lock);
    station->holds = holds;
}

bool relay_fixture_is_held(struct station *station)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&station->lock);
    return station->held.length > 0;
}

void relay_fixture_let_held_come(struct station *station)
{
    relay_fixture_hold(station, NULL);
    for (size_t at = 0; at < station->held.length;) {
        struct fuse_out_header header;
        memcpy(&header, station->held.data + at, sizeof header);
        relay_take_message(station->relay, station->held.data + at, header.len);
        at += header.len;
    }
    buffer_clear(&station->held);
}

static void on_state(void *context, enum wire_state state, const struct failure *why)
{
    struct station *station = context;
    pthread_mutex_lock(&station->lock);
    station->lost += state == WIRE_LOST;
    station->connected += state == WIRE_CONNECTED;
    struct relay *relay = station->relay;
    pthread_mutex_unlock(&station->lock);
    if (relay)
        relay_take_state(relay, state, why);
}

static enum code send_to(void *context, const struct iovec *parts, int count, struct failure *why)
{
    struct station *station = context;
    return wire_link_send(station->link, parts, count, why);
}

struct station *relay_fixture_join(struct relay_fixture *fixture, const struct relay_options *asked)
{
    struct failure why;
    struct station *station = &fixture->stations[fixture->count++];
    *station = (struct station){.fixture = fixture};
    pthread_mutex_init(&station->lock, NULL);
    pthread_cond_init(&station->changed, NULL);
    fixture_credentials_make(&fixture->lab, "alice", &station->credentials);
    const struct wire_events events = {.message = on_message, .state = on_state};
    const struct wire_connect_options connect = {
        .host = "127.0.0.1",
        .port = fixture->proxy ? fixture_proxy_port(fixture->proxy) : fixture->port,
        .credentials = &station->credentials,
        .give_up_ms = TESTING_PATIENCE_MS,
    };
    assert_code_ok(wire_connect(&connect, &events, station, &station->link, &why), why);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    struct relay_options options = asked ? *asked : (struct relay_options){0};
    options.device = pair[0];
    options.send = send_to;
    options.send_context = station;
    struct relay *relay;
    assert_code_ok(relay_start(&options, &relay, &why), why);
    pthread_mutex_lock(&station->lock);
    station->relay = relay;
    pthread_cond_broadcast(&station->changed);
    pthread_mutex_unlock(&station->lock);
    if (fixture->before_init)
        fixture->before_init(fixture);
    assert_true(fuse_client_attach(&station->kernel, pair[1]));
    return station;
}

void relay_fixture_leave(struct station *station)
{
    if (!station->relay)
        return;
    if (station->fixture->server)
        relay_drain(station->relay, TESTING_PATIENCE_MS);
    wire_link_close(station->link);
    wire_link_destroy(station->link);
    fuse_client_stop(&station->kernel);
    relay_destroy(station->relay);
    station->relay = NULL;
    fixture_credentials_free(&station->credentials);
    buffer_free(&station->held);
    pthread_cond_destroy(&station->changed);
    pthread_mutex_destroy(&station->lock);
}

/* All of it --------------------------------------------------------------------------------------------------------- */

static void open_tree(struct relay_fixture *fixture)
{
    struct failure why;
    char catalog[128];
    const struct store_id store = {{1}};
    strcpy(fixture->folder, "/tmp/cytofs-relay-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(catalog, sizeof catalog, "%s/catalog.db", fixture->folder);
    assert_code_ok(member_key_generate(&fixture->member, &why), why);
    const struct tree_open_options options = {.chunks = fixture->chunks,
                                              .catalog_path = catalog,
                                              .member = fixture->member,
                                              .store = &store,
                                              .member_name = "alice"};
    assert_code_ok(tree_create(&options, &why), why);
    assert_code_ok(tree_open(&options, &fixture->tree, &why), why);
}

int relay_fixture_setup(void **state)
{
    struct failure why;
    struct relay_fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    struct chunk_store *memory;
    assert_code_ok(chunk_store_memory_create(0, &memory, &why), why);
    assert_code_ok(chunk_store_fault_create(memory, &fixture->chunks, &why), why);
    open_tree(fixture);
    assert_code_ok(test_rules_add(&fixture->rules, fixture->tree, NULL, &why), why);
    assert_code_ok(lab_view_add(fixture->tree, &why), why);
    fixture_lab_make(&fixture->lab);
    relay_fixture_start_server(fixture);
    relay_fixture_join(fixture, NULL);
    *state = fixture;
    return 0;
}

int relay_fixture_teardown(void **state)
{
    struct failure why;
    struct relay_fixture *fixture = *state;
    for (int i = 0; i < fixture->count; i++)
        relay_fixture_leave(&fixture->stations[i]);
    if (fixture->proxy)
        fixture_proxy_stop(fixture->proxy);
    if (fixture->server)
        server_stop(fixture->server);
    tree_close(fixture->tree);
    test_rules_destroy(&fixture->rules);
    chunk_store_destroy(fixture->chunks);
    member_key_destroy(fixture->member);
    assert_code_ok(file_remove_tree(fixture->folder, &why), why);
    fixture_lab_free(&fixture->lab);
    free(fixture);
    return 0;
}

void relay_fixture_await_lost(struct station *station)
{
    int64_t until_ms = timing_monotonic_ms() + TESTING_PATIENCE_MS;
    for (;;) {
        pthread_mutex_lock(&station->lock);
        int lost = station->lost;
        pthread_mutex_unlock(&station->lock);
        if (lost)
            return;
        assert_true(timing_monotonic_ms() < until_ms);
        usleep(1000);
    }
}

uint64_t relay_fixture_folder(struct station *station, const char *path)
{
    struct fuse_entry_out entry = {.nodeid = FUSE_ROOT_ID};
    SCOPE_FREE char *copy = strdup(path);
    char *rest = copy;
    for (char *name; (name = strsep(&rest, "/"));) {
        struct fuse_entry_out next;
        int error = fuse_call_lookup(&station->kernel, entry.nodeid, name, &next);
        if (error == ENOENT)
            error = fuse_call_mkdir(&station->kernel, entry.nodeid, name, &next);
        if (error)
            fail_msg("%s: errno %d", path, error);
        entry = next;
    }
    return entry.nodeid;
}

void relay_fixture_expect(struct station *station, const char *path, const char *text)
{
    SCOPE_BUFFER found = {0};
    int64_t until_ms = timing_monotonic_ms() + TESTING_PATIENCE_MS;
    int error;
    do {
        buffer_clear(&found);
        error = fuse_path_get(&station->kernel, path, &found);
        if (!error && strcmp(buffer_text(&found), text) == 0)
            return;
        usleep(2000);
    } while (timing_monotonic_ms() < until_ms);
    if (error)
        fail_msg("%s: errno %d", path, error);
    assert_string_equal(buffer_text(&found), text);
}

struct relay_counters relay_fixture_counters(struct station *station)
{
    struct relay_counters counters;
    relay_counters(station->relay, &counters);
    return counters;
}
