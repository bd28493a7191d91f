/* The node's life: see node.h, and "A node's life" in runner/README.md.
 *
 * One thread, one poll(2): on the stream of changes, on each program's output and on each program's end.  What the node
 * knows is small and can be thrown away at any moment, because the lab holds the truth:
 *
 * - queue: runs that were said to be queued and not yet anything else
 * - runs: those that it has claimed (active_run.c), each with its program
 * - strays: runs said to be its own that it does not run, left behind by an earlier life (stray_runs.c)
 *
 * A run is claimed by making a symbolic link, which only one node can; the server may still say "not now" (EAGAIN), so what
 * is queued is tried again each second and with each change.  Between two polls the node may block in the lab's files:
 * while the lab does not answer there is nothing else to do.
 *
 * The lab is gone when the stream ends or the lease cannot be written: programs are killed and the node ends, saying
 * nothing about its runs, which the server will call lost.
 */
#include "node.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "active_run.h"
#include "exec_local.h"
#include "file.h"
#include "gpu_watch.h"
#include "job_stream.h"
#include "logging.h"
#include "node_lease.h"
#include "run_queue.h"
#include "scope.h"
#include "spec.h"
#include "stray_runs.h"
#include "timing.h"

#define NODE_RUNS_MAX  64
#define NODE_NAME_MAX  64
#define LEASE_MS       10000
#define LEASE_CHECK_MS 1000
#define CLAIM_MS       1000
#define POLL_MS_MAX    250 /* how late *stop may be noticed */
#define CLAIMS_AT_ONCE 256 /* queued runs tried in one go */

struct node {
    const struct node_options *options;
    struct executor executor;
    char name[NODE_NAME_MAX + 1];
    struct node_resources has;
    struct gpu_watch *gpus; /* NULL: none */
    uint64_t gpus_taken;    /* bit i: the i-th is a run's */
    char devices[256];      /* what the GPUs are and do, or why there are none */
    int lease;
    int64_t lease_due_ms, lease_check_due_ms, claim_due_ms; /* monotonic */
    struct job_stream stream;
    struct run_queue queue;
    struct stray_runs strays;
    struct {
        struct active_run *run;
        uint64_t gpus;  /* its own, as in gpus_taken */
        bool confirmed; /* the stream has said that the run is ours */
    } runs[NODE_RUNS_MAX];
    size_t run_count;
    bool stopping;
};

/* Resources ------------------------------------------------------------------------------------------------------ */

static int usable_cpus(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static uint64_t machine_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}

static struct node_resources resources_used(const struct node *node)
{
    struct node_resources used = {0};
    for (size_t i = 0; i < node->run_count; i++) {
        struct node_resources one = active_run_resources(node->runs[i].run);
        used.cpus += one.cpus;
        used.memory_bytes += one.memory_bytes;
        used.gpus += one.gpus;
    }
    return used;
}

static struct node_description describe_node(struct node *node)
{
    if (node->gpus)
        gpu_watch_describe(node->gpus, node->devices, sizeof node->devices);
    return (struct node_description){node->name, node->devices, node->has, resources_used(node)};
}

/* Free GPUs, which has_room has found, and their numbers as CUDA_VISIBLE_DEVICES takes them. */
static uint64_t take_gpus(struct node *node, int count, char *visible, size_t room)
{
    uint64_t taken = 0;
    size_t used = 0;
    visible[0] = 0;
    for (size_t i = 0; node->gpus && i < gpu_watch_count(node->gpus) && count > 0; i++) {
        if (node->gpus_taken >> i & 1)
            continue;
        taken |= UINT64_C(1) << i;
        count--;
        used += (size_t)snprintf(visible + used, room - used, "%s%u", used ? "," : "", gpu_watch_number(node->gpus, i));
    }
    node->gpus_taken |= taken;
    return taken;
}

static bool has_room(const struct node *node, const struct node_resources *needs)
{
    struct node_resources used = resources_used(node);
    return node->run_count < NODE_RUNS_MAX && used.cpus + needs->cpus <= node->has.cpus &&
           used.memory_bytes + needs->memory_bytes <= node->has.memory_bytes && used.gpus + needs->gpus <= node->has.gpus;
}

