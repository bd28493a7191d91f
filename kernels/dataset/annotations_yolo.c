/* YOLO: one text file an image, one line an object, in fractions of the image's sides.
 *
 *     <class number> <centre x> <centre y> <width> <height> [confidence]     a box
 *     <class number> <x1> <y1> <x2> <y2> <x3> <y3> ...                       an outline: its box is taken
 *
 * The file has the image's stem and lies beside it, or in "labels" where the image lies in "images".  An
 * image without one is taken as empty, as YOLO does, and that is said in a warning.  Class names:
 * yolo_names.c.
 */
#include "annotations.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "scope.h"
#include "yolo_names.h"

#define FILE_BYTES_MAX ((size_t)16 << 20)
#define PATH_BYTES_MAX 4096
#define NUMBERS_MAX    2049 /* a class and 1024 corners */

/* The label file of the image, from the scan; NULL without one. */
static const char *label_file_of(const struct scan *scan, const char *path)
{
    size_t stem = strlen(path) - strlen(file_extension(path)) - 1;
    char name[PATH_BYTES_MAX];
    const char *images = NULL;
    for (const char *at = path; (at = strstr(at, "images/")); at++)
        if (at == path || at[-1] == '/')
            images = at;
    for (int beside = 1; beside >= 0; beside--) {
        int before = images ? (int)(images - path) : 0, after = before + (int)strlen("images");
        int length = beside
                         ? snprintf(name, sizeof name, "%.*s.txt", (int)stem, path)
                         : snprintf(name, sizeof name, "%.*slabels%.*s.txt", before, path, (int)stem - after, path + after);
        if (length >= (int)sizeof name)
            return NULL;
        size_t found = scan_lower_bound(scan, name);
        if (found < scan->count && strcmp(scan->paths[found], name) == 0)
            return scan->paths[found];
        if (!images)
            break;
    }
    return NULL;
}

/* The numbers of a line; 0 where something else stands in it, or too many. */
static int read_numbers(const char *line, double numbers[NUMBERS_MAX])
{
    int count = 0;
    for (;;) {
        line += strspn(line, " \t\r");
        if (!*line)
            return count;
        char *end;
        double number = strtod(line, &end);
        if (end == line || !isfinite(number) || count == NUMBERS_MAX || !strchr(" \t\r", *end))
            return 0;
        numbers[count++] = number;
        line = end;
    }
}

/* The box of a line's numbers, in fractions; false where they are no object. */
static bool read_object(const double *numbers, int count, struct dataset_object *object)
{
    if (count < 5 || numbers[0] != floor(numbers[0]) || numbers[0] < 0 || numbers[0] >= DATASET_CLASSES_MAX)
        return false;
    for (int i = 1; i < count; i++)
        if (fabs(numbers[i]) > 2)
            return false;
    *object = (struct dataset_object){.class_index = (int32_t)numbers[0]};
    if (count <= 6) {
        object->x0 = (float)(numbers[1] - numbers[3] / 2);
        object->y0 = (float)(numbers[2] - numbers[4] / 2);
        object->x1 = (float)(numbers[1] + numbers[3] / 2);
        object->y1 = (float)(numbers[2] + numbers[4] / 2);
        return true;
    }
    if (count % 2 == 0)
        return false;
    double x0 = 2, y0 = 2, x1 = -2, y1 = -2;
    for (int i = 1; i < count; i += 2) {
        x0 = fmin(x0, numbers[i]);
        x1 = fmax(x1, numbers[i]);
        y0 = fmin(y0, numbers[i + 1]);
        y1 = fmax(y1, numbers[i + 1]);
    }
    object->x0 = (float)x0;
    object->y0 = (float)y0;
    object->x1 = (float)x1;
    object->y1 = (float)y1;
    return true;
}

