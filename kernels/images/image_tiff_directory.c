/* Directories of TIFF files, byte by byte:
 *
 *     classic   header     "II" or "MM", 42(2), offset(4)
 *               directory  count(2), entries of tag(2) type(2) count(4) value(4), next(4)
 *     BigTIFF   header     "II" or "MM", 43(2), 8(2), 0(2), offset(8)
 *               directory  count(8), entries of tag(2) type(2) count(8) value(8), next(8)
 *
 * A value that fits into its field stands there, else the field holds its offset.  Nothing is believed: every
 * read goes through file->read, which knows the file's end.
 */
#include "image_tiff_directory.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"

/* A number of 2, 4 or 8 bytes in the file's order. */
static uint64_t load(const struct image_tiff_file *file, const void *at, size_t bytes)
{
    const uint8_t *b = at;
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++)
        number = number << 8 | b[file->big_endian ? i : bytes - 1 - i];
    return number;
}

bool image_tiff_directory_open(struct image_tiff_file *file)
{
    uint8_t head[16];
    if (!file->read(file->context, 0, head, 8) || head[0] != head[1] || (head[0] != 'I' && head[0] != 'M'))
        return false;
    file->big_endian = head[0] == 'M';
    uint64_t version = load(file, head + 2, 2);
    file->big = version == 43;
    if (version == 42)
        file->first = load(file, head + 4, 4);
    else if (version == 43 && file->read(file->context, 8, head + 8, 8))
        file->first = load(file, head + 8, 8);
    else
        return false;
    return true;
}

static uint64_t type_bytes(uint16_t type)
{
    static const uint8_t bytes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8};
    return type < sizeof bytes ? bytes[type] : 0;
}

static struct image_tiff_entry read_entry(const struct image_tiff_file *file, const uint8_t *at, uint64_t entry_at)
{
    size_t wide = file->big ? 8 : 4;
    struct image_tiff_entry entry = {.entry_at = entry_at};
    entry.tag = (uint16_t)load(file, at, 2);
    entry.type = (uint16_t)load(file, at + 2, 2);
    entry.count = load(file, at + 4, wide);
    size_t bytes;
    if (!bytes_multiply(entry.count, type_bytes(entry.type), &bytes))
        bytes = SIZE_MAX;
    entry.value_bytes = bytes;
    entry.value_at = bytes <= wide ? entry_at + 4 + wide : load(file, at + 4 + wide, wide);
    return entry;
}

bool image_tiff_directory_read(const struct image_tiff_file *file, uint64_t offset, struct image_tiff_directory *out)
{
    *out = (struct image_tiff_directory){0};
    size_t count_bytes = file->big ? 8 : 2, entry_bytes = file->big ? 20 : 12, wide = file->big ? 8 : 4;
    uint8_t field[8];
    if (offset > file->size || !file->read(file->context, offset, field, count_bytes))
        return false;
    uint64_t count = load(file, field, count_bytes);
    if (count > IMAGE_TIFF_ENTRIES_MAX)
        return false;
    uint64_t entries_at = offset + count_bytes;
    uint8_t *bytes = malloc(count * entry_bytes + wide);
    out->entries = calloc(count + 1, sizeof *out->entries);
    bool read = bytes && out->entries && file->read(file->context, entries_at, bytes, count * entry_bytes + wide);
    if (read) {
        out->count = count;
        for (size_t i = 0; i < count; i++)
            out->entries[i] = read_entry(file, bytes + i * entry_bytes, entries_at + i * entry_bytes);
        out->next_at = entries_at + count * entry_bytes;
        out->next = load(file, bytes + count * entry_bytes, wide);
    } else {
        image_tiff_directory_free(out);
    }
    free(bytes);
    return read;
}

void image_tiff_directory_free(struct image_tiff_directory *directory)
{
    free(directory->entries);
    *directory = (struct image_tiff_directory){0};
}

bool image_tiff_directory_has_value(const struct image_tiff_file *file, const struct image_tiff_entry *entry)
{
    return entry->value_at <= file->size && entry->value_bytes <= file->size - entry->value_at;
}

bool image_tiff_directory_number(const struct image_tiff_file *file, const struct image_tiff_entry *entry, uint64_t index,
                                 uint64_t *number)
{
    enum { BYTE = 1, SHORT = 3, LONG = 4, IFD = 13, LONG8 = 16, IFD8 = 18 };
    bool whole = entry->type == BYTE || entry->type == SHORT || entry->type == LONG || entry->type == IFD ||
                 entry->type == LONG8 || entry->type == IFD8;
    uint64_t bytes = type_bytes(entry->type);
    uint8_t field[8];
    if (!whole || index >= entry->count || !image_tiff_directory_has_value(file, entry) ||
        !file->read(file->context, entry->value_at + index * bytes, field, bytes))
        return false;
    *number = load(file, field, bytes);
    return true;
}

bool image_tiff_directory_is_whole(struct image_tiff_file *file)
{
    static const uint16_t essential[] = {258, 273, 279, 320, 324, 325, 338, 339, 347};
    struct image_tiff_directory directory;
    if (!image_tiff_directory_open(file) || !image_tiff_directory_read(file, file->first, &directory))
        return false;
    bool whole = true;
    for (size_t i = 0; i < directory.count; i++)
        for (size_t k = 0; k < sizeof essential / sizeof *essential; k++)
            if (directory.entries[i].tag == essential[k] && !image_tiff_directory_has_value(file, &directory.entries[i]))
                whole = false;
    image_tiff_directory_free(&directory);
    return whole;
}
