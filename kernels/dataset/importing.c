/* The import: every file of the source folder is read whole, judged by its first bytes, cleaned or copied,
 * and written to the same place in the destination.  A cleaned image is decoded once before it is written, so
 * that nothing gets in that a trainer could not read.  Cleaning is by lists of what is kept, never of what is
 * removed: what is not known goes.
 */
#include "importing.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "file.h"
#include "image.h"
#include "importing_formats.h"
#include "scan.h"
#include "scope.h"

#define IMPORT_BYTES_MAX (IMAGE_BYTES_MAX + ((size_t)64 << 20))

void importing_note(struct buffer *removed, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = buffer_text(removed); (at = strstr(at, name)); at += length)
        if ((at == removed->data || at[-1] == ' ') && (at[length] == 0 || at[length] == ','))
            return;
    buffer_printf(removed, "%s%s", removed->length > 0 ? ", " : "", name);
}

static bool same_pixels(const struct image *a, const struct image *b)
{
    size_t size = (size_t)a->width * (size_t)a->height * (size_t)a->channels * (size_t)a->bits / 8;
    return a->width == b->width && a->height == b->height && a->channels == b->channels && a->bits == b->bits &&
           memcmp(a->data, b->data, size) == 0;
}

/* A TIFF file is cleaned by what its tags say; where they are wrong, libtiff guesses, and may have guessed
 * with bytes that are blank now.  Such a file is refused. */
static enum code check_same_pixels(const struct importing_source *source, const struct buffer *cleaned, struct failure *why)
{
    SCOPE_IMAGE before = {0}, after = {0};
    if (image_decode(source->bytes, source->count, source->name, &before, NULL) != CODE_OK)
        return CODE_OK; /* labels, or not readable at all: judged by check_readable */
    if (image_decode(cleaned->data, cleaned->length, source->name, &after, NULL) == CODE_OK && same_pixels(&before, &after))
        return CODE_OK;
    return failure_set(why, CODE_INVALID, "%s: its tags do not say rightly where its pixels are: save it anew",
                       source->name);
}

enum code importing_clean(const void *bytes, size_t count, const char *name, struct buffer *out, struct buffer *removed,
                          struct failure *why)
{
    struct importing_source source = {bytes, count, name};
    switch (image_sniff(bytes, count)) {
    case IMAGE_PNG:
        return importing_png_clean(&source, out, removed, why);
    case IMAGE_JPEG:
        return importing_jpeg_clean(&source, out, removed, why);
    case IMAGE_TIFF: {
        enum code code = importing_tiff_clean(&source, out, removed, why);
        return code == CODE_OK ? check_same_pixels(&source, out, why) : code;
    }
    case IMAGE_UNKNOWN:
        break;
    }
    return failure_set(why, CODE_UNSUPPORTED, "%s: not a PNG, JPEG or TIFF file", name);
}

/* Whether it can be read as a picture or as labels. */
static enum code check_readable(const struct buffer *bytes, const char *name, struct failure *why)
{
    SCOPE_IMAGE image = {0};
    struct image_labels labels;
    if (image_decode(bytes->data, bytes->length, name, &image, why) == CODE_OK)
        return CODE_OK;
    if (image_decode_labels(bytes->data, bytes->length, name, &labels, NULL) != CODE_OK)
        return CODE_INVALID;
    image_labels_free(&labels);
    return CODE_OK;
}

static bool is_annotation(const char *path)
{
    static const char *const extensions[] = {"xml", "json", "txt", "csv", "yaml", "yml", "names"};
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        if (strcasecmp(file_extension(path), extensions[i]) == 0)
            return true;
    return false;
}

static void leave_out(struct importing_report *report, const char *path, const char *reason)
{
    report->left_out++;
    buffer_printf(&report->details, "%s: left out: %s\n", path, reason);
}

