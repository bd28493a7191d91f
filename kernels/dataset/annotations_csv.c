/* Boxes in CSV: any file *.csv whose first line names at least the columns image, class, x0, y0, x1, y1; also
 * label, the object's number in the image's label map.  This is what the synthetic generator writes, and what
 * a spreadsheet or a script writes most easily.
 *
 *     image,class,x0,y0,x1,y1,label
 *     images/a.tif,RBC,10,20,60,71,1
 *     images/b.tif,,,,,,                  <- b was looked at, and there is nothing in it
 *
 * Names are found as everywhere (assembly_find), relative to the CSV file first.  Fields may be quoted (RFC
 * 4180), but may not hold line breaks.  A line that cannot be understood is a warning with its number.
 * A table with a column "score" holds detections, which are no annotations, wherever they were copied to.
 */
#include "annotations.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "file.h"
#include "label_map.h"
#include "scope.h"

enum column { COLUMN_IMAGE, COLUMN_CLASS, COLUMN_X0, COLUMN_Y0, COLUMN_X1, COLUMN_Y1, COLUMN_LABEL, COLUMN_COUNT };

static const char *const column_names[COLUMN_COUNT] = {"image", "class", "x0", "y0", "x1", "y1", "label"};

#define FIELDS_MAX    64
#define HEAD_BYTES    4096
#define LINE_WARNINGS 20

struct table {
    const char *path;        /* relative */
    int place[COLUMN_COUNT]; /* the column's index in a line; -1 where it is missing */
    size_t line, faults;
};

/* Cuts a line into fields, in place; returns how many. */
static int cut_fields(char *line, char *fields[FIELDS_MAX])
{
    int count = 0;
    while (count < FIELDS_MAX) {
        char *from = line, *to = line;
        bool quoted = *from == '"';
        fields[count++] = to;
        for (from += quoted; *from; from++) {
            if (quoted && from[0] == '"' && from[1] == '"')
                *to++ = *from++;
            else if (quoted && *from == '"')
                quoted = false;
            else if (!quoted && *from == ',')
                break;
            else
                *to++ = *from;
        }
        bool last = *from == 0;
        *to = 0;
        if (last)
            break;
        line = from + 1;
    }
    return count;
}

/* Reads the head line; false where it is not a table of boxes. */
static bool read_head(char *line, struct table *table)
{
    char *fields[FIELDS_MAX];
    if (strncmp(line, "\xEF\xBB\xBF", 3) == 0)
        line += 3;
    int count = cut_fields(line, fields);
    for (int i = 0; i < count; i++)
        if (strcasecmp(fields[i], "score") == 0)
            return false;
    for (int column = 0; column < COLUMN_COUNT; column++) {
        table->place[column] = -1;
        for (int i = 0; i < count; i++)
            if (strcasecmp(fields[i], column_names[column]) == 0)
                table->place[column] = i;
        if (table->place[column] < 0 && column != COLUMN_LABEL)
            return false;
    }
    return true;
}

static bool is_table(const struct assembly *assembly, const char *path)
{
    if (strcasecmp(file_extension(path), "csv") != 0)
        return false;
    SCOPE_FREE char *full = file_join(assembly->scan->folder, path);
    FILE *stream = full ? fopen(full, "re") : NULL;
    if (!stream)
        return false;
    char head[HEAD_BYTES];
    bool read = fgets(head, sizeof head, stream) != NULL;
    fclose(stream);
    struct table table;
    if (!read)
        return false;
    head[strcspn(head, "\r\n")] = 0;
    return read_head(head, &table);
}

static void complain(struct assembly *assembly, struct table *table, const char *fault)
{
    if (table->faults++ < LINE_WARNINGS)
        assembly_warn(assembly, "%s, line %zu: %s, dropped", table->path, table->line, fault);
}

static bool read_number(const char *field, double *number)
{
    char *end;
    *number = strtod(field, &end);
    return end != field && *end == 0 && fabs(*number) < 1e6;
}

