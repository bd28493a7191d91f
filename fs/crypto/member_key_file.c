/* Key files: see member_key_file.h for the lines.
 *
 * Parsing is apart from unlocking: it is pure, bounded and takes any bytes, and the costly scrypt runs only
 * for a text that is well-formed.  A protected secret is sealed with every line above it as associated data,
 * so that a swapped id or public key, or a lowered cost, is found out.  Texts that hold an open secret stay
 * in secret memory.
 */
#include "member_key_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "aead.h"
#include "entropy.h"
#include "file.h"
#include "hex.h"
#include "key_lines.h"
#include "openssl_failure.h"
#include "scope.h"
#include "secret.h"

#define MAGIC         "cytofs member key "
#define VERSION       "1"
#define PLAIN_SECRET  MEMBER_KEY_BYTES
#define SEALED_SECRET (MEMBER_KEY_BYTES + AEAD_OVERHEAD)

static_assert(SEALED_SECRET == MEMBER_KEY_FILE_SECRET_MAX, "the sealed secret fills its field");

/* "none", or "scrypt COST SALT" with a cost of two digits. */
static bool take_protection(struct key_lines *lines, struct member_key_file *out)
{
    struct key_text line;
    if (!key_lines_take(lines, &line) || !key_lines_skip(&line, "protection "))
        return false;
    if (key_lines_skip(&line, "none")) {
        out->secret_count = PLAIN_SECRET;
        return line.count == 0;
    }
    if (!key_lines_skip(&line, "scrypt ") || line.count < 3 || line.bytes[2] != ' ')
        return false;
    unsigned tens = (unsigned char)line.bytes[0] - '0', ones = (unsigned char)line.bytes[1] - '0';
    out->cost = 10 * tens + ones;
    out->protected_by_passphrase = true;
    out->secret_count = SEALED_SECRET;
    return tens < 10 && ones < 10 && out->cost >= MEMBER_KEY_FILE_COST_MIN && out->cost <= MEMBER_KEY_FILE_COST_MAX &&
           hex_decode(line.bytes + 3, line.count - 3, out->salt, sizeof out->salt);
}

enum code member_key_file_parse(const void *text, size_t count, struct member_key_file *out, struct failure *why)
{
    *out = (struct member_key_file){0};
    if (count > MEMBER_KEY_FILE_BYTES_MAX)
        return failure_set(why, CODE_CORRUPT, "more than %d bytes: this is no key file", MEMBER_KEY_FILE_BYTES_MAX);
    struct key_lines lines = {.at = text, .end = (const char *)text + count};
    struct key_text line;
    if (!key_lines_take(&lines, &line) || !key_lines_skip(&line, MAGIC))
        return failure_set(why, CODE_CORRUPT, "line 1: this is no key file of cytofs");
    if (line.count != strlen(VERSION) || memcmp(line.bytes, VERSION, line.count) != 0)
        return failure_set(why, CODE_NEWER_FORMAT, "format %.*s, this program knows " VERSION ": update cytofs",
                           (int)(line.count < 8 ? line.count : 8), line.bytes);
    if (!key_lines_take_hex(&lines, "member ", out->public.id.bytes, IDENTITY_BYTES) ||
        !key_lines_take_hex(&lines, "public ", out->public.key, MEMBER_KEY_BYTES) || !take_protection(&lines, out) ||
        !key_lines_take_hex(&lines, "secret ", out->secret, out->secret_count)) {
        secret_wipe(out->secret, sizeof out->secret);
        return failure_set(why, CODE_CORRUPT, "line %u: the key file is damaged: use your copy of it", lines.line);
    }
    if (lines.at != lines.end) {
        secret_wipe(out->secret, sizeof out->secret);
        return failure_set(why, CODE_CORRUPT, "line %u: something follows the key: use your copy of it", lines.line + 1);
    }
    return CODE_OK;
}

/* The lines above the secret, which protect it as associated data.  text has MEMBER_KEY_FILE_BYTES_MAX bytes.
 */
