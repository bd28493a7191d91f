/* TIFF: directories point to values and pixels all over the file, so the file keeps its length and every kept
 * byte its place.
 *
 *  1. Each directory, of every page and sub-page, is rewritten in its place with only the tags of a short
 *     list: those that pixels, their colours and their size need.
 *  2. The bytes that remaining tags refer to (values, strips, tiles), the header and the directories are
 *     marked as used.
 *  3. All other bytes become 0.  So removed values vanish, and with them vendors' blocks that no tag names.
 *
 * A pixel size that stands only in a removed description (OME-XML, ImageJ) is moved into the resolution tags,
 * where those exist.  Planes that a description alone announces (ImageJ files over 4 GB) count as unnamed
 * bytes.
 */
#include "importing_formats.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "image_tiff_directory.h"

#define DIRECTORIES_MAX 16384
#define RANGES_MAX      (8u << 20)

enum tag {
    TAG_STRIP_OFFSETS = 273,
    TAG_STRIP_BYTES = 279,
    TAG_X_RESOLUTION = 282,
    TAG_Y_RESOLUTION = 283,
    TAG_RESOLUTION_UNIT = 296,
    TAG_TILE_OFFSETS = 324,
    TAG_TILE_BYTES = 325,
    TAG_SUB_DIRECTORIES = 330
};

struct range {
    uint64_t start, end;
};

struct cleaning {
    struct image_tiff_file file;
    uint8_t *bytes; /* the copy that is changed */
    struct range *used;
    size_t used_count, used_capacity;
    uint64_t *pending; /* offsets of directories still to do */
    size_t pending_count, directory_count;
    struct buffer *removed;
    bool too_much; /* ranges, or no memory for them */
};

static bool is_kept(uint16_t tag)
{
    static const uint16_t kept[] = {254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 280,
                                    281, 282, 283, 284, 286, 287, 296, 297, 301, 317, 318, 319, 320, 322,
                                    323, 324, 325, 330, 332, 338, 339, 340, 341, 347, 529, 530, 531, 532};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (kept[i] == tag)
            return true;
    return false;
}

static void note_tag(struct buffer *removed, uint16_t tag)
{
    static const struct {
        uint16_t tag;
        const char *name;
    } names[] = {{269, "DocumentName"}, {270, "ImageDescription"}, {271, "Make"},
                 {272, "Model"},        {285, "PageName"},         {305, "Software"},
                 {306, "DateTime"},     {315, "Artist"},           {316, "HostComputer"},
                 {700, "XMP"},          {33432, "Copyright"},      {33723, "IPTC"},
                 {34377, "Photoshop"},  {34665, "EXIF"},           {34675, "ICC profile"},
                 {34853, "GPS"}};
    char text[32];
    snprintf(text, sizeof text, "tag %u", tag);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].tag == tag)
            snprintf(text, sizeof text, "%s", names[i].name);
    importing_note(removed, text);
}

static bool read_source(void *context, uint64_t offset, void *into, size_t count)
{
    const struct importing_source *source = context;
    if (offset > source->count || count > source->count - offset)
        return false;
    memcpy(into, source->bytes + offset, count);
    return true;
}

static void use(struct cleaning *cleaning, uint64_t start, uint64_t count)
{
    if (start >= cleaning->file.size || count == 0)
        return;
    if (cleaning->used_count == RANGES_MAX) {
        cleaning->too_much = true;
        return;
    }
    if (cleaning->used_count == cleaning->used_capacity) {
        size_t wanted = cleaning->used_capacity ? cleaning->used_capacity * 2 : 256;
        struct range *grown = realloc(cleaning->used, wanted * sizeof *grown);
        if (!grown) {
            cleaning->too_much = true;
            return;
        }
        cleaning->used = grown;
        cleaning->used_capacity = wanted;
    }
    uint64_t most = cleaning->file.size - start;
    cleaning->used[cleaning->used_count++] = (struct range){start, start + (count < most ? count : most)};
}

static void add_directory(struct cleaning *cleaning, uint64_t offset)
{
    if (offset != 0 && cleaning->pending_count < DIRECTORIES_MAX)
        cleaning->pending[cleaning->pending_count++] = offset;
}

