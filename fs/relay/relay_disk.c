/* Contents on the workstation's disk: see relay_disk.h; layout: FORMAT.md.
 *
 * One file a piece, below two hexadecimal digits of its name; the name and what is sealed depend on node, index and version,
 * so a file that changed is another piece and the old one is never asked for again: it is removed when its turn comes. Which
 * pieces there are is known from a table in memory, made from the folder at the start: nothing is asked of the disk to find
 * out that something is missing.
 *
 * One thread does all the writing and reading, in turn: reads go before writes.  Neither is ever synced: what a crash tears
 * does not open, and is fetched again.
 *
 * Everything that fails here is no more than a piece that is not there. */
#include "relay_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aead.h"
#include "buffer.h"
#include "bytes.h"
#include "entropy.h"
#include "file.h"
#include "hex.h"
#include "kdf.h"
#include "logging.h"
#include "relay_message.h"
#include "scope.h"
#include "secret.h"

#define BYTES_DEFAULT ((uint64_t)8 << 30)
#define NAME_BYTES    16
#define NAME_DIGITS   (2 * NAME_BYTES)
#define HEAD_BYTES    16
#define FORMAT        1
#define BUCKETS       65536
#define WAITING_MAX   ((size_t)64 << 20) /* bytes that wait to be written */
#define PIECE_MAX     (1u << 20)
#define PATH_BYTES    4096

static const char magic[8] = "cytofsrc";

struct kept {
    struct kept *next;            /* in its bucket */
    struct kept *before, *behind; /* by use */
    uint32_t bytes;               /* of the file */
    uint8_t name[NAME_BYTES];
};

struct job {
    struct job *next;
    struct relay_disk_key key;
    struct relay_bytes *bytes; /* to be written; NULL: to be read */
    size_t from, count;        /* of them */
    relay_disk_loaded *loaded;
    void *context, *subject;
};

struct job_queue {
    struct job *first, *last;
};

struct relay_disk {
    char folder[PATH_BYTES];
    uint64_t bytes_max;
    struct aead_key *key;
    uint8_t name_key[32];
    int lock_file; /* held locked: one relay uses the folder */

    pthread_mutex_t lock; /* guards what follows; nothing else is called under it */
    pthread_cond_t work;
    struct kept *buckets[BUCKETS], *oldest, *newest;
    uint64_t used, waiting;
    struct job_queue reads, writes;
    bool stopping;
    pthread_t thread;
    bool runs;
};

/* The table --------------------------------------------------------------------------------------------------------- */

static void name_of(const struct relay_disk *disk, const struct relay_disk_key *key, uint8_t name[NAME_BYTES])
{
    uint8_t place[24];
    bytes_store64(place, key->node);
    bytes_store64(place + 8, key->index);
    bytes_store64(place + 16, key->version);
    const struct kdf_input input = {
        .secret = disk->name_key, .secret_count = sizeof disk->name_key, .info = place, .info_count = sizeof place};
    if (kdf_hkdf(&input, name, NAME_BYTES, NULL) != CODE_OK)
        memset(name, 0, NAME_BYTES);
}

static struct kept **bucket_of(struct relay_disk *disk, const uint8_t name[NAME_BYTES])
{
    return &disk->buckets[bytes_load16(name) % BUCKETS];
}

static struct kept *find(struct relay_disk *disk, const uint8_t name[NAME_BYTES])
{
    struct kept *kept = *bucket_of(disk, name);
    while (kept && memcmp(kept->name, name, NAME_BYTES) != 0)
        kept = kept->next;
    return kept;
}

static void leave_order(struct relay_disk *disk, struct kept *kept)
{
    *(kept->before ? &kept->before->behind : &disk->oldest) = kept->behind;
    *(kept->behind ? &kept->behind->before : &disk->newest) = kept->before;
}

static void join_order(struct relay_disk *disk, struct kept *kept)
{
    kept->behind = NULL;
    kept->before = disk->newest;
    *(disk->newest ? &disk->newest->behind : &disk->oldest) = kept;
    disk->newest = kept;
}

static void enter(struct relay_disk *disk, const uint8_t name[NAME_BYTES], uint32_t bytes)
{
    struct kept *kept = calloc(1, sizeof *kept);
    if (!kept)
        return;
    memcpy(kept->name, name, NAME_BYTES);
    kept->bytes = bytes;
    struct kept **bucket = bucket_of(disk, name);
    kept->next = *bucket;
    *bucket = kept;
    join_order(disk, kept);
    disk->used += bytes;
}

