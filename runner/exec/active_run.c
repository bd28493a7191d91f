/* A claimed run: see active_run.h.
 *
 *              begin                    program ends              verdict is written
 *     (claim) -------> RUNS ------------------------> ENDED ----------------------> OVER
 *                        \--stop--> STOPPING --------/  ^
 *     begin fails: ENDED -------------------------------/
 *
 * 1. `started` is written once the program exists, and exactly one verdict after its end: finished, failed, cancelled or
 *    lost.  Only a run that was taken away (STOP_TAKEN_AWAY) gets none.
 * 2. All output is in the log before the verdict is in the events.
 * 3. A model is registered before `finished` names it.  An attempt that finds its run registered already (the node died
 *    between the two) does not run the program again, and only writes what is missing.
 * 4. A verdict that cannot be written is tried again until it is, or the lab is gone.
 *
 * The node's thread.
 */
#include "active_run.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "file.h"
#include "logging.h"
#include "model_register.h"
#include "run_environment.h"
#include "run_journal.h"
#include "run_log.h"
#include "run_state.h"
#include "scope.h"
#include "spec.h"
#include "timing.h"

#define EXIT_TO_BE_CONTINUED 75   /* EX_TEMPFAIL: stopped early, goes on from its checkpoint */
#define OUTPUT_WAIT_MS       2000 /* for the rest of the output behind the program's end */
#define RETRY_MS             1000
#define KILL_AGAIN_MS        2000

enum active_state { ACTIVE_RUNS, ACTIVE_STOPPING, ACTIVE_ENDED, ACTIVE_OVER };

enum verdict { VERDICT_NONE, VERDICT_FINISHED, VERDICT_FAILED, VERDICT_CANCELLED, VERDICT_LOST };

struct active_run {
    const struct executor *executor;
    char *lab, *path, *folder; /* folder: <lab>/<path> */
    struct node_resources resources;
    struct spec *spec; /* NULL where it cannot be read */

    int attempt; /* which claim this is; 0 where the events do not say */

    enum active_state state;
    enum stop_reason stop;
    struct execution *execution;
    struct run_log log;
    bool output_ended;
    int64_t kill_at_ms, out_of_time_at_ms; /* monotonic; 0: never */
    int64_t ended_at_ms;                   /* when the program was seen to have ended; 0: not yet */

    enum verdict verdict;
    char reason[FAILURE_TEXT_MAX];
    int64_t retry_at_ms;
};

enum code active_run_read_spec(const char *lab, const char *run, struct spec **out, struct failure *why)
{
    SCOPE_FREE char *path = NULL;
    SCOPE_BUFFER text = {0};
    struct spec_findings findings = {0};
    if (asprintf(&path, "%s/%s/spec.yaml", lab, run) < 0)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", run);
    enum code code = file_read(path, SPEC_BYTES_MAX, &text, why);
    if (code != CODE_OK)
        return code;
    return spec_parse(buffer_text(&text), text.length, "run", out, &findings, why);
}

static enum code write_event(const struct active_run *run, struct run_event event, struct failure *why)
{
    event.attempt = run->attempt;
    return run_journal_append(run->folder, event, why);
}

static void end_with(struct active_run *run, enum verdict verdict, const char *reason)
{
    run->state = ACTIVE_ENDED;
    run->verdict = verdict;
    snprintf(run->reason, sizeof run->reason, "%s", reason);
}

/* Beginning -------------------------------------------------------------------------------------------------------- */

/* The dataset's folder itself rather than the link to it, which some programs would not follow. */
static enum code find_dataset(const struct active_run *run, char dataset[PATH_MAX], struct failure *why)
{
    dataset[0] = 0;
    if (!run->spec->dataset[0])
        return CODE_OK;
    SCOPE_FREE char *link = file_join(run->folder, "dataset");
    if (!link)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", run->path);
    if (!realpath(link, dataset))
        return failure_set_errno(why, errno, "%s: the dataset cannot be found", run->spec->dataset);
    return CODE_OK;
}

