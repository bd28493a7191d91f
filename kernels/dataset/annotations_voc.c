/* Pascal VOC: one XML file an image, as LabelImg and most tools write it.
 *
 *     <annotation> <filename>x.jpg</filename>
 *       <object> <name>RBC</name>
 *         <bndbox> <xmin>1</xmin> <ymin>..</ymin> <xmax>..</xmax> <ymax>..</ymax> </bndbox> </object>
 *     </annotation>
 *
 * The image is the one with the XML's own stem, else the one that <filename> names: many files are renamed
 * after they were annotated.  Coordinates are taken as they stand, as edges in continuous pixels; VOC's
 * original data count from 1, nearly all other writers from 0.  expat does not expand entities here, because
 * a document type is refused: no entity bomb.  The parser keeps nothing but the path of open elements as one
 * state.
 */
#include "annotations.h"

#include <expat.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "file.h"
#include "scope.h"

#define FILE_BYTES_MAX ((size_t)16 << 20)
#define DEPTH_MAX      32
#define TEXT_MAX       1024

/* Where in the document the parser is. */
enum place { PLACE_OUTSIDE, PLACE_ANNOTATION, PLACE_OBJECT, PLACE_BOX };

struct voc_object {
    char name[TEXT_MAX];
    double sides[4]; /* xmin, ymin, xmax, ymax; NAN where missing */
};

struct voc {
    XML_Parser parser;
    int depth;
    bool is_annotation; /* the root element is <annotation> */
    enum place place;
    char text[TEXT_MAX]; /* of the innermost element */
    size_t text_length;
    char filename[TEXT_MAX];
    struct voc_object object; /* being read */
    struct voc_object *objects;
    size_t count, capacity;
    const char *fault; /* ours, not expat's */
};

static const char *const side_names[4] = {"xmin", "ymin", "xmax", "ymax"};

static void stop(struct voc *voc, const char *fault)
{
    voc->fault = fault;
    XML_StopParser(voc->parser, XML_FALSE);
}

static void on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
    (void)attributes;
    struct voc *voc = data;
    voc->text_length = 0;
    if (voc->depth++ == DEPTH_MAX)
        stop(voc, "elements lie too deep inside each other");
    else if (voc->depth == 1 && !(voc->is_annotation = strcmp(name, "annotation") == 0))
        stop(voc, "the outermost element is not <annotation>");
    else if (voc->depth == 1)
        voc->place = PLACE_ANNOTATION;
    else if (voc->depth == 2 && strcmp(name, "object") == 0) {
        voc->place = PLACE_OBJECT;
        voc->object = (struct voc_object){.sides = {NAN, NAN, NAN, NAN}};
    } else if (voc->depth == 3 && voc->place == PLACE_OBJECT && strcmp(name, "bndbox") == 0)
        voc->place = PLACE_BOX;
}

static void on_text(void *data, const XML_Char *text, int length)
{
    struct voc *voc = data;
    size_t room = sizeof voc->text - 1 - voc->text_length;
    size_t taken = (size_t)length < room ? (size_t)length : room;
    memcpy(voc->text + voc->text_length, text, taken);
    voc->text_length += taken;
}

static void keep_object(struct voc *voc)
{
    if (voc->count == DATASET_OBJECTS_MAX) {
        stop(voc, "too many objects");
        return;
    }
    if (voc->count == voc->capacity) {
        size_t wanted = voc->capacity ? voc->capacity * 2 : 16;
        struct voc_object *grown = realloc(voc->objects, wanted * sizeof *grown);
        if (!grown) {
            stop(voc, "out of memory");
            return;
        }
        voc->objects = grown;
        voc->capacity = wanted;
    }
    voc->objects[voc->count++] = voc->object;
}

static void read_side(struct voc *voc, const char *name)
{
    for (int side = 0; side < 4; side++) {
        if (strcmp(name, side_names[side]) != 0)
            continue;
        char *end;
        double value = strtod(voc->text, &end);
        voc->object.sides[side] = end == voc->text || !(fabs(value) < 1e6) ? NAN : value;
    }
}

static void on_end(void *data, const XML_Char *name)
{
    struct voc *voc = data;
    voc->text[voc->text_length] = 0;
    if (voc->place == PLACE_BOX && voc->depth == 4)
        read_side(voc, name);
    else if (voc->place == PLACE_BOX && voc->depth == 3)
        voc->place = PLACE_OBJECT;
    else if (voc->place == PLACE_OBJECT && voc->depth == 3 && strcmp(name, "name") == 0)
        memcpy(voc->object.name, voc->text, voc->text_length + 1);
    else if (voc->place == PLACE_OBJECT && voc->depth == 2) {
        voc->place = PLACE_ANNOTATION;
        keep_object(voc);
    } else if (voc->depth == 2 && strcmp(name, "filename") == 0)
        memcpy(voc->filename, voc->text, voc->text_length + 1);
    voc->depth--;
    voc->text_length = 0;
}

