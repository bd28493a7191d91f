/* Serving a store: see lab_launch.h.  The process in the background opens the store itself, since locks and databases do not
 * survive a fork; a passphrase is asked for while it still has the terminal. */
#include "lab_launch.h"

#include <limits.h>
#include <unistd.h>

#include "background.h"
#include "lab_reach.h"
#include "lab_store.h"
#include "scope.h"
#include "service_notify.h"
#include "store_folder.h"

struct launch {
    const struct command *command;
    struct lab_launch *asked;
    struct background *background;
    bool told; /* why it did not become ready */
};

static void on_ready(void *context, const struct failure *why)
{
    struct launch *launch = context;
    launch->told = why != NULL;
    if (why)
        background_fail(launch->background, launch->command, why);
    else
        background_ready(launch->background, launch->asked->ready);
    if (!why)
        service_notify("READY=1");
}

/* Another process has the store: what there is to do for somebody who wants to mount or serve it. */
static enum code explain_busy(const struct lab_launch *asked, struct failure *why)
{
    long holder = store_folder_holder(asked->store);
    SCOPE_FREE char *served = lab_reach_server(asked->store);
    if (holder <= 0 || holder == getpid())
        return CODE_BUSY; /* it is a mirror that somebody has */
    if (served)
        return failure_set(why, CODE_BUSY,
                           "%s is served already, by process %ld: to see it on this machine: cytofs mount %s DIR; to serve "
                           "it in another way, "
                           "end that process first: kill -TERM %ld",
                           asked->store, holder, asked->store, holder);
    return failure_set(why, CODE_BUSY,
                       "%s is in use by process %ld: if that has mounted it, unmount it first (fusermount3 -u DIR), or go "
                       "on there; if that serves "
                       "it with --socket PATH, see it with: cytofs mount PATH DIR",
                       asked->store, holder);
}

static enum code open_store(const struct lab_launch *asked, struct lab_store *store, struct failure *why)
{
    if (!asked->store)
        return lab_store_open_memory(store, why);
    const struct lab_store_options options = {
        .key = asked->key, .accept_older = asked->accept_older, .look_first = true, .keep_nameless = asked->server.serves};
    enum code code = lab_store_open(asked->store, &options, store, why);
    return code == CODE_BUSY ? explain_busy(asked, why) : code;
}

static int serve(void *context, struct background *background)
{
    struct launch *launch = context;
    struct lab_launch *asked = launch->asked;
    struct failure why;
    struct lab_store store;
    char program[PATH_MAX] = "";
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    launch->background = background;
    lab_server_block_signals();
    enum code code = open_store(asked, &store, &why);
    if (code == CODE_OK && (code = background_leave(background, store.id, &why)) != CODE_OK)
        lab_store_close(&store);
    if (code != CODE_OK)
        return background_fail(background, launch->command, &why);
    asked->server.program = program;
    asked->server.node = asked->server.node && length > 0;
    asked->server.ready = on_ready;
    asked->server.ready_context = launch;
    code = lab_server_run(&store, &asked->server, &why);
    if (code == CODE_OK)
        return EXIT_DONE;
    return launch->told ? failure_to_exit_status(code) : background_fail(background, launch->command, &why);
}

int lab_launch_run(const struct command *command, struct lab_launch *launch)
{
    struct launch context = {.command = command, .asked = launch};
    return background_run(command, launch->foreground, serve, &context);
}
