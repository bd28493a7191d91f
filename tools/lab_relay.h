/* A mount of a lab that another machine serves, or another process of this one. */
#ifndef CYTOFS_LAB_RELAY_H
#define CYTOFS_LAB_RELAY_H

#include <stdbool.h>
#include <stdint.h>

struct command;

struct lab_relay_options {
    const char *server;    /* the path of a UNIX socket; or NAME@HOST, NAME@HOST:PORT */
    const char *directory; /* absolute */
    const char *ready;     /* what the user is told */
    bool foreground;
    bool plain;   /* keep nothing here */
    bool no_disk; /* keep nothing on disk */
    bool allow_other;
    int64_t timeout_s;       /* 0: for ever */
    int timeout_errno;       /* that those are given who have waited so long; 0: ETIMEDOUT */
    int64_t disk_gib;        /* 0: a default */
    const char *disk_folder; /* NULL: ~/.cache/cytofs/NAME@HOST */
};

/* Whether SERVER of `cytofs mount SERVER DIR` names one, and not a store. */
bool lab_relay_is_server(const char *name);

/* The number of an errno that programs may be given instead of waiting on; false: none of those. */
bool lab_relay_find_errno(const char *name, int *out);

/* Runs until it is unmounted; the exit status. */
int lab_relay_run(const struct command *command, const struct lab_relay_options *options);

#endif
