/* What the groups of cases share: a fresh folder per case, objects to do things with, and the line that says what came out.
 *
 * The program knows no right answers: it says what a file system does, in lines that are the same on every file system that
 * does the same.  Run on the host and on the mount, the two outputs are compared; so the host is the oracle.  Therefore no
 * line may hold what differs between two runs: no inode numbers, no times, no sizes of folders. */
#ifndef CYTOFS_CONFORMANCE_H
#define CYTOFS_CONFORMANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Begins a case in a fresh, empty folder, which is the working directory until the case ends. */
void case_begin(const char *group, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds to the case's line. */
void case_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Adds what a system call answered: a negative result as the name of errno, any other as "ok". */
void case_result(long result);

/* The same, with the number where there is one. */
void case_number(long result);

/* Adds what lies at the path: its kind, mode, links, size (of files and links), target; or why there is nothing. */
void case_look(const char *path);

/* Adds the names in the working directory, sorted, each with its kind. */
void case_list(void);

/* Prints the line and removes the folder. */
void case_end(void);

/* Removes everything in the working directory; says so where something stays. */
void case_clear(void);

/* Something to do things with, in the working directory.  What it needs beside it is made with it. */
struct object {
    const char *label, *path;
    void (*make)(void); /* NULL: there is nothing */
};
extern const struct object objects[];
extern const size_t object_count;

/* A file of three bytes.  Failing ends the program, as all preparing does. */
void make_file(const char *path, mode_t mode);
void make_folder(const char *path, mode_t mode);
void require(long result, const char *what);

/* The group's name and its cases. */
struct case_group {
    const char *name;
    bool root; /* needs root: becomes other users, makes devices */
    void (*run)(void);
};
void objects_run(void);     /* each operation on each kind of object */
void renames_run(void);     /* each kind onto each other, with all flags */
void times_run(void);       /* which times an operation sets */
void permissions_run(void); /* who may do what, by mode bits, ownership and sticky folders */
void set_id_run(void);      /* what clears the set-uid and set-gid bits; what a folder hands down */
void names_run(void);       /* lengths, bytes, deep folders, link counts */
void attributes_run(void);  /* extended attributes */
void files_run(void);       /* reading, writing, sizes, open files without names */
void folders_run(void);     /* listing while things change */

/* A user with one group; root: both 0. */
struct person {
    const char *label;
    uid_t user;
    gid_t group;
};

/* Becomes the person, does `what`, becomes root again, and adds the result to the line. */
void case_result_as(const struct person *person, long (*what)(const char *path), const char *path);

#endif