static enum code put(const char *destination, const char *path, const struct buffer *bytes,
                     const struct importing_options *options, struct importing_report *report, struct failure *why)
{
    report->bytes += bytes->length;
    if (options->dry_run)
        return CODE_OK;
    SCOPE_FREE char *full = file_join(destination, path);
    SCOPE_FREE char *folder = full ? strdup(full) : NULL;
    if (!folder)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    *strrchr(folder, '/') = 0;
    enum code code = file_make_folders(folder, why);
    return code == CODE_OK ? file_write(full, buffer_text(bytes), bytes->length, why) : code;
}

static enum code copy_image(const char *destination, const char *path, const struct buffer *bytes,
                            const struct importing_options *options, struct importing_report *report, struct failure *why)
{
    SCOPE_BUFFER cleaned = {.max = IMPORT_BYTES_MAX};
    SCOPE_BUFFER removed = {0};
    struct failure fault;
    if (importing_clean(bytes->data, bytes->length, path, &cleaned, &removed, &fault) != CODE_OK ||
        check_readable(&cleaned, path, &fault) != CODE_OK) {
        leave_out(report, path, fault.text);
        return CODE_OK;
    }
    enum code code = put(destination, path, &cleaned, options, report, why);
    if (code != CODE_OK)
        return code;
    report->images++;
    if (removed.length > 0) {
        report->images_cleaned++;
        buffer_printf(&report->details, "%s: removed %s\n", path, removed.data);
    }
    return CODE_OK;
}

static enum code copy_file(const struct scan *scan, const char *path, const char *destination,
                           const struct importing_options *options, struct importing_report *report, struct failure *why)
{
    SCOPE_FREE char *full = file_join(scan->folder, path);
    SCOPE_BUFFER bytes = {.max = IMPORT_BYTES_MAX};
    struct failure fault;
    if (!full)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", path);
    if (file_read(full, IMPORT_BYTES_MAX, &bytes, &fault) != CODE_OK) {
        leave_out(report, path, fault.text);
        return CODE_OK;
    }
    if (image_sniff(buffer_text(&bytes), bytes.length) != IMAGE_UNKNOWN)
        return copy_image(destination, path, &bytes, options, report, why);
    if (!is_annotation(path)) {
        leave_out(report, path,
                  scan_is_image_name(path) ? "named like an image, but not a PNG, JPEG or TIFF file"
                                           : "neither an image nor a kind of annotation that is known");
        return CODE_OK;
    }
    report->annotations++;
    return put(destination, path, &bytes, options, report, why);
}

/* Refuses a destination inside the source: the import would read what it writes. */
static enum code check_folders(const char *source, const char *destination, struct failure *why)
{
    SCOPE_FREE char *from = realpath(source, NULL);
    SCOPE_FREE char *to = realpath(destination, NULL);
    size_t length = from ? strlen(from) : 0;
    if (from && to && strncmp(from, to, length) == 0 && (to[length] == '/' || to[length] == 0))
        return failure_set(why, CODE_INVALID, "%s: lies in the folder that is imported (%s): choose another destination",
                           destination, source);
    return CODE_OK;
}

enum code importing_copy(const char *source, const char *destination, const struct importing_options *options,
                         struct importing_report *report, struct failure *why)
{
    *report = (struct importing_report){0};
    struct scan scan;
    enum code code = scan_folder(source, &scan, why);
    if (code != CODE_OK)
        return failure_wrap(why, code, "importing");
    if (!options->dry_run)
        code = file_make_folders(destination, why);
    if (code == CODE_OK)
        code = check_folders(source, destination, why);
    for (size_t i = 0; code == CODE_OK && i < scan.count; i++) {
        code = copy_file(&scan, scan.paths[i], destination, options, report, why);
        if (code == CODE_OK && options->progress && !options->progress(options->context, i + 1, scan.count))
            code = failure_set(why, CODE_INTERRUPTED, "stopped after %zu of %zu files", i + 1, scan.count);
    }
    scan_free(&scan);
    if (code == CODE_OK)
        code = buffer_check(&report->details, "the report of the import", why);
    return code == CODE_OK ? CODE_OK : failure_wrap(why, code, "importing %s", source);
}

void importing_report_free(struct importing_report *report)
{
    buffer_free(&report->details);
    *report = (struct importing_report){0};
}
