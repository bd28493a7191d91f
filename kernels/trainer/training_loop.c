/* The loop over optimiser steps: see training.h.
 *
 * A step is: take the batch that the prefetch thread made, forward, backward, update.  A device with a memory of its own has
 * STEPS_AHEAD of them begun, and their losses come that much later; before the weights are looked at or written it is let
 * run dry.  Between steps, on the clock: metrics and progress about once a second, a checkpoint when one is due.  The clock
 * decides only when things are written, never what the weights become.
 */
#include "training.h"

#include <math.h>

#include "augment.h"
#include "checkpoint.h"
#include "device.h"
#include "prefetch.h"
#include "schedule.h"
#include "timing.h"

#define METRIC_POINTS      500 /* about so many lines per training metric */
#define PROGRESS_MS        1000
#define LINE_MS            15000
#define DIVERGED_STEPS_MAX 20 /* in a row without a finite loss */
#define STEPS_AHEAD        2  /* computing and queued, on a device that has a queue */

static const float gradient_norm_max = 10;

/* Sums since the last metric line. */
struct tally {
    struct network_loss loss;
    double gradient_norm;
    int64_t steps, began_ns;
};

struct loop {
    struct training *training;
    struct prefetch *prefetch;
    struct network_queue *queue;      /* NULL: steps are taken one at a time */
    struct resident_images *resident; /* with queue */
    int64_t queued;                   /* the last step that was begun; training->step is the last that is over */
    bool is_draining;                 /* none is begun until all are over */
    struct tally tally;
    double recent_loss, steps_per_second;
    int64_t began_step, began_ns, looking_ns; /* looking_ns: spent on validation images, not on training */
    int64_t progress_ms, line_ms, checkpoint_ms;
    int diverged_steps;
    bool said_manner;
};

/* How many looks are due in (after, step].  They lie evenly before the last step. */
static int64_t looks_between(const struct training *training, int64_t after, int64_t step)
{
    int64_t total = training->plan.steps, looks = training->plan.validations, count = 0;
    for (int64_t k = 1; k <= looks; k++) {
        int64_t at = total * k / (looks + 1);
        count += at > after && at <= step;
    }
    return count;
}

static struct network_update update_of(const struct training *training, int64_t step)
{
    return (struct network_update){
        .lr = schedule_lr(step, training->plan.steps, training->plan.lr),
        .weight_decay = (float)training->plan.weight_decay,
        .clip_norm = gradient_norm_max,
        .ema_decay = schedule_ema_decay(step),
        .step = step,
    };
}

/* Forward, backward, update, each waited for. */
static enum code take_step_at_once(struct loop *loop, struct network_loss *loss, float *gradient_norm, struct failure *why)
{
    struct training *training = loop->training;
    const struct batch *batch;
    enum code code = prefetch_next(loop->prefetch, &batch, why);
    if (code == CODE_OK)
        code = network_forward(training->network, batch->input, why);
    if (code != CODE_OK)
        return code;
    struct network_targets targets = {batch->heat, batch->box, batch->box_weight, batch->rays, batch->ray_weight};
    code = network_backward(training->network, &targets, loss, why);
    if (code != CODE_OK)
        return code;
    struct network_update update = update_of(training, batch->step);
    network_apply(training->network, &update, gradient_norm);
    loop->queued = batch->step;
    return CODE_OK;
}

/* The last step that may be queued now: weights must be looked at as they are after some steps, and not after the next. */
static int64_t queue_end(const struct loop *loop)
{
    const struct training *training = loop->training;
    int64_t end = training->step + STEPS_AHEAD;
    if (loop->is_draining)
        end = loop->queued;
    for (int64_t step = training->step + 1; step < end; step++)
        if (looks_between(training, step - 1, step) > 0)
            end = step;
    return end < training->plan.steps ? end : training->plan.steps;
}

