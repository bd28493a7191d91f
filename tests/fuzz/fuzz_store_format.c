/* A store's FORMAT, by opening a folder that has it.  The first byte of an input says whether its sum is put right. */
#include "fuzzing.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer.h"
#include "store_folder.h"
#include "summed_text.h"

static char folder[] = "/tmp/cytofs-fuzz-format-XXXXXX";
static char path[sizeof folder + 16];

static void remove_folder(void)
{
    char other[sizeof folder + 16];
    unlink(path);
    snprintf(other, sizeof other, "%s/lock", folder);
    unlink(other);
    snprintf(other, sizeof other, "%s/packs", folder);
    rmdir(other);
    rmdir(folder);
}

static void prepare(void)
{
    if (path[0])
        return;
    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "%s/packs", folder);
    if (mkdir(path, 0700) != 0)
        abort();
    snprintf(path, sizeof path, "%s/FORMAT", folder);
    atexit(remove_folder);
}

static void put(const struct buffer *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || (text->length && write(fd, text->data, text->length) != (ssize_t)text->length))
        abort();
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct failure why;
    struct store_folder *store = NULL;
    SCOPE_BUFFER text = {0};
    if (count == 0)
        return 0;
    prepare();
    buffer_append(&text, bytes + 1, count - 1);
    if (bytes[0] & 1)
        summed_text_finish(&text);
    put(&text);
    enum code code = store_folder_open(folder, true, &store, &why);
    assert(code == CODE_OK || why.text[0]);
    if (code == CODE_OK) /* it begins as one does, and the id is what it says */
        assert(text.length > 40 && memcmp(text.data, "cytofs store ", 13) == 0);
    store_folder_close(store);
    return 0;
}

static const char *const seeds[] = {
    "\1cytofs store 2\nid 00112233445566778899aabbccddeeff\n",
    "\2cytofs store 1\nid 00112233445566778899aabbccddeeff\n",
    "\1cytofs store 3\nid 00112233445566778899aabbccddeeff\n",
    "\1cytofs store 3\nanything else\n",
};

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    if (index >= sizeof seeds / sizeof *seeds)
        return NULL;
    *count = strlen(seeds[index]);
    return (uint8_t *)strdup(seeds[index]);
}
