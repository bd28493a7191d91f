/* cytofs detect: cells in images, as CSV, counts and pictures. */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "detector.h"
#include "domain_shift.h"
#include "detector_place.h"
#include "exports.h"
#include "file.h"
#include "overlay.h"
#include "progress_bar.h"
#include "results.h"
#include "scope.h"

#define FOLDER_ENTRIES_MAX 1000000

const char command_detect_details[] =
    "Runs the model (a version's folder such as models/nuclei/latest, or a model.safetensors) on images, or on every image\n"
    "in a folder. Writes for each image what --write lists, and counts per class in counts.csv:\n"
    "  csv      NAME.csv            a line for each object\n"
    "  overlay  NAME.overlay.png    a picture with the objects drawn in\n"
    "  labels   NAME.labels.tif     16-bit label image: pixels of object i have the value i\n"
    "  geojson  NAME.geojson        for QuPath\n"
    "  rois     NAME.rois.zip       for ImageJ and Fiji\n"
    "An image that cannot be read, or that has the name of an earlier one, is named, the others go on, and the exit status\n"
    "is 1.";

enum { WRITE_CSV = 1, WRITE_OVERLAY = 2, WRITE_LABELS = 4, WRITE_GEOJSON = 8, WRITE_ROIS = 16 };

static const struct {
    const char *name;
    unsigned bit;
} kinds[] = {{"csv", WRITE_CSV},
             {"overlay", WRITE_OVERLAY},
             {"labels", WRITE_LABELS},
             {"geojson", WRITE_GEOJSON},
             {"rois", WRITE_ROIS}};

struct detection_job {
    const struct command *command;
    struct detector *detector;
    const char *output;
    unsigned write; /* WRITE_* */
    void *names;    /* of the images so far; a tree of tsearch(3) */
    struct buffer counts;
    int done, failed;
};

/* output/NAME<suffix>, where NAME is the image's file name. */
static char *output_path(const struct detection_job *job, const char *image_path, const char *suffix)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s%s", job->output, file_base_name(image_path), suffix) < 0 ? NULL : path;
}

static enum code write_text(const struct detection_job *job, const char *path, const char *suffix, const struct buffer *text,
                            struct failure *why)
{
    SCOPE_FREE char *out = output_path(job, path, suffix);
    enum code code = out ? buffer_check(text, path, why) : failure_set(why, CODE_NO_MEMORY, "out of memory");
    return code == CODE_OK ? file_replace(out, buffer_text(text), text->length, why) : code;
}

static enum code write_overlay(const struct detection_job *job, const char *path, const struct image *image,
                               const struct detection_list *list, struct failure *why)
{
    SCOPE_IMAGE picture = {0};
    SCOPE_FREE char *out = output_path(job, path, ".overlay.png");
    if (!out)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    enum code code = overlay_draw(image, list, &picture, why);
    return code == CODE_OK ? image_write_png(out, &picture, why) : code;
}

/* The label image comes first: objects that others hide in it are in no file. */
static enum code write_files(const struct detection_job *job, const char *path, const struct image *image,
                             struct detection_list *list, struct failure *why)
{
    const struct model_info *info = detector_info(job->detector);
    const struct results_image row = {file_base_name(path), image->width, image->height, image->pixel_um};
    SCOPE_FREE char *labels = output_path(job, path, ".labels.tif"), *rois = output_path(job, path, ".rois.zip");
    SCOPE_BUFFER csv = {0}, geojson = {0};
    if (!labels || !rois)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    enum code code = CODE_OK;
    if (job->write & WRITE_LABELS)
        code = exports_write_labels(labels, &row, list, why);
    results_append_header(&csv);
    results_append_detections(&csv, &row, list, info);
    exports_append_geojson(&geojson, &row, list, info);
    if (code == CODE_OK && job->write & WRITE_CSV)
        code = write_text(job, path, ".csv", &csv, why);
    if (code == CODE_OK && job->write & WRITE_GEOJSON)
        code = write_text(job, path, ".geojson", &geojson, why);
    if (code == CODE_OK && job->write & WRITE_ROIS)
        code = exports_write_rois(rois, &row, list, info, why);
    if (code == CODE_OK && job->write & WRITE_OVERLAY)
        code = write_overlay(job, path, image, list, why);
    return code;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(left, right);
}

/* Files are called after the image, so a second image of the same name would replace the first one's. */
static enum code take_name(struct detection_job *job, const char *path, struct failure *why)
{
    char *name = strdup(file_base_name(path));
    char **found = name ? tsearch(name, &job->names, compare_names) : NULL;
    if (!found)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    if (*found == name)
        return CODE_OK;
    free(name);
    return failure_set(why, CODE_EXISTS,
                       "%s: an image of this name has been looked at already: give this one an --output of its own", path);
}

static enum code detect_one(struct detection_job *job, const char *path, struct failure *why)
{
    SCOPE_IMAGE image = {0};
    SCOPE_DETECTIONS list = {0};
    enum code code = take_name(job, path, why);
    if (code == CODE_OK)
        code = image_read(path, &image, why);
    if (code == CODE_OK)
        code = detector_detect(job->detector, &image, &list, why);
    if (code != CODE_OK)
        return code;
    const struct model_info *info = detector_info(job->detector);
    detection_list_keep_above(&list, info->thresholds.best_f1);
    code = write_files(job, path, &image, &list, why);
    if (code != CODE_OK)
        return code;
    const char *shift = domain_shift_of(info, &image, &list);
    if (*shift)
        fprintf(stderr, "%s: unlike the training images (%s): look at the result before you count on it\n", path, shift);
    results_append_counts(&job->counts, file_base_name(path), &list, info, shift);
    return CODE_OK;
}