static const struct image_tiff_entry *find_entry(const struct image_tiff_directory *directory, uint16_t tag)
{
    for (size_t i = 0; i < directory->count; i++)
        if (directory->entries[i].tag == tag)
            return &directory->entries[i];
    return NULL;
}

/* Marks the strips or tiles of a page. */
static void use_blocks(struct cleaning *cleaning, const struct image_tiff_directory *directory, uint16_t offsets_tag,
                       uint16_t bytes_tag)
{
    const struct image_tiff_entry *offsets = find_entry(directory, offsets_tag);
    const struct image_tiff_entry *bytes = find_entry(directory, bytes_tag);
    for (uint64_t i = 0; offsets && i < offsets->count && !cleaning->too_much; i++) {
        uint64_t start, count;
        if (!image_tiff_directory_number(&cleaning->file, offsets, i, &start))
            return;
        if (!bytes || !image_tiff_directory_number(&cleaning->file, bytes, i, &count))
            count = cleaning->file.size; /* old writers leave it out: to the end */
        use(cleaning, start, count);
    }
}

static void store(const struct cleaning *cleaning, uint64_t at, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        cleaning->bytes[at + i] = (uint8_t)(number >> 8 * (cleaning->file.big_endian ? bytes - 1 - i : i));
}

/* Writes the kept entries one behind the other, the next directory's offset behind them, and the new count in
 * front. */
static void rewrite(struct cleaning *cleaning, uint64_t offset, const struct image_tiff_directory *directory)
{
    size_t entry_bytes = cleaning->file.big ? 20 : 12, wide = cleaning->file.big ? 8 : 4;
    size_t count_bytes = cleaning->file.big ? 8 : 2, kept = 0;
    uint64_t first = offset + count_bytes;
    for (size_t i = 0; i < directory->count; i++) {
        const struct image_tiff_entry *entry = &directory->entries[i];
        if (!is_kept(entry->tag)) {
            note_tag(cleaning->removed, entry->tag);
            continue;
        }
        memmove(cleaning->bytes + first + kept * entry_bytes, cleaning->bytes + entry->entry_at, entry_bytes);
        if (image_tiff_directory_has_value(&cleaning->file, entry) && entry->value_bytes > wide)
            use(cleaning, entry->value_at, entry->value_bytes);
        kept++;
    }
    store(cleaning, offset, kept, count_bytes);
    store(cleaning, first + kept * entry_bytes, directory->next, wide);
    use(cleaning, offset, count_bytes + kept * entry_bytes + wide);
}

/* Marks a directory and what it refers to, notes the directories it leads to, and rewrites it. */
static bool clean_directory(struct cleaning *cleaning, uint64_t offset)
{
    struct image_tiff_directory directory;
    if (!image_tiff_directory_read(&cleaning->file, offset, &directory))
        return false;
    use_blocks(cleaning, &directory, TAG_STRIP_OFFSETS, TAG_STRIP_BYTES);
    use_blocks(cleaning, &directory, TAG_TILE_OFFSETS, TAG_TILE_BYTES);
    const struct image_tiff_entry *inner = find_entry(&directory, TAG_SUB_DIRECTORIES);
    uint64_t number;
    for (uint64_t i = 0; inner && i < inner->count && i < DIRECTORIES_MAX; i++)
        if (image_tiff_directory_number(&cleaning->file, inner, i, &number))
            add_directory(cleaning, number);
    add_directory(cleaning, directory.next);
    rewrite(cleaning, offset, &directory);
    image_tiff_directory_free(&directory);
    return true;
}

static bool was_cleaned(const struct cleaning *cleaning, size_t before, uint64_t offset)
{
    for (size_t i = 0; i < before; i++)
        if (cleaning->pending[i] == offset)
            return true;
    return false;
}