static size_t write_head(const struct member_key_file *file, char *text)
{
    char id[HEX_TEXT_BYTES(IDENTITY_BYTES)], key[HEX_TEXT_BYTES(MEMBER_KEY_BYTES)];
    char salt[HEX_TEXT_BYTES(MEMBER_KEY_FILE_SALT_BYTES)], protection[64] = "none";
    hex_encode(file->public.id.bytes, IDENTITY_BYTES, id);
    hex_encode(file->public.key, MEMBER_KEY_BYTES, key);
    hex_encode(file->salt, sizeof file->salt, salt);
    if (file->protected_by_passphrase)
        snprintf(protection, sizeof protection, "scrypt %02u %s", file->cost, salt);
    int count = snprintf(text, MEMBER_KEY_FILE_BYTES_MAX, MAGIC VERSION "\nmember %s\npublic %s\nprotection %s\n", id, key,
                         protection);
    assert(count > 0 && count < MEMBER_KEY_FILE_BYTES_MAX);
    return (size_t)count;
}

/* The key that a passphrase gives, for one seal or open. */
static enum code stretch_passphrase(const struct member_key_file *file, const char *passphrase, struct aead_key **out,
                                    struct failure *why)
{
    SECRET_FREE uint8_t *bytes = secret_allocate(AEAD_KEY_BYTES);
    if (!bytes)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    const uint64_t rounds = UINT64_C(1) << file->cost, block = 8, lanes = 1;
    const uint64_t memory_max = rounds * block * 128 + (1 << 20);
    if (EVP_PBE_scrypt(passphrase, strlen(passphrase), file->salt, sizeof file->salt, rounds, block, lanes, memory_max,
                       bytes, AEAD_KEY_BYTES) != 1)
        return openssl_failure_set(why, "stretching the passphrase");
    return aead_key_create(bytes, out, why);
}

static enum code unseal(const struct member_key_file *file, const char *passphrase, uint8_t *private_key,
                        struct failure *why)
{
    if (!passphrase)
        return failure_set(why, CODE_DENIED, "the key is protected: give its passphrase");
    struct aead_key *key = NULL;
    enum code code = stretch_passphrase(file, passphrase, &key, why);
    if (code != CODE_OK)
        return code;
    char head[MEMBER_KEY_FILE_BYTES_MAX];
    const struct aead_message message = {head, write_head(file, head), file->secret, file->secret_count};
    code = aead_open(key, &message, private_key, why);
    aead_key_destroy(key);
    if (code == CODE_CORRUPT)
        return failure_set(why, CODE_DENIED, "the passphrase is wrong (or the key file was changed)");
    return code;
}

enum code member_key_file_unlock(const struct member_key_file *file, const char *passphrase, struct member_key **out,
                                 struct failure *why)
{
    if (!file->protected_by_passphrase)
        return member_key_restore(&file->public, file->secret, out, why);
    SECRET_FREE uint8_t *private_key = secret_allocate(MEMBER_KEY_BYTES);
    if (!private_key)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    enum code code = unseal(file, passphrase, private_key, why);
    return code == CODE_OK ? member_key_restore(&file->public, private_key, out, why) : code;
}

/* The whole file into `text` (MEMBER_KEY_FILE_BYTES_MAX + 1 bytes: one more than a good one has). */
static enum code read_guarded(const char *path, char *text, size_t *count, struct failure *why)
{
    SCOPE_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        return failure_set_errno(why, errno, "cannot be opened");
    if (!S_ISREG(status.st_mode))
        return failure_set(why, CODE_INVALID, "is not a file");
    if (status.st_mode & 077)
        return failure_set(why, CODE_DENIED, "others may read it (mode %04o): run `chmod 600` on it",
                           (unsigned)status.st_mode & 07777);
    *count = 0;
    for (;;) {
        ssize_t got = read(fd, text + *count, MEMBER_KEY_FILE_BYTES_MAX + 1 - *count);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failure_set_errno(why, errno, "cannot be read");
        if (got == 0)
            return CODE_OK;
        *count += (size_t)got;
    }
}

enum code member_key_file_load(const char *path, const char *passphrase, struct member_key **out, struct failure *why)
{
    SECRET_FREE char *text = secret_allocate(MEMBER_KEY_FILE_BYTES_MAX + 1);
    SECRET_FREE struct member_key_file *file = secret_allocate(sizeof *file);
    if (!text || !file)
        return failure_set(why, CODE_NO_MEMORY, "key %s: out of memory", path);
    size_t count = 0;
    enum code code = read_guarded(path, text, &count, why);
    if (code == CODE_OK)
        code = member_key_file_parse(text, count, file, why);
    if (code == CODE_OK)
        code = member_key_file_unlock(file, passphrase, out, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "key %s", path);
}