/* The box and label of a line; a text of what is wrong, or NULL. */
static const char *read_object(const struct table *table, char *const fields[], struct dataset_object *object)
{
    double sides[4], label = 0;
    for (int i = 0; i < 4; i++)
        if (!read_number(fields[table->place[COLUMN_X0 + i]], &sides[i]))
            return "a side of the box is not a number";
    if (table->place[COLUMN_LABEL] >= 0 && *fields[table->place[COLUMN_LABEL]] &&
        (!read_number(fields[table->place[COLUMN_LABEL]], &label) || label < 0 || label != floor(label)))
        return "the label is not a whole number";
    *object = (struct dataset_object){.x0 = (float)sides[0],
                                      .y0 = (float)sides[1],
                                      .x1 = (float)sides[2],
                                      .y1 = (float)sides[3],
                                      .label = (uint32_t)label};
    return NULL;
}

static enum code add_label_image(struct assembly *assembly, size_t image, struct failure *why)
{
    const struct dataset_image *to = &assembly->entries[image].image;
    const char *path = to->mask_count == 0 ? label_map_find(assembly->scan, to->path) : NULL;
    return path ? assembly_add_mask(assembly, image, path, why) : CODE_OK;
}

static enum code read_line(struct assembly *assembly, struct table *table, char *line, struct failure *why)
{
    char *fields[FIELDS_MAX];
    int count = cut_fields(line, fields);
    for (int column = 0; column < COLUMN_COUNT; column++)
        if (table->place[column] >= count) {
            complain(assembly, table, "too few fields");
            return CODE_OK;
        }
    size_t image = assembly_find(assembly, fields[table->place[COLUMN_IMAGE]], table->path);
    if (image == ASSEMBLY_NONE) {
        complain(assembly, table, "the image is not there");
        return CODE_OK;
    }
    assembly_annotate(assembly, image);
    enum code code = CODE_OK;
    if (table->place[COLUMN_LABEL] >= 0)
        code = add_label_image(assembly, image, why);
    const char *class_name = fields[table->place[COLUMN_CLASS]];
    if (code != CODE_OK || (!*class_name && !*fields[table->place[COLUMN_X0]]))
        return code;
    struct dataset_object object;
    const char *fault = *class_name ? read_object(table, fields, &object) : "the class is missing";
    if (fault) {
        complain(assembly, table, fault);
        return CODE_OK;
    }
    code = assembly_class(assembly, class_name, &object.class_index, why);
    return code == CODE_OK ? assembly_add(assembly, image, object, why) : code;
}

enum code annotations_csv_read_text(struct assembly *assembly, const char *path, struct buffer *text, struct failure *why)
{
    struct table table = {.path = path};
    char *rest = text->data, *line;
    enum code code = CODE_OK;
    while (code == CODE_OK && rest && (line = strsep(&rest, "\n"))) {
        line[strcspn(line, "\r")] = 0;
        if (table.line++ == 0) {
            if (!read_head(line, &table))
                break;
        } else if (*line) {
            code = read_line(assembly, &table, line, why);
        }
    }
    if (table.faults > LINE_WARNINGS)
        assembly_warn(assembly, "%s: %zu more lines dropped", path, table.faults - LINE_WARNINGS);
    if (code != CODE_OK)
        return failure_wrap(why, code, "%s, line %zu", path, table.line);
    return CODE_OK;
}

static enum code read_table(struct assembly *assembly, const char *path, struct failure *why)
{
    SCOPE_FREE char *full = file_join(assembly->scan->folder, path);
    SCOPE_BUFFER text = {.max = ANNOTATIONS_BYTES_MAX};
    if (!full)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    enum code code = file_read(full, ANNOTATIONS_BYTES_MAX, &text, why);
    return code == CODE_OK ? annotations_csv_read_text(assembly, path, &text, why) : code;
}

static bool found(const struct assembly *assembly)
{
    for (size_t i = 0; i < assembly->scan->count; i++)
        if (is_table(assembly, assembly->scan->paths[i]))
            return true;
    return false;
}

static enum code read_all(struct assembly *assembly, struct failure *why)
{
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < assembly->scan->count; i++)
        if (is_table(assembly, assembly->scan->paths[i]))
            code = read_table(assembly, assembly->scan->paths[i], why);
    return code;
}

const struct annotations annotations_csv_kind = {"csv", found, read_all};
