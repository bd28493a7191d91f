/* See dataset_fixture.h. */
#include "dataset_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "image.h"
#include "scope.h"
#include "testing.h"

int dataset_fixture_make(void **state)
{
    char *folder = strdup("/tmp/test-dataset-XXXXXX");
    *state = folder;
    return folder && mkdtemp(folder) ? 0 : -1;
}

int dataset_fixture_remove(void **state)
{
    int result = file_remove_tree(*state, NULL) == CODE_OK ? 0 : -1;
    free(*state);
    return result;
}

static char *prepare(const char *folder, const char *path)
{
    struct failure why;
    char *full = file_join(folder, path);
    assert_non_null(full);
    char *slash = strrchr(full, '/');
    *slash = 0;
    assert_code_ok(file_make_folders(full, &why), why);
    *slash = '/';
    return full;
}

void dataset_fixture_bytes(const char *folder, const char *path, const void *bytes, size_t count)
{
    SCOPE_FREE char *full = prepare(folder, path);
    struct failure why;
    assert_code_ok(file_write(full, bytes, count, &why), why);
}

void dataset_fixture_text(const char *folder, const char *path, const char *text)
{
    dataset_fixture_bytes(folder, path, text, strlen(text));
}

static void write_image(const char *full, const struct image *image)
{
    struct failure why;
    bool png = strcmp(file_extension(full), "png") == 0;
    assert_code_ok(png ? image_write_png(full, image, &why) : image_write_tiff(full, image, &why), why);
}

void dataset_fixture_image(const char *folder, const char *path, int width, int height)
{
    SCOPE_FREE char *full = prepare(folder, path);
    SCOPE_IMAGE image = {0};
    struct failure why;
    assert_code_ok(image_create(width, height, 1, 8, &image, &why), why);
    write_image(full, &image);
}

void dataset_fixture_labels(const char *folder, const char *path, int width, int height, const uint16_t *labels)
{
    SCOPE_FREE char *full = prepare(folder, path);
    SCOPE_IMAGE image = {0};
    struct failure why;
    assert_code_ok(image_create(width, height, 1, 16, &image, &why), why);
    memcpy(image.data, labels, (size_t)width * (size_t)height * sizeof *labels);
    write_image(full, &image);
}

struct dataset *dataset_fixture_load(const char *folder, struct buffer *warnings)
{
    struct dataset *dataset = NULL;
    struct failure why;
    assert_code_ok(dataset_load(folder, &dataset, warnings, &why), why);
    return dataset;
}

const struct dataset_image *dataset_fixture_find(const struct dataset *dataset, const char *path)
{
    for (size_t i = 0; i < dataset->image_count; i++)
        if (strcmp(dataset->images[i].path, path) == 0)
            return &dataset->images[i];
    fail_msg("%s is not in the dataset", path);
    return NULL;
}

size_t dataset_fixture_count_class(const struct dataset *dataset, const char *class_name)
{
    size_t count = 0;
    for (size_t i = 0; i < dataset->image_count; i++)
        for (size_t k = 0; k < dataset->images[i].object_count; k++)
            count += strcmp(dataset->class_names[dataset->images[i].objects[k].class_index], class_name) == 0;
    return count;
}

size_t dataset_fixture_count_split(const struct dataset *dataset, enum dataset_split split)
{
    size_t count = 0;
    for (size_t i = 0; i < dataset->image_count; i++)
        count += dataset->images[i].split == split;
    return count;
}

const char *dataset_fixture_describe(const struct dataset *dataset, const struct dataset_object *object)
{
    static char text[256];
    snprintf(text, sizeof text, "%s %g %g %g %g #%u", dataset->class_names[object->class_index], (double)object->x0,
             (double)object->y0, (double)object->x1, (double)object->y1, object->label);
    return text;
}
