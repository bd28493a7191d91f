/* The clients' state on disk: see server_state.h.
 *
 *   STORE/serve/clients        magic | when | commit number | sealed state
 *   <tmpfs>/cytofs-<id>.resume the key, 32 bytes, readable by its user alone
 *
 * The state holds plaintext of what was under way and keys that members have lent, which the store's disk must never hold:
 * hence the key in memory.  The key is there before the state is, and both are removed before the state is used, so that no
 * state is ever taken up twice.
 *
 * A store whose server was stopped may never be served again, or be deleted: the keys of states that are too old to be taken
 * up are removed by the next server of the same user, whichever store it has. */
#include "server_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "aead.h"
#include "bytes.h"
#include "entropy.h"
#include "file.h"
#include "hex.h"
#include "scope.h"
#include "secret.h"
#include "timing.h"

#define MAGIC         "cystate1"
#define MAGIC_BYTES   8
#define HEAD_BYTES    (MAGIC_BYTES + 16)
#define PATH_BYTES    4096
#define CLOCK_SLACK_S 60 /* by which a clock may have been set back */
#define KEY_BEGIN     "cytofs-"
#define KEY_END       ".resume"
#define KEY_NAME      (sizeof KEY_BEGIN + 2 * IDENTITY_BYTES + sizeof KEY_END - 2) /* characters */

/* The key ------------------------------------------------------------------------------------------------------------------
 */

static bool is_in_memory(const char *folder)
{
    struct statfs info;
    return folder && folder[0] == '/' && statfs(folder, &info) == 0 &&
           (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC) && access(folder, W_OK) == 0;
}

static enum code key_path(const struct server_state_place *place, char path[PATH_BYTES], struct failure *why)
{
    const char *const folders[] = {place->memory, getenv("RUNTIME_DIRECTORY"), getenv("XDG_RUNTIME_DIR"), "/run",
                                   "/dev/shm"};
    char id[2 * IDENTITY_BYTES + 1];
    hex_encode(place->store->bytes, sizeof place->store->bytes, id);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (is_in_memory(folders[i])) {
            int length = snprintf(path, PATH_BYTES, "%s/" KEY_BEGIN "%s" KEY_END, folders[i], id);
            if (length > 0 && length < PATH_BYTES)
                return CODE_OK;
        }
    return failure_set(why, CODE_UNSUPPORTED, "this machine has no folder in memory (a tmpfs: /run, $XDG_RUNTIME_DIR)");
}

static enum code write_key(const char *path, const uint8_t *key, struct failure *why)
{
    unlink(path);
    SCOPE_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, key, AEAD_KEY_BYTES) != AEAD_KEY_BYTES)
        return failure_set_errno(why, errno, "%s", path);
    return CODE_OK;
}

static bool is_key_name(const char *name)
{
    return strlen(name) == KEY_NAME && strncmp(name, KEY_BEGIN, sizeof KEY_BEGIN - 1) == 0 &&
           strcmp(name + KEY_NAME - (sizeof KEY_END - 1), KEY_END) == 0;
}

/* Of the folder where the key lies: what is ours and too old for any state. */
static void remove_old_keys(const char *path)
{
    SCOPE_FREE char *folder = strdup(path);
    if (!folder)
        return;
    *strrchr(folder, '/') = 0;
    DIR *listing = opendir(folder);
    const time_t oldest = (time_t)(timing_wall_ms() / 1000) - SERVER_STATE_AGE_MAX_S - CLOCK_SLACK_S;
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        struct stat status;
        if (is_key_name(entry->d_name) && fstatat(dirfd(listing), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(status.st_mode) && status.st_uid == geteuid() && status.st_mtime < oldest)
            unlinkat(dirfd(listing), entry->d_name, 0);
    }
    if (listing)
        closedir(listing);
}

/* Nobody else may have put it there.  It is gone afterwards. */
static enum code take_key(const char *path, uint8_t *key, struct failure *why)
{
    struct stat status;
    SCOPE_CLOSE int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? failure_set(why, CODE_NO_DATA, "its key is gone")
                               : failure_set_errno(why, errno, "%s", path);
    unlink(path);
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() || status.st_mode & 077 ||
        read(fd, key, AEAD_KEY_BYTES) != AEAD_KEY_BYTES)
        return failure_set(why, CODE_CORRUPT, "%s is no key of ours", path);
    return CODE_OK;
}

/* The state ----------------------------------------------------------------------------------------------------------------
 */

/* What it is sealed for: this store and what the head says. */
struct binding {
    uint8_t bytes[IDENTITY_BYTES + HEAD_BYTES];
};

static struct binding bind_to(const struct server_state_place *place, const void *head)
{
    struct binding binding;
    memcpy(binding.bytes, place->store->bytes, IDENTITY_BYTES);
    memcpy(binding.bytes + IDENTITY_BYTES, head, HEAD_BYTES);
    return binding;
}

/* The sealed form with its head, appended to *out. */
static enum code seal(const struct server_state_place *place, const uint8_t *key_bytes, uint64_t number,
                      const struct buffer *state, struct buffer *out, struct failure *why)
{
    uint8_t head[HEAD_BYTES];
    memcpy(head, MAGIC, MAGIC_BYTES);
    bytes_store64(head + MAGIC_BYTES, (uint64_t)timing_wall_ms());
    bytes_store64(head + MAGIC_BYTES + 8, number);
    buffer_append(out, head, sizeof head);
    void *sealed = buffer_reserve(out, state->length + AEAD_OVERHEAD);
    const struct binding binding = bind_to(place, head);
    const struct aead_message message = {binding.bytes, sizeof binding.bytes, buffer_text(state), state->length};
    struct aead_key *key = NULL;
    enum code code = buffer_check(out, "the clients' state", why);
    if (code == CODE_OK)
        code = aead_key_create(key_bytes, &key, why);
    if (code == CODE_OK)
        code = aead_seal(key, &message, sealed, why);
    aead_key_destroy(key);
    if (code == CODE_OK)
        out->length += state->length + AEAD_OVERHEAD;
    return code;
}