static enum code start_program(struct active_run *run, const struct active_run_options *options, struct failure *why)
{
    char dataset[PATH_MAX];
    struct run_command command;
    enum code code = find_dataset(run, dataset, why);
    if (code == CODE_OK)
        code = run_log_open(&run->log, run->folder, why);
    if (code == CODE_OK)
        code = run_environment_make(&command, run->spec, options->program, run->folder, dataset,
                                    &(struct run_share){run->resources.cpus, options->visible_gpus}, why);
    if (code != CODE_OK)
        return code;
    command.command.hold = options->lease;
    code = run->executor->start(run->executor->context, &command.command, &run->execution, why);
    run_environment_free(&command);
    if (code != CODE_OK)
        return code;
    if (run->spec->time_s > 0)
        run->out_of_time_at_ms = timing_monotonic_ms() + run->spec->time_s * 1000;
    int value;
    struct pollfd news = {.fd = run->executor->news(run->execution), .events = POLLIN};
    poll(&news, 1, 1000); /* the process id comes at once */
    run->executor->look(run->execution, &value);
    return write_event(run, (struct run_event){.kind = RUN_EVENT_STARTED, .pid = run->executor->id(run->execution)}, why);
}

/* Whether an earlier attempt came as far as the model's version. */
static bool is_registered(const struct active_run *run)
{
    struct model_registration registration = {run->lab, run->path, run->spec->register_model};
    return run->spec->register_model[0] && model_register_done(&registration);
}

/* Which attempt this is: lines of events that give it cannot be taken for those of a later one.  0, which every reader takes
 * for the present one, where the events do not show the claim. */
static int find_attempt(const struct active_run *run, const char *node)
{
    struct run_summary summary;
    if (run_journal_read(run->folder, &summary, NULL) != CODE_OK || summary.state != RUN_CLAIMED ||
        strcmp(summary.node, node) != 0)
        return 0;
    return summary.attempt;
}

static void begin(struct active_run *run, const struct active_run_options *options)
{
    struct failure why;
    run->attempt = find_attempt(run, options->node);
    if (active_run_read_spec(run->lab, run->path, &run->spec, &why) != CODE_OK) {
        end_with(run, VERDICT_FAILED, why.text);
    } else if (is_registered(run)) {
        if (write_event(run, (struct run_event){.kind = RUN_EVENT_STARTED, .pid = getpid()}, &why) == CODE_OK)
            end_with(run, VERDICT_FINISHED, "");
        else
            end_with(run, VERDICT_LOST, why.text);
    } else if (start_program(run, options, &why) != CODE_OK) {
        if (run->execution)
            run->executor->send(run->execution, SIGKILL);
        end_with(run, VERDICT_FAILED, why.text);
    }
}

struct active_run *active_run_begin(const struct active_run_options *options)
{
    struct active_run *run = calloc(1, sizeof *run);
    if (!run)
        return NULL;
    *run = (struct active_run){
        .executor = options->executor,
        .lab = strdup(options->lab),
        .path = strdup(options->run),
        .folder = file_join(options->lab, options->run),
        .resources = options->resources,
        .log = {.fd = -1},
    };
    if (!run->lab || !run->path || !run->folder) {
        active_run_destroy(run);
        return NULL;
    }
    begin(run, options);
    return run;
}

const char *active_run_path(const struct active_run *run)
{
    return run->path;
}

struct node_resources active_run_resources(const struct active_run *run)
{
    return run->resources;
}

/* Stopping --------------------------------------------------------------------------------------------------------- */