/* What a spec does not state: all cores, one GPU where there are any.  A spec that cannot be read needs little: it will be
 * claimed, and fail with the reason. */
static void find_needs(const struct node *node, struct queued_run *queued)
{
    struct spec *spec = NULL;
    struct failure why;
    queued->needs = (struct node_resources){.cpus = 1};
    queued->needs_known = true;
    if (active_run_read_spec(node->options->lab, queued->path, &spec, &why) != CODE_OK)
        return;
    queued->needs.cpus = spec->cpus > 0 ? spec->cpus : node->has.cpus;
    queued->needs.memory_bytes = spec->memory_bytes;
    queued->needs.gpus = spec->gpus >= 0 ? spec->gpus : node->has.gpus > 0;
    spec_destroy(spec);
}

/* Changes -------------------------------------------------------------------------------------------------------- */

static size_t find_run(const struct node *node, const char *path)
{
    size_t at = 0;
    while (at < node->run_count && strcmp(active_run_path(node->runs[at].run), path) != 0)
        at++;
    return at;
}

/* The newest word on a run that this node runs.  Lines from before the claim may still arrive: until one has confirmed the
 * claim, others say nothing. */
static void hear_of_own(struct node *node, size_t at, const struct job_change *change, bool ours)
{
    bool held = strcmp(change->state, "claimed") == 0 || strcmp(change->state, "running") == 0 ||
                strcmp(change->state, "cancelling") == 0;
    if (held && ours) {
        node->runs[at].confirmed = true;
        if (strcmp(change->state, "cancelling") == 0)
            active_run_stop(node->runs[at].run, STOP_CANCELLED);
    } else if (node->runs[at].confirmed) {
        active_run_stop(node->runs[at].run, STOP_TAKEN_AWAY);
    }
}

static void hear(void *context, const struct job_change *change)
{
    struct node *node = context;
    bool ours = strcmp(change->node, node->name) == 0;
    bool queued = strcmp(change->state, "queued") == 0;
    bool held = strcmp(change->state, "claimed") == 0 || strcmp(change->state, "running") == 0 ||
                strcmp(change->state, "cancelling") == 0;
    logging_trace(TRACE_NODE, "%s is %s%s%s", change->run, change->state, change->node[0] ? " on " : "", change->node);
    size_t at = find_run(node, change->run);
    node->claim_due_ms = 0;
    stray_runs_remove(&node->strays, change->run);
    if (at < node->run_count)
        hear_of_own(node, at, change, ours);
    else if (queued)
        run_queue_add(&node->queue, change->run);
    else if (held && ours)
        stray_runs_add(&node->strays, change->run);
    if (!queued)
        run_queue_remove(&node->queue, change->run);
}

/* Claiming ------------------------------------------------------------------------------------------------------- */

static bool lab_is_gone(int errno_value)
{
    return errno_value == ENOTCONN || errno_value == ENODEV || errno_value == ESTALE || errno_value == EIO;
}

enum claim { CLAIM_TAKEN, CLAIM_LATER, CLAIM_NEVER };

static enum code claim(struct node *node, const struct queued_run *queued, enum claim *result, struct failure *why)
{
    SCOPE_FREE char *path = NULL;
    if (asprintf(&path, "%s/%s/claim", node->options->lab, queued->path) < 0)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", queued->path);
    *result = CLAIM_TAKEN;
    if (symlink(node->name, path) == 0)
        return CODE_OK;
    if (lab_is_gone(errno))
        return failure_set_errno(why, errno, "%s: cannot be claimed: the lab is gone", queued->path);
    *result = errno == ENOENT || errno == ENOTDIR ? CLAIM_NEVER : CLAIM_LATER;
    if (errno != EEXIST && errno != EAGAIN && errno != EBUSY && *result == CLAIM_LATER)
        logging_warning("%s: cannot be claimed: %s", queued->path, strerror(errno));
    return CODE_OK;
}