static void take_out(struct relay_disk *disk, struct kept *kept)
{
    struct kept **link = bucket_of(disk, kept->name);
    while (*link != kept)
        link = &(*link)->next;
    *link = kept->next;
    leave_order(disk, kept);
    disk->used -= kept->bytes;
    free(kept);
}

/* Files ------------------------------------------------------------------------------------------------------------- */

static void path_of(const struct relay_disk *disk, const uint8_t name[NAME_BYTES], char path[PATH_BYTES + 64])
{
    char digits[NAME_DIGITS + 1];
    hex_encode(name, NAME_BYTES, digits);
    snprintf(path, PATH_BYTES + 64, "%s/%.2s/%s", disk->folder, digits, digits);
}

static void associated_of(const struct relay_disk_key *key, uint8_t out[HEAD_BYTES + 24])
{
    memset(out, 0, HEAD_BYTES);
    memcpy(out, magic, sizeof magic);
    bytes_store32(out + 8, FORMAT);
    bytes_store64(out + HEAD_BYTES, key->node);
    bytes_store64(out + HEAD_BYTES + 8, key->index);
    bytes_store64(out + HEAD_BYTES + 16, key->version);
}

static bool write_file(struct relay_disk *disk, const char *path, const struct job *job, uint32_t *size)
{
    uint8_t associated[HEAD_BYTES + 24];
    associated_of(&job->key, associated);
    size_t total = HEAD_BYTES + job->count + AEAD_OVERHEAD;
    SCOPE_FREE uint8_t *sealed = malloc(total);
    const struct aead_message message = {associated, sizeof associated, job->bytes->data + job->from, job->count};
    if (!sealed || aead_seal(disk->key, &message, sealed + HEAD_BYTES, NULL) != CODE_OK)
        return false;
    memcpy(sealed, associated, HEAD_BYTES);
    SCOPE_CLOSE int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 && errno == ENOENT) {
        char folder[PATH_BYTES + 64];
        snprintf(folder, sizeof folder, "%s", path);
        *strrchr(folder, '/') = 0;
        mkdir(folder, 0700);
        file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    }
    *size = (uint32_t)total;
    return file >= 0 && write(file, sealed, total) == (ssize_t)total;
}

static struct relay_bytes *read_file(struct relay_disk *disk, const char *path, const struct relay_disk_key *key)
{
    uint8_t associated[HEAD_BYTES + 24];
    SCOPE_BUFFER sealed = {0};
    associated_of(key, associated);
    if (file_read(path, PIECE_MAX + HEAD_BYTES + AEAD_OVERHEAD, &sealed, NULL) != CODE_OK ||
        sealed.length < HEAD_BYTES + AEAD_OVERHEAD || memcmp(sealed.data, associated, HEAD_BYTES) != 0)
        return NULL;
    struct relay_bytes *bytes = relay_bytes_make(sealed.length - HEAD_BYTES - AEAD_OVERHEAD);
    const struct aead_message message = {associated, sizeof associated, sealed.data + HEAD_BYTES,
                                         sealed.length - HEAD_BYTES};
    if (aead_open(disk->key, &message, bytes->data, NULL) == CODE_OK)
        return bytes;
    relay_bytes_drop(bytes);
    return NULL;
}

/* Jobs -------------------------------------------------------------------------------------------------------------- */

static void push(struct job_queue *queue, struct job *job)
{
    job->next = NULL;
    *(queue->last ? &queue->last->next : &queue->first) = job;
    queue->last = job;
}

static struct job *pop(struct job_queue *queue)
{
    struct job *job = queue->first;
    if (!job)
        return NULL;
    queue->first = job->next;
    if (!queue->first)
        queue->last = NULL;
    return job;
}

static void remove_oldest(struct relay_disk *disk)
{
    char path[PATH_BYTES + 64];
    for (;;) {
        pthread_mutex_lock(&disk->lock);
        struct kept *kept = disk->used > disk->bytes_max ? disk->oldest : NULL;
        if (kept) {
            path_of(disk, kept->name, path);
            take_out(disk, kept);
        }
        pthread_mutex_unlock(&disk->lock);
        if (!kept)
            return;
        unlink(path);
    }
}

static void do_write(struct relay_disk *disk, const struct job *job)
{
    uint8_t name[NAME_BYTES];
    char path[PATH_BYTES + 64];
    uint32_t size;
    name_of(disk, &job->key, name);
    path_of(disk, name, path);
    if (!write_file(disk, path, job, &size)) {
        unlink(path); /* the disk is full, or the folder was removed: go on without */
        return;
    }
    pthread_mutex_lock(&disk->lock);
    struct kept *old = find(disk, name);
    if (old)
        take_out(disk, old);
    enter(disk, name, size);
    pthread_mutex_unlock(&disk->lock);
    remove_oldest(disk);
}

