/* kill -9 at any moment, again and again, of one and the same store: nothing that was acknowledged is ever lost.
 *
 *     test_kills [--rounds N] [--mounted N] [--seed S] [--folder DIR]
 *
 * Of the rounds, N run through a real mount (skipped where that cannot be): a server process, and writers that are processes
 * of their own.  In the others the writers are threads of one process that uses the tree itself.  Each round a process is
 * killed with SIGKILL at a random moment, perhaps while it still opens the store; then the store is opened, checked with all
 * its contents, and each file must be one of its versions, whole, and not older than what was acknowledged:
 *
 *     kept      fsync has returned after the rename that gave the file its name, or after the line was appended
 *     closed    the file was closed (and renamed) five seconds before the kill: in a few rounds that are long enough
 *
 * Writers replace files of their own by rename and append to journals of their own; they tell the parent by a pipe, in
 * messages that are too short to be torn.  A writer that is refused something tells that too: nobody may be before the kill.
 *
 * At the end: kills <n> mounted <n> acknowledged <n> operations <n> violations <n> seconds <s>
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "file.h"
#include "lab_store.h"
#include "random.h"
#include "scope.h"
#include "session.h"
#include "timing.h"
#include "tree_path.h"

#define ROUNDS_SHORT  12
#define MOUNTED_SHORT 3
#define WRITERS       4
#define FILES         5 /* a writer */
#define LARGE_MAX     200000
#define LINE_BYTES    16
#define LONG_EVERY    100 /* one round in so many is long enough for what was only closed */
#define LONG_MS       6500
#define SHORT_MS      300
#define CLOSED_MS     5000
#define JOURNAL       FILES /* its "version" is the number of its lines */

enum told { TOLD_READY, TOLD_TRIED, TOLD_KEPT, TOLD_CLOSED, TOLD_REFUSED };

struct message {
    uint32_t told, writer, file, version;
    int64_t ms;
};

struct known {
    uint32_t kept, tried; /* versions */
};

struct kills {
    char folder[64], store[80], key[80], mountpoint[80];
    struct random random;
    struct known files[WRITERS][FILES + 1];
    uint32_t lines[WRITERS]; /* in each journal, as found after the last kill */
    uint64_t acknowledged, operations, violations;
    unsigned round;
};

/* Writers -----------------------------------------------------------------------------------------------------------------
 */

struct writer {
    const struct kills *kills;
    struct tree *tree; /* NULL: through the mount */
    unsigned number;
    int pipe;
};

static void tell(const struct writer *writer, enum told told, uint32_t file, uint32_t version)
{
    const struct message message = {told, writer->number, file, version, timing_monotonic_ms()};
    if (write(writer->pipe, &message, sizeof message) != sizeof message)
        _exit(1);
}

static size_t contents_of(uint32_t writer, uint32_t file, uint32_t version, uint8_t *bytes)
{
    struct random random = random_stream((uint64_t)writer * 100 + file, version);
    size_t count = 8 + random_below(&random, random_below(&random, 4) ? 3000 : LARGE_MAX);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)random_next(&random);
    memcpy(bytes, &version, sizeof version);
    return count;
}

static void line_of(uint32_t number, char line[LINE_BYTES + 1])
{
    snprintf(line, LINE_BYTES + 1, "line %010u", number);
    line[LINE_BYTES - 1] = '\n';
}