static void begin_run(struct node *node, const struct queued_run *queued)
{
    char visible[GPU_WATCH_MAX * 4];
    uint64_t gpus = take_gpus(node, queued->needs.gpus, visible, sizeof visible);
    struct active_run_options options = {
        .executor = &node->executor,
        .lab = node->options->lab,
        .program = node->options->program,
        .node = node->name,
        .run = queued->path,
        .resources = queued->needs,
        .lease = node->lease,
        .visible_gpus = node->gpus ? visible : NULL,
    };
    struct active_run *run = active_run_begin(&options);
    if (run) {
        logging_info("%s: started", queued->path);
        node->runs[node->run_count].run = run;
        node->runs[node->run_count].gpus = gpus;
        node->runs[node->run_count++].confirmed = false;
    } else {
        node->gpus_taken &= ~gpus;
        logging_warning("%s: out of memory", queued->path); /* claimed and not run: a stray of ours */
        stray_runs_add(&node->strays, queued->path);
    }
}

static enum code claim_queued(struct node *node, struct failure *why)
{
    size_t at = 0;
    node->claim_due_ms = timing_monotonic_ms() + CLAIM_MS;
    for (int tried = 0; at < node->queue.count && tried < CLAIMS_AT_ONCE; tried++) {
        struct queued_run *queued = &node->queue.runs[at];
        enum claim result = CLAIM_LATER;
        if (!queued->needs_known)
            find_needs(node, queued);
        if (has_room(node, &queued->needs)) {
            enum code code = claim(node, queued, &result, why);
            if (code != CODE_OK)
                return code;
        }
        if (result == CLAIM_TAKEN)
            begin_run(node, queued);
        if (result == CLAIM_LATER)
            at++;
        else
            run_queue_remove(&node->queue, queued->path);
    }
    return CODE_OK;
}

/* The loop ------------------------------------------------------------------------------------------------------- */

/* A server that has given the node up by mistake removed its file: the node signs on again. */
static enum code keep_lease(struct node *node, struct failure *why)
{
    struct node_description description = describe_node(node);
    int64_t now = timing_monotonic_ms();
    node->lease_check_due_ms = now + LEASE_CHECK_MS;
    if (!node_lease_is_held(node->lease)) {
        logging_warning("node %s: its lease was taken away: signing on again", node->name);
        close(node->lease);
        node->lease = -1;
        return node_lease_take(node->options->lab, &description, &node->lease, why);
    }
    if (now < node->lease_due_ms)
        return CODE_OK;
    node->lease_due_ms = now + LEASE_MS;
    return node_lease_refresh(node->lease, &description, why);
}

static void step_runs(struct node *node)
{
    for (size_t i = 0; i < node->run_count;) {
        if (!active_run_step(node->runs[i].run)) {
            i++;
            continue;
        }
        logging_info("%s: over", active_run_path(node->runs[i].run));
        active_run_destroy(node->runs[i].run);
        node->gpus_taken &= ~node->runs[i].gpus;
        node->runs[i] = node->runs[--node->run_count];
        node->claim_due_ms = 0;
        node->lease_due_ms = node->lease_check_due_ms = 0; /* others see the room at once */
    }
}

static int wait_ms(const struct node *node, int stray_due_ms)
{
    int64_t now = timing_monotonic_ms(), due = POLL_MS_MAX;
    if (node->lease_check_due_ms - now < due)
        due = node->lease_check_due_ms - now;
    if (node->queue.count && !node->stopping && node->claim_due_ms - now < due)
        due = node->claim_due_ms - now;
    if (stray_due_ms >= 0 && stray_due_ms < due)
        due = stray_due_ms;
    for (size_t i = 0; i < node->run_count; i++) {
        int run_due = active_run_due_ms(node->runs[i].run);
        if (run_due >= 0 && run_due < due)
            due = run_due;
    }
    return due < 0 ? 0 : (int)due;
}