static void do_read(struct relay_disk *disk, const struct job *job)
{
    uint8_t name[NAME_BYTES];
    char path[PATH_BYTES + 64];
    name_of(disk, &job->key, name);
    path_of(disk, name, path);
    struct relay_bytes *bytes = read_file(disk, path, &job->key);
    pthread_mutex_lock(&disk->lock);
    struct kept *kept = find(disk, name);
    if (kept && bytes) {
        leave_order(disk, kept);
        join_order(disk, kept);
    } else if (kept) {
        take_out(disk, kept);
    }
    pthread_mutex_unlock(&disk->lock);
    if (bytes)
        utimensat(AT_FDCWD, path, NULL, 0); /* the order of use, for the next start */
    else
        unlink(path);
    job->loaded(job->context, job->subject, bytes);
}

static void *run(void *argument)
{
    struct relay_disk *disk = argument;
    pthread_mutex_lock(&disk->lock);
    for (;;) {
        struct job *job = pop(&disk->reads);
        if (!job)
            job = pop(&disk->writes);
        if (!job && disk->stopping)
            break;
        if (!job) {
            pthread_cond_wait(&disk->work, &disk->lock);
            continue;
        }
        if (job->bytes)
            disk->waiting -= job->count;
        pthread_mutex_unlock(&disk->lock);
        if (job->bytes)
            do_write(disk, job);
        else
            do_read(disk, job);
        relay_bytes_drop(job->bytes);
        free(job);
        pthread_mutex_lock(&disk->lock);
    }
    pthread_mutex_unlock(&disk->lock);
    return NULL;
}

void relay_disk_keep(struct relay_disk *disk, const struct relay_disk_key *key, struct relay_bytes *bytes, size_t from,
                     size_t count)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return;
    *job = (struct job){.key = *key, .bytes = bytes, .from = from, .count = count};
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&disk->lock);
    if (count == 0 || count > PIECE_MAX || disk->waiting + count > WAITING_MAX) {
        free(job);
        return;
    }
    relay_bytes_share(bytes);
    disk->waiting += count;
    push(&disk->writes, job);
    pthread_cond_signal(&disk->work);
}

bool relay_disk_load(struct relay_disk *disk, const struct relay_disk_key *key, relay_disk_loaded *loaded, void *context,
                     void *subject)
{
    uint8_t name[NAME_BYTES];
    name_of(disk, key, name);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&disk->lock);
    struct job *job = find(disk, name) ? calloc(1, sizeof *job) : NULL;
    if (!job)
        return false;
    *job = (struct job){.key = *key, .loaded = loaded, .context = context, .subject = subject};
    push(&disk->reads, job);
    pthread_cond_signal(&disk->work);
    return true;
}

uint64_t relay_disk_used(struct relay_disk *disk)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&disk->lock);
    return disk->used;
}

/* Life -------------------------------------------------------------------------------------------------------------- */

struct found {
    int64_t used_ns;
    uint32_t bytes;
    uint8_t name[NAME_BYTES];
};

static int by_use(const void *a, const void *b)
{
    int64_t left = ((const struct found *)a)->used_ns, right = ((const struct found *)b)->used_ns;
    return left < right ? -1 : left > right;
}

static void find_in(const char *folder, struct buffer *out)
{
    DIR *stream = opendir(folder);
    const struct dirent *entry;
    while (stream && (entry = readdir(stream))) {
        struct found found;
        struct stat status;
        if (strlen(entry->d_name) != NAME_DIGITS || !hex_decode(entry->d_name, NAME_DIGITS, found.name, NAME_BYTES) ||
            fstatat(dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode))
            continue;
        found.bytes = (uint32_t)status.st_size;
        found.used_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
        buffer_append(out, &found, sizeof found);
    }
    if (stream)
        closedir(stream);
}

static void find_all(struct relay_disk *disk)
{
    SCOPE_BUFFER all = {0};
    for (int i = 0; i < 256; i++) {
        char folder[PATH_BYTES + 64];
        snprintf(folder, sizeof folder, "%s/%02x", disk->folder, (unsigned)i);
        find_in(folder, &all);
    }
    size_t count = all.length / sizeof(struct found);
    struct found *found = (struct found *)all.data;
    if (count)
        qsort(found, count, sizeof *found, by_use);
    for (size_t i = 0; i < count; i++)
        enter(disk, found[i].name, found[i].bytes);
}

