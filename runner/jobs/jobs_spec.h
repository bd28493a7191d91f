/* Inside runner/jobs: the spec in jobs/<job>.yaml, with what only the lab can tell about it. */
#ifndef CYTOFS_JOBS_SPEC_H
#define CYTOFS_JOBS_SPEC_H

#include "buffer.h"
#include "spec.h"
#include "viewer.h"

struct tree;

#define JOBS_NAME_MAX 255

struct jobs_spec {
    char job[JOBS_NAME_MAX + 1]; /* the file's name without .yaml */
    struct viewer maker;         /* who made the file, and so submits it */
    bool is_local;               /* that is whoever opened the store: only the name is filled in */
    struct buffer text;
    struct spec *spec; /* NULL where there are findings */
    struct spec_findings findings;
};

/* Reads jobs/<job>.yaml and checks it: by itself, the job's name, that its dataset exists, and that who made the file may
 * have it done.  CODE_OK: *out is filled in, with or without findings; CODE_NOT_FOUND: no such file; CODE_NO_DATA: the file
 * is empty, which is no mistake yet (an editor or a shell has not written to it).  jobs_spec_free in every case. */
MUST_CHECK enum code jobs_spec_read(struct tree *tree, const char *path, struct jobs_spec *out, struct failure *why);
void jobs_spec_free(struct jobs_spec *spec);

#endif
