/* Workers that take turns at listening: a queue in the place of the kernel, and messages that wait for one another. */
#include <string.h>
#include <time.h>

#include "scope.h"
#include "session_listeners.h"
#include "testing.h"

#define WORKERS 8
#define MOST    2

enum message { MESSAGE_SHORT, MESSAGE_WAITS, MESSAGE_LONG_WAITS };

struct scene {
    struct session_listeners listeners;
    pthread_t threads[WORKERS];
    struct worker {
        struct scene *scene;
        int number;
    } workers[WORKERS];

    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum message queue[64];
    int queued, taken, done;
    bool ended, opened; /* the queue's end; what messages wait for */
};

static bool receive(struct scene *scene, enum message *out)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&scene->lock);
    while (scene->taken == scene->queued && !scene->ended)
        pthread_cond_wait(&scene->changed, &scene->lock);
    if (scene->taken == scene->queued)
        return false;
    *out = scene->queue[scene->taken++];
    pthread_cond_broadcast(&scene->changed);
    return true;
}

static void carry_out(struct scene *scene, enum message message)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&scene->lock);
    while (message != MESSAGE_SHORT && !scene->opened)
        pthread_cond_wait(&scene->changed, &scene->lock);
    scene->done++;
    pthread_cond_broadcast(&scene->changed);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct scene *scene = worker->scene;
    bool is_long = false;
    session_listeners_enter(&scene->listeners);
    for (enum message message;;) {
        session_listeners_listen(&scene->listeners, worker->number, is_long);
        if (!receive(scene, &message))
            break;
        is_long = message == MESSAGE_LONG_WAITS;
        session_listeners_work(&scene->listeners, worker->number, is_long);
        carry_out(scene, message);
    }
    session_listeners_deafen(&scene->listeners);
    session_listeners_leave(&scene->listeners);
    session_listeners_release(&scene->listeners);
    return NULL;
}

static void post(struct scene *scene, enum message message)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&scene->lock);
    scene->queue[scene->queued++] = message;
    pthread_cond_broadcast(&scene->changed);
}

/* For ever, where it does not come to pass: whoever runs the tests ends them then. */
static void wait_until_taken(struct scene *scene, int count)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&scene->lock);
    while (scene->taken < count)
        pthread_cond_wait(&scene->changed, &scene->lock);
}

static void wait_until_done(struct scene *scene, int count)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&scene->lock);
    while (scene->done < count)
        pthread_cond_wait(&scene->changed, &scene->lock);
}

static void open_gate(struct scene *scene)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&scene->lock);
    scene->opened = true;
    pthread_cond_broadcast(&scene->changed);
}

static int count_parked(struct scene *scene)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&scene->listeners.lock);
    return scene->listeners.parked;
}

static void wait_until_parked(struct scene *scene, int count)
{
    while (count_parked(scene) < count)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static int begin(void **state)
{
    static struct scene scene;
    struct failure why;
    memset(&scene, 0, sizeof scene);
    pthread_mutex_init(&scene.lock, NULL);
    pthread_cond_init(&scene.changed, NULL);
    session_listeners_init(&scene.listeners, MOST);
    assert_code_ok(session_listeners_start(&scene.listeners, WORKERS, &why), why);
    for (int i = 0; i < WORKERS; i++) {
        scene.workers[i] = (struct worker){&scene, i};
        assert_int_equal(pthread_create(&scene.threads[i], NULL, work, &scene.workers[i]), 0);
    }
    *state = &scene;
    return 0;
}

static int end(void **state)
{
    struct scene *scene = *state;
    open_gate(scene);
    pthread_mutex_lock(&scene->lock);
    scene->ended = true;
    pthread_cond_broadcast(&scene->changed);
    pthread_mutex_unlock(&scene->lock);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(scene->threads[i], NULL);
    session_listeners_stop(&scene->listeners);
    assert_int_equal(scene->listeners.parked, 0);
    assert_int_equal(scene->listeners.active, 0);
    assert_int_equal(atomic_load(&scene->listeners.listening), 0);
    session_listeners_destroy(&scene->listeners);
    pthread_mutex_destroy(&scene->lock);
    pthread_cond_destroy(&scene->changed);
    return 0;
}

static void only_a_few_listen_where_nothing_is_to_be_done(void **state)
{
    struct scene *scene = *state;
    wait_until_parked(scene, WORKERS - MOST);
    assert_in_range(atomic_load(&scene->listeners.listening), 0, MOST);
    assert_int_equal(scene->listeners.active, MOST);
}

static void others_are_called_where_those_that_listened_are_busy_for_long(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < WORKERS - 1; i++)
        post(scene, MESSAGE_WAITS);
    wait_until_taken(scene, WORKERS - 1); /* so 5 more than may listen have been called */
    post(scene, MESSAGE_SHORT);
    wait_until_done(scene, 1);
    open_gate(scene);
    wait_until_done(scene, WORKERS);
}

static void a_message_that_takes_long_leaves_somebody_listening(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < WORKERS; i++)
        post(scene, MESSAGE_LONG_WAITS);
    wait_until_taken(scene, WORKERS);
    open_gate(scene);
    wait_until_done(scene, WORKERS);
}

static void who_was_called_parks_again_when_work_is_short(void **state)
{
    struct scene *scene = *state;
    others_are_called_where_those_that_listened_are_busy_for_long(state);
    wait_until_parked(scene, WORKERS - MOST);
    for (int i = 0; i < 20; i++)
        post(scene, MESSAGE_SHORT);
    wait_until_done(scene, WORKERS + 20);
    wait_until_parked(scene, WORKERS - MOST);
}

int main(void)
{
#define listeners_test(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        listeners_test(only_a_few_listen_where_nothing_is_to_be_done),
        listeners_test(others_are_called_where_those_that_listened_are_busy_for_long),
        listeners_test(a_message_that_takes_long_leaves_somebody_listening),
        listeners_test(who_was_called_parks_again_when_work_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