/* The folder's own key: made once. */
static enum code obtain_key(const struct relay_disk *disk, uint8_t key[32], struct failure *why)
{
    SCOPE_BUFFER text = {0};
    SCOPE_FREE char *path = file_join(disk->folder, "key");
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "%s: no memory", disk->folder);
    if (file_read(path, 32, &text, NULL) == CODE_OK && text.length == 32) {
        memcpy(key, text.data, 32);
        secret_wipe(text.data, 32);
        return CODE_OK;
    }
    enum code code = entropy_fill(key, 32, why);
    if (code != CODE_OK)
        return code;
    SCOPE_CLOSE int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || write(file, key, 32) != 32)
        return failure_set_errno(why, errno, "%s: the key of what is kept here cannot be written", path);
    return CODE_OK;
}

static enum code derive(struct relay_disk *disk, const uint8_t *given, struct failure *why)
{
    uint8_t secret[32], derived[64];
    enum code code = CODE_OK;
    if (given)
        memcpy(secret, given, sizeof secret);
    else
        code = obtain_key(disk, secret, why);
    const struct kdf_input input = {
        .secret = secret, .secret_count = sizeof secret, .info = "cytofs relay contents 1", .info_count = 23};
    if (code == CODE_OK)
        code = kdf_hkdf(&input, derived, sizeof derived, why);
    if (code == CODE_OK)
        code = aead_key_create(derived, &disk->key, why);
    if (code == CODE_OK)
        memcpy(disk->name_key, derived + 32, sizeof disk->name_key);
    secret_wipe(secret, sizeof secret);
    secret_wipe(derived, sizeof derived);
    return code;
}

static enum code lock_folder(struct relay_disk *disk, struct failure *why)
{
    SCOPE_FREE char *path = file_join(disk->folder, "used");
    const struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (!path || (disk->lock_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
        return failure_set_errno(why, errno, "%s: contents cannot be kept here", disk->folder);
    if (fcntl(disk->lock_file, F_SETLK, &whole) != 0)
        return failure_set(why, CODE_BUSY, "%s: another mount keeps its contents here", disk->folder);
    return CODE_OK;
}

static enum code begin(struct relay_disk *disk, const struct relay_disk_options *options, struct failure *why)
{
    if (strlen(options->folder) >= sizeof disk->folder)
        return failure_set(why, CODE_NAME_TOO_LONG, "%s: the path is too long", options->folder);
    strcpy(disk->folder, options->folder);
    enum code code = file_make_folders(disk->folder, why);
    if (code == CODE_OK && chmod(disk->folder, 0700) != 0)
        code = failure_set_errno(why, errno, "%s: its permissions cannot be set", disk->folder);
    if (code == CODE_OK)
        code = lock_folder(disk, why);
    if (code == CODE_OK)
        code = derive(disk, options->key, why);
    if (code != CODE_OK)
        return code;
    find_all(disk);
    remove_oldest(disk);
    int error = pthread_create(&disk->thread, NULL, run, disk);
    disk->runs = !error;
    return error ? failure_set_errno(why, error, "starting the thread that keeps contents on disk") : CODE_OK;
}

enum code relay_disk_open(const struct relay_disk_options *options, struct relay_disk **out, struct failure *why)
{
    struct relay_disk *disk = calloc(1, sizeof *disk);
    if (!disk)
        return failure_set(why, CODE_NO_MEMORY, "%s: no memory", options->folder);
    disk->bytes_max = options->bytes_max ? options->bytes_max : BYTES_DEFAULT;
    disk->lock_file = -1;
    pthread_mutex_init(&disk->lock, NULL);
    pthread_cond_init(&disk->work, NULL);
    enum code code = begin(disk, options, why);
    if (code == CODE_OK)
        *out = disk;
    else
        relay_disk_close(disk);
    return code;
}

void relay_disk_close(struct relay_disk *disk)
{
    if (!disk)
        return;
    pthread_mutex_lock(&disk->lock);
    disk->stopping = true;
    pthread_cond_signal(&disk->work);
    pthread_mutex_unlock(&disk->lock);
    if (disk->runs)
        pthread_join(disk->thread, NULL);
    while (disk->oldest)
        take_out(disk, disk->oldest);
    aead_key_destroy(disk->key);
    secret_wipe(disk->name_key, sizeof disk->name_key);
    if (disk->lock_file >= 0)
        close(disk->lock_file);
    pthread_mutex_destroy(&disk->lock);
    pthread_cond_destroy(&disk->work);
    free(disk);
}
