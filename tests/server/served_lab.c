/* See served_lab.h. */
#include "served_lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chunk_store.h"
#include "chunk_store_packs.h"
#include "file.h"
#include "member_key.h"
#include "rule.h"
#include "scope.h"
#include "testing.h"
#include "tree.h"
#include "tree_parting.h"
#include "tree_path.h"

#define ANY_PORT ((uint16_t)-1)

/* The store ------------------------------------------------------------------------------------------------------------ */

static enum code wait_at_gate(void *context, const char *path, struct failure *why)
{
    struct served_lab *lab = context;
    (void)path;
    (void)why;
    sem_post(&lab->at_gate);
    while (sem_wait(&lab->gate) != 0)
        ;
    return CODE_OK;
}

static void open_store(struct served_lab *lab, bool create)
{
    struct failure why;
    char catalog[128], packs[128];
    snprintf(catalog, sizeof catalog, "%s/catalog.db", lab->folder);
    snprintf(packs, sizeof packs, "%s/packs", lab->folder);
    assert_code_ok(file_make_folders(packs, &why), why);
    const struct chunk_store_packs_options options = {.store = lab->store, .roll_bytes = 16 << 20};
    assert_code_ok(chunk_store_packs_open(packs, &options, &lab->chunks, &why), why);
    const struct tree_open_options tree = {.chunks = lab->chunks,
                                           .catalog_path = catalog,
                                           .member = lab->member,
                                           .store = &lab->store,
                                           .member_name = "ada",
                                           .keep_nameless = true};
    if (create)
        assert_code_ok(tree_create(&tree, &why), why);
    assert_code_ok(tree_open(&tree, &lab->tree, &why), why);
    assert_code_ok(test_rules_add(&lab->rules, lab->tree, NULL, &why), why);
    const struct rule slow = {.kind = RULE_WATCH, .pattern = "datasets/slow/*", .context = lab, .check = wait_at_gate};
    assert_code_ok(rule_add(lab->tree, &slow, &why), why);
}

static void close_store(struct served_lab *lab)
{
    tree_close(lab->tree);
    chunk_store_destroy(lab->chunks);
    test_rules_destroy(&lab->rules);
    lab->tree = NULL;
}

/* The door ------------------------------------------------------------------------------------------------------------- */

static enum code on_admit(void *context, const struct wire_peer *peer, struct viewer *viewer, struct failure *why)
{
    const struct served_lab *lab = context;
    if (lab->refused && strcmp(lab->refused, peer->holder.name) == 0)
        return failure_set(why, CODE_DENIED, "%s is no longer a member of this lab", peer->holder.name);
    strcpy(viewer->name, peer->holder.name);
    viewer->role = ROLE_STEWARD;
    viewer->id = member_key_public(lab->member)->id;
    return CODE_OK;
}

static enum code on_question(void *context, const void *question, size_t count, const char *address, struct buffer *answer,
                             struct failure *why)
{
    (void)context;
    (void)question;
    (void)count;
    (void)address;
    (void)answer;
    return failure_set(why, CODE_DENIED, "nobody is invited");
}

static void on_gone(void *context, const char *member)
{
    struct served_lab *lab = context;
    (void)member;
    __atomic_fetch_add(&lab->gone, 1, __ATOMIC_SEQ_CST);
}

static void serve(struct served_lab *lab)
{
    struct failure why;
    const struct server_options options = {
        .address = "127.0.0.1",
        .port = lab->port ? lab->port : ANY_PORT,
        .credentials = &lab->certificates.server,
        .door = {.admit = on_admit, .answer = on_question, .gone = on_gone, .context = lab},
        .workers = lab->workers,
        .saved = lab->saved.length ? lab->saved.data : NULL,
        .saved_count = lab->saved.length,
    };
    assert_code_ok(server_start(lab->tree, &options, &lab->server, &why), why);
    assert_code_ok(tree_drop_nameless(lab->tree, &why), why);
    lab->port = server_port(lab->server);
}

void served_lab_part(struct served_lab *lab)
{
    struct failure why;
    buffer_clear(&lab->saved);
    assert_code_ok(server_part(lab->server, &lab->saved, &why), why);
    tree_begin_parting(lab->tree);
    lab->number = tree_finish(lab->tree);
    server_stop(lab->server);
    lab->server = NULL;
    close_store(lab);
}

