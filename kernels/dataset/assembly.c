/* See assembly.h.  Images are found by name through one index sorted by stem (the base name without its
 * extension): annotations name images by stem, by base name, or by a path that was true on somebody else's
 * machine, and the stem is the part that all of these share.
 *
 * Invariants: entries keep the scan's order, so the dataset comes out sorted by path; an entry that is not
 * annotated has no objects.
 */
#include "assembly.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "file.h"
#include "image.h"
#include "scope.h"

#define WARNINGS_MAX   1000
#define CLASS_NAME_MAX 63

static enum code no_memory(struct failure *why)
{
    return failure_set(why, CODE_NO_MEMORY, "reading a dataset: out of memory");
}

/* Folders whose pictures are annotations, wherever they lie. */
static bool is_label_folder(const char *name, size_t length)
{
    static const char *const names[] = {"masks", "labels", "SegmentationClass", "SegmentationObject"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == length && strncasecmp(name, names[i], length) == 0)
            return true;
    return false;
}

static bool is_label_image(const char *path)
{
    static const char *const endings[] = {"_label", "_labels", "_mask", "_masks"};
    const char *part = path;
    for (const char *slash = strchr(part, '/'); slash; slash = strchr(part, '/')) {
        if (is_label_folder(part, (size_t)(slash - part)))
            return true;
        part = slash + 1;
    }
    const char *dot = strrchr(part, '.');
    size_t length = dot ? (size_t)(dot - part) : strlen(part);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t ending = strlen(endings[i]);
        if (length > ending && strncasecmp(part + length - ending, endings[i], ending) == 0)
            return true;
    }
    return false;
}

/* The base name's length without its extension, if that is an image's. */
static size_t stem_length(const char *base)
{
    size_t length = strlen(base);
    if (!scan_is_image_name(base))
        return length;
    return length - strlen(file_extension(base)) - 1;
}

