/* An ordinary folder that looks like a mounted lab to a node, with the test in the server's place: it submits, claims,
 * cancels, and finds runs lost by writing the lines that the server would write.  jobs/events is a named pipe. */
#ifndef CYTOFS_FAKE_LAB_H
#define CYTOFS_FAKE_LAB_H

#include <stdbool.h>
#include <sys/types.h>

#include "buffer.h"
#include "run_state.h"

struct executor;

#define FAKE_LAB_NODE "box-1"

struct fake_lab {
    char folder[64];
    int events; /* the pipe's end that the server writes to */
    int submitted;
};

void fake_lab_make(struct fake_lab *lab);
void fake_lab_remove(struct fake_lab *lab);

/* "<lab>/<path>", in one of a few buffers that are used in turn. */
const char *fake_lab_path(const struct fake_lab *lab, const char *path);

/* Makes experiments/e/<NNN> with this spec and this dataset ("" for none), already granted to FAKE_LAB_NODE; run
 * receives its path.  It is said on the stream by fake_lab_offer. */
void fake_lab_submit(struct fake_lab *lab, const char *spec, char run[64]);
void fake_lab_offer(const struct fake_lab *lab, const char *run);

/* A line of jobs/events. */
void fake_lab_say(const struct fake_lab *lab, const char *run, const char *state, const char *node);

/* Appends an event of the server to the run. */
void fake_lab_record(const struct fake_lab *lab, const char *run, struct run_event event);

/* What the server does when a node is gone: `lost`, the claim goes; and grants it again. */
void fake_lab_give_again(const struct fake_lab *lab, const char *run);

/* Starts `node_run` in a process of its own.  executor NULL: the real one. */
pid_t fake_lab_start_node(const struct fake_lab *lab, const char *program, const struct executor *executor);

/* SIGTERM sets the node's stop flag; returns its exit status, the number of the enum code, or -signal. */
int fake_lab_stop_node(pid_t node);
int fake_lab_wait_node(pid_t node);
void fake_lab_kill_node(pid_t node);

struct run_summary fake_lab_summary(const struct fake_lab *lab, const char *run);

/* Waits up to 20 s, then fails the test. */
struct run_summary fake_lab_wait_for(const struct fake_lab *lab, const char *run, enum run_state state);
void fake_lab_wait_for_file(const struct fake_lab *lab, const char *path);

/* The text of a file of the lab, "" where there is none. */
void fake_lab_read(const struct fake_lab *lab, const char *path, struct buffer *out);
void fake_lab_write(const struct fake_lab *lab, const char *path, const char *text);

#endif
