/* States of a folder after a power cut: see disk_state.h for what is allowed.
 *
 * A file's state is made in two passes over its loose changes: the first finds, sector by sector, the last write that is
 * there; the second makes all changes in order, each write where its sector's last one is itself or a later one (the page
 * cache holds both by then).  Sizes are a sequence of which a beginning is there; a cut that is not there cuts nothing. */
#include "disk_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "checksum.h"
#include "file.h"
#include "random.h"
#include "scope.h"

static void *need(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

/* Points -------------------------------------------------------------------------------------------------------------- */

static bool is_change(const struct disk_op *op)
{
    return op->change != DISK_SYNC && op->change != DISK_MARK;
}

static bool is_name(const struct disk_op *op)
{
    return op->change == DISK_NAME || op->change == DISK_UNNAME || op->change == DISK_MOVE;
}

/* A move is durable once both folders are. */
static bool is_durable(const struct disk_point *point, size_t index)
{
    const struct disk_op *op = &point->record->ops[index];
    return index < point->covered[op->object] && (op->change != DISK_MOVE || index < point->covered[op->other]);
}

void disk_point_make(struct disk_point *point, const struct disk_record *record, size_t end)
{
    *point = (struct disk_point){.record = record, .end = end};
    point->covered = need(calloc(record->object_count + 1, sizeof *point->covered));
    point->loose = need(calloc(end + 1, sizeof *point->loose));
    for (size_t i = 0; i < end; i++) {
        const struct disk_op *op = &record->ops[i];
        if (op->change == DISK_SYNC && op->offset > point->covered[op->object])
            point->covered[op->object] = op->offset;
    }
    for (size_t i = record->begins; i < end; i++)
        if (is_change(&record->ops[i]) && !is_durable(point, i))
            point->loose[point->loose_count++] = i;
}

void disk_point_free(struct disk_point *point)
{
    free(point->covered);
    free(point->loose);
}

/* Luck ---------------------------------------------------------------------------------------------------------------- */

static uint64_t chance(uint64_t seed, uint64_t a, uint64_t b)
{
    struct random random = random_stream(seed * 31 + a, b);
    return random_next(&random);
}

/* Of a hundred; differs from seed to seed, so that nearly all and nearly nothing are met too. */
static bool happens(const struct disk_choice *choice, uint64_t a, uint64_t b)
{
    static const unsigned odds[] = {8, 30, 50, 70, 92};
    return chance(choice->number, a, b) % 100 < odds[choice->number % 5];
}

/* The last bytes that were written among the loose changes; SIZE_MAX: none. */
static size_t last_written(const struct disk_point *point)
{
    for (size_t i = point->loose_count; i-- > 0;)
        if (point->record->ops[point->loose[i]].change == DISK_BYTES)
            return i;
    return SIZE_MAX;
}

/* The seed's place in the sequence of loose changes. */
static size_t cut_of(const struct disk_point *point, const struct disk_choice *choice, uint64_t stream)
{
    return (size_t)(chance(choice->number, 1000 + stream, 7) % (point->loose_count + 1));
}

static bool change_is_there(const struct disk_point *point, const struct disk_choice *choice, size_t ordinal)
{
    const struct disk_op *op = &point->record->ops[point->loose[ordinal]];
    switch (choice->luck) {
    case LUCK_ALL:
    case LUCK_TORN:
    case LUCK_TORN_HEAD:
        return true;
    case LUCK_NONE:
        return false;
    case LUCK_SIZES:
        return is_name(op) || op->change == DISK_SIZE;
    case LUCK_MASK:
        return ordinal < 64 && choice->number >> ordinal & 1;
    case LUCK_BUT_ONE:
        return ordinal != choice->number;
    case LUCK_CHANGES:
        return happens(choice, point->loose[ordinal], 0);
    case LUCK_SECTORS:
        return ordinal < cut_of(point, choice, is_name(op) ? 0 : op->object + 1);
    }
    return false;
}

static bool sector_is_there(const struct disk_point *point, const struct disk_choice *choice, size_t ordinal,
                            uint64_t sector)
{
    const struct disk_op *op = &point->record->ops[point->loose[ordinal]];
    uint64_t nth = sector - op->offset / choice->sector;
    switch (choice->luck) {
    case LUCK_SIZES:
        return false;
    case LUCK_TORN:
        return ordinal != last_written(point) || nth < choice->number;
    case LUCK_TORN_HEAD:
        return ordinal != last_written(point) || nth >= choice->number;
    case LUCK_SECTORS:
        return happens(choice, point->loose[ordinal], sector + 1);
    default:
        return change_is_there(point, choice, ordinal);
    }
}

static bool size_is_there(const struct disk_point *point, const struct disk_choice *choice, size_t ordinal)
{
    return choice->luck == LUCK_SIZES || change_is_there(point, choice, ordinal);
}

/* A file ---------------------------------------------------------------------------------------------------------------- */

struct contents {
    uint8_t *bytes; /* `room` of them, zeros beyond what was written */
    uint64_t size, room;
};

static void make_room(struct contents *contents, uint64_t end)
{
    if (end <= contents->room)
        return;
    uint64_t room = end + end / 2 + 4096;
    contents->bytes = need(realloc(contents->bytes, room));
    memset(contents->bytes + contents->room, 0, room - contents->room);
    contents->room = room;
}

static void set_size(struct contents *contents, uint64_t size)
{
    make_room(contents, size);
    if (size < contents->size && contents->room > size)
        memset(contents->bytes + size, 0, contents->room - size);
    contents->size = size;
}

static void put_bytes(struct contents *contents, uint64_t offset, const uint8_t *bytes, uint64_t count)
{
    make_room(contents, offset + count);
    if (count == 0)
        return;
    if (bytes)
        memcpy(contents->bytes + offset, bytes, count);
    else
        memset(contents->bytes + offset, 0, count);
}

static void apply_durable(struct contents *contents, const struct disk_op *op)
{
    if (op->change == DISK_SIZE) {
        set_size(contents, op->count);
        return;
    }
    put_bytes(contents, op->offset, op->bytes, op->count);
    if (op->change == DISK_BYTES && op->offset + op->count > contents->size)
        contents->size = op->offset + op->count;
}

struct sectors {
    size_t *last; /* ordinal + 1 of the last loose write that is there */
    uint64_t count;
};

static bool touches(const struct disk_point *point, size_t ordinal, uint32_t object)
{
    const struct disk_op *op = &point->record->ops[point->loose[ordinal]];
    return !is_name(op) && op->object == object;
}

static void find_last(const struct disk_point *point, const struct disk_choice *choice, uint32_t object,
                      struct sectors *sectors)
{
    uint64_t end = 0;
    for (size_t i = 0; i < point->loose_count; i++) {
        const struct disk_op *op = &point->record->ops[point->loose[i]];
        if (touches(point, i, object) && op->change != DISK_SIZE && op->offset + op->count > end)
            end = op->offset + op->count;
    }
    sectors->count = end / choice->sector + 1;
    sectors->last = need(calloc(sectors->count, sizeof *sectors->last));
    for (size_t i = 0; i < point->loose_count; i++) {
        const struct disk_op *op = &point->record->ops[point->loose[i]];
        if (!touches(point, i, object) || op->change == DISK_SIZE || op->count == 0)
            continue;
        for (uint64_t s = op->offset / choice->sector; s <= (op->offset + op->count - 1) / choice->sector; s++)
            if (sector_is_there(point, choice, i, s))
                sectors->last[s] = i + 1;
    }
}

static void apply_loose(struct contents *contents, const struct disk_choice *choice, const struct disk_op *op,
                        const struct sectors *sectors, size_t ordinal)
{
    uint64_t end = op->offset + op->count;
    for (uint64_t at = op->offset; at < end;) {
        uint64_t sector = at / choice->sector, next = (sector + 1) * choice->sector;
        uint64_t count = (next < end ? next : end) - at;
        if (sectors->last[sector] > ordinal)
            put_bytes(contents, at, op->bytes ? op->bytes + (at - op->offset) : NULL, count);
        at += count;
    }
}

static void make_contents(struct contents *contents, const struct disk_point *point, const struct disk_choice *choice,
                          uint32_t object)
{
    const struct disk_object *start = &point->record->objects[object];
    *contents = (struct contents){0};
    put_bytes(contents, 0, start->bytes, start->bytes ? start->size : 0);
    contents->size = start->size;
    for (size_t i = point->record->begins; i < point->covered[object] && i < point->end; i++) {
        const struct disk_op *op = &point->record->ops[i];
        if (is_change(op) && !is_name(op) && op->object == object)
            apply_durable(contents, op);
    }
    struct sectors sectors = {0};
    bool any = false;
    for (size_t i = 0; i < point->loose_count; i++) {
        const struct disk_op *op = &point->record->ops[point->loose[i]];
        if (!touches(point, i, object))
            continue;
        if (!any)
            find_last(point, choice, object, &sectors);
        any = true;
        bool sized = size_is_there(point, choice, i);
        if (op->change == DISK_SIZE && sized)
            set_size(contents, op->count);
        if (op->change == DISK_SIZE)
            continue;
        apply_loose(contents, choice, op, &sectors, i);
        if (op->change == DISK_BYTES && sized && op->offset + op->count > contents->size)
            contents->size = op->offset + op->count;
    }
    free(sectors.last);
    make_room(contents, contents->size);
}

/* Names ----------------------------------------------------------------------------------------------------------------- */

struct name {
    uint32_t folder, object;
    const char *text;
};

struct names {
    struct name *names;
    size_t count, room;
};

static void drop_name(struct names *names, uint32_t folder, const char *text)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->names[i].folder == folder && strcmp(names->names[i].text, text) == 0) {
            names->names[i] = names->names[--names->count];
            return;
        }
}

