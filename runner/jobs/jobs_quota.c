/* Quotas of runs: see jobs_quota.h.  How many of a member's runs wait and run is looked at when a spec is saved; how many
 * GPUs and CPUs those on nodes have, whenever the plan is asked.  Nothing is kept here; any thread. */
#include "jobs_quota.h"

#include <inttypes.h>
#include <limits.h>

#include "tree_quota.h"

static int most_of(const struct quota *quota, enum quota_kind kind)
{
    return quota->most[kind] > INT_MAX ? -1 : (int)quota->most[kind];
}

void jobs_quota_refresh(struct jobs *jobs)
{
    struct job_members members;
    job_table_members(jobs->table, &members);
    for (size_t i = 0; i < members.count; i++) {
        const struct quota quota = tree_quota_of(jobs->tree, members.names[i]);
        const struct plan_quota planned = {.gpus = most_of(&quota, QUOTA_GPUS), .cpus = most_of(&quota, QUOTA_CPUS)};
        job_table_set_quota(jobs->table, members.names[i], &planned);
    }
}

enum code jobs_quota_admit(struct jobs *jobs, const char *member, struct failure *why)
{
    uint64_t most = tree_quota_of(jobs->tree, member).most[QUOTA_JOBS], have = job_table_count(jobs->table, member);
    if (most == QUOTA_UNLIMITED || have < most)
        return CODE_OK;
    return failure_set(
        why, CODE_QUOTA,
        "%s may have %" PRIu64 " job%s waiting or running, and has %" PRIu64
        ": save the spec again when one is over, or cancel one (rm jobs/NAME.yaml), or ask an admin (lab/quotas/%s)",
        member, most, most == 1 ? "" : "s", have, member);
}