static void detect_and_report(struct detection_job *job, const char *path)
{
    struct failure why;
    if (detect_one(job, path, &why) == CODE_OK) {
        job->done++;
    } else {
        command_fail(job->command, &why);
        job->failed++;
    }
}

/* Of a folder, the files that begin like an image; others are passed over in silence. */
static bool looks_like_image(const char *path)
{
    unsigned char head[16];
    FILE *file = fopen(path, "rbe");
    if (!file)
        return false;
    size_t got = fread(head, 1, sizeof head, file);
    fclose(file);
    return image_sniff(head, got) != IMAGE_UNKNOWN;
}

static enum code detect_folder(struct detection_job *job, const char *folder, struct failure *why)
{
    struct file_names names;
    struct progress_bar bar;
    enum code code = file_list(folder, FOLDER_ENTRIES_MAX, &names, why);
    if (code != CODE_OK)
        return code;
    progress_bar_start(&bar);
    for (size_t i = 0; i < names.count; i++) {
        SCOPE_FREE char *path = file_join(folder, names.names[i]);
        if (path && !file_is_folder(path) && looks_like_image(path))
            detect_and_report(job, path);
        progress_bar_draw(&bar, folder, (int64_t)i + 1, (int64_t)names.count, "files");
    }
    progress_bar_end(&bar);
    file_names_free(&names);
    return CODE_OK;
}

static enum code detect_all(struct detection_job *job, const struct command_arguments *arguments, struct failure *why)
{
    enum code code = file_make_folders(job->output, why);
    results_append_counts_header(&job->counts, detector_info(job->detector));
    for (int i = 1; code == CODE_OK && i < arguments->count; i++) {
        const char *path = arguments->positional[i];
        if (file_is_folder(path))
            code = detect_folder(job, path, why);
        else
            detect_and_report(job, path);
    }
    if (code == CODE_OK && job->done + job->failed == 0)
        return failure_set(why, CODE_NOT_FOUND, "%s: holds no PNG, JPEG or TIFF image", arguments->positional[1]);
    SCOPE_FREE char *counts = file_join(job->output, "counts.csv");
    if (code == CODE_OK)
        code = buffer_check(&job->counts, "counts.csv", why);
    if (code == CODE_OK && counts)
        code = file_replace(counts, buffer_text(&job->counts), job->counts.length, why);
    return code;
}

/* "csv,labels" to WRITE_*. */
static enum code parse_kinds(const char *text, unsigned *write, struct failure *why)
{
    while (*text) {
        size_t count = strcspn(text, ","), i = 0;
        while (i < sizeof kinds / sizeof *kinds &&
               (strlen(kinds[i].name) != count || strncmp(kinds[i].name, text, count) != 0))
            i++;
        if (i == sizeof kinds / sizeof *kinds)
            return failure_set(why, CODE_INVALID, "--write %.*s: not one of csv, overlay, labels, geojson, rois", (int)count,
                               text);
        *write |= kinds[i].bit;
        text += count + (text[count] == ',');
    }
    return CODE_OK;
}

int command_detect(const struct command *command, int argc, char **argv)
{
    struct detection_job job = {.command = command};
    const char *precision = "auto";
    const char *device = "auto", *kinds_text = "csv,overlay";
    int64_t threads = 0;
    const struct command_option options[] = {
        {"output", 'o', OPTION_TEXT, &job.output, "DIR", "where the files go (needed)", 0, 0},
        {"threads", 'j', OPTION_INTEGER, &threads, "N", "CPU cores to use (default: all)", 1, 4096},
        {"precision", 'p', OPTION_TEXT, &precision, "P", "f32, bf16 or auto (default)", 0, 0},
        {"device", 'D', OPTION_TEXT, &device, "NAME", "auto (default), cuda, cpu or ref; see cytofs version", 0, 0},
        {"write", 'w', OPTION_TEXT, &kinds_text, "LIST", "what to write, with commas (default: csv,overlay)", 0, 0},
        {0},
    };
    struct command_arguments arguments;
    int status = command_parse(command, argc, argv, options, 2, COMMAND_POSITIONALS_MAX, &arguments);
    if (status != -1)
        return status;
    if (!job.output)
        return command_usage(command, "it needs: MODEL IMAGE... --output DIR");

    struct failure why;
    if (parse_kinds(kinds_text, &job.write, &why) != CODE_OK)
        return command_usage(command, "%s", why.text);
    struct detector_place place;
    if (detector_place_open(arguments.positional[0], device, precision, (int)threads, &place, &why) != CODE_OK)
        return command_fail(command, &why);
    job.detector = place.detector;
    enum code code = detect_all(&job, &arguments, &why);
    buffer_free(&job.counts);
    tdestroy(job.names, free);
    detector_place_close(&place);
    if (code != CODE_OK)
        return command_fail(command, &why);
    printf("%d image%s: %s and counts.csv in %s\n", job.done, job.done == 1 ? "" : "s", kinds_text, job.output);
    return job.failed ? EXIT_REFUSED : EXIT_DONE;
}
