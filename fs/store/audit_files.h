/* The audit log's files as far as anybody knows them without a key: their names, their lines, a checksum in each line.
 * fs/audit/FORMAT.md draws them; what is in the lines is fs/audit's. */
#ifndef CYTOFS_AUDIT_FILES_H
#define CYTOFS_AUDIT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "file.h"

#define AUDIT_FILES_FOLDER     "audit"            /* in the store's */
#define AUDIT_FILES_MAX        100000             /* of one log */
#define AUDIT_FILES_BYTES_MAX  ((size_t)16 << 20) /* of one file */
#define AUDIT_FILES_SUM_BYTES  17                 /* ' ' and 16 hexadecimal digits, behind a line's text */
#define AUDIT_FILES_NAME_BYTES 25                 /* 20 digits, ".log", terminator */

/* <number of its first line, 20 digits>.log */
bool audit_files_is_name(const char *name);

/* The names of the log's files, oldest first; none where there is no such folder. */
MUST_CHECK enum code audit_files_list(const char *folder, struct file_names *out, struct failure *why);

/* Makes `to` hold the files that `from` holds, byte for byte up to the last whole line of each, and no others; durable.  A
 * file that is as long there, and is not the newest, is taken for the same.  Nobody writes to `to` meanwhile. */
MUST_CHECK enum code audit_files_bring(const char *from, const char *to, struct failure *why);

/* Writes what goes behind a line's `length` bytes of text, without a terminator. */
void audit_files_write_sum(const char *line, size_t length, char sum[AUDIT_FILES_SUM_BYTES]);

enum audit_line_state {
    AUDIT_LINE_NONE, /* the text ends here */
    AUDIT_LINE_WHOLE,
    AUDIT_LINE_UNSUMMED, /* of a program that wrote no checksums yet: only its key tells whether it is whole */
    AUDIT_LINE_DAMAGED,
    AUDIT_LINE_TORN /* the newline is missing: a crash, or it is being written */
};

/* The line that begins at `at` in a file's text.  *length: its bytes without the newline. */
enum audit_line_state audit_files_line(const char *text, size_t count, size_t at, size_t *length);

#endif