static enum code clean_directories(struct cleaning *cleaning, const char *name, struct failure *why)
{
    add_directory(cleaning, cleaning->file.first);
    for (size_t i = 0; i < cleaning->pending_count; i++) {
        if (was_cleaned(cleaning, i, cleaning->pending[i]))
            return failure_set(why, CODE_INVALID, "%s: its TIFF directories lead back to each other", name);
        if (!clean_directory(cleaning, cleaning->pending[i]))
            return failure_set(why, CODE_INVALID, "%s: not a whole TIFF file: directory %zu cannot be read", name, i + 1);
        if (cleaning->too_much)
            return failure_set(why, CODE_TOO_LARGE, "%s: more than %u pieces, or no memory for them", name, RANGES_MAX);
    }
    if (cleaning->pending_count == 0 || cleaning->pending_count == DIRECTORIES_MAX)
        return failure_set(why, CODE_INVALID, "%s: a TIFF file of no pages, or of more than %d", name, DIRECTORIES_MAX);
    return CODE_OK;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

static void blank_unused(struct cleaning *cleaning)
{
    use(cleaning, 0, cleaning->file.big ? 16 : 8);
    qsort(cleaning->used, cleaning->used_count, sizeof *cleaning->used, compare_ranges);
    uint64_t at = 0;
    bool blanked = false;
    for (size_t i = 0; i <= cleaning->used_count; i++) {
        uint64_t start = i < cleaning->used_count ? cleaning->used[i].start : cleaning->file.size;
        for (; at < start; at++) {
            blanked |= cleaning->bytes[at] != 0;
            cleaning->bytes[at] = 0;
        }
        if (i < cleaning->used_count && cleaning->used[i].end > at)
            at = cleaning->used[i].end;
    }
    if (blanked && cleaning->removed->length == 0)
        importing_note(cleaning->removed, "bytes that no tag refers to");
}

static void store_scale(struct cleaning *cleaning, const struct image_tiff_file *cleaned,
                        const struct image_tiff_directory *directory, double pixel_um)
{
    static const uint16_t sides[] = {TAG_X_RESOLUTION, TAG_Y_RESOLUTION};
    store(cleaning, find_entry(directory, TAG_RESOLUTION_UNIT)->value_at, 3, 2); /* pixels per centimetre */
    for (int i = 0; i < 2; i++) {
        const struct image_tiff_entry *side = find_entry(directory, sides[i]);
        if (!side || side->type != 5 || side->count != 1 || !image_tiff_directory_has_value(cleaned, side))
            continue;
        store(cleaning, side->value_at, 1000000000, 4);
        store(cleaning, side->value_at + 4, (uint64_t)llround(pixel_um * 100000), 4);
    }
}

/* Writes the pixel size that a removed description told into the first page's resolution tags, if those say
 * nothing (unit 1). */
static void keep_scale(struct cleaning *cleaning, const struct importing_source *source)
{
    struct importing_source result = {cleaning->bytes, source->count, source->name};
    struct image_tiff_file cleaned = cleaning->file;
    cleaned.context = &result;
    struct image_tiff_directory directory;
    if (!image_tiff_directory_read(&cleaned, cleaned.first, &directory))
        return;
    SCOPE_IMAGE before = {0};
    const struct image_tiff_entry *unit = find_entry(&directory, TAG_RESOLUTION_UNIT);
    uint64_t old_unit = 0;
    if (unit && unit->type == 3 && image_tiff_directory_number(&cleaned, unit, 0, &old_unit) && old_unit == 1 &&
        image_decode(source->bytes, source->count, source->name, &before, NULL) == CODE_OK && before.pixel_um > 0)
        store_scale(cleaning, &cleaned, &directory, before.pixel_um);
    image_tiff_directory_free(&directory);
}

enum code importing_tiff_clean(const struct importing_source *source, struct buffer *out, struct buffer *removed,
                               struct failure *why)
{
    struct cleaning cleaning = {.removed = removed};
    cleaning.file =
        (struct image_tiff_file){.read = read_source, .context = (void *)(uintptr_t)source, .size = source->count};
    if (!image_tiff_directory_open(&cleaning.file))
        return failure_set(why, CODE_INVALID, "%s: not a whole TIFF file", source->name);
    size_t start = out->length;
    buffer_append(out, source->bytes, source->count);
    enum code code = buffer_check(out, source->name, why);
    if (code != CODE_OK)
        return code;
    cleaning.bytes = (uint8_t *)out->data + start;
    if (!(cleaning.pending = calloc(DIRECTORIES_MAX, sizeof *cleaning.pending)))
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", source->name);
    code = clean_directories(&cleaning, source->name, why);
    if (code == CODE_OK) {
        blank_unused(&cleaning);
        keep_scale(&cleaning, source);
    }
    free(cleaning.pending);
    free(cleaning.used);
    return code;
}
