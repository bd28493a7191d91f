/* A remote mount's life: see lab_relay.h.
 *
 *   connect (the server's word comes before anything is mounted) --> mount --> relay answers the kernel --> ready
 *   --> unmounted, SIGTERM, or the server ends it --> what was written goes to the server --> good-bye
 *
 * SIGUSR1 writes the relay's counters into the log; `getfattr -n user.cytofs.relay DIR` shows them, too. */
#include "lab_relay.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "background.h"
#include "file.h"
#include "kdf.h"
#include "lab_former.h"
#include "lab_profile.h"
#include "logging.h"
#include "member_key.h"
#include "relay.h"
#include "relay_disk.h"
#include "scope.h"
#include "secret.h"
#include "service_notify.h"
#include "session_mount.h"

#define DISK_KEY_BYTES 32
#define DISK_WAIT_MS   1000 /* for a mount that was left a moment ago to let go of what is kept on disk */
#define DISK_RETRY_MS  20
#define DRAIN_MS       600000 /* a server that is away may come back: what was written is worth waiting for */

struct mount {
    const struct lab_relay_options *options;
    const struct command *command;
    char *directory; /* where it is mounted, resolved */
    bool mounted;
    struct lab_profile profile; /* of NAME@HOST */
    struct wire_link *link;
    struct relay_disk *disk;
    struct lab_former former;

    pthread_mutex_t lock;
    pthread_cond_t made;
    struct relay *relay; /* set when there is one; the link's events wait for it */
    bool ended;          /* of the link */
    struct failure why;
};

bool lab_relay_is_server(const char *name)
{
    struct stat status;
    const char *at = strchr(name, '@');
    if (at && at > name && at[1] && !strchr(name, '/'))
        return true;
    return stat(name, &status) == 0 && S_ISSOCK(status.st_mode);
}

bool lab_relay_find_errno(const char *name, int *out)
{
    static const struct {
        const char *name;
        int number;
    } known[] = {
        {"ETIMEDOUT", ETIMEDOUT}, {"EIO", EIO}, {"EAGAIN", EAGAIN}, {"EHOSTDOWN", EHOSTDOWN}, {"ENOTCONN", ENOTCONN}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0) {
            *out = known[i].number;
            return true;
        }
    return false;
}

/* The link's events ------------------------------------------------------------------------------------------------- */

static struct relay *relay_of(struct mount *mount)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&mount->lock);
    while (!mount->relay && !mount->ended)
        pthread_cond_wait(&mount->made, &mount->lock);
    return mount->relay;
}

static void on_message(void *context, const void *bytes, size_t length)
{
    struct relay *relay = relay_of(context);
    if (relay)
        relay_take_message(relay, bytes, length);
}

static void on_state(void *context, enum wire_state state, const struct failure *why)
{
    struct mount *mount = context;
    pthread_mutex_lock(&mount->lock);
    struct relay *relay = mount->relay;
    if (state == WIRE_ENDED && !relay) {
        mount->ended = true;
        if (why)
            mount->why = *why;
        pthread_cond_broadcast(&mount->made);
    }
    pthread_mutex_unlock(&mount->lock);
    if (relay && state == WIRE_RENEWED)
        lab_former_keep(&mount->former, mount->link);
    if (relay)
        relay_take_state(relay, state, why);
}

/* Making it --------------------------------------------------------------------------------------------------------- */

static enum code connect_to(struct mount *mount, struct failure *why)
{
    const struct wire_events events = {.message = on_message, .state = on_state};
    struct wire_connect_options options = {.host = mount->options->server};
    if (mount->options->server[0] != '/') {
        enum code code = lab_profile_open(mount->options->server, &mount->profile, why);
        if (code != CODE_OK)
            return code;
        options.host = mount->profile.address.host;
        options.port = mount->profile.address.port;
        options.credentials = &mount->profile.credentials;
    }
    lab_former_open(&mount->former, mount->options->server, mount->options->directory);
    options.former = mount->former.known ? mount->former.session : NULL;
    enum code code = wire_connect(&options, &events, mount, &mount->link, why);
    if (code == CODE_OK)
        lab_former_keep(&mount->former, mount->link);
    return code;
}

/* Who has the member's key can read what is kept, and nobody else. */
static enum code derive_disk_key(const struct member_key *member, uint8_t *key, struct failure *why)
{
    const struct kdf_input input = {.secret = member_key_private(member),
                                    .secret_count = MEMBER_KEY_BYTES,
                                    .info = "cytofs contents kept by a mount",
                                    .info_count = 31};
    return kdf_hkdf(&input, key, DISK_KEY_BYTES, why);
}