static void add_name(struct names *names, uint32_t folder, const char *text, uint32_t object)
{
    drop_name(names, folder, text);
    if (names->count == names->room) {
        names->room = names->room ? 2 * names->room : 64;
        names->names = need(realloc(names->names, names->room * sizeof *names->names));
    }
    names->names[names->count++] = (struct name){folder, object, text};
}

static void apply_name(struct names *names, const struct disk_op *op)
{
    if (op->change == DISK_NAME)
        add_name(names, op->object, op->name, op->other);
    else
        drop_name(names, op->object, op->name);
    if (op->change == DISK_MOVE)
        add_name(names, op->other, op->other_name, op->moved);
}

static int compare_names(const void *a, const void *b)
{
    const struct name *left = a, *right = b;
    return strcmp(left->text, right->text);
}

static void make_names(struct names *names, const struct disk_point *point, const struct disk_choice *choice)
{
    size_t ordinal = 0;
    *names = (struct names){0};
    for (size_t i = 0; i < point->end; i++) {
        const struct disk_op *op = &point->record->ops[i];
        bool loose = ordinal < point->loose_count && point->loose[ordinal] == i;
        if (is_name(op) && (!loose || change_is_there(point, choice, ordinal)))
            apply_name(names, op);
        ordinal += loose;
    }
    if (names->count)
        qsort(names->names, names->count, sizeof *names->names, compare_names);
}