/* Writes a file of another name, gives it its own, and perhaps waits until it is durable; an errno. */
static int save_mounted(const struct writer *writer, const char *temporary, const char *path, const void *bytes,
                        size_t count, bool synced)
{
    char from[256], to[256];
    snprintf(from, sizeof from, "%s/%s", writer->kills->mountpoint, temporary);
    snprintf(to, sizeof to, "%s/%s", writer->kills->mountpoint, path);
    SCOPE_CLOSE int fd = open(from, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    errno = fd < 0 ? errno : 0;
    if (fd < 0 || write(fd, bytes, count) != (ssize_t)count || rename(from, to) != 0 || (synced && fsync(fd) != 0))
        return errno ? errno : EIO;
    int closing = fd;
    fd = -1;
    return close(closing) == 0 ? 0 : errno;
}

static int append_mounted(const struct writer *writer, const char *path, const char *line, bool synced)
{
    char whole[256];
    snprintf(whole, sizeof whole, "%s/%s", writer->kills->mountpoint, path);
    SCOPE_CLOSE int fd = open(whole, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || write(fd, line, LINE_BYTES) != LINE_BYTES || (synced && fsync(fd) != 0))
        return errno;
    return 0;
}

static int save_in_tree(const struct writer *writer, const char *temporary, const char *path, const void *bytes,
                        size_t count, bool synced)
{
    struct failure why;
    struct node_attributes folder, node;
    struct tree_file *file;
    struct tree_rename rename = {.from_name = strrchr(temporary, '/') + 1, .to_name = strrchr(path, '/') + 1};
    if (tree_path_attributes(writer->tree, "datasets/d", &folder, &why) != CODE_OK ||
        tree_create_file(writer->tree, folder.id, rename.from_name, 0644, OPEN_WRITE | OPEN_TRUNCATE, &node, &file, &why) !=
            CODE_OK)
        return EIO;
    rename.from_folder = rename.to_folder = folder.id;
    enum code code = tree_write(file, 0, bytes, count, &why);
    if (code == CODE_OK)
        code = tree_rename(writer->tree, &rename, &why);
    if (code == CODE_OK && synced)
        code = tree_fsync(file, &why);
    tree_release(file);
    return code == CODE_OK ? 0 : EIO;
}

static int append_in_tree(const struct writer *writer, const char *path, const char *line, bool synced)
{
    struct failure why;
    struct node_attributes node;
    struct tree_file *file;
    if (tree_path_attributes(writer->tree, path, &node, &why) != CODE_OK ||
        tree_open_file(writer->tree, node.id, OPEN_WRITE | OPEN_APPEND, &file, &why) != CODE_OK)
        return EIO;
    enum code code = tree_write(file, 0, line, LINE_BYTES, &why);
    if (code == CODE_OK && synced)
        code = tree_fsync(file, &why);
    tree_release(file);
    return code == CODE_OK ? 0 : EIO;
}

static void refused(const struct writer *writer, int error)
{
    if (!writer->tree && (error == ENOTCONN || error == ECONNABORTED || error == EINTR))
        _exit(0);
    tell(writer, TOLD_REFUSED, 0, (uint32_t)error);
    _exit(1);
}

static void replace_one(const struct writer *writer, uint32_t file, uint32_t version, bool synced)
{
    uint8_t bytes[LARGE_MAX + 8];
    char path[64], temporary[64];
    snprintf(path, sizeof path, "datasets/d/w%u-%u", writer->number, file);
    snprintf(temporary, sizeof temporary, "datasets/d/.new%u", writer->number);
    size_t count = contents_of(writer->number, file, version, bytes);
    tell(writer, TOLD_TRIED, file, version);
    int error = writer->tree ? save_in_tree(writer, temporary, path, bytes, count, synced)
                             : save_mounted(writer, temporary, path, bytes, count, synced);
    if (error)
        refused(writer, error);
    tell(writer, synced ? TOLD_KEPT : TOLD_CLOSED, file, version);
}

static void append_one(const struct writer *writer, uint32_t line_number, bool synced)
{
    char path[64], line[LINE_BYTES + 1];
    snprintf(path, sizeof path, "datasets/d/journal%u", writer->number);
    line_of(line_number, line);
    tell(writer, TOLD_TRIED, JOURNAL, line_number);
    int error = writer->tree ? append_in_tree(writer, path, line, synced) : append_mounted(writer, path, line, synced);
    if (error)
        refused(writer, error);
    tell(writer, synced ? TOLD_KEPT : TOLD_CLOSED, JOURNAL, line_number);
}

static void *write_for_ever(void *context)
{
    const struct writer *writer = context;
    struct random random = random_stream(writer->number + 1, writer->kills->round);
    uint32_t line = writer->kills->lines[writer->number];
    for (uint32_t version = writer->kills->round * 100000 + 1;; version++) {
        bool synced = random_below(&random, 3) != 0;
        if (random_below(&random, 2))
            append_one(writer, ++line, synced);
        else
            replace_one(writer, random_below(&random, FILES), version, synced);
    }
    return NULL;
}

/* Rounds -------------------------------------------------------------------------------------------------------------------
 */

/* In a child: opens the store, serves it or writes to it, and is killed. */
static void live(const struct kills *kills, bool mounted, int pipe)
{
    static struct lab_store lab;
    static struct writer writers[WRITERS];
    struct failure why;
    struct writer herself = {.kills = kills, .pipe = pipe};
    if (lab_store_open(kills->store, &(struct lab_store_options){.key = kills->key}, &lab, &why) != CODE_OK) {
        fprintf(stderr, "violation: does not open: %s\n", why.text);
        tell(&herself, TOLD_REFUSED, 0, EIO);
        _exit(1);
    }
    if (mounted) {
        struct session *session;
        if (session_start(lab.tree, &(struct session_options){.mountpoint = kills->mountpoint, .label = "kills"}, &session,
                          &why) != CODE_OK) {
            fprintf(stderr, "violation: does not mount: %s\n", why.text);
            _exit(1);
        }
        tell(&herself, TOLD_READY, 0, 0);
        session_wait(session);
        _exit(0);
    }
    pthread_t thread;
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){kills, lab.tree, i, pipe};
        if (pthread_create(&thread, NULL, write_for_ever, &writers[i]) != 0)
            _exit(1);
    }
    for (;;)
        pause();
}

