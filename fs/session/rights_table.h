/* Who may do what: one table of roles, resources and operations.  Pure.
 *
 * A role says what a member may do to what can be read at all; whether a member can read a space is decided by its list of
 * readers and by keys, never by a role: an admin reads nothing by being one.
 */
#ifndef CYTOFS_RIGHTS_TABLE_H
#define CYTOFS_RIGHTS_TABLE_H

#include <stdbool.h>

#include "member_role.h"
#include "tree_place.h"

enum resource {
    RESOURCE_FRAME,          /* the root, its README, the folders datasets, jobs ... themselves */
    RESOURCE_DATASET_NEW,    /* a name in datasets/ that is not taken */
    RESOURCE_DATASET_OWN,    /* made by the viewer, and all in it */
    RESOURCE_DATASET_SHARED, /* another's that the viewer may read */
    RESOURCE_DATASET_CLOSED, /* one that the viewer may not */
    RESOURCE_HOME_OWN,
    RESOURCE_HOME_CLOSED, /* another's, and the folder home itself for names in it */
    RESOURCE_JOB_NEW,
    RESOURCE_JOB_OWN,
    RESOURCE_JOB_OTHER,
    RESOURCE_JOBS_SHOWN, /* what rules show in jobs/: queue, events, errors */
    RESOURCE_EXPERIMENT, /* an experiment's folder, new or not, and what rules show in it */
    RESOURCE_RUN_NEW,
    RESOURCE_RUN_OWN,
    RESOURCE_RUN_OTHER,
    RESOURCE_MODEL, /* a model's folder, new or not */
    RESOURCE_VERSION_NEW,
    RESOURCE_VERSION_OWN,
    RESOURCE_VERSION_OTHER,
    RESOURCE_ALIAS,   /* a symbolic link beside versions: production */
    RESOURCE_MEMBERS, /* lab/members */
    RESOURCE_SPACES,  /* lab/spaces: whose dataset it is is looked at by the command itself */
    RESOURCE_QUOTAS,  /* lab/quotas: one's own; all of them are shown to an admin alone */
    RESOURCE_NODES,   /* lab/nodes */
    RESOURCE_AUDIT,   /* lab/audit */
    RESOURCE_CONTROL, /* what an admin does: lab/backup, gc, mirrors, scrub, trace, users */
    RESOURCE_SHOWN,   /* what everyone may look at: lab/health, lab/last-error (one's own) */
    RESOURCE_NOWHERE,
    RESOURCE_COUNT
};

enum right {
    RIGHT_SEE = 1,     /* its name and attributes */
    RIGHT_READ = 2,    /* contents; names in a folder */
    RIGHT_CREATE = 4,  /* make it, or something in it */
    RIGHT_WRITE = 8,   /* contents and attributes; a control file's commands */
    RIGHT_REMOVE = 16, /* take its name away, also by renaming */
};

/* What a place is. */
enum resource rights_resource(const struct tree_place *place);

/* Whether it is one that stands for things that do not exist yet. */
bool rights_is_new(enum resource resource);

/* The RIGHT_ bits that the role has there. */
unsigned rights_of(enum member_role role, enum resource resource);

/* For texts and tests: "a dataset of your own" ...; never NULL. */
const char *rights_resource_name(enum resource resource);

#endif
