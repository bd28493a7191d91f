/* Files of the audit log, which whoever has the disk can write.  With the right key and with arbitrary bytes no line is ever
 * taken that was not sealed: here none was but those of the seeds, which begin with theirs. */
#include "fuzzing.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aead.h"
#include "audit_files.h"
#include "audit_log.h"
#include "file.h"

#define LINES 3

static const uint8_t key_bytes[AUDIT_KEY_BYTES] = {7};
static struct aead_key *key;
static char folder[] = "/tmp/cytofs-fuzz-audit-XXXXXX";
static char path[sizeof folder + 32];

static void remove_folder(void)
{
    struct failure why;
    (void)!file_remove_tree(folder, &why);
}

static void prepare(void)
{
    struct failure why;
    if (key)
        return;
    if (aead_key_create(key_bytes, &key, &why) != CODE_OK || !mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "%s/00000000000000000000.log", folder);
    atexit(remove_folder);
}

static void put(const uint8_t *bytes, size_t count)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, count) != (ssize_t)count)
        abort();
    close(fd);
}

static void take_text(void *context, uint64_t number, const char *text)
{
    unsigned *lines = context;
    char expected[32];
    snprintf(expected, sizeof expected, "line %u", (unsigned)number);
    assert(strcmp(text, expected) == 0); /* nothing else was ever sealed with this key */
    (*lines)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct failure why;
    struct audit_read read;
    struct audit_log *log = NULL;
    unsigned lines = 0;
    prepare();
    put(bytes, count);
    const struct audit_reading reading = {.each = take_text, .context = &lines};
    enum code code = audit_log_read(folder, key, &reading, NULL, &read, &why);
    assert(code == CODE_OK || code == CODE_CORRUPT || code == CODE_NEWER_FORMAT || code == CODE_TOO_LARGE);
    assert(lines <= LINES);
    if (count % 32 == 0 && audit_log_open(folder, key, &log, &why) == CODE_OK)
        audit_log_close(log);
    return 0;
}

/* A log of some lines; then one whose last is torn. */
uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    struct failure why;
    struct audit_place place = {0};
    SCOPE_BUFFER text = {0};
    prepare();
    if (index > LINES)
        return NULL;
    buffer_printf(&text, "cytofs audit %d 0 %064d", index == 1 ? 1 : 2, 0);
    if (index != 1) {
        char sum[AUDIT_FILES_SUM_BYTES];
        audit_files_write_sum(text.data, text.length, sum);
        buffer_append(&text, sum, sizeof sum);
    }
    buffer_append_text(&text, "\n");
    for (unsigned i = 0; i < (index < LINES ? index + 1 : LINES); i++) {
        char line[32];
        snprintf(line, sizeof line, "line %u", i);
        if (audit_chain_seal(key, &place, line, &text, &why) != CODE_OK)
            abort();
    }
    *count = text.length - (index == LINES ? 20 : 0);
    uint8_t *copy = malloc(*count);
    if (copy)
        memcpy(copy, text.data, *count);
    return copy;
}
