/* Ordinary files and folders of the host: read whole, replace atomically, make the folders above, walk. */
#ifndef CYTOFS_FILE_H
#define CYTOFS_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "buffer.h"
#include "failure.h"

/* Reads the whole file into *out (appending).  More than `max` bytes is CODE_TOO_LARGE. */
MUST_CHECK enum code file_read(const char *path, size_t max, struct buffer *out, struct failure *why);

/* Writes bytes to path: a temporary file beside it, fsync, rename.  Readers see the old text or the new one. */
MUST_CHECK enum code file_replace(const char *path, const void *bytes, size_t count, struct failure *why);

/* Writes bytes to path in place (created with 0666 less umask, truncated). */
MUST_CHECK enum code file_write(const char *path, const void *bytes, size_t count, struct failure *why);

/* Appends one run of bytes with a single write(2) on an O_APPEND descriptor. */
MUST_CHECK enum code file_append(const char *path, const void *bytes, size_t count, struct failure *why);

/* Makes the folder and those above it that are missing (mkdir -p). */
MUST_CHECK enum code file_make_folders(const char *path, struct failure *why);

/* The same, and durable: neither the folder nor one of those that were made for it is gone after a power cut. */
MUST_CHECK enum code file_make_folders_durable(const char *path, struct failure *why);

/* Makes durable which names the folder has. */
MUST_CHECK enum code file_sync_folder(const char *path, struct failure *why);

/* "a/b" from "a" and "b"; the result is the caller's to free, NULL without memory.  An absolute `name` is returned as is. */
char *file_join(const char *folder, const char *name);

/* The path from the root on, also where the last folder is a dead mount that stat(2) refuses; the caller's to free, NULL
 * without memory. */
char *file_absolute(const char *path);

/* The part behind the last '/'; never NULL, points into path. */
const char *file_base_name(const char *path);

/* The part of the base name behind its last '.', without the dot; "" where there is none. */
const char *file_extension(const char *path);

bool file_exists(const char *path);
bool file_is_folder(const char *path);

/* A list of names, sorted bytewise; free with file_names_free. */
struct file_names {
    char **names;
    size_t count;
};

/* The entries of a folder without "." and "..".  More than `max` entries is CODE_TOO_LARGE. */
MUST_CHECK enum code file_list(const char *folder, size_t max, struct file_names *out, struct failure *why);
void file_names_free(struct file_names *names);

/* Removes a file, or a folder with everything in it; never follows symbolic links.  A missing path is fine. */
MUST_CHECK enum code file_remove_tree(const char *path, struct failure *why);

#endif
