/* Putting jobs together: one table, one list of streams, and a file of rules for each concern.
 *
 *   jobs/<job>.yaml              jobs_submission.c, jobs_cancel.c
 *   jobs/<job>.error             jobs_error.c
 *   jobs/queue                   jobs_queue.c
 *   jobs/nodes, lab/nodes/<node>  jobs_nodes.c
 *   jobs/events                  jobs_events.c
 *   <run>/claim, <run>/events    jobs_claim.c
 *
 * The restart comes first, while nobody can look.  Locks: jobs_state.h.
 */
#include "jobs.h"

#include <stdlib.h>

#include "jobs_claim.h"
#include "jobs_error.h"
#include "jobs_events.h"
#include "jobs_nodes.h"
#include "jobs_queue.h"
#include "jobs_restart.h"
#include "jobs_state.h"
#include "jobs_submission.h"
#include "timing.h"

static enum code add_rules(struct jobs *jobs, struct failure *why)
{
    enum code code = jobs_submission_add_rules(jobs, why);
    if (code == CODE_OK)
        code = jobs_error_add_rules(jobs, why);
    if (code == CODE_OK)
        code = jobs_claim_add_rules(jobs, why);
    if (code == CODE_OK)
        code = jobs_nodes_add_rules(jobs, why);
    if (code == CODE_OK)
        code = jobs_queue_add_rules(jobs, why);
    return code == CODE_OK ? jobs_events_add_rules(jobs, why) : code;
}

enum code jobs_add(struct tree *tree, const struct jobs_options *options, struct jobs **out, struct failure *why)
{
    *out = NULL;
    struct jobs *jobs = calloc(1, sizeof *jobs);
    if (!jobs)
        return failure_set(why, CODE_NO_MEMORY, "starting the jobs: not enough memory");
    pthread_mutex_init(&jobs->acting, NULL);
    pthread_mutex_init(&jobs->nodes_lock, NULL);
    jobs->tree = tree;
    jobs->clock_ms = options->clock_ms ? options->clock_ms : timing_wall_ms;
    jobs->events = jobs_events_create();
    jobs->table = jobs->events ? job_table_create(jobs_events_publish, jobs->events) : NULL;
    enum code code =
        jobs->table ? jobs_restart_run(jobs, why) : failure_set(why, CODE_NO_MEMORY, "starting the jobs: not enough memory");
    if (code == CODE_OK)
        code = add_rules(jobs, why);
    *out = jobs; /* also after a failure: rules that were added refer to it until the tree is closed */
    return code;
}

void jobs_destroy(struct jobs *jobs)
{
    if (!jobs)
        return;
    job_table_destroy(jobs->table);
    jobs_events_destroy(jobs->events);
    pthread_mutex_destroy(&jobs->acting);
    pthread_mutex_destroy(&jobs->nodes_lock);
    free(jobs);
}