/* Fills in file->secret, sealed where there is a passphrase. */
static enum code seal_secret(struct member_key_file *file, const struct member_key *member, const char *passphrase,
                             struct failure *why)
{
    file->public = *member_key_public(member);
    file->secret_count = PLAIN_SECRET;
    if (!passphrase || !*passphrase) {
        memcpy(file->secret, member_key_private(member), PLAIN_SECRET);
        return CODE_OK;
    }
    file->protected_by_passphrase = true;
    file->cost = MEMBER_KEY_FILE_COST_MIN;
    file->secret_count = SEALED_SECRET;
    struct aead_key *key = NULL;
    enum code code = entropy_fill(file->salt, sizeof file->salt, why);
    if (code == CODE_OK)
        code = stretch_passphrase(file, passphrase, &key, why);
    if (code == CODE_OK) {
        char head[MEMBER_KEY_FILE_BYTES_MAX];
        const struct aead_message message = {head, write_head(file, head), member_key_private(member), PLAIN_SECRET};
        code = aead_seal(key, &message, file->secret, why);
    }
    aead_key_destroy(key);
    return code;
}

static size_t write_text(const struct member_key_file *file, char *text)
{
    size_t count = write_head(file, text);
    count += (size_t)sprintf(text + count, "secret ");
    hex_encode(file->secret, file->secret_count, text + count);
    count += 2 * file->secret_count;
    text[count++] = '\n';
    return count;
}

/* The folders above `path`: those that are missing are nobody else's business. */
static enum code make_private_folders(const char *path, struct failure *why)
{
    SCOPE_FREE char *folder = strdup(path);
    if (!folder)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(folder, 0700) != 0 && errno != EEXIST && !file_is_folder(folder))
            return failure_set_errno(why, errno, "its folder %s cannot be made", folder);
        *slash = '/';
    }
    return CODE_OK;
}

/* fsync of the folder that a path lies in, so that its name is durable too. */
static bool sync_folder_of(const char *path)
{
    SCOPE_FREE char *folder = strdup(path);
    if (!folder)
        return false;
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    SCOPE_CLOSE int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0;
}

static enum code write_new(const char *path, const char *text, size_t count, struct failure *why)
{
    SCOPE_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return failure_set_errno(why, errno, "cannot be made");
    size_t done = 0;
    while (done < count) {
        ssize_t put = write(fd, text + done, count - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            break;
        done += (size_t)put;
    }
    if (done == count && fsync(fd) == 0 && sync_folder_of(path))
        return CODE_OK;
    enum code code = failure_set_errno(why, errno, "cannot be written");
    unlink(path);
    return code;
}

/* The new text beside the old one, then in its place. */
static enum code write_over(const char *path, const char *text, size_t count, struct failure *why)
{
    char beside[PATH_MAX];
    if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside)
        return failure_set(why, CODE_NAME_TOO_LONG, "its path is too long");
    if (unlink(beside) != 0 && errno != ENOENT)
        return failure_set_errno(why, errno, "%s cannot be removed", beside);
    enum code code = write_new(beside, text, count, why);
    if (code != CODE_OK)
        return code;
    if (rename(beside, path) == 0 && sync_folder_of(path))
        return CODE_OK;
    code = failure_set_errno(why, errno, "cannot be replaced");
    unlink(beside);
    return code;
}

typedef enum code write_text_to(const char *path, const char *text, size_t count, struct failure *why);

static enum code save(const char *path, const struct member_key *key, const char *passphrase, write_text_to *put,
                      struct failure *why)
{
    SECRET_FREE char *text = secret_allocate(MEMBER_KEY_FILE_BYTES_MAX);
    SECRET_FREE struct member_key_file *file = secret_allocate(sizeof *file);
    if (!text || !file)
        return failure_set(why, CODE_NO_MEMORY, "key %s: out of memory", path);
    enum code code = seal_secret(file, key, passphrase, why);
    if (code == CODE_OK)
        code = make_private_folders(path, why);
    if (code == CODE_OK)
        code = put(path, text, write_text(file, text), why);
    return code == CODE_OK ? code : failure_wrap(why, code, "key %s", path);
}

enum code member_key_file_save(const char *path, const struct member_key *key, const char *passphrase, struct failure *why)
{
    return save(path, key, passphrase, write_new, why);
}

enum code member_key_file_replace(const char *path, const struct member_key *key, const char *passphrase,
                                  struct failure *why)
{
    return save(path, key, passphrase, write_over, why);
}