/* Queues steps ahead, and waits for the oldest. */
static enum code take_step_from_queue(struct loop *loop, struct network_loss *loss, float *gradient_norm,
                                      struct failure *why)
{
    struct training *training = loop->training;
    while (loop->queued < queue_end(loop)) {
        const struct batch *batch;
        enum code code = prefetch_next(loop->prefetch, &batch, why);
        if (code != CODE_OK)
            return code;
        struct network_update update = update_of(training, batch->step);
        network_queue_step(loop->queue, prefetch_slot(loop->prefetch, batch->step), &update);
        loop->queued = batch->step;
    }
    return network_queue_wait(loop->queue, prefetch_slot(loop->prefetch, training->step + 1), loss, gradient_norm, why);
}

static enum code take_step(struct loop *loop, struct network_loss *loss, float *gradient_norm, struct failure *why)
{
    enum code code = loop->queue ? take_step_from_queue(loop, loss, gradient_norm, why)
                                 : take_step_at_once(loop, loss, gradient_norm, why);
    if (code == CODE_OK)
        loop->training->step++;
    return code;
}

static enum code check_loss(struct loop *loop, const struct network_loss *loss, struct failure *why)
{
    loop->diverged_steps = isfinite(loss->total) ? 0 : loop->diverged_steps + 1;
    if (loop->diverged_steps < DIVERGED_STEPS_MAX)
        return CODE_OK;
    return failure_set(why, CODE_INVALID, "training: the loss is not a number since step %lld: use a smaller lr than %g",
                       (long long)(loop->training->step - DIVERGED_STEPS_MAX + 1), loop->training->plan.lr);
}

static void record_tally(struct loop *loop)
{
    struct training *training = loop->training;
    struct tally *tally = &loop->tally;
    int64_t now = timing_monotonic_ns(), step = training->step;
    double steps = (double)tally->steps, seconds = (double)(now - tally->began_ns) / 1e9;
    run_files_metric(training->files, "train/loss", tally->loss.total / steps, step);
    run_files_metric(training->files, "train/loss_heat", tally->loss.heat / steps, step);
    run_files_metric(training->files, "train/loss_box", tally->loss.box / steps, step);
    if (training->plan.architecture.rays > 0)
        run_files_metric(training->files, "train/loss_rays", tally->loss.rays / steps, step);
    run_files_metric(training->files, "train/gradient_norm", tally->gradient_norm / steps, step);
    run_files_metric(training->files, "train/lr", schedule_lr(step, training->plan.steps, training->plan.lr), step);
    run_files_metric(training->files, "train/images_per_second", steps * training->plan.batch / seconds, step);
    loop->recent_loss = tally->loss.total / steps;
    *tally = (struct tally){.began_ns = now};
}

static void add_to_tally(struct loop *loop, const struct network_loss *loss, float gradient_norm)
{
    struct tally *tally = &loop->tally;
    int64_t total = loop->training->plan.steps, interval = total / METRIC_POINTS > 1 ? total / METRIC_POINTS : 1;
    tally->loss.total += loss->total;
    tally->loss.heat += loss->heat;
    tally->loss.box += loss->box;
    tally->loss.rays += loss->rays;
    tally->gradient_norm += gradient_norm;
    tally->steps++;
    if (loop->training->step % interval == 0 || loop->training->step == total)
        record_tally(loop);
}

static enum code show_progress(struct loop *loop, struct failure *why)
{
    struct training *training = loop->training;
    const struct trainer_options *options = training->options;
    int64_t now = timing_monotonic_ms(), done = training->step, total = training->plan.steps;
    if (now - loop->progress_ms < PROGRESS_MS && done < total)
        return CODE_OK;
    loop->progress_ms = now;
    double seconds = (double)(timing_monotonic_ns() - loop->began_ns - loop->looking_ns) / 1e9;
    loop->steps_per_second = seconds > 0 ? (double)(done - loop->began_step) / seconds : 0;
    if (options->on_progress)
        options->on_progress(options->context, done, total, loop->steps_per_second, loop->recent_loss);
    if (now - loop->line_ms >= LINE_MS || done == total) {
        loop->line_ms = now;
        training_say(training, "step %lld of %lld: loss %.4f, %.1f images/s", (long long)done, (long long)total,
                     loop->recent_loss, loop->steps_per_second * training->plan.batch);
    }
    enum code code = run_files_progress(training->files, done, total, loop->steps_per_second, why);
    return code == CODE_OK ? run_files_flush(training->files, false, why) : code;
}