/* Images ---------------------------------------------------------------------------------------------------------------- */

struct making {
    struct disk_image *image;
    const struct disk_point *point;
    const struct disk_choice *choice;
    struct names names;
};

static void add_folder(struct making *making, uint32_t folder, const char *above)
{
    struct disk_image *image = making->image;
    for (size_t i = 0; i < making->names.count; i++) {
        const struct name *name = &making->names.names[i];
        if (name->folder != folder)
            continue;
        char *path = need(above[0] ? file_join(above, name->text) : strdup(name->text));
        image->entries = need(realloc(image->entries, (image->count + 1) * sizeof *image->entries));
        struct disk_image_entry *entry = &image->entries[image->count++];
        *entry = (struct disk_image_entry){.path = path, .folder = making->point->record->objects[name->object].folder};
        image->sum = checksum_64(path, strlen(path) + 1, image->sum);
        if (entry->folder) {
            add_folder(making, name->object, path);
            continue;
        }
        struct contents contents;
        make_contents(&contents, making->point, making->choice, name->object);
        entry->bytes = contents.bytes;
        entry->size = contents.size;
        image->sum = checksum_64(contents.bytes, contents.size, image->sum);
    }
}

void disk_image_make(struct disk_image *image, const struct disk_point *point, const struct disk_choice *choice)
{
    *image = (struct disk_image){0};
    struct making making = {.image = image, .point = point, .choice = choice};
    make_names(&making.names, point, choice);
    add_folder(&making, 0, "");
    free(making.names.names);
}

void disk_image_free(struct disk_image *image)
{
    for (size_t i = 0; i < image->count; i++) {
        free(image->entries[i].path);
        free(image->entries[i].bytes);
    }
    free(image->entries);
    *image = (struct disk_image){0};
}

bool disk_image_write(const struct disk_image *image, const char *folder)
{
    enum code code = file_make_folders(folder, NULL);
    for (size_t i = 0; code == CODE_OK && i < image->count; i++) {
        const struct disk_image_entry *entry = &image->entries[i];
        SCOPE_FREE char *path = need(file_join(folder, entry->path));
        code = entry->folder ? file_make_folders(path, NULL) : file_write(path, entry->bytes, entry->size, NULL);
    }
    return code == CODE_OK;
}

bool disk_image_equals(const struct disk_image *image, const char *folder)
{
    struct disk_record found;
    struct disk_point now;
    struct disk_image other;
    disk_record_begin(&found, folder);
    disk_point_make(&now, &found, found.count);
    disk_image_make(&other, &now, &(struct disk_choice){.luck = LUCK_ALL, .sector = 512});
    bool equal = other.sum == image->sum && other.count == image->count;
    disk_image_free(&other);
    disk_point_free(&now);
    disk_record_free(&found);
    return equal;
}

void disk_point_describe(const struct disk_point *point, struct buffer *out)
{
    static const char *const words[] = {"bytes", "size", "zeros", "name", "unname", "move", "sync", "mark"};
    size_t ordinal = 0;
    for (size_t i = point->record->begins; i < point->end; i++) {
        const struct disk_op *op = &point->record->ops[i];
        bool loose = ordinal < point->loose_count && point->loose[ordinal] == i;
        ordinal += loose;
        buffer_printf(out, "%zu %s%s object %u other %u offset %llu count %llu %s %s\n", i, loose ? "loose " : "",
                      words[op->change], op->object, op->other, (unsigned long long)op->offset,
                      (unsigned long long)op->count, op->name ? op->name : "", op->other_name ? op->other_name : "");
    }
}