static enum code wait_and_hear(struct node *node, int stray_due_ms, struct failure *why)
{
    struct pollfd fds[1 + NODE_RUNS_MAX * ACTIVE_RUN_FDS] = {{.fd = node->stream.fd, .events = POLLIN}};
    for (size_t i = 0; i < node->run_count; i++)
        active_run_fill_poll(node->runs[i].run, &fds[1 + i * ACTIVE_RUN_FDS]);
    poll(fds, 1 + node->run_count * ACTIVE_RUN_FDS, wait_ms(node, stray_due_ms));
    return fds[0].revents ? job_stream_read(&node->stream, hear, node, why) : CODE_OK;
}

static void stop_runs(struct node *node)
{
    node->stopping = true;
    for (size_t i = 0; i < node->run_count; i++)
        active_run_stop(node->runs[i].run, STOP_NODE_ENDS);
}

static enum code live(struct node *node, struct failure *why)
{
    for (;;) {
        if (atomic_load(node->options->stop) && !node->stopping)
            stop_runs(node);
        if (node->stopping && node->run_count == 0)
            return CODE_OK;
        int stray_due_ms = stray_runs_settle(&node->strays, node->options->lab, node->name);
        enum code code = wait_and_hear(node, stray_due_ms, why);
        if (code != CODE_OK)
            return code;
        step_runs(node);
        if (!node->stopping && timing_monotonic_ms() >= node->claim_due_ms)
            code = claim_queued(node, why);
        if (code == CODE_OK && timing_monotonic_ms() >= node->lease_check_due_ms)
            code = keep_lease(node, why);
        if (code != CODE_OK)
            return code;
    }
}

/* Beginning and end ------------------------------------------------------------------------------------------------ */

static enum code choose_name(struct node *node, struct failure *why)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (node->options->name) {
        if (strlen(node->options->name) > NODE_NAME_MAX)
            return failure_set(why, CODE_INVALID, "a node's name has at most %d letters", NODE_NAME_MAX);
        strcpy(node->name, node->options->name);
    } else if (gethostname(node->name, sizeof node->name - 1) != 0) {
        strcpy(node->name, "node");
    }
    if (node->name[0] == 0 || node->name[0] == '.' || node->name[strspn(node->name, letters)] != 0)
        return failure_set(why, CODE_INVALID,
                           "\"%s\" cannot be a node's name (write letters, digits, '.', '_' or '-', not '.' first)",
                           node->name);
    return CODE_OK;
}

static void end(struct node *node)
{
    for (size_t i = 0; i < node->run_count; i++)
        active_run_destroy(node->runs[i].run);
    job_stream_close(&node->stream);
    run_queue_free(&node->queue);
    stray_runs_free(&node->strays);
    if (node->lease >= 0)
        close(node->lease);
    gpu_watch_close(node->gpus);
    free(node);
}

static void find_gpus(struct node *node)
{
    struct failure why;
    if (!node->options->finds_gpus)
        return;
    if (gpu_watch_open(NULL, getenv("CUDA_VISIBLE_DEVICES"), &node->gpus, &why) == CODE_OK) {
        node->has.gpus = (int)gpu_watch_count(node->gpus);
        return;
    }
    logging_info("%s", why.text);
    snprintf(node->devices, sizeof node->devices, "%.*s", (int)strcspn(why.text, "("), why.text);
}

enum code node_run(const struct node_options *options, struct failure *why)
{
    struct node *node = calloc(1, sizeof *node);
    if (!node)
        return failure_set(why, CODE_NO_MEMORY, "the node: out of memory");
    node->options = options;
    node->executor = options->executor ? *options->executor : exec_local();
    node->lease = node->stream.fd = -1;
    node->has = (struct node_resources){
        .cpus = options->cpus > 0 ? options->cpus : usable_cpus(),
        .memory_bytes = options->memory_bytes ? options->memory_bytes : machine_memory(),
    };
    find_gpus(node);
    enum code code = choose_name(node, why);
    struct node_description description = describe_node(node);
    if (code == CODE_OK)
        code = node_lease_take(options->lab, &description, &node->lease, why);
    if (code == CODE_OK)
        code = job_stream_open(&node->stream, options->lab, why);
    if (code == CODE_OK) {
        logging_info("node %s: ready, %d cores, %d GPUs", node->name, node->has.cpus, node->has.gpus);
        code = live(node, why);
    }
    end(node);
    return code;
}
