/* The record: see disk_record.h.  It keeps the names as they are now beside the list of changes, since calls speak of paths
 * while changes belong to folders and files.  Whoever fills it in does so from one thread at a time; memory that is missing
 * ends the test. */
#include "disk_record.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buffer.h"
#include "file.h"
#include "scope.h"

struct disk_live {
    char *path;
    uint32_t object;
};

static void *need(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static void *grown(void *array, size_t count, size_t *room, size_t each)
{
    if (count < *room)
        return array;
    *room = *room ? 2 * *room : 64;
    return need(realloc(array, *room * each));
}

static struct disk_op *add(struct disk_record *record, enum disk_change change, uint32_t object)
{
    record->ops = grown(record->ops, record->count, &record->room, sizeof *record->ops);
    struct disk_op *op = &record->ops[record->count++];
    *op = (struct disk_op){.change = change, .object = object};
    return op;
}

static uint32_t add_object(struct disk_record *record, bool folder)
{
    record->objects = grown(record->objects, record->object_count, &record->object_room, sizeof *record->objects);
    record->objects[record->object_count] = (struct disk_object){.folder = folder};
    return (uint32_t)record->object_count++;
}

/* Names ----------------------------------------------------------------------------------------------------------- */

static struct disk_live *live_at(const struct disk_record *record, const char *path)
{
    for (size_t i = 0; i < record->live_count; i++)
        if (strcmp(record->live[i].path, path) == 0)
            return &record->live[i];
    return NULL;
}

int disk_record_find(const struct disk_record *record, const char *path)
{
    if (path[0] == '\0')
        return 0;
    const struct disk_live *live = live_at(record, path);
    return live ? (int)live->object : -1;
}

static void forget_live(struct disk_record *record, struct disk_live *live)
{
    free(live->path);
    *live = record->live[--record->live_count];
}

static void put_live(struct disk_record *record, const char *path, uint32_t object)
{
    struct disk_live *live = live_at(record, path);
    if (live) {
        live->object = object;
        return;
    }
    record->live = grown(record->live, record->live_count, &record->live_room, sizeof *record->live);
    record->live[record->live_count++] = (struct disk_live){need(strdup(path)), object};
}

/* The folder that holds the path's last component, which is copied to *name. */
static uint32_t parent_of(const struct disk_record *record, const char *path, char **name)
{
    const char *slash = strrchr(path, '/');
    SCOPE_FREE char *above = need(strndup(path, slash ? (size_t)(slash - path) : 0));
    *name = need(strdup(slash ? slash + 1 : path));
    int folder = disk_record_find(record, above);
    if (folder < 0)
        abort(); /* a change in a folder that was never seen */
    return (uint32_t)folder;
}

/* Changes --------------------------------------------------------------------------------------------------------- */

void disk_record_bytes(struct disk_record *record, int object, uint64_t offset, const void *bytes, size_t count)
{
    struct disk_op *op = add(record, DISK_BYTES, (uint32_t)object);
    op->offset = offset;
    op->count = count;
    op->bytes = memcpy(need(malloc(count + 1)), bytes, count);
}

void disk_record_size(struct disk_record *record, int object, uint64_t size)
{
    add(record, DISK_SIZE, (uint32_t)object)->count = size;
}

void disk_record_zeros(struct disk_record *record, int object, uint64_t offset, uint64_t count)
{
    struct disk_op *op = add(record, DISK_ZEROS, (uint32_t)object);
    op->offset = offset;
    op->count = count;
}

void disk_record_linked(struct disk_record *record, int object, const char *path)
{
    char *name;
    uint32_t folder = parent_of(record, path, &name);
    struct disk_op *op = add(record, DISK_NAME, folder);
    op->other = (uint32_t)object;
    op->name = name;
    put_live(record, path, (uint32_t)object);
}

int disk_record_made(struct disk_record *record, const char *path, bool folder)
{
    int object = (int)add_object(record, folder);
    disk_record_linked(record, object, path);
    return object;
}

void disk_record_unlinked(struct disk_record *record, const char *path)
{
    char *name;
    uint32_t folder = parent_of(record, path, &name);
    add(record, DISK_UNNAME, folder)->name = name;
    struct disk_live *live = live_at(record, path);
    if (live)
        forget_live(record, live);
}

/* What lies below a folder moves with it. */
static void move_live(struct disk_record *record, const char *from, const char *to)
{
    size_t length = strlen(from);
    struct disk_live *replaced = live_at(record, to);
    if (replaced)
        forget_live(record, replaced);
    for (size_t i = 0; i < record->live_count; i++) {
        char *path = record->live[i].path, *moved;
        if (strncmp(path, from, length) != 0 || (path[length] != '\0' && path[length] != '/'))
            continue;
        if (asprintf(&moved, "%s%s", to, path + length) < 0)
            abort();
        free(path);
        record->live[i].path = moved;
    }
}

void disk_record_moved(struct disk_record *record, const char *from, const char *to)
{
    char *name, *other_name;
    uint32_t folder = parent_of(record, from, &name), other = parent_of(record, to, &other_name);
    int moved = disk_record_find(record, from);
    if (moved < 0)
        abort();
    struct disk_op *op = add(record, DISK_MOVE, folder);
    op->other = other;
    op->moved = (uint32_t)moved;
    op->name = name;
    op->other_name = other_name;
    move_live(record, from, to);
}

void disk_record_synced(struct disk_record *record, int object, size_t covers)
{
    add(record, DISK_SYNC, (uint32_t)object)->offset = covers;
}

void disk_record_mark(struct disk_record *record, uint64_t mark)
{
    add(record, DISK_MARK, 0)->offset = mark;
}

/* The beginning ----------------------------------------------------------------------------------------------------- */

static void take_in(struct disk_record *record, const char *below)
{
    SCOPE_FREE char *folder = need(file_join(record->root, below));
    struct file_names names;
    if (file_list(below[0] ? folder : record->root, 100000, &names, NULL) != CODE_OK)
        abort();
    for (size_t i = 0; i < names.count; i++) {
        SCOPE_FREE char *path = need(below[0] ? file_join(below, names.names[i]) : strdup(names.names[i]));
        SCOPE_FREE char *whole = need(file_join(record->root, path));
        bool is_folder = file_is_folder(whole);
        struct disk_object *object = &record->objects[disk_record_made(record, path, is_folder)];
        struct buffer bytes = {0};
        if (is_folder) {
            take_in(record, path);
            continue;
        }
        if (file_read(whole, (size_t)1 << 31, &bytes, NULL) != CODE_OK)
            abort();
        object->bytes = (uint8_t *)bytes.data;
        object->size = bytes.length;
    }
    file_names_free(&names);
}

void disk_record_begin(struct disk_record *record, const char *root)
{
    *record = (struct disk_record){.root = need(strdup(root))};
    add_object(record, true);
    take_in(record, "");
    size_t covers = record->count;
    for (size_t object = 0; object < record->object_count; object++)
        disk_record_synced(record, (int)object, covers);
    record->begins = record->count;
}

void disk_record_free(struct disk_record *record)
{
    for (size_t i = 0; i < record->count; i++) {
        free(record->ops[i].bytes);
        free(record->ops[i].name);
        free(record->ops[i].other_name);
    }
    for (size_t i = 0; i < record->object_count; i++)
        free(record->objects[i].bytes);
    while (record->live_count)
        forget_live(record, record->live);
    free(record->ops);
    free(record->objects);
    free(record->live);
    free(record->root);
    *record = (struct disk_record){0};
}