void active_run_stop(struct active_run *run, enum stop_reason reason)
{
    if (run->state > ACTIVE_STOPPING || reason <= run->stop)
        return;
    run->stop = reason;
    if (reason == STOP_TAKEN_AWAY) {
        run->kill_at_ms = timing_monotonic_ms();
    } else if (run->state == ACTIVE_RUNS) {
        run->executor->send(run->execution, SIGTERM);
        run->kill_at_ms = timing_monotonic_ms() + ACTIVE_RUN_GRACE_MS;
    }
    run->state = ACTIVE_STOPPING;
}

static void keep_deadlines(struct active_run *run)
{
    int64_t now = timing_monotonic_ms();
    if (run->state == ACTIVE_RUNS && run->out_of_time_at_ms && now >= run->out_of_time_at_ms)
        active_run_stop(run, STOP_OUT_OF_TIME);
    if (run->kill_at_ms && now >= run->kill_at_ms) {
        run->executor->send(run->execution, SIGKILL);
        run->kill_at_ms = now + KILL_AGAIN_MS;
    }
}

/* The verdict ------------------------------------------------------------------------------------------------------ */

static void judge_exit(struct active_run *run, int status)
{
    if (status == 0) {
        end_with(run, VERDICT_FINISHED, "");
    } else if (status == EXIT_TO_BE_CONTINUED) {
        end_with(run, VERDICT_LOST, run->stop == STOP_NODE_ENDS ? "the node was stopped" : "the program stopped early");
    } else {
        const char *line = run_log_last_line(&run->log);
        char text[sizeof run->reason];
        snprintf(text, sizeof text, "the program ended with exit status %d%s%s", status, line[0] ? ": " : "", line);
        end_with(run, VERDICT_FAILED, text);
    }
}

static void judge_signal(struct active_run *run, int number)
{
    char text[100];
    const char *name = sigdescr_np(number);
    snprintf(text, sizeof text, "the program was killed by signal %d (%s)", number, name ? name : "unknown");
    end_with(run, VERDICT_LOST, run->stop == STOP_NODE_ENDS ? "the node was stopped" : text);
}

/* The limit as a spec writes it: 2h, 90m, 45s. */
static void describe_overrun(int64_t limit_s, char text[100])
{
    bool hours = limit_s % 3600 == 0, minutes = limit_s % 60 == 0;
    snprintf(text, 100, "ran longer than resources.time, %lld%s",
             (long long)(hours     ? limit_s / 3600
                         : minutes ? limit_s / 60
                                   : limit_s),
             hours     ? "h"
             : minutes ? "m"
                       : "s");
}

static void judge(struct active_run *run, enum exec_state how, int value)
{
    char text[100];
    if (run->stop == STOP_TAKEN_AWAY) {
        end_with(run, VERDICT_NONE, "");
    } else if (run->stop == STOP_CANCELLED) {
        end_with(run, VERDICT_CANCELLED, "");
    } else if (run->stop == STOP_OUT_OF_TIME) {
        describe_overrun(run->spec->time_s, text);
        end_with(run, VERDICT_FAILED, text);
    } else if (how == EXEC_EXITED) {
        judge_exit(run, value);
    } else if (how == EXEC_KILLED) {
        judge_signal(run, value);
    } else {
        end_with(run, VERDICT_LOST, "how the program ended is not known: its keeper was killed");
    }
}

static enum code write_finished(struct active_run *run, struct failure *why)
{
    char model[MODEL_PATH_MAX] = "";
    struct model_registration registration = {run->lab, run->path, run->spec->register_model};
    if (registration.model[0]) {
        enum code code = model_register(&registration, model, why);
        if (code != CODE_OK) {
            end_with(run, VERDICT_FAILED, why->text);
            return write_event(run, (struct run_event){.kind = RUN_EVENT_FAILED, .reason = run->reason}, why);
        }
    }
    return write_event(run, (struct run_event){.kind = RUN_EVENT_FINISHED, .model = model}, why);
}