enum code server_state_write(const struct server_state_place *place, uint64_t number, const struct buffer *state,
                             struct failure *why)
{
    SCOPE_BUFFER sealed = {.max = SERVER_STATE_BYTES_MAX + HEAD_BYTES + AEAD_OVERHEAD};
    SCOPE_FREE char *path = file_join(place->folder, "clients");
    SECRET_FREE uint8_t *key = secret_allocate(AEAD_KEY_BYTES);
    char key_file[PATH_BYTES];
    if (!path || !key)
        return failure_set(why, CODE_NO_MEMORY, "the clients' state: no memory");
    enum code code = key_path(place, key_file, why);
    if (code == CODE_OK)
        code = entropy_fill(key, AEAD_KEY_BYTES, why);
    if (code == CODE_OK)
        code = seal(place, key, number, state, &sealed, why);
    if (code == CODE_OK)
        remove_old_keys(key_file);
    if (code == CODE_OK)
        code = write_key(key_file, key, why);
    if (code == CODE_OK)
        code = file_make_folders(place->folder, why);
    if (code == CODE_OK)
        code = file_replace(path, sealed.data, sealed.length, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "keeping the clients' state");
}

/* Whether it is of now. */
static enum code check_head(const uint8_t *head, uint64_t number, struct failure *why)
{
    if (memcmp(head, MAGIC, MAGIC_BYTES) != 0)
        return failure_set(why, CODE_CORRUPT, "the clients' state is not of this version");
    int64_t age_s = (timing_wall_ms() - (int64_t)bytes_load64(head + MAGIC_BYTES)) / 1000;
    if (age_s < -CLOCK_SLACK_S || age_s > SERVER_STATE_AGE_MAX_S)
        return failure_set(why, CODE_DENIED, "the clients' state is %lld s old (it is good for %d s)", (long long)age_s,
                           SERVER_STATE_AGE_MAX_S);
    if (bytes_load64(head + MAGIC_BYTES + 8) != number)
        return failure_set(why, CODE_DENIED, "the store was changed since its clients' state was kept");
    return CODE_OK;
}

static enum code unseal(const struct server_state_place *place, const uint8_t *key_bytes, const struct buffer *sealed,
                        struct buffer *out, struct failure *why)
{
    const struct binding binding = bind_to(place, sealed->data);
    const struct aead_message message = {binding.bytes, sizeof binding.bytes, sealed->data + HEAD_BYTES,
                                         sealed->length - HEAD_BYTES};
    void *plain = buffer_reserve(out, message.count - AEAD_OVERHEAD);
    struct aead_key *key = NULL;
    enum code code = buffer_check(out, "the clients' state", why);
    if (code == CODE_OK)
        code = aead_key_create(key_bytes, &key, why);
    if (code == CODE_OK)
        code = aead_open(key, &message, plain, why);
    aead_key_destroy(key);
    if (code == CODE_OK)
        out->length += message.count - AEAD_OVERHEAD;
    return code;
}

/* The file's bytes, which is gone afterwards. */
static enum code take_file(const struct server_state_place *place, struct buffer *out, struct failure *why)
{
    SCOPE_FREE char *path = file_join(place->folder, "clients");
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "the clients' state: no memory");
    if (!file_exists(path))
        return failure_set(why, CODE_NO_DATA, "no clients' state was kept");
    enum code code = file_read(path, out->max, out, why);
    if (unlink(path) != 0 && code == CODE_OK)
        return failure_set_errno(why, errno, "%s", path);
    if (code == CODE_OK && out->length < HEAD_BYTES + AEAD_OVERHEAD)
        return failure_set(why, CODE_CORRUPT, "%s is damaged", path);
    return code;
}

enum code server_state_read(const struct server_state_place *place, uint64_t number, struct buffer *out, struct failure *why)
{
    SCOPE_BUFFER sealed = {.max = SERVER_STATE_BYTES_MAX + HEAD_BYTES + AEAD_OVERHEAD};
    SECRET_FREE uint8_t *key = secret_allocate(AEAD_KEY_BYTES);
    char key_file[PATH_BYTES];
    if (!key)
        return failure_set(why, CODE_NO_MEMORY, "the clients' state: no memory");
    struct failure no_key;
    enum code code = take_file(place, &sealed, why), keyed = key_path(place, key_file, &no_key);
    if (keyed == CODE_OK)
        remove_old_keys(key_file);
    if (code == CODE_NO_DATA)
        return code;
    if (keyed == CODE_OK)
        keyed = take_key(key_file, key, &no_key);
    if (code == CODE_OK && keyed != CODE_OK) {
        *why = no_key;
        code = keyed == CODE_NO_DATA ? failure_set(why, CODE_CORRUPT, "its key is gone") : keyed;
    }
    if (code == CODE_OK)
        code = check_head((const uint8_t *)sealed.data, number, why);
    if (code == CODE_OK)
        code = unseal(place, key, &sealed, out, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "taking up the clients of before");
}
