/* Who may do what: see rights_table.h.  The table is written as text, so that it can be read as one: s see, r read, c
 * create, w write, d remove; a column a role. */
#include "rights_table.h"

#include <string.h>

struct row {
    const char *name;
    const char *rights[ROLE_COUNT];
};

#define ALL "srcwd"

/* clang-format off: a table to be read */
static const struct row table[RESOURCE_COUNT] = {
    /*                                                              viewer scientist steward admin  node   endpoint */
    [RESOURCE_FRAME] = {"the lab's own folders", {"sr", "sr", "sr", "sr", "sr", "sr"}},
    [RESOURCE_DATASET_NEW] = {"a new dataset", {"", "c", "c", "c", "", ""}},
    [RESOURCE_DATASET_OWN] = {"a dataset of your own", {"sr", ALL, ALL, ALL, "sr", "sr"}},
    [RESOURCE_DATASET_SHARED] = {"a dataset of somebody else", {"sr", "sr", ALL, ALL, "sr", "s"}},
    [RESOURCE_DATASET_CLOSED] = {"a dataset that was not shared with you", {"s", "s", "s", "s", "s", "s"}},
    [RESOURCE_HOME_OWN] = {"your home", {ALL, ALL, ALL, ALL, "s", "s"}},
    [RESOURCE_HOME_CLOSED] = {"another member's home", {"s", "s", "s", "s", "s", "s"}},
    [RESOURCE_JOB_NEW] = {"a new job", {"", "c", "c", "c", "c", ""}},
    [RESOURCE_JOB_OWN] = {"a job of your own", {"sr", ALL, ALL, ALL, ALL, "s"}},
    [RESOURCE_JOB_OTHER] = {"somebody else's job", {"sr", "sr", "sr", "srd", "srwd", "s"}},
    [RESOURCE_JOBS_SHOWN] = {"what is shown of jobs", {"sr", "sr", "sr", "sr", "sr", "s"}},
    [RESOURCE_EXPERIMENT] = {"an experiment", {"sr", "src", "src", "src", "src", "s"}},
    [RESOURCE_RUN_NEW] = {"a new run", {"", "c", "c", "c", "c", ""}},
    [RESOURCE_RUN_OWN] = {"a run of your own", {"sr", ALL, ALL, ALL, ALL, "s"}},
    [RESOURCE_RUN_OTHER] = {"somebody else's run", {"sr", "sr", "sr", "sr", ALL, "s"}},
    [RESOURCE_MODEL] = {"a model", {"sr", "src", "src", "src", "src", "sr"}},
    [RESOURCE_VERSION_NEW] = {"a new version of a model", {"", "c", "c", "c", "c", ""}},
    [RESOURCE_VERSION_OWN] = {"a version that you made", {"sr", ALL, ALL, ALL, ALL, "sr"}},
    [RESOURCE_VERSION_OTHER] = {"a version that somebody else made", {"sr", "sr", "sr", "sr", "sr", "sr"}},
    [RESOURCE_ALIAS] = {"an alias of a model's versions (a steward's)", {"sr", "sr", ALL, ALL, "sr", "sr"}},
    [RESOURCE_MEMBERS] = {"the list of members (an admin's)", {"sr", "sr", "sr", ALL, "s", "s"}},
    [RESOURCE_SPACES] = {"who may read what", {"sr", "srw", "srw", "srw", "s", "s"}},
    [RESOURCE_QUOTAS] = {"the quotas (an admin's)", {"sr", "sr", "sr", "srw", "s", "s"}},
    [RESOURCE_NODES] = {"the list of nodes", {"sr", "sr", "sr", "sr", ALL, "s"}},
    [RESOURCE_AUDIT] = {"the audit log (a steward's and an admin's)", {"s", "s", "sr", "sr", "s", "s"}},
    [RESOURCE_CONTROL] = {"the care of the lab (an admin's)", {"sr", "sr", "sr", "srw", "s", "s"}},
    [RESOURCE_SHOWN] = {"what is shown of the lab", {"sr", "sr", "sr", "sr", "sr", "sr"}},
    [RESOURCE_NOWHERE] = {"what is nowhere in the lab", {"", "", "", "", "", ""}},
};
/* clang-format on */

