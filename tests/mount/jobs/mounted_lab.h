/* A lab on disk, served by one process to a real mount, with a node in another: both can be killed and started again. */
#ifndef CYTOFS_MOUNTED_LAB_H
#define CYTOFS_MOUNTED_LAB_H

#include <stdbool.h>
#include <sys/types.h>

#include "buffer.h"
#include "lab_fixture.h"
#include "run_state.h"

struct mounted_lab {
    struct lab store; /* closed in this process: the server opens it */
    char mount[64];
    pid_t server, node; /* 0: none */
};

/* Whether this machine can mount at all. */
bool mounted_lab_possible(void);

void mounted_lab_make(struct mounted_lab *lab); /* server and node are at work afterwards */
void mounted_lab_remove(struct mounted_lab *lab);

void mounted_lab_start_server(struct mounted_lab *lab);
void mounted_lab_start_node(struct mounted_lab *lab);
void mounted_lab_kill_server(struct mounted_lab *lab); /* and takes the dead mount away */
void mounted_lab_kill_node(struct mounted_lab *lab);

/* Waits for the node to end by itself. */
void mounted_lab_wait_node(struct mounted_lab *lab);

/* "<mount>/<path>", in one of a few buffers that are used in turn. */
const char *mounted_lab_path(const struct mounted_lab *lab, const char *path);

/* Saves a spec as jobs/<name>.yaml. */
void mounted_lab_submit(struct mounted_lab *lab, const char *name, const char *spec);

/* What the events of jobs/<name>'s latest run say. */
struct run_summary mounted_lab_summary(const struct mounted_lab *lab, const char *name);

/* Waits up to 30 s, then fails the test. */
struct run_summary mounted_lab_wait_for(const struct mounted_lab *lab, const char *name, enum run_state state);
void mounted_lab_wait_for_file(const struct mounted_lab *lab, const char *path);

/* The text of a file, "" where there is none; fails the test where its length is not the size that stat tells. */
void mounted_lab_read(const struct mounted_lab *lab, const char *path, struct buffer *out);

#endif
