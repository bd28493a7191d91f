/* A lab of two members, for tests of who may do what: ada, who opened the store, and bob, who comes from another machine and
 * has lent the key of his home.  Each has a dataset (ada's `closed` is not shared with bob), a home, a spec, a run and a
 * model version; each holds a file `f`. */
#ifndef CYTOFS_MEMBERS_SCENE_H
#define CYTOFS_MEMBERS_SCENE_H

#include <stdint.h>
#include <sys/uio.h>

#include "viewer.h"

struct people;
struct tree;

struct scene {
    struct chunk_store *chunks;
    struct tree *tree;
    struct people *people;
    struct member_key *bob_key;
    struct viewer bob;
    struct session *session;                                               /* bob's: fed, and not greeted yet */
    void (*answered)(void *context, const struct iovec *parts, int count); /* NULL: answers are dropped */
    void *answered_context;
    void (*add_rules)(void *context, struct tree *tree); /* more than the lab's own, before anything is made; NULL: none */
    void *add_rules_context;
};

/* For cmocka: *state is the scene. */
int members_scene_setup(void **state);
int members_scene_teardown(void **state);

/* As setup, in the caller's struct. */
void members_scene_make(struct scene *scene);
void members_scene_destroy(struct scene *scene);

/* Makes the folder, and in it a file with that text. */
void members_scene_write(struct scene *scene, const char *folder, const char *name, const char *text);

/* Of a path that must exist; "" is the root. */
uint64_t members_scene_node(struct scene *scene, const char *path);

#endif
