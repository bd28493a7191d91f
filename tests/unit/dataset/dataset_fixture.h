/* A dataset folder in /tmp that a test fills, and what it wants to ask of the dataset read from it. */
#ifndef CYTOFS_DATASET_FIXTURE_H
#define CYTOFS_DATASET_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "dataset.h"

/* As cmocka set-up and tear-down: *state is the folder's path. */
int dataset_fixture_make(void **state);
int dataset_fixture_remove(void **state);

/* Each makes the folders above `path`, which is relative; each fails the test where it cannot. */
void dataset_fixture_text(const char *folder, const char *path, const char *text);
void dataset_fixture_bytes(const char *folder, const char *path, const void *bytes, size_t count);
void dataset_fixture_image(const char *folder, const char *path, int width, int height);

/* A label image of 16 bits, as PNG or TIFF by the path's ending. */
void dataset_fixture_labels(const char *folder, const char *path, int width, int height, const uint16_t *labels);

/* Loads it, or fails the test; warnings may be NULL. */
struct dataset *dataset_fixture_load(const char *folder, struct buffer *warnings);

const struct dataset_image *dataset_fixture_find(const struct dataset *dataset, const char *path);
size_t dataset_fixture_count_class(const struct dataset *dataset, const char *class_name);
size_t dataset_fixture_count_split(const struct dataset *dataset, enum dataset_split split);

/* The object's class and box as text: "RBC 1 2 30 40 #1". */
const char *dataset_fixture_describe(const struct dataset *dataset, const struct dataset_object *object);

#endif