static enum code write_checkpoint(struct loop *loop, struct failure *why)
{
    struct training *training = loop->training;
    loop->checkpoint_ms = timing_monotonic_ms();
    enum code code = run_files_flush(training->files, true, why);
    if (code != CODE_OK)
        return code;
    return checkpoint_write(training->checkpoint_path, training->network,
                            &(struct checkpoint){training->plan.digest, training->step, training->best}, why);
}

/* A long training keeps fewer checkpoints, since each is written whole; what a crash can cost stays about 3 %
 * of the time spent. */
static bool is_checkpoint_due(const struct loop *loop)
{
    int64_t now_ms = timing_monotonic_ms(), interval_ms = loop->training->options->checkpoint_interval_ms;
    int64_t spent_ms = now_ms - loop->began_ns / 1000000;
    if (interval_ms > 0 && interval_ms < spent_ms / 30)
        interval_ms = spent_ms / 30;
    return now_ms - loop->checkpoint_ms >= interval_ms;
}

static enum code checkpoint_when_due(struct loop *loop, struct failure *why)
{
    struct training *training = loop->training;
    bool is_last = training->step == training->plan.steps || training->ended_early,
         is_stopped = training_is_stopped(training);
    loop->is_draining = loop->is_draining || is_stopped || is_checkpoint_due(loop);
    if (loop->queued > training->step)
        return CODE_OK; /* the weights are those of a step to come */
    if (is_last || loop->is_draining) {
        loop->is_draining = false;
        enum code code = write_checkpoint(loop, why);
        if (code != CODE_OK)
            return code;
    }
    if (is_stopped && !is_last)
        return failure_set(why, CODE_INTERRUPTED,
                           "training: stopped at step %lld of %lld; a checkpoint is kept: the same command goes on",
                           (long long)training->step, (long long)training->plan.steps);
    return CODE_OK;
}

/* Early stopping.  That the looks are where they are makes a resumed training end at the same step. */
static void end_early_when_due(struct training *training)
{
    int patience = training->plan.patience;
    if (patience == 0 || looks_between(training, training->best.step, training->step) < patience)
        return;
    training->ended_early = true;
    training_say(training, "no better since step %lld: ended early at step %lld of %lld", (long long)training->best.step,
                 (long long)training->step, (long long)training->plan.steps);
}

static enum code look_when_due(struct loop *loop, struct failure *why)
{
    struct training *training = loop->training;
    if (looks_between(training, training->step - 1, training->step) == 0 || training->step == training->plan.steps)
        return CODE_OK;
    int64_t began_ns = timing_monotonic_ns();
    double ap50;
    enum code code = training_outputs_look(training, &ap50, why);
    if (code == CODE_OK && isfinite(ap50)) {
        training_say(training, "step %lld: validation AP50 %.3f", (long long)training->step, ap50);
        if (training->best.step == 0 || ap50 > training->best.ap50)
            code = training_outputs_keep(training, ap50, why);
        end_early_when_due(training);
    }
    int64_t took_ns = timing_monotonic_ns() - began_ns;
    loop->looking_ns += took_ns;
    loop->tally.began_ns += took_ns;
    return code;
}

/* A look that was due at the checkpoint's step may have been cut short, or be in the checkpoint already: asked again, it
 * says the same. */
static enum code look_again(struct loop *loop, struct failure *why)
{
    struct training *training = loop->training;
    if (training->step == 0)
        return CODE_OK;
    enum code code = run_files_rewind(training->files, "val", training->step - 1, why);
    return code == CODE_OK ? look_when_due(loop, why) : code;
}

