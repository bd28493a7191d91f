/* STORE/mirrors: what a store's folder knows of its mirrors, and of its own past.  FORMAT.md draws the text.
 *
 * An epoch is a stretch of time in which the same folders were current.  It has a random tag; whenever folders go on without
 * one of them, a new epoch begins, and the old tag becomes part of the past.  So of two folders the one whose tag is in the
 * other's past is behind it, and two that have each a tag which the other does not know were changed without each other.
 */
#ifndef CYTOFS_MIRROR_FILE_H
#define CYTOFS_MIRROR_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "mirror_set.h"

struct buffer;

#define MIRROR_FILE_VERSION   1
#define MIRROR_FILE_BYTES_MAX 32768
#define MIRROR_FILE_PAST_MAX  64   /* epochs remembered */
#define MIRROR_FILE_PATH_MAX  4095 /* bytes */
#define MIRROR_FILE_TAG_BYTES 16

struct mirror_tag {
    uint8_t bytes[MIRROR_FILE_TAG_BYTES];
};

struct mirror_member {
    struct mirror_tag id; /* of the folder, random */
    bool current;         /* else it is behind */
    char *path;           /* absolute; on the heap */
};

struct mirror_file {
    struct mirror_tag self;                       /* the folder that this lies in */
    bool filling;                                 /* it was being brought up to date: it is no whole store */
    bool closed;                                  /* the program that used it came to its end */
    uint64_t epoch;                               /* from 1 */
    struct mirror_tag tag;                        /* the epoch's */
    struct mirror_tag past[MIRROR_FILE_PAST_MAX]; /* those before it, newest first */
    size_t past_count;
    struct mirror_member members[MIRROR_SIDES_MAX]; /* all folders, this one among them */
    size_t member_count;
};

/* Pure; CODE_CORRUPT, CODE_NEWER_FORMAT, CODE_NO_MEMORY.  Free the result with mirror_file_free in any case. */
MUST_CHECK enum code mirror_file_parse(const char *text, size_t count, struct mirror_file *out, struct failure *why);

/* Appends the text. */
void mirror_file_write(const struct mirror_file *file, struct buffer *out);

void mirror_file_free(struct mirror_file *file);

/* How folder a stands to folder b. */
enum mirror_order { MIRROR_SAME, MIRROR_OLDER, MIRROR_NEWER, MIRROR_APART };
enum mirror_order mirror_file_compare(const struct mirror_file *a, const struct mirror_file *b);

/* Begins a new epoch. */
MUST_CHECK enum code mirror_file_advance(struct mirror_file *file, struct failure *why);

/* Of a folder: FOLDER/mirrors, or where that is damaged FOLDER/mirrors-copy.  CODE_NOT_FOUND: it has neither, and so no
 * mirrors.  save is durable. */
MUST_CHECK enum code mirror_file_load(const char *folder, struct mirror_file *out, struct failure *why);
MUST_CHECK enum code mirror_file_save(const char *folder, const struct mirror_file *file, struct failure *why);

/* Takes both away. */
MUST_CHECK enum code mirror_file_forget(const char *folder, struct failure *why);

/* The two, by their names; NULL ends the list. */
extern const char *const mirror_file_names[];

#endif