static pid_t begin(const struct kills *kills, bool mounted, int pipe)
{
    pid_t child = fork();
    if (child == 0)
        live(kills, mounted, pipe);
    return child;
}

static void start_writers(const struct kills *kills, int pipe, pid_t writers[WRITERS])
{
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = fork();
        if (writers[i] == 0) {
            const struct writer writer = {.kills = kills, .number = i, .pipe = pipe};
            write_for_ever((void *)(uintptr_t)&writer);
        }
    }
}

static void kill_and_wait(pid_t process)
{
    kill(process, SIGKILL);
    while (waitpid(process, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* What a life told, in order. */
struct messages {
    struct message *all;
    size_t count, room;
};

static bool read_one(struct messages *messages, int pipe)
{
    if (messages->count == messages->room) {
        messages->room = messages->room ? 2 * messages->room : 1024;
        messages->all = realloc(messages->all, messages->room * sizeof *messages->all);
        if (!messages->all)
            abort();
    }
    return read(pipe, &messages->all[messages->count], sizeof *messages->all) == sizeof *messages->all && ++messages->count;
}

/* Reads until the moment has come, or until the first message where `one` is enough. */
static void listen_until(struct messages *messages, int pipe, int64_t until_ms, bool one)
{
    for (int64_t left; (left = until_ms - timing_monotonic_ms()) > 0;) {
        struct pollfd ready = {.fd = pipe, .events = POLLIN};
        if (poll(&ready, 1, (int)left) > 0 && (!read_one(messages, pipe) || one))
            return;
    }
}

/* Of the kill. */
struct moments {
    int64_t before_ms, after_ms;
};

static void take_note(struct kills *kills, const struct message *message, const struct moments *moments)
{
    struct known *known = &kills->files[message->writer][message->file];
    kills->operations += message->told == TOLD_TRIED;
    if (message->told == TOLD_TRIED && message->version > known->tried)
        known->tried = message->version;
    if (message->told == TOLD_REFUSED && message->ms < moments->before_ms) {
        printf("violation: round %u: writer %u was refused something before the kill: %s\n", kills->round, message->writer,
               strerror((int)message->version));
        kills->violations++;
    }
    bool acknowledged =
        message->told == TOLD_KEPT || (message->told == TOLD_CLOSED && moments->before_ms - message->ms > CLOSED_MS);
    if (acknowledged && message->version > known->kept)
        known->kept = message->version;
    kills->acknowledged += acknowledged;
}

static void live_and_die(struct kills *kills, bool mounted, struct messages *messages, struct moments *moments)
{
    int ends[2];
    pid_t writers[WRITERS];
    bool is_long = kills->round % LONG_EVERY == LONG_EVERY - 1;
    int64_t life_ms = is_long ? LONG_MS : random_below(&kills->random, SHORT_MS);
    if (pipe2(ends, O_CLOEXEC) != 0)
        exit(3);
    pid_t child = begin(kills, mounted, ends[1]);
    if (mounted && random_below(&kills->random, 10)) /* else it may be killed while it mounts */
        listen_until(messages, ends[0], timing_monotonic_ms() + 10000, true);
    bool ready = mounted && messages->count == 1 && messages->all[0].told == TOLD_READY;
    if (ready)
        start_writers(kills, ends[1], writers);
    close(ends[1]);
    listen_until(messages, ends[0], timing_monotonic_ms() + life_ms, false);
    moments->before_ms = timing_monotonic_ms();
    kill_and_wait(child);
    moments->after_ms = timing_monotonic_ms();
    if (mounted)
        umount2(kills->mountpoint, MNT_DETACH);
    while (read_one(messages, ends[0]))
        ;
    for (unsigned i = 0; ready && i < WRITERS; i++)
        waitpid(writers[i], NULL, 0);
    close(ends[0]);
}

/* After the kill
 * ------------------------------------------------------------------------------------------------------------- */

static void violation(struct kills *kills, const char *what)
{
    printf("violation: round %u: %s\n", kills->round, what);
    fflush(stdout);
    kills->violations++;
}

static void check_file(struct kills *kills, struct tree *tree, unsigned writer, unsigned file)
{
    static uint8_t expected[LARGE_MAX + 8];
    char path[64], what[200];
    struct failure why;
    SCOPE_BUFFER found = {0};
    uint32_t version = 0;
    snprintf(path, sizeof path, "datasets/d/w%u-%u", writer, file);
    if (tree_path_exists(tree, path) && tree_path_read(tree, path, LARGE_MAX + 8, &found, &why) != CODE_OK) {
        violation(kills, why.text);
        return;
    }
    if (found.length >= sizeof version)
        memcpy(&version, found.data, sizeof version);
    size_t count = version ? contents_of(writer, file, version, expected) : 0;
    snprintf(what, sizeof what, "%s has version %u, acknowledged was %u", path, version, kills->files[writer][file].kept);
    if (version < kills->files[writer][file].kept || version > kills->files[writer][file].tried)
        violation(kills, what);
    snprintf(what, sizeof what, "%s is not whole (%zu bytes of %zu)", path, found.length, count);
    if (found.length != count || (count && memcmp(found.data, expected, count) != 0))
        violation(kills, what);
}

static void check_journal(struct kills *kills, struct tree *tree, unsigned writer)
{
    char path[64], what[200], line[LINE_BYTES + 1];
    struct failure why;
    SCOPE_BUFFER found = {0};
    snprintf(path, sizeof path, "datasets/d/journal%u", writer);
    if (tree_path_read(tree, path, (size_t)1 << 28, &found, &why) != CODE_OK) {
        violation(kills, why.text);
        return;
    }
    uint32_t lines = (uint32_t)(found.length / LINE_BYTES), wrong = 0;
    for (uint32_t i = 0; i < lines; i++) {
        line_of(i + 1, line);
        wrong += memcmp(found.data + (size_t)i * LINE_BYTES, line, LINE_BYTES) != 0;
    }
    snprintf(what, sizeof what, "%s has %u lines (%u wrong, %zu bytes), acknowledged were %u", path, lines, wrong,
             found.length, kills->files[writer][JOURNAL].kept);
    if (wrong || found.length % LINE_BYTES || lines < kills->files[writer][JOURNAL].kept)
        violation(kills, what);
    kills->lines[writer] = lines;
}

static void check_all(struct kills *kills)
{
    struct lab_store lab;
    struct failure why;
    struct check_summary summary = {0};
    SCOPE_BUFFER report = {0};
    if (lab_store_open(kills->store, &(struct lab_store_options){.key = kills->key}, &lab, &why) != CODE_OK) {
        violation(kills, why.text);
        return;
    }
    for (unsigned writer = 0; writer < WRITERS; writer++) {
        for (unsigned file = 0; file < FILES; file++)
            check_file(kills, lab.tree, writer, file);
        check_journal(kills, lab.tree, writer);
    }
    if (check_run(lab.tree, &(struct check_options){.contents = true}, &report, &summary, &why) != CODE_OK)
        violation(kills, why.text);
    else if (summary.problems)
        violation(kills, buffer_text(&report));
    lab_store_close(&lab);
}

static void run_round(struct kills *kills, bool mounted)
{
    struct messages messages = {0};
    struct moments moments;
    live_and_die(kills, mounted, &messages, &moments);
    for (size_t i = 0; i < messages.count; i++)
        take_note(kills, &messages.all[i], &moments);
    free(messages.all);
    check_all(kills);
}

/* The whole
 * -------------------------------------------------------------------------------------------------------------------- */

static bool make_store(struct kills *kills, const char *folder)
{
    struct failure why;
    struct lab_store lab;
    struct lab_store_made made = {0};
    snprintf(kills->folder, sizeof kills->folder, "%.40s/kills-%d", folder, (int)getpid());
    snprintf(kills->store, sizeof kills->store, "%s/store", kills->folder);
    snprintf(kills->key, sizeof kills->key, "%s/member.key", kills->folder);
    snprintf(kills->mountpoint, sizeof kills->mountpoint, "%s/lab", kills->folder);
    enum code code = file_make_folders(kills->mountpoint, &why);
    if (code == CODE_OK)
        code = lab_store_create(&(struct lab_store_plan){.path = kills->store, .member = "ada", .key = kills->key}, &made,
                                &why);
    buffer_free(&made.key_path);
    if (code == CODE_OK)
        code = lab_store_open(kills->store, &(struct lab_store_options){.key = kills->key}, &lab, &why);
    if (code == CODE_OK)
        code = tree_path_make_folders(lab.tree, "datasets/d", &why);
    for (unsigned i = 0; code == CODE_OK && i < WRITERS; i++) {
        char path[64];
        snprintf(path, sizeof path, "datasets/d/journal%u", i);
        code = tree_path_write(lab.tree, path, 0644, "", 0, &why);
    }
    if (code == CODE_OK)
        lab_store_close(&lab);
    else
        fprintf(stderr, "%s\n", why.text);
    return code == CODE_OK;
}

static int run_all(struct kills *kills, unsigned rounds, unsigned mounted)
{
    int64_t began_ms = timing_monotonic_ms();
    unsigned mounts = 0;
    if (access("/dev/fuse", R_OK | W_OK) != 0 || geteuid() != 0)
        mounted = 0;
    for (kills->round = 0; kills->round < rounds; kills->round++) {
        bool mount = (uint64_t)(kills->round + 1) * mounted / rounds > mounts;
        mounts += mount;
        run_round(kills, mount);
    }
    printf("kills %u mounted %u acknowledged %llu operations %llu violations %llu seconds %.1f\n", rounds, mounts,
           (unsigned long long)kills->acknowledged, (unsigned long long)kills->operations,
           (unsigned long long)kills->violations, (double)(timing_monotonic_ms() - began_ms) / 1000);
    return kills->violations || kills->acknowledged == 0;
}

int main(int count, char **arguments)
{
    static const struct option options[] = {
        {"rounds", 1, NULL, 'n'}, {"mounted", 1, NULL, 'm'}, {"seed", 1, NULL, 's'}, {"folder", 1, NULL, 'f'}, {0}};
    static struct kills kills;
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    unsigned rounds = ROUNDS_SHORT, mounted = MOUNTED_SHORT;
    kills.random = (struct random){(uint64_t)timing_monotonic_ns()};
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
        if (option == 'n')
            rounds = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'm')
            mounted = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 's')
            kills.random = (struct random){strtoull(optarg, NULL, 10)};
        else if (option == 'f')
            folder = optarg;
        else
            return fprintf(stderr, "usage: test_kills [--rounds N] [--mounted N] [--seed S] [--folder DIR]\n"), 2;
    }
    umask(0077);
    if (!make_store(&kills, folder))
        return 3;
    int status = run_all(&kills, rounds, mounted);
    if (status == 0)
        (void)!file_remove_tree(kills.folder, NULL);
    return status;
}