static enum code open_disk(struct mount *mount, struct failure *why)
{
    if (mount->options->no_disk || mount->options->plain)
        return CODE_OK;
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    SCOPE_FREE char *name = strdup(mount->options->server);
    SCOPE_FREE char *folder = NULL;
    if (!name)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    for (char *at = name; *at; at++)
        *at = *at == '/' ? '-' : *at;
    int made = mount->options->disk_folder ? asprintf(&folder, "%s", mount->options->disk_folder)
               : cache && cache[0]         ? asprintf(&folder, "%s/cytofs/%s", cache, name)
                                           : asprintf(&folder, "%s/.cache/cytofs/%s", home && home[0] ? home : "/tmp", name);
    if (made < 0)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    SECRET_FREE uint8_t *key = mount->profile.member ? secret_allocate(DISK_KEY_BYTES) : NULL;
    enum code code = key ? derive_disk_key(mount->profile.member, key, why) : CODE_OK;
    const struct relay_disk_options options = {
        .folder = folder, .bytes_max = (uint64_t)mount->options->disk_gib << 30, .key = key};
    if (code == CODE_OK)
        code = relay_disk_open(&options, &mount->disk, why);
    for (int waited_ms = 0; code == CODE_BUSY && waited_ms < DISK_WAIT_MS; waited_ms += DISK_RETRY_MS) {
        nanosleep(&(struct timespec){.tv_nsec = DISK_RETRY_MS * 1000000}, NULL);
        code = relay_disk_open(&options, &mount->disk, why);
    }
    if (code == CODE_OK || mount->options->disk_folder)
        return code;
    logging_warning("going on without keeping contents on disk: %s", why->text);
    return CODE_OK;
}

static enum code start_relay(struct mount *mount, struct failure *why)
{
    int device;
    enum code code = session_mount(mount->directory, "cytofs", mount->options->allow_other, &device, why);
    if (code != CODE_OK)
        return code;
    mount->mounted = true;
    const struct relay_options options = {
        .device = device,
        .timeout_ms = (int)(mount->options->timeout_s * 1000),
        .timeout_errno = mount->options->timeout_errno,
        .plain = mount->options->plain,
        .disk = mount->disk,
        .member = mount->profile.member,
        .send = (enum code(*)(void *, const struct iovec *, int, struct failure *))wire_link_send,
        .send_context = mount->link,
    };
    struct relay *relay;
    code = relay_start(&options, &relay, why);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&mount->lock);
    if (code == CODE_OK)
        mount->relay = relay;
    else
        mount->ended = true;
    pthread_cond_broadcast(&mount->made);
    return code;
}

static enum code begin(struct mount *mount, struct background *background, struct failure *why)
{
    enum code code = session_mount_prepare(mount->options->directory, &mount->directory, why);
    if (code == CODE_OK)
        code = connect_to(mount, why);
    if (code == CODE_OK)
        code = open_disk(mount, why);
    if (code == CODE_OK)
        code = background_leave(background, "mount", why);
    if (code == CODE_OK)
        code = start_relay(mount, why);
    if (code != CODE_OK)
        return code;
    if (!relay_wait_usable(mount->relay))
        return failure_set(why, CODE_IO, "mounting on %s: %s", mount->directory,
                           mount->why.text[0] ? mount->why.text : "it was unmounted at once");
    session_mount_widen_reads(mount->directory);
    return CODE_OK;
}

/* Using it ---------------------------------------------------------------------------------------------------------- */

static void log_counters(struct relay *relay)
{
    char text[1024];
    relay_describe(relay, text, sizeof text);
    for (char *line = text, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        *end = 0;
        logging_info("%s", line);
    }
}

static void remove_mount(const struct mount *mount)
{
    struct failure why;
    if (mount->relay && relay_is_unmounted(mount->relay))
        return; /* what is mounted there by now is another's */
    if (session_mount_remove(mount->directory, &why) != CODE_OK)
        logging_warning("%s", why.text);
}

static sigset_t signals_of_ours(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    return signals;
}

/* All threads have these signals blocked. */
static void *wait_for_signals(void *argument)
{
    struct mount *mount = argument;
    sigset_t signals = signals_of_ours();
    int number;
    while (sigwait(&signals, &number) == 0 && number == SIGUSR1)
        log_counters(mount->relay);
    remove_mount(mount); /* the relay sees the end */
    return NULL;
}

static void end(struct mount *mount)
{
    if (mount->relay && !relay_drain(mount->relay, DRAIN_MS))
        logging_warning("%s: something that was written did not reach the server", mount->directory);
    if (mount->link) {
        wire_link_close(mount->link);
        wire_link_destroy(mount->link);
    }
    relay_destroy(mount->relay);
    relay_disk_close(mount->disk);
    lab_former_close(&mount->former);
    lab_profile_free(&mount->profile);
    free(mount->directory);
}

static int run(void *context, struct background *background)
{
    struct mount *mount = context;
    struct failure why;
    sigset_t signals = signals_of_ours();
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before the first thread is started: they inherit it */
    pthread_mutex_init(&mount->lock, NULL);
    pthread_cond_init(&mount->made, NULL);
    enum code code = begin(mount, background, &why);
    pthread_t waiter;
    if (code == CODE_OK && pthread_create(&waiter, NULL, wait_for_signals, mount) != 0)
        code = failure_set(&why, CODE_IO, "starting the thread that waits for signals");
    if (code != CODE_OK) {
        if (mount->mounted)
            remove_mount(mount);
        end(mount);
        return background_fail(background, mount->command, &why);
    }
    background_ready(background, mount->options->ready);
    service_notify("READY=1");
    relay_wait(mount->relay);
    service_notify("STOPPING=1");
    pthread_kill(waiter, SIGTERM);
    pthread_join(waiter, NULL);
    log_counters(mount->relay);
    end(mount);
    return EXIT_DONE;
}

int lab_relay_run(const struct command *command, const struct lab_relay_options *options)
{
    struct mount mount = {.options = options, .command = command, .former.file = -1};
    return background_run(command, options->foreground, run, &mount);
}
