/* Catalogs that somebody edited: a valid one with bytes of its pages changed, and the pages' checksums put right.  It is
 * refused, or every row that is read from it is in range.
 *
 * An input is a list of changes, five bytes each: where (4, little-endian, modulo the file's length) and the byte to put
 * there.
 */
#include "fuzzing.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "bytes.h"
#include "catalog_attribute.h"
#include "catalog_chunk.h"
#include "catalog_digest.h"
#include "catalog_inode.h"
#include "catalog_name.h"
#include "catalog_space.h"
#include "file.h"
#include "resum.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define CHANGE_BYTES   5
#define ROWS           16

static char folder[] = "/tmp/cytofs-fuzz-XXXXXX";
static char path[64];
static struct buffer valid; /* the file as it was made */

static void remove_folder(void)
{
    (void)!file_remove_tree(folder, NULL);
    buffer_free(&valid);
}

static void must(enum code code)
{
    if (code != CODE_OK)
        abort();
}

static void fill(struct catalog *catalog)
{
    must(catalog_operation_begin(catalog, NULL));
    for (uint64_t inode = 1; inode <= 20; inode++) {
        const struct catalog_inode row = {
            .inode = inode, .origin = inode, .space = 1, .links = 1, .generation = 1, .kind = inode > 1 ? 0 : 1};
        const struct catalog_chunk chunk = {.inode = inode, .pack = 1, .offset = 64, .bytes = 40, .generation = 1};
        char name[32];
        int count = snprintf(name, sizeof name, "a sealed name %02d", (int)inode);
        must(catalog_inode_put(catalog, &row, NULL));
        must(catalog_name_insert(catalog, &(struct catalog_name){1, name, (size_t)count}, inode, NULL));
        must(catalog_chunk_put(catalog, &chunk, NULL));
        must(catalog_attribute_put(catalog, &(struct catalog_attribute){inode, name, 3, name, 9}, NULL));
    }
    must(catalog_space_put(catalog, &(struct catalog_space){.space = 1, .generation = 1, .oldest = 1}, NULL));
    must(catalog_operation_end(catalog, true, NULL));
    bool lost;
    must(catalog_commit(catalog, &lost, NULL));
}

static void make_valid(void)
{
    struct catalog *catalog;
    if (!mkdtemp(folder))
        abort();
    atexit(remove_folder);
    snprintf(path, sizeof path, "%s/catalog.db", folder);
    must(catalog_open(&(struct catalog_options){.path = path, .create = true}, &catalog, NULL));
    fill(catalog);
    catalog_close(catalog);
    must(file_read(path, FILE_BYTES_MAX, &valid, NULL));
}

static bool see_name(void *context, const struct catalog_name *name, uint64_t inode)
{
    (void)inode;
    *(size_t *)context += name->count + (name->count ? ((const uint8_t *)name->bytes)[name->count - 1] : 0);
    return true;
}

static bool see_attribute(void *context, const struct catalog_attribute *row)
{
    *(size_t *)context += row->value_count;
    return true;
}

static bool see_row(void *context, const void *row, size_t count)
{
    *(size_t *)context += count + *(const uint8_t *)row;
    return true;
}

static void read_all(struct catalog *catalog)
{
    struct catalog_inode inodes[ROWS];
    struct catalog_chunk chunks[ROWS];
    uint8_t digest[CATALOG_DIGEST_BYTES_MAX];
    size_t count, seen = 0;
    if (catalog_inode_walk(catalog, 0, inodes, ROWS, &count, NULL) == CODE_OK)
        for (size_t i = 0; i < count; i++)
            assert(inodes[i].kind <= CATALOG_INODE_BLOCK && inodes[i].generation >= 1 && inodes[i].mode <= 07777);
    if (catalog_chunk_of_inode(catalog, 2, -1, chunks, ROWS, &count, NULL) == CODE_OK)
        for (size_t i = 0; i < count; i++)
            assert(chunks[i].pack >= 1 && chunks[i].bytes >= 1);
    (void)!catalog_name_list(catalog, 1, see_name, &seen, NULL);
    (void)!catalog_attribute_list_all(catalog, 2, see_attribute, &seen, NULL);
    (void)!catalog_digest_few(catalog, see_row, &seen, NULL);
    if (catalog_digest_get(catalog, 1, digest, &count, NULL) == CODE_OK)
        assert(count <= sizeof digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    if (!valid.length)
        make_valid();
    SCOPE_BUFFER changed = {0};
    buffer_append(&changed, valid.data, valid.length);
    for (size_t at = 0; at + CHANGE_BYTES <= count; at += CHANGE_BYTES)
        changed.data[bytes_load32(bytes + at) % changed.length] = (char)bytes[at + 4];
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, changed.data, changed.length) == (ssize_t)changed.length;
    if (fd < 0 || close(fd) != 0 || !written)
        abort();
    (void)!resum_file(path, NULL);
    struct catalog *catalog = NULL;
    if (catalog_open(&(struct catalog_options){.path = path, .read_only = true}, &catalog, NULL) == CODE_OK)
        read_all(catalog);
    catalog_close(catalog);
    char log[80];
    snprintf(log, sizeof log, "%s-wal", path);
    (void)!unlink(log);
    return 0;
}

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    static const uint8_t seeds[][2 * CHANGE_BYTES] = {
        {0, 0, 0, 0, 'S'}, {60, 0, 0, 0, 9}, {100, 0, 0, 0, 13, 8, 16, 0, 0, 255}};
    if (index >= sizeof seeds / sizeof *seeds)
        return NULL;
    *count = sizeof *seeds;
    uint8_t *seed = malloc(*count);
    if (seed)
        memcpy(seed, seeds[index], *count);
    return seed;
}