unsigned rights_of(enum member_role role, enum resource resource)
{
    static const char letters[] = "srcwd";
    unsigned rights = 0;
    for (const char *at = table[resource].rights[role]; *at; at++)
        rights |= 1u << (strchr(letters, *at) - letters);
    return rights;
}

bool rights_is_new(enum resource resource)
{
    return resource == RESOURCE_DATASET_NEW || resource == RESOURCE_JOB_NEW || resource == RESOURCE_RUN_NEW ||
           resource == RESOURCE_VERSION_NEW;
}

const char *rights_resource_name(enum resource resource)
{
    return table[resource].name;
}

/* What a place is ----------------------------------------------------------------------------------------------------- */

static enum resource dataset(const struct tree_place *place)
{
    if (!place->exists && place->depth == 1)
        return RESOURCE_DATASET_NEW;
    if (!place->readable)
        return place->depth == 1 ? RESOURCE_DATASET_CLOSED : RESOURCE_NOWHERE;
    return place->own ? RESOURCE_DATASET_OWN : RESOURCE_DATASET_SHARED;
}

static enum resource home(const struct tree_place *place)
{
    if (place->own)
        return RESOURCE_HOME_OWN;
    return place->depth == 1 ? RESOURCE_HOME_CLOSED : RESOURCE_NOWHERE;
}

static enum resource job(const struct tree_place *place)
{
    if (place->derived)
        return RESOURCE_JOBS_SHOWN;
    if (!place->exists && place->depth == 1)
        return RESOURCE_JOB_NEW;
    return place->own ? RESOURCE_JOB_OWN : RESOURCE_JOB_OTHER;
}

static enum resource run(const struct tree_place *place)
{
    if (place->depth == 1 || (place->derived && place->depth == 2))
        return RESOURCE_EXPERIMENT;
    if (!place->exists && place->depth == 2)
        return RESOURCE_RUN_NEW;
    return place->own ? RESOURCE_RUN_OWN : RESOURCE_RUN_OTHER;
}

static enum resource version(const struct tree_place *place)
{
    if (place->depth == 1)
        return RESOURCE_MODEL;
    if (place->depth == 2 && place->exists && place->kind == NODE_LINK)
        return RESOURCE_ALIAS;
    if (!place->exists && place->depth == 2)
        return RESOURCE_VERSION_NEW;
    return place->own ? RESOURCE_VERSION_OWN : RESOURCE_VERSION_OTHER;
}

static enum resource lab(const struct tree_place *place)
{
    static const char *const controls[] = {"backup", "gc", "mirrors", "scrub", "trace", "clients", "users"};
    if (place->depth == 0)
        return RESOURCE_FRAME;
    if (strcmp(place->name, "audit") == 0 || strcmp(place->name, "audit-check") == 0)
        return RESOURCE_AUDIT;
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++)
        if (strcmp(place->name, controls[i]) == 0)
            return RESOURCE_CONTROL;
    return RESOURCE_SHOWN;
}

enum resource rights_resource(const struct tree_place *place)
{
    bool frame = place->depth == 0;
    switch (place->area) {
    case PLACE_ROOT:
        return RESOURCE_FRAME;
    case PLACE_DATASETS:
        return frame ? RESOURCE_FRAME : dataset(place);
    case PLACE_HOME:
        return frame ? RESOURCE_FRAME : home(place);
    case PLACE_JOBS:
        return frame ? RESOURCE_FRAME : job(place);
    case PLACE_EXPERIMENTS:
        return frame ? RESOURCE_FRAME : run(place);
    case PLACE_MODELS:
        return frame ? RESOURCE_FRAME : version(place);
    case PLACE_LAB:
        return lab(place);
    case PLACE_LAB_MEMBERS:
        return frame ? RESOURCE_FRAME : RESOURCE_MEMBERS;
    case PLACE_LAB_SPACES:
        return frame ? RESOURCE_FRAME : RESOURCE_SPACES;
    case PLACE_LAB_QUOTAS:
        return frame ? RESOURCE_FRAME : RESOURCE_QUOTAS;
    case PLACE_LAB_NODES:
        return RESOURCE_NODES;
    case PLACE_ELSEWHERE:
        break;
    }
    return RESOURCE_NOWHERE;
}
