/* Splits, from the most explicit statement to none:
 *
 *  1. lists of names: ImageSets/Main/{train,val,test}.txt, else {train,val,test}.txt anywhere; images in no
 *     list belong to no split, since somebody left them out on purpose;
 *  2. what the annotations say (COCO: one file a split);
 *  3. folders named train, val, test on the path;
 *  4. a hash of the path: 70 % train, 15 % val, 15 % test.  Adding images moves none of the others.
 *
 * A trainer needs images to validate on.  Where there are none, a part of the training images, chosen by the
 * same hash, is moved; where the hash left train or val empty, the images with the smallest hashes fill it.
 */
#include "splits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bytes.h"
#include "digest.h"
#include "file.h"
#include "scope.h"

#define LIST_BYTES_MAX ((size_t)256 << 20)

static const char *const list_names[3] = {"train.txt", "val.txt", "test.txt"};

/* Reads one list: the first word of each line names an image. */
static enum code read_list(struct assembly *assembly, const char *path, enum dataset_split split, struct failure *why)
{
    SCOPE_FREE char *full = file_join(assembly->scan->folder, path);
    if (!full)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    SCOPE_BUFFER text = {0};
    enum code code = file_read(full, LIST_BYTES_MAX, &text, why);
    if (code != CODE_OK)
        return code;
    size_t missing = 0, total = 0;
    char *rest = text.data, *line;
    while (rest && (line = strsep(&rest, "\r\n"))) {
        line += strspn(line, " \t\xEF\xBB\xBF");
        size_t end = strlen(line);
        while (end > 0 && strchr(" \t", line[end - 1]))
            line[--end] = 0;
        if (!*line)
            continue;
        total++;
        size_t image = assembly_find(assembly, line, path);
        if (image == ASSEMBLY_NONE)
            missing++;
        else
            assembly->entries[image].image.split = split;
    }
    if (missing > 0)
        assembly_warn(assembly, "%s: %zu of its %zu images are not there", path, missing, total);
    return CODE_OK;
}

static size_t count_slashes(const char *path)
{
    size_t count = 0;
    for (; *path; path++)
        count += *path == '/';
    return count;
}

/* The list of training images whose folder ends with `folder` ("" takes any): the one that lies least deep.
 */
static const char *find_training_list(const struct scan *scan, const char *folder)
{
    const char *found = NULL;
    for (size_t i = 0; i < scan->count; i++) {
        const char *path = scan->paths[i], *base = file_base_name(path);
        size_t above = (size_t)(base - path), wanted = strlen(folder);
        if (strcmp(base, list_names[SPLIT_TRAIN]) == 0 && above >= wanted && memcmp(base - wanted, folder, wanted) == 0 &&
            (!found || count_slashes(path) < count_slashes(found)))
            found = path;
    }
    return found;
}

/* Reads the training list there and the other lists beside it. */
static enum code read_lists_in(struct assembly *assembly, const char *folder, bool *found, struct failure *why)
{
    const char *training = find_training_list(assembly->scan, folder);
    *found = training != NULL;
    if (!training)
        return CODE_OK;
    for (size_t i = 0; i < assembly->count; i++)
        assembly->entries[i].image.split = SPLIT_NONE;
    enum code code = CODE_OK;
    for (int split = SPLIT_TRAIN; code == CODE_OK && split <= SPLIT_TEST; split++) {
        SCOPE_FREE char *path = NULL;
        int above = (int)(file_base_name(training) - training);
        if (asprintf(&path, "%.*s%s", above, training, list_names[split]) < 0) {
            path = NULL;
            return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", training);
        }
        if (scan_has(assembly->scan, path))
            code = read_list(assembly, path, (enum dataset_split)split, why);
    }
    return code;
}

enum code splits_read_lists(struct assembly *assembly, const char **source, struct failure *why)
{
    *source = NULL;
    bool found;
    enum code code = read_lists_in(assembly, "ImageSets/Main/", &found, why);
    if (code != CODE_OK || found) {
        *source = "ImageSets/Main";
        return code;
    }
    code = read_lists_in(assembly, "", &found, why);
    if (code == CODE_OK && found)
        *source = "train.txt";
    return code;
}