static void on_doctype(void *data, const XML_Char *name, const XML_Char *system, const XML_Char *public, int internal)
{
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    stop(data, "a document type (<!DOCTYPE) is not accepted");
}

/* Parses the text; false with voc->fault, line and column on a fault. */
static bool parse(struct voc *voc, const char *text, size_t length, unsigned long *line, unsigned long *column)
{
    *line = *column = 0;
    if (!(voc->parser = XML_ParserCreate(NULL))) {
        voc->fault = "out of memory";
        return false;
    }
    XML_SetUserData(voc->parser, voc);
    XML_SetElementHandler(voc->parser, on_start, on_end);
    XML_SetCharacterDataHandler(voc->parser, on_text);
    XML_SetStartDoctypeDeclHandler(voc->parser, on_doctype);
    bool parsed = XML_Parse(voc->parser, text, (int)length, XML_TRUE) == XML_STATUS_OK;
    if (!parsed) {
        *line = XML_GetCurrentLineNumber(voc->parser);
        *column = XML_GetCurrentColumnNumber(voc->parser) + 1;
        if (!voc->fault)
            voc->fault = XML_ErrorString(XML_GetErrorCode(voc->parser));
    }
    XML_ParserFree(voc->parser);
    return parsed;
}

static enum code add_objects(struct assembly *assembly, const char *path, size_t image, const struct voc *voc,
                             struct failure *why)
{
    for (size_t i = 0; i < voc->count; i++) {
        const struct voc_object *object = &voc->objects[i];
        const double *sides = object->sides;
        if (isnan(sides[0]) || isnan(sides[1]) || isnan(sides[2]) || isnan(sides[3]) || object->name[0] == 0) {
            assembly_warn(assembly, "%s: object %zu lacks a name or a side of its box, dropped", path, i + 1);
            continue;
        }
        struct dataset_object added = {
            .x0 = (float)sides[0], .y0 = (float)sides[1], .x1 = (float)sides[2], .y1 = (float)sides[3]};
        enum code code = assembly_class(assembly, object->name, &added.class_index, why);
        if (code == CODE_OK)
            code = assembly_add(assembly, image, added, why);
        if (code != CODE_OK)
            return failure_wrap(why, code, "%s", path);
    }
    assembly_annotate(assembly, image);
    return CODE_OK;
}

enum code annotations_voc_read_text(struct assembly *assembly, const char *path, const struct buffer *text,
                                    struct failure *why)
{
    SCOPE_FREE char *stem = strndup(path, strlen(path) - strlen(".xml"));
    if (!stem)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    struct voc voc = {0};
    unsigned long line, column;
    bool parsed = parse(&voc, buffer_text(text), text->length, &line, &column);
    enum code code = CODE_OK;
    if (!parsed && (voc.depth == 0 || voc.is_annotation)) {
        assembly_warn(assembly, "%s, line %lu, column %lu: %s; left out", path, line, column, voc.fault);
    } else if (parsed) {
        size_t image = assembly_find(assembly, stem, path);
        if (image == ASSEMBLY_NONE && voc.filename[0])
            image = assembly_find(assembly, voc.filename, path);
        if (image == ASSEMBLY_NONE)
            assembly_warn(assembly, "%s: its image (%s) is not there; left out", path, voc.filename);
        else
            code = add_objects(assembly, path, image, &voc, why);
    }
    free(voc.objects);
    return code;
}

static bool is_xml(const char *path)
{
    return strcasecmp(file_extension(path), "xml") == 0;
}

static enum code read_file(struct assembly *assembly, const char *path, struct failure *why)
{
    SCOPE_FREE char *full = file_join(assembly->scan->folder, path);
    if (!full)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    SCOPE_BUFFER text = {0};
    struct failure unreadable;
    if (file_read(full, FILE_BYTES_MAX, &text, &unreadable) != CODE_OK) {
        assembly_warn(assembly, "%s; left out", unreadable.text);
        return CODE_OK;
    }
    return annotations_voc_read_text(assembly, path, &text, why);
}

static enum code read_all(struct assembly *assembly, struct failure *why)
{
    enum code code = CODE_OK;
    for (size_t i = 0; code == CODE_OK && i < assembly->scan->count; i++)
        if (is_xml(assembly->scan->paths[i]))
            code = read_file(assembly, assembly->scan->paths[i], why);
    return code;
}

/* One look into the first few XML files: other programs write XML of their own beside images. */
static bool found(const struct assembly *assembly)
{
    int looked_at = 0;
    for (size_t i = 0; i < assembly->scan->count && looked_at < 32; i++) {
        if (!is_xml(assembly->scan->paths[i]))
            continue;
        looked_at++;
        SCOPE_FREE char *full = file_join(assembly->scan->folder, assembly->scan->paths[i]);
        SCOPE_BUFFER text = {0};
        if (full && file_read(full, FILE_BYTES_MAX, &text, NULL) == CODE_OK && strstr(buffer_text(&text), "<annotation"))
            return true;
    }
    return false;
}

const struct annotations annotations_voc_kind = {"voc", found, read_all};