void served_lab_start(struct served_lab *lab)
{
    open_store(lab, false);
    if (lab->saved.length && lab->number)
        assert_int_equal(tree_opened_at(lab->tree), lab->number);
    serve(lab);
}

void served_lab_kill(struct served_lab *lab)
{
    server_stop(lab->server);
    lab->server = NULL;
    buffer_clear(&lab->saved);
    close_store(lab);
}

int served_lab_setup(void **state)
{
    struct failure why;
    struct node_attributes attributes;
    struct served_lab *lab = calloc(1, sizeof *lab);
    lab->store = (struct store_id){{4, 5, 6}};
    lab->workers = 6;
    snprintf(lab->folder, sizeof lab->folder, "/tmp/cytofs-server-XXXXXX");
    assert_non_null(mkdtemp(lab->folder));
    sem_init(&lab->at_gate, 0, 0);
    sem_init(&lab->gate, 0, 0);
    assert_code_ok(member_key_generate(&lab->member, &why), why);
    fixture_lab_make(&lab->certificates);
    open_store(lab, true);
    struct node_attributes datasets;
    assert_code_ok(tree_path_attributes(lab->tree, "datasets", &datasets, &why), why);
    assert_code_ok(tree_make_folder(lab->tree, datasets.id, "cells", 0755, &attributes, &why), why);
    assert_code_ok(tree_make_folder(lab->tree, datasets.id, "slow", 0755, &attributes, &why), why);
    serve(lab);
    *state = lab;
    return 0;
}

int served_lab_teardown(void **state)
{
    struct served_lab *lab = *state;
    struct failure why;
    if (lab->server)
        served_lab_kill(lab);
    fixture_lab_free(&lab->certificates);
    member_key_destroy(lab->member);
    buffer_free(&lab->saved);
    sem_destroy(&lab->at_gate);
    sem_destroy(&lab->gate);
    assert_code_ok(file_remove_tree(lab->folder, &why), why);
    free(lab);
    return 0;
}

/* Clients -------------------------------------------------------------------------------------------------------------- */

static void on_message(void *context, const void *bytes, size_t length)
{
    const struct served_client *client = context;
    (void)!send(client->socket, bytes, length, MSG_NOSIGNAL);
}

static void on_state(void *context, enum wire_state state, const struct failure *why)
{
    struct served_client *client = context;
    fixture_events.state(&client->seen, state, why);
}

static void *carry(void *argument)
{
    struct served_client *client = argument;
    struct failure why;
    SCOPE_FREE char *message = malloc(FUSE_CLIENT_MESSAGE_MAX);
    ssize_t got;
    while ((got = recv(client->socket, message, FUSE_CLIENT_MESSAGE_MAX, 0)) > 0) {
        struct iovec part = {message, (size_t)got};
        while (wire_link_send(client->link, &part, 1, &why) == CODE_AGAIN)
            usleep(1000);
    }
    return NULL;
}

void served_client_connect(struct served_client *client, struct served_lab *lab, const char *member)
{
    static const struct wire_events events = {.message = on_message, .state = on_state};
    struct failure why;
    int pair[2];
    *client = (struct served_client){0};
    fixture_end_init(&client->seen);
    fixture_credentials_make(&lab->certificates, member, &client->credentials);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    client->socket = pair[1];
    const struct wire_connect_options options = {
        .host = "127.0.0.1", .port = lab->port, .credentials = &client->credentials};
    assert_code_ok(wire_connect(&options, &events, client, &client->link, &why), why);
    assert_int_equal(pthread_create(&client->thread, NULL, carry, client), 0);
    assert_true(fuse_client_start_on(&client->fuse, pair[0]));
}

void served_client_leave(struct served_client *client)
{
    if (!client->link)
        return;
    fuse_client_stop(&client->fuse);
    pthread_join(client->thread, NULL);
    wire_link_destroy(client->link);
    close(client->socket);
    fixture_credentials_free(&client->credentials);
    fixture_end_free(&client->seen);
    client->link = NULL;
}

int served_client_expect(struct served_client *client, const char *path, const char *text)
{
    SCOPE_BUFFER found = {0};
    int error = fuse_path_get(&client->fuse, path, &found);
    if (!error)
        assert_string_equal(buffer_text(&found), text);
    return error;
}