/* The split that a folder on the path names; SPLIT_NONE where none does. */
static enum dataset_split split_of_folders(const char *path)
{
    static const struct {
        const char *name;
        enum dataset_split split;
    } names[] = {{"train", SPLIT_TRAIN},    {"training", SPLIT_TRAIN}, {"val", SPLIT_VAL},     {"valid", SPLIT_VAL},
                 {"validation", SPLIT_VAL}, {"test", SPLIT_TEST},      {"testing", SPLIT_TEST}};
    const char *part = path;
    for (const char *slash = strchr(part, '/'); slash; slash = strchr(part, '/')) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (strlen(names[i].name) == (size_t)(slash - part) &&
                strncasecmp(part, names[i].name, (size_t)(slash - part)) == 0)
                return names[i].split;
        part = slash + 1;
    }
    return SPLIT_NONE;
}

static bool split_by_folders(struct dataset *dataset)
{
    bool train = false;
    for (size_t i = 0; i < dataset->image_count; i++) {
        dataset->images[i].split = split_of_folders(dataset->images[i].path);
        train |= dataset->images[i].split == SPLIT_TRAIN;
    }
    return train;
}

/* In [0, 1), from the path alone. */
static double hash_of(const struct dataset_image *image)
{
    struct digest digest;
    uint8_t result[DIGEST_BYTES];
    digest_begin(&digest);
    digest_add_text(&digest, image->path);
    digest_end(&digest, result);
    return (double)(bytes_load64(result) >> 11) * 0x1p-53;
}

static void split_by_hash(struct dataset *dataset)
{
    for (size_t i = 0; i < dataset->image_count; i++) {
        double hash = hash_of(&dataset->images[i]);
        dataset->images[i].split = hash < 0.70 ? SPLIT_TRAIN : hash < 0.85 ? SPLIT_VAL : SPLIT_TEST;
    }
}

static size_t count_split(const struct dataset *dataset, enum dataset_split split)
{
    size_t count = 0;
    for (size_t i = 0; i < dataset->image_count; i++)
        count += dataset->images[i].split == split;
    return count;
}

/* Moves the image of split `from` with the smallest hash to split `to`. */
static void move_one(struct dataset *dataset, enum dataset_split from, enum dataset_split to)
{
    struct dataset_image *chosen = NULL;
    for (size_t i = 0; i < dataset->image_count; i++) {
        struct dataset_image *image = &dataset->images[i];
        if (image->split == from && (!chosen || hash_of(image) < hash_of(chosen)))
            chosen = image;
    }
    if (chosen)
        chosen->split = to;
}

/* Of the images of train, those in the last 15 % of the hash's range become val; at least one. */
static size_t move_part_to_validation(struct dataset *dataset)
{
    for (size_t i = 0; i < dataset->image_count; i++)
        if (dataset->images[i].split == SPLIT_TRAIN && hash_of(&dataset->images[i]) >= 0.85)
            dataset->images[i].split = SPLIT_VAL;
    if (count_split(dataset, SPLIT_VAL) == 0)
        move_one(dataset, SPLIT_TRAIN, SPLIT_VAL);
    if (count_split(dataset, SPLIT_TRAIN) == 0)
        move_one(dataset, SPLIT_VAL, SPLIT_TRAIN);
    return count_split(dataset, SPLIT_VAL);
}

void splits_complete(struct dataset *dataset, const char **source, struct buffer *warnings)
{
    bool by_hash = false;
    if (!*source) {
        by_hash = !split_by_folders(dataset);
        if (by_hash)
            split_by_hash(dataset);
        *source = by_hash ? "hash" : "folders";
    }
    if (count_split(dataset, SPLIT_TRAIN) == 0)
        move_one(dataset, count_split(dataset, SPLIT_TEST) > 0 ? SPLIT_TEST : SPLIT_VAL, SPLIT_TRAIN);
    if (count_split(dataset, SPLIT_VAL) > 0 || count_split(dataset, SPLIT_TRAIN) < 2)
        return;
    size_t moved = move_part_to_validation(dataset);
    if (warnings && !by_hash)
        buffer_printf(warnings, "no images are set apart for validation: %zu of the training images are used for it\n",
                      moved);
}
