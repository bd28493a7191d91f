/* A small file server for the tests of real mounts: one tree with the rules of test_rules.h and the lab's own view, mounted
 * at one or more places.
 *
 *   mount_server [--store FOLDER] [--owners] LOG MOUNTPOINT [MOUNTPOINT ...]
 *
 * The tree is in memory or, with --store, kept in FOLDER (made where it is missing).  With --owners others may enter, and
 * files belong to who makes them (for root).  Each event is a line in LOG.  Once everything is mounted it prints "ready". It
 * ends, with exit status 0, on SIGTERM or SIGINT, or when the first mount is unmounted. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lab_view.h"
#include "logging.h"
#include "mount_store.h"
#include "people.h"
#include "people_view.h"
#include "session.h"
#include "test_rules.h"

#define MOUNTS_MAX 4

struct server {
    struct mount_store store;
    struct people *people;
    struct test_rules rules;
    bool owners;
    struct session *sessions[MOUNTS_MAX];
    int count;
};

static sigset_t ending_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    return signals;
}

/* All threads but this one have the signals blocked. */
static void *wait_for_signal(void *argument)
{
    struct server *server = argument;
    sigset_t signals = ending_signals();
    int number;
    sigwait(&signals, &number);
    session_stop(server->sessions[0]);
    return NULL;
}

static enum code open_tree(struct server *server, const char *folder, FILE *log, struct failure *why)
{
    enum code code = mount_store_open(&server->store, folder, why);
    if (code == CODE_OK)
        code = test_rules_add(&server->rules, server->store.tree, log, why);
    if (code == CODE_OK)
        code = lab_view_add(server->store.tree, why);
    if (code == CODE_OK)
        code = people_create(server->store.tree, &(struct people_options){0}, &server->people, why);
    if (code == CODE_OK)
        code = people_view_add(server->people, why);
    return code;
}

static enum code serve(struct server *server, char **mountpoints, struct failure *why)
{
    for (; mountpoints[server->count] && server->count < MOUNTS_MAX; server->count++) {
        const struct session_options options = {.mountpoint = mountpoints[server->count],
                                                .allow_other = server->owners,
                                                .keep_owners = server->owners,
                                                .label = "cytofs-test"};
        enum code code = session_start(server->store.tree, &options, &server->sessions[server->count], why);
        if (code != CODE_OK)
            return code;
    }
    pthread_t signal_thread;
    if (pthread_create(&signal_thread, NULL, wait_for_signal, server) != 0)
        return failure_set(why, CODE_IO, "starting the signal thread");
    puts("ready");
    fflush(stdout);
    session_wait(server->sessions[0]);
    pthread_kill(signal_thread, SIGTERM);
    pthread_join(signal_thread, NULL);
    return CODE_OK;
}

static void shut_down(struct server *server)
{
    for (int i = 0; i < server->count; i++)
        session_destroy(server->sessions[i]);
    mount_store_close(&server->store);
    people_destroy(server->people);
    test_rules_destroy(&server->rules);
}

int main(int count, char **arguments)
{
    const char *folder = NULL;
    bool owners = false;
    if (count > 2 && strcmp(arguments[1], "--store") == 0) {
        folder = arguments[2];
        arguments += 2;
        count -= 2;
    }
    if (count > 1 && strcmp(arguments[1], "--owners") == 0) {
        owners = true;
        arguments++;
        count--;
    }
    if (count < 3) {
        fprintf(stderr, "usage: mount_server [--store FOLDER] [--owners] LOG MOUNTPOINT [MOUNTPOINT ...]\n");
        return 2;
    }
    FILE *log = fopen(arguments[1], "a");
    if (!log) {
        perror(arguments[1]);
        return 3;
    }
    sigset_t signals = ending_signals();
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before the first thread is started: they inherit it */
    struct server server = {.owners = owners};
    struct failure why;
    enum code code = open_tree(&server, folder, log, &why);
    if (code == CODE_OK)
        code = serve(&server, arguments + 2, &why);
    if (code != CODE_OK)
        logging_warning("%s", why.text);
    shut_down(&server);
    fclose(log);
    return code == CODE_OK ? 0 : failure_to_exit_status(code);
}
