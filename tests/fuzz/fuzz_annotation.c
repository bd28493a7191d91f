/* Annotation readers on hostile texts.  The first byte chooses the format, the rest is the text.  The images
 * are invented, so no file is touched.  Whatever is read must leave sound objects behind. */
#include "fuzzing.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "annotations.h"
#include "assembly.h"
#include "scan.h"
#include "scope.h"
#include "yolo_names.h"

#define SIDE 100

static char *paths[] = {(char *)"images/a.png", (char *)"images/b.jpg", (char *)"labels/a.tif", (char *)"train/c.png"};
static const struct scan scan = {.folder = (char *)"/nonexistent", .paths = paths, .count = 4};

static enum code read_names(char kind, struct buffer *text, struct failure *why)
{
    struct yolo_names names = {.path = "names"};
    enum code code =
        kind == 'n' ? yolo_names_from_lines(text->data, &names, why) : yolo_names_from_yaml(text->data, &names, why);
    yolo_names_free(&names);
    return code;
}

static enum code read_text(char kind, struct assembly *assembly, struct buffer *text, struct failure *why)
{
    int32_t highest = -1;
    switch (kind) {
    case 'v':
        return annotations_voc_read_text(assembly, "images/a.xml", text, why);
    case 'c':
        return annotations_coco_read_text(assembly, "instances_train.json", text, why);
    case 'y':
        assembly->boxes_are_fractions = true;
        return annotations_yolo_read_text(assembly, 0, "labels/a.txt", text, &highest, why);
    case 's':
        return annotations_csv_read_text(assembly, "boxes.csv", text, why);
    default:
        return read_names(kind, text, why);
    }
}

static void must(bool held)
{
    if (!held)
        abort();
}

static void check_objects(const struct dataset *dataset)
{
    for (size_t i = 0; i < dataset->image_count; i++)
        for (size_t k = 0; k < dataset->images[i].object_count; k++) {
            const struct dataset_object *object = &dataset->images[i].objects[k];
            must(object->x0 >= 0 && object->x0 < object->x1 && object->x1 <= SIDE);
            must(object->y0 >= 0 && object->y0 < object->y1 && object->y1 <= SIDE);
            must(object->class_index >= 0 && object->class_index < DATASET_CLASSES_MAX);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    if (count == 0)
        return 0;
    struct failure why;
    struct assembly assembly;
    SCOPE_BUFFER warnings = {0};
    SCOPE_BUFFER text = {0};
    buffer_append(&text, bytes + 1, count - 1);
    struct dataset *dataset = calloc(1, sizeof *dataset);
    if (!dataset || assembly_begin(&scan, &warnings, &assembly, &why) != CODE_OK)
        abort();
    for (size_t i = 0; i < assembly.count; i++)
        assembly.entries[i].image.width = assembly.entries[i].image.height = SIDE;
    if (text.data && read_text((char)bytes[0], &assembly, &text, &why) == CODE_OK &&
        assembly_finish(&assembly, dataset, &why) == CODE_OK)
        check_objects(dataset);
    assembly_free(&assembly);
    dataset_destroy(dataset);
    return 0;
}

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    static const char *const seeds[] = {
        "v<annotation><filename>a.png</filename><object><name>RBC</name><bndbox><xmin>1</xmin><ymin>2</ymin>"
        "<xmax>30</xmax><ymax>4.5e1</ymax></bndbox></object><object><name>WBC &amp; "
        "&#65;</name></object></annotation>",
        "v<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b \"cc\">]><annotation>&b;</annotation>",
        "c{\"images\":[{\"id\":1,\"file_name\":\"a.png\"},{\"id\":2,\"file_name\":\"train/c.png\"}],"
        "\"categories\":[{\"id\":7,\"name\":\"RBC\"}],\"annotations\":[{\"image_id\":1,\"category_id\":7,"
        "\"bbox\":[1,2,3.5,1e1],\"iscrowd\":0},{\"image_id\":2,\"category_id\":7,\"bbox\":[-5,0,500,50]}]}",
        "y0 0.5 0.5 0.25 0.125\n3 0.1 0.1 0.2 0.2 0.9\r\n1 0 0 1 0 1 1 0 1\n",
        "simage,class,x0,y0,x1,y1,label\nimages/a.png,RBC,1,2,30,40,1\n\"images/b.jpg\",\"a "
        "\"\"b\"\"\",5,5,9,9,\ntrain/c.png,,,,,,\n",
        "nRBC\nWBC\r\n\nPlatelets\n",
        "mtrain: x\nnames: [RBC, 'WBC', \"Platelets\"]\n",
        "mnames:\n  0: RBC\n  1: WBC # two\n",
        "mnames:\n- RBC\n- 'WBC'\nnc: 2\n"};
    if (index >= sizeof seeds / sizeof *seeds)
        return NULL;
    *count = strlen(seeds[index]);
    return (uint8_t *)strdup(seeds[index]);
}