static void say_manner(struct loop *loop)
{
    const char *manner = loop->queue ? network_queue_manner(loop->queue) : "";
    if (!loop->said_manner && *manner) {
        loop->said_manner = true;
        training_say(loop->training, "%s", manner);
    }
}

static enum code run_steps(struct loop *loop, struct failure *why)
{
    struct training *training = loop->training;
    while (training->step < training->plan.steps && !training->ended_early) {
        struct network_loss loss;
        float gradient_norm;
        enum code code = take_step(loop, &loss, &gradient_norm, why);
        if (code == CODE_OK)
            code = check_loss(loop, &loss, why);
        if (code != CODE_OK)
            return code;
        add_to_tally(loop, &loss, gradient_norm);
        say_manner(loop);
        code = show_progress(loop, why);
        if (code == CODE_OK)
            code = look_when_due(loop, why);
        if (code == CODE_OK)
            code = checkpoint_when_due(loop, why);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

/* Steps ahead of the host, where the device has a memory of its own: as many images as fit into half of what is free go
 * there now. */
static enum code open_queue(struct loop *loop, struct failure *why)
{
    struct training *training = loop->training;
    if (!network_queue_is_supported(training->network))
        return CODE_OK;
    int channels = training->plan.architecture.input_channels;
    const struct device_queue_operations *operations = training->device->operations->queue;
    enum code code = network_queue_create(training->network, augment_window_samples_max(training->plan.side, channels),
                                          &loop->queue, why);
    if (code != CODE_OK)
        return code;
    const struct resident_images_request request = {.indices = training->indices,
                                                    .count = training->index_count,
                                                    .image_count = training->dataset->image_count,
                                                    .bytes_max = operations->memory_free(training->device) / 2};
    code = resident_images_create(training->device, training->store, &request, &loop->resident, why);
    if (code != CODE_OK)
        return code;
    size_t kept = resident_images_count(loop->resident);
    training_say(training, "the GPU keeps %zu of %zu training images in its memory (%zu MB), with %zu MB for steps ahead%s",
                 kept, request.count, resident_images_bytes(loop->resident) >> 20, network_queue_bytes(loop->queue) >> 20,
                 kept < request.count ? "; of the others it is sent what crops need" : "");
    return CODE_OK;
}

static void close_queue(struct loop *loop)
{
    network_queue_destroy(loop->queue);
    resident_images_destroy(loop->resident);
}

enum code training_loop_run(struct training *training, struct failure *why)
{
    if (training->step >= training->plan.steps)
        return CODE_OK;
    struct loop loop = {.training = training, .queued = training->step};
    enum code code = open_queue(&loop, why);
    if (code != CODE_OK) {
        close_queue(&loop);
        return code;
    }
    int64_t now_ms = timing_monotonic_ms(), now_ns = timing_monotonic_ns();
    loop.tally.began_ns = loop.began_ns = now_ns;
    loop.began_step = training->step;
    loop.line_ms = loop.checkpoint_ms = now_ms;
    struct batch_source source = {
        .dataset = training->dataset,
        .store = training->store,
        .sampler = training->sampler,
        .seed = training->plan.seed,
        .shape = {training->plan.batch, training->plan.side, training->plan.architecture.input_channels,
                  training->plan.architecture.classes, training->plan.architecture.rays},
        .queue = loop.queue,
        .resident = loop.resident,
    };
    code = prefetch_create(&source, training->step + 1, training->plan.steps, &loop.prefetch, why);
    if (code == CODE_OK)
        code = look_again(&loop, why);
    if (code == CODE_OK)
        code = run_steps(&loop, why);
    prefetch_destroy(loop.prefetch);
    close_queue(&loop);
    training->report->training_seconds = (double)(timing_monotonic_ns() - loop.began_ns - loop.looking_ns) / 1e9;
    return code;
}