static int compare_stems(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare_by_stem(const void *a, const void *b, void *context)
{
    const struct assembly *assembly = context;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    const char *left = file_base_name(assembly->entries[i].image.path);
    const char *right = file_base_name(assembly->entries[j].image.path);
    int order = compare_stems(left, stem_length(left), right, stem_length(right));
    return order ? order : (i > j) - (i < j);
}

enum code assembly_begin(const struct scan *scan, struct buffer *warnings, struct assembly *out, struct failure *why)
{
    *out = (struct assembly){.scan = scan, .warnings = warnings};
    size_t count = 0;
    for (size_t i = 0; i < scan->count; i++)
        count += scan_is_image_name(scan->paths[i]) && !is_label_image(scan->paths[i]);
    if (count > DATASET_IMAGES_MAX)
        return failure_set(why, CODE_TOO_LARGE, "%s: %zu images; a dataset may have at most %d", scan->folder, count,
                           DATASET_IMAGES_MAX);
    out->entries = calloc(count + 1, sizeof *out->entries);
    out->by_stem = calloc(count + 1, sizeof *out->by_stem);
    if (!out->entries || !out->by_stem)
        return no_memory(why);
    for (size_t i = 0; i < scan->count; i++) {
        if (!scan_is_image_name(scan->paths[i]) || is_label_image(scan->paths[i]))
            continue;
        struct dataset_image *image = &out->entries[out->count].image;
        if (!(image->path = strdup(scan->paths[i])))
            return no_memory(why);
        image->split = SPLIT_NONE;
        out->by_stem[out->count] = (uint32_t)out->count;
        out->count++;
    }
    qsort_r(out->by_stem, out->count, sizeof *out->by_stem, compare_by_stem, out);
    return CODE_OK;
}

static void free_image(struct dataset_image *image)
{
    free(image->path);
    free(image->objects);
    for (size_t i = 0; i < image->mask_count; i++)
        free(image->mask_paths[i]);
    free(image->mask_paths);
    *image = (struct dataset_image){0};
}

void assembly_free(struct assembly *assembly)
{
    for (size_t i = 0; i < assembly->count; i++)
        free_image(&assembly->entries[i].image);
    for (int i = 0; i < assembly->class_count; i++)
        free(assembly->class_names[i]);
    free(assembly->entries);
    free(assembly->by_stem);
    *assembly = (struct assembly){0};
}

/* How many bytes `path` and `name` share, counted from their ends, extensions aside. */
static size_t common_ending(const char *path, const char *name)
{
    size_t p = strlen(path), n = strlen(name), shared = 0;
    p -= strlen(file_base_name(path)) - stem_length(file_base_name(path));
    n -= strlen(file_base_name(name)) - stem_length(file_base_name(name));
    while (shared < p && shared < n && path[p - 1 - shared] == name[n - 1 - shared])
        shared++;
    return shared;
}

static size_t common_start(const char *a, const char *b)
{
    size_t shared = 0;
    while (a[shared] && a[shared] == b[shared])
        shared++;
    return shared;
}

size_t assembly_find(const struct assembly *assembly, const char *name, const char *near)
{
    const char *base = file_base_name(name);
    size_t length = stem_length(base);
    size_t low = 0, high = assembly->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = file_base_name(assembly->entries[assembly->by_stem[middle]].image.path);
        if (compare_stems(other, stem_length(other), base, length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    size_t best = ASSEMBLY_NONE, best_ending = 0, best_start = 0;
    for (; low < assembly->count; low++) {
        size_t index = assembly->by_stem[low];
        const char *path = assembly->entries[index].image.path;
        const char *other = file_base_name(path);
        if (compare_stems(other, stem_length(other), base, length) != 0)
            break;
        size_t ending = common_ending(path, name), start = common_start(path, near);
        if (best == ASSEMBLY_NONE || ending > best_ending || (ending == best_ending && start > best_start)) {
            best = index;
            best_ending = ending;
            best_start = start;
        }
    }
    return best;
}

enum code assembly_class(struct assembly *assembly, const char *name, int32_t *index, struct failure *why)
{
    while (isspace((unsigned char)*name))
        name++;
    size_t length = strnlen(name, CLASS_NAME_MAX);
    while (length > 0 && isspace((unsigned char)name[length - 1]))
        length--;
    if (length == 0)
        return failure_set(why, CODE_INVALID, "an object without a class name");
    for (*index = 0; *index < assembly->class_count; ++*index) {
        const char *known = assembly->class_names[*index];
        if (strlen(known) == length && memcmp(known, name, length) == 0)
            return CODE_OK;
    }
    if (assembly->class_count == DATASET_CLASSES_MAX)
        return failure_set(why, CODE_TOO_LARGE, "more than %d classes of objects", DATASET_CLASSES_MAX);
    if (!(assembly->class_names[assembly->class_count] = strndup(name, length)))
        return no_memory(why);
    assembly->class_count++;
    return CODE_OK;
}

void assembly_annotate(struct assembly *assembly, size_t image)
{
    assembly->entries[image].annotated = true;
}

enum code assembly_add(struct assembly *assembly, size_t image, struct dataset_object object, struct failure *why)
{
    struct assembly_entry *entry = &assembly->entries[image];
    entry->annotated = true;
    if (entry->image.object_count == DATASET_OBJECTS_MAX)
        return failure_set(why, CODE_TOO_LARGE, "%s: more than %d objects in one image", entry->image.path,
                           DATASET_OBJECTS_MAX);
    if (entry->image.object_count == entry->object_capacity) {
        size_t wanted = entry->object_capacity ? entry->object_capacity * 2 : 16;
        struct dataset_object *grown = realloc(entry->image.objects, wanted * sizeof *grown);
        if (!grown)
            return no_memory(why);
        entry->image.objects = grown;
        entry->object_capacity = wanted;
    }
    entry->image.objects[entry->image.object_count++] = object;
    return CODE_OK;
}

enum code assembly_add_mask(struct assembly *assembly, size_t image, const char *path, struct failure *why)
{
    struct dataset_image *to = &assembly->entries[image].image;
    if (to->mask_count == DATASET_OBJECTS_MAX)
        return failure_set(why, CODE_TOO_LARGE, "%s: more than %d mask files for one image", to->path, DATASET_OBJECTS_MAX);
    char **grown = realloc(to->mask_paths, (to->mask_count + 1) * sizeof *grown);
    if (!grown)
        return no_memory(why);
    to->mask_paths = grown;
    if (!(grown[to->mask_count] = strdup(path)))
        return no_memory(why);
    to->mask_count++;
    return CODE_OK;
}

enum code assembly_measure(struct assembly *assembly, size_t image, struct failure *why)
{
    struct dataset_image *measured = &assembly->entries[image].image;
    if (measured->width > 0)
        return CODE_OK;
    SCOPE_FREE char *path = file_join(assembly->scan->folder, measured->path);
    if (!path)
        return no_memory(why);
    return image_read_size(path, &measured->width, &measured->height, why);
}

void assembly_warn(struct assembly *assembly, const char *format, ...)
{
    if (!assembly->warnings || ++assembly->warning_count > WARNINGS_MAX)
        return;
    SCOPE_FREE char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    if (text)
        buffer_printf(assembly->warnings, "%s\n", text);
}

/* Clips the box to the image; false where nothing of it is left. */
static bool make_sound(struct dataset_object *object, const struct dataset_image *image)
{
    if (!isfinite(object->x0) || !isfinite(object->y0) || !isfinite(object->x1) || !isfinite(object->y1))
        return false;
    object->x0 = fmaxf(object->x0, 0);
    object->y0 = fmaxf(object->y0, 0);
    object->x1 = fminf(object->x1, (float)image->width);
    object->y1 = fminf(object->y1, (float)image->height);
    return object->x1 > object->x0 && object->y1 > object->y0;
}

static int compare_objects(const void *a, const void *b)
{
    const struct dataset_object *x = a, *y = b;
    const float left[4] = {x->x0, x->y0, x->x1, x->y1}, right[4] = {y->x0, y->y0, y->x1, y->y1};
    for (int i = 0; i < 4; i++)
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    if (x->class_index != y->class_index)
        return x->class_index < y->class_index ? -1 : 1;
    return (x->label > y->label) - (x->label < y->label);
}

static bool same_box(const struct dataset_object *a, const struct dataset_object *b)
{
    return a->x0 == b->x0 && a->y0 == b->y0 && a->x1 == b->x1 && a->y1 == b->y1 && a->class_index == b->class_index;
}

/* Scales, clips, sorts, and drops what cannot be an object; says what it dropped. */
static void clean_objects(struct assembly *assembly, struct dataset_image *image)
{
    size_t kept = 0, empty = 0, twice = 0;
    for (size_t i = 0; i < image->object_count; i++) {
        struct dataset_object object = image->objects[i];
        if (assembly->boxes_are_fractions) {
            object.x0 *= (float)image->width;
            object.x1 *= (float)image->width;
            object.y0 *= (float)image->height;
            object.y1 *= (float)image->height;
        }
        if (make_sound(&object, image))
            image->objects[kept++] = object;
        else
            empty++;
    }
    if (kept > 0)
        qsort(image->objects, kept, sizeof *image->objects, compare_objects);
    image->object_count = 0;
    for (size_t i = 0; i < kept; i++) {
        if (image->object_count > 0 && same_box(&image->objects[image->object_count - 1], &image->objects[i]))
            twice++;
        else
            image->objects[image->object_count++] = image->objects[i];
    }
    if (empty > 0)
        assembly_warn(assembly, "%s: %zu box%s with no area inside the image, dropped", image->path, empty,
                      empty == 1 ? "" : "es");
    if (twice > 0)
        assembly_warn(assembly, "%s: %zu box%s annotated twice, dropped once", image->path, twice, twice == 1 ? "" : "es");
}

enum code assembly_finish(struct assembly *assembly, struct dataset *dataset, struct failure *why)
{
    dataset->images = calloc(assembly->count + 1, sizeof *dataset->images);
    if (!dataset->images)
        return no_memory(why);
    size_t unannotated = 0;
    const char *first_unannotated = NULL;
    for (size_t i = 0; i < assembly->count; i++) {
        struct assembly_entry *entry = &assembly->entries[i];
        struct failure unreadable;
        if (!entry->annotated) {
            if (unannotated++ == 0)
                first_unannotated = entry->image.path;
            continue;
        }
        if (assembly_measure(assembly, i, &unreadable) != CODE_OK) {
            if (dataset->unreadable++ == 0)
                snprintf(dataset->unreadable_first, sizeof dataset->unreadable_first, "%s", unreadable.text);
            assembly_warn(assembly, "%s; left out", unreadable.text);
            continue;
        }
        clean_objects(assembly, &entry->image);
        dataset->images[dataset->image_count++] = entry->image;
        entry->image = (struct dataset_image){0};
    }
    if (unannotated > 0)
        assembly_warn(assembly, "%zu image%s without an annotation left out (%s%s)", unannotated,
                      unannotated == 1 ? "" : "s", unannotated == 1 ? "" : "the first: ", first_unannotated);
    if (assembly->warnings && assembly->warning_count > WARNINGS_MAX)
        buffer_printf(assembly->warnings, "and %zu more warnings\n", assembly->warning_count - WARNINGS_MAX);
    memcpy(dataset->class_names, assembly->class_names, sizeof dataset->class_names);
    dataset->class_count = assembly->class_count;
    assembly->class_count = 0;
    return CODE_OK;
}
