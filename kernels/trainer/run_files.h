/* What a training writes for people and the platform while it goes on: metrics, params, tags, progress.
 *
 * The folder may be a network mount: lines are collected and written about once a second, each key with one
 * open, append and close.  A write that fails is fatal to the training: a run whose metrics are lost is worse
 * than one that stops and says why.  One thread.
 */
#ifndef CYTOFS_RUN_FILES_H
#define CYTOFS_RUN_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define RUN_FILES_KEYS_MAX 640 /* 80 classes, three metrics each on two splits, and the common ones */
#define RUN_FILES_KEY_MAX  160 /* bytes */

struct run_files;

/* Makes the folder and metrics/, params/, tags/, artifacts/ in it. */
MUST_CHECK enum code run_files_create(const char *folder, struct run_files **out, struct failure *why);
void run_files_destroy(struct run_files *files); /* does not flush */

/* Collects one metric value; not-a-number is left out.  Failures show at the next flush. */
void run_files_metric(struct run_files *files, const char *key, double value, int64_t step);

/* Writes collected lines where the last flush is a second ago, or always with `now`. */
MUST_CHECK enum code run_files_flush(struct run_files *files, bool now, struct failure *why);

/* Writes params/<key> or tags/<key>, where it does not say so already: a folder that is used again with other
 * options tells those of the last training. */
MUST_CHECK enum code run_files_param(struct run_files *files, const char *key, const char *value, struct failure *why);
MUST_CHECK enum code run_files_tag(struct run_files *files, const char *key, const char *value, struct failure *why);

/* Rewrites `progress`. */
MUST_CHECK enum code run_files_progress(struct run_files *files, int64_t done, int64_t total, double per_second,
                                        struct failure *why);

/* Drops lines of steps after `step` from the metrics below a group ("train"; "" for all): a training that
 * goes on from a checkpoint writes them again. */
MUST_CHECK enum code run_files_rewind(struct run_files *files, const char *group, int64_t step, struct failure *why);

/* A class name as a part of a key: what is not a letter, a digit, '.', '-' or '_' becomes '_'. */
void run_files_key_part(const char *name, char *out, size_t room);

#endif
