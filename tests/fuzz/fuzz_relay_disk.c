/* What a mount keeps on the workstation's disk, where anybody with the disk may have written: sealed pieces, names in their
 * folders, the key.  An input is a folder: a byte that says which of the three, then the file.  Nothing but the one piece
 * that was sealed is ever given out. */
#include "fuzzing.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "relay_disk.h"
#include "relay_message.h"
#include "scope.h"

#define TEXT "what a file holds, as the server sent it"

static const uint8_t secret[32] = {9};
static const struct relay_disk_key place = {.node = 5, .index = 0, .version = 77};
static char folder[] = "/tmp/cytofs-fuzz-kept-XXXXXX";
static char piece[sizeof folder + 64]; /* the path of the one that is kept */
static struct buffer sealed;           /* what it holds */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool answered, found_it;

enum attack { PIECE, NAME, KEY, ATTACKS };

static void clean_up(void)
{
    struct failure why;
    (void)!file_remove_tree(folder, &why);
    buffer_free(&sealed);
}

static struct relay_disk *open_disk(const char *path, const uint8_t *key)
{
    struct failure why;
    struct relay_disk *disk = NULL;
    enum code code = relay_disk_open(&(struct relay_disk_options){.folder = path, .key = key}, &disk, &why);
    assert(code == CODE_OK);
    return disk;
}

static void keep(struct relay_disk *disk)
{
    struct relay_bytes *bytes = relay_bytes_make(sizeof TEXT);
    memcpy(bytes->data, TEXT, sizeof TEXT);
    relay_disk_keep(disk, &place, bytes, 0, sizeof TEXT);
    relay_bytes_drop(bytes);
}

static void find_piece(void)
{
    struct failure why;
    struct file_names names;
    for (int i = 0; i < 256 && !piece[0]; i++) {
        char path[sizeof folder + 8];
        snprintf(path, sizeof path, "%s/%02x", folder, (unsigned)i);
        if (!file_is_folder(path) || file_list(path, 16, &names, &why) != CODE_OK)
            continue;
        assert(names.count == 1);
        snprintf(piece, sizeof piece, "%s/%s", path, names.names[0]);
        file_names_free(&names);
    }
    assert(piece[0]);
}

static void prepare(void)
{
    struct failure why;
    if (piece[0])
        return;
    if (!mkdtemp(folder))
        abort();
    atexit(clean_up);
    struct relay_disk *disk = open_disk(folder, secret);
    keep(disk);
    relay_disk_close(disk);
    find_piece();
    enum code code = file_read(piece, 4096, &sealed, &why);
    assert(code == CODE_OK);
}

static void take(void *context, void *subject, struct relay_bytes *bytes)
{
    (void)context;
    (void)subject;
    assert(!bytes || (bytes->count == sizeof TEXT && memcmp(bytes->data, TEXT, sizeof TEXT) == 0));
    found_it = bytes != NULL;
    relay_bytes_drop(bytes);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&lock);
    answered = true;
    pthread_cond_signal(&changed);
}

static bool load(struct relay_disk *disk)
{
    answered = false;
    if (!relay_disk_load(disk, &place, take, NULL, NULL))
        return false;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&lock);
    while (!answered)
        pthread_cond_wait(&changed, &lock);
    return found_it;
}

static void put(const char *path, const uint8_t *bytes, size_t count)
{
    struct failure why;
    enum code code = file_write(path, bytes, count, &why);
    assert(code == CODE_OK);
}

/* A file of any name that fits into one, beside the piece; its name may make it one. */
static void put_name(const uint8_t *bytes, size_t count)
{
    char path[sizeof piece], name[33] = "";
    memcpy(name, bytes, count < sizeof name - 1 ? count : sizeof name - 1);
    if (!name[0] || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return;
    snprintf(path, sizeof path, "%.*s%s", (int)(strrchr(piece, '/') + 1 - piece), piece, name);
    put(path, bytes, count);
    struct relay_disk *disk = open_disk(folder, secret);
    load(disk);
    relay_disk_close(disk);
    unlink(path);
}

/* Whatever the key is: what is kept with it comes back. */
static void put_key(const uint8_t *bytes, size_t count)
{
    struct failure why;
    char own[sizeof folder + 8], key[sizeof folder + 16];
    snprintf(own, sizeof own, "%s/own", folder);
    snprintf(key, sizeof key, "%s/key", own);
    enum code code = file_make_folders(own, &why);
    assert(code == CODE_OK);
    put(key, bytes, count);
    struct relay_disk *disk = open_disk(own, NULL);
    keep(disk);
    relay_disk_close(disk);
    disk = open_disk(own, NULL);
    bool found = load(disk);
    relay_disk_close(disk);
    assert(found);
    code = file_remove_tree(own, &why);
    assert(code == CODE_OK);
}

static void put_piece(const uint8_t *bytes, size_t count)
{
    put(piece, bytes, count);
    struct relay_disk *disk = open_disk(folder, secret);
    load(disk);
    relay_disk_close(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    prepare();
    if (count == 0)
        return 0;
    switch (bytes[0] % ATTACKS) {
    case PIECE:
        put_piece(bytes + 1, count - 1);
        break;
    case NAME:
        put(piece, (const uint8_t *)sealed.data, sealed.length);
        put_name(bytes + 1, count - 1);
        break;
    default:
        put_key(bytes + 1, count - 1);
    }
    return 0;
}

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    uint8_t kind = (uint8_t)index;
    struct buffer out = {0};
    if (index >= ATTACKS)
        return NULL;
    prepare();
    buffer_append(&out, &kind, 1);
    if (index == PIECE)
        buffer_append(&out, sealed.data, sealed.length);
    else if (index == NAME)
        buffer_append_text(&out, strrchr(piece, '/') + 1);
    else
        buffer_append(&out, secret, sizeof secret);
    *count = out.length;
    return (uint8_t *)out.data;
}