enum code annotations_yolo_read_text(struct assembly *assembly, size_t image, const char *path, struct buffer *text,
                                     int32_t *highest_class, struct failure *why)
{
    SCOPE_FREE double *numbers = malloc(NUMBERS_MAX * sizeof *numbers);
    if (!numbers)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    size_t faults = 0, first_fault = 0, number = 0;
    char *rest = text->data, *line;
    enum code code = CODE_OK;
    assembly_annotate(assembly, image);
    while (code == CODE_OK && rest && (line = strsep(&rest, "\n"))) {
        number++;
        if (line[strspn(line, " \t\r")] == 0)
            continue;
        struct dataset_object object;
        if (!read_object(numbers, read_numbers(line, numbers), &object)) {
            first_fault = faults++ == 0 ? number : first_fault;
            continue;
        }
        *highest_class = object.class_index > *highest_class ? object.class_index : *highest_class;
        code = assembly_add(assembly, image, object, why);
    }
    if (faults > 0)
        assembly_warn(assembly, "%s, line %zu: not \"class x y width height\" in fractions; %zu such line%s dropped", path,
                      first_fault, faults, faults == 1 ? "" : "s");
    return code;
}

static enum code read_file(struct assembly *assembly, size_t image, const char *path, int32_t *highest_class,
                           struct failure *why)
{
    SCOPE_FREE char *full = file_join(assembly->scan->folder, path);
    SCOPE_BUFFER text = {0};
    struct failure unreadable;
    if (!full)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    if (file_read(full, FILE_BYTES_MAX, &text, &unreadable) != CODE_OK) {
        assembly_warn(assembly, "%s; left out", unreadable.text);
        return CODE_OK;
    }
    return annotations_yolo_read_text(assembly, image, path, &text, highest_class, why);
}

/* Classes 0 .. highest get the names of the list, or "class 7" where it is silent. */
static enum code name_classes(struct assembly *assembly, int32_t highest, struct failure *why)
{
    struct yolo_names names;
    enum code code = yolo_names_read(assembly->scan, &names, why);
    if (code != CODE_OK)
        return code;
    if (names.count == 0)
        assembly_warn(assembly, "no class names (classes.txt or data.yaml): classes are called by their number");
    int32_t count = highest + 1 > names.count ? highest + 1 : names.count;
    for (int32_t i = 0; code == CODE_OK && i < count; i++) {
        char fallback[32];
        snprintf(fallback, sizeof fallback, "class %d", (int)i);
        int32_t index;
        const char *name = i < names.count && names.names[i] ? names.names[i] : fallback;
        code = assembly_class(assembly, name, &index, why);
        if (code == CODE_OK && index != i)
            code = failure_set(why, CODE_INVALID, "%s: two classes are both called \"%s\"", names.path, name);
    }
    yolo_names_free(&names);
    return code;
}

static enum code read_all(struct assembly *assembly, struct failure *why)
{
    int32_t highest = -1;
    size_t without = 0;
    enum code code = CODE_OK;
    assembly->boxes_are_fractions = true;
    for (size_t i = 0; code == CODE_OK && i < assembly->count; i++) {
        const char *path = label_file_of(assembly->scan, assembly->entries[i].image.path);
        if (path) {
            code = read_file(assembly, i, path, &highest, why);
        } else {
            without++;
            assembly_annotate(assembly, i);
        }
    }
    if (without > 0)
        assembly_warn(assembly, "%zu image%s without a label file taken as empty, as YOLO does", without,
                      without == 1 ? "" : "s");
    return code == CODE_OK ? name_classes(assembly, highest, why) : code;
}

/* Whether one of the first label files begins with an object. */
static bool found(const struct assembly *assembly)
{
    int looked_at = 0;
    bool any = false;
    double *numbers = malloc(NUMBERS_MAX * sizeof *numbers);
    for (size_t i = 0; numbers && !any && i < assembly->count && looked_at < 256; i++) {
        const char *path = label_file_of(assembly->scan, assembly->entries[i].image.path);
        SCOPE_FREE char *full = path ? file_join(assembly->scan->folder, path) : NULL;
        SCOPE_BUFFER text = {0};
        if (!full || file_read(full, FILE_BYTES_MAX, &text, NULL) != CODE_OK || text.length == 0)
            continue;
        looked_at++;
        struct dataset_object object;
        text.data[strcspn(text.data, "\n")] = 0;
        any = read_object(numbers, read_numbers(text.data, numbers), &object);
    }
    free(numbers);
    return any;
}

const struct annotations annotations_yolo_kind = {"yolo", found, read_all};