static enum code write_verdict(struct active_run *run, struct failure *why)
{
    switch (run->verdict) {
    case VERDICT_FINISHED:
        return write_finished(run, why);
    case VERDICT_FAILED:
        return write_event(run, (struct run_event){.kind = RUN_EVENT_FAILED, .reason = run->reason}, why);
    case VERDICT_CANCELLED:
        return write_event(run, (struct run_event){.kind = RUN_EVENT_CANCELLED}, why);
    case VERDICT_LOST:
        return write_event(
            run, (struct run_event){.kind = RUN_EVENT_LOST, .reason = run->reason, .orderly = run->stop == STOP_NODE_ENDS},
            why);
    case VERDICT_NONE:
        break;
    }
    return CODE_OK;
}

static void settle(struct active_run *run)
{
    struct failure why;
    int64_t now = timing_monotonic_ms();
    if (now < run->retry_at_ms)
        return;
    if (write_verdict(run, &why) == CODE_OK) {
        run->state = ACTIVE_OVER;
        return;
    }
    logging_warning("%s: its end cannot be recorded: %s: trying again", run->path, why.text);
    run->retry_at_ms = now + RETRY_MS;
}

/* Moving on -------------------------------------------------------------------------------------------------------- */

static void follow_program(struct active_run *run)
{
    struct failure why;
    int value = 0;
    /* A log that cannot be written is no reason to lose hours of training. */
    if (!run->output_ended &&
        run_log_take(&run->log, run->executor->output(run->execution), &run->output_ended, &why) != CODE_OK)
        logging_warning("%s: %s", run->path, why.text);
    enum exec_state how = run->executor->look(run->execution, &value);
    if (how != EXEC_RUNS && run->ended_at_ms == 0)
        run->ended_at_ms = timing_monotonic_ms();
    bool ended = run->ended_at_ms && (run->output_ended || timing_monotonic_ms() >= run->ended_at_ms + OUTPUT_WAIT_MS);
    if (run_log_flush(&run->log, ended, &why) != CODE_OK)
        logging_warning("%s: %s", run->path, why.text);
    if (ended)
        judge(run, how, value);
    else
        keep_deadlines(run);
}

bool active_run_step(struct active_run *run)
{
    if (run->state <= ACTIVE_STOPPING)
        follow_program(run);
    if (run->state == ACTIVE_ENDED)
        settle(run);
    return run->state == ACTIVE_OVER;
}

void active_run_fill_poll(const struct active_run *run, struct pollfd fds[ACTIVE_RUN_FDS])
{
    fds[0] = fds[1] = (struct pollfd){.fd = -1};
    if (run->state > ACTIVE_STOPPING)
        return;
    if (!run->output_ended)
        fds[0] = (struct pollfd){.fd = run->executor->output(run->execution), .events = POLLIN};
    if (!run->ended_at_ms)
        fds[1] = (struct pollfd){.fd = run->executor->news(run->execution), .events = POLLIN};
}

static int sooner(int due, int64_t at_ms)
{
    if (at_ms == 0)
        return due;
    int64_t left = at_ms - timing_monotonic_ms();
    left = left < 0 ? 0 : left > INT_MAX ? INT_MAX : left;
    return due < 0 || left < due ? (int)left : due;
}

int active_run_due_ms(const struct active_run *run)
{
    if (run->state == ACTIVE_OVER)
        return 0;
    if (run->state == ACTIVE_ENDED)
        return sooner(-1, run->retry_at_ms ? run->retry_at_ms : timing_monotonic_ms());
    int due = run_log_due_ms(&run->log);
    due = sooner(due, run->kill_at_ms);
    due = sooner(due, run->out_of_time_at_ms);
    return run->ended_at_ms ? sooner(due, run->ended_at_ms + OUTPUT_WAIT_MS) : due;
}

void active_run_destroy(struct active_run *run)
{
    if (!run)
        return;
    if (run->execution)
        run->executor->destroy(run->execution);
    run_log_close(&run->log);
    spec_destroy(run->spec);
    free(run->lab);
    free(run->path);
    free(run->folder);
    free(run);
}
