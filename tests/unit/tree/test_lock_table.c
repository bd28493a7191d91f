/* The lock table against a model that knows, for each byte, who has it in which mode; and with threads that wait. */
#include "testing.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lock_table.h"
#include "random.h"
#include "scope.h"

#define BYTES  24
#define OWNERS 4
#define STEPS  20000

static const char *const clients[2] = {"one mount", "another"};

/* Owners 0 and 2 are of one client, 1 and 3 of the other. */
static struct lock_request request_of(int owner, enum lock_mode mode, uint64_t first, uint64_t last)
{
    return (struct lock_request){.node = 7,
                                 .kind = LOCK_OF_RANGE,
                                 .mode = mode,
                                 .first = first,
                                 .last = last,
                                 .owner = {clients[owner % 2], (uint64_t)owner / 2},
                                 .handle = (uint64_t)owner};
}

static struct lock_table *make(void)
{
    struct failure why;
    struct lock_table *table;
    assert_code_ok(lock_table_create(&table, &why), why);
    return table;
}

/* The model: what each owner has of each byte. */
struct model {
    enum lock_mode modes[OWNERS][BYTES];
};

static bool model_allows(const struct model *model, int owner, enum lock_mode mode, uint64_t first, uint64_t last)
{
    for (int other = 0; other < OWNERS; other++)
        for (uint64_t at = first; at <= last && other != owner && mode != LOCK_MODE_NONE; at++)
            if (model->modes[other][at] == LOCK_MODE_EXCLUSIVE ||
                (model->modes[other][at] == LOCK_MODE_SHARED && mode == LOCK_MODE_EXCLUSIVE))
                return false;
    return true;
}

/* The fewest locks that can describe the model. */
static size_t model_count(const struct model *model)
{
    size_t count = 0;
    for (int owner = 0; owner < OWNERS; owner++)
        for (int at = 0; at < BYTES; at++) {
            enum lock_mode here = model->modes[owner][at];
            count += here != LOCK_MODE_NONE && (at == 0 || model->modes[owner][at - 1] != here);
        }
    return count;
}

static void compare_every_byte(struct lock_table *table, const struct model *model)
{
    for (int owner = 0; owner < OWNERS; owner++)
        for (uint64_t at = 0; at < BYTES; at++)
            for (enum lock_mode mode = LOCK_MODE_SHARED; mode <= LOCK_MODE_EXCLUSIVE; mode++) {
                struct lock_request held, asked = request_of(owner, mode, at, at);
                assert_int_equal(!lock_table_find_conflict(table, &asked, &held), model_allows(model, owner, mode, at, at));
            }
    assert_int_equal(lock_table_count(table), model_count(model));
}

static void ranges_are_held_byte_by_byte_as_in_the_model(void **state)
{
    (void)state;
    struct lock_table *table = make();
    struct model model = {.modes = {{LOCK_MODE_NONE}}};
    struct random random = {.state = 3};
    int refused = 0;
    for (int step = 0; step < STEPS; step++) {
        int owner = (int)random_below(&random, OWNERS);
        enum lock_mode mode = (enum lock_mode)random_below(&random, 3);
        uint64_t first = random_below(&random, BYTES), last = first + random_below(&random, (uint32_t)(BYTES - first));
        struct lock_request request = request_of(owner, mode, first, last);
        if (random_below(&random, 50) == 0) {
            if (random_below(&random, 2))
                lock_table_release_owner(table, request.node, request.owner);
            else
                lock_table_release_handle(table, request.node, request.owner.client, request.handle);
            memset(model.modes[owner], 0, sizeof model.modes[owner]);
            continue;
        }
        bool allowed = model_allows(&model, owner, mode, first, last);
        assert_int_equal(lock_table_set(table, &request, NULL, NULL), allowed ? CODE_OK : CODE_AGAIN);
        refused += !allowed;
        for (uint64_t at = first; at <= last && allowed; at++)
            model.modes[owner][at] = mode;
        if (step % 20 == 0)
            compare_every_byte(table, &model);
    }
    assert_true(refused > STEPS / 10);
    lock_table_release_client(table, clients[0]);
    lock_table_release_client(table, clients[1]);
    assert_int_equal(lock_table_count(table), 0);
    lock_table_destroy(table);
}

/* A waiter that remembers how it was answered. */
struct noted {
    struct lock_waiter waiter;
    int answers;
    enum code code;
};

static void note_answer(struct lock_waiter *waiter, enum code code)
{
    struct noted *noted = (struct noted *)waiter;
    noted->answers++;
    noted->code = code;
}

static void expect_waiting(struct lock_table *table, int owner, enum lock_mode mode, uint64_t first, uint64_t last,
                           struct noted *noted)
{
    struct lock_request request = request_of(owner, mode, first, last);
    *noted = (struct noted){.waiter = {.answer = note_answer}};
    assert_int_equal(lock_table_set(table, &request, &noted->waiter, NULL), CODE_AGAIN);
    assert_int_equal(noted->answers, 0);
}

static void take(struct lock_table *table, int owner, enum lock_mode mode, uint64_t first, uint64_t last)
{
    struct failure why;
    struct lock_request request = request_of(owner, mode, first, last);
    assert_code_ok(lock_table_set(table, &request, NULL, &why), why);
}

static void who_waits_is_answered_once_when_the_way_is_free(void **state)
{
    (void)state;
    struct lock_table *table = make();
    struct noted writer, reader, behind;
    take(table, 0, LOCK_MODE_EXCLUSIVE, 0, 9);
    expect_waiting(table, 1, LOCK_MODE_EXCLUSIVE, 5, 14, &writer);
    expect_waiting(table, 2, LOCK_MODE_SHARED, 0, 2, &reader);
    expect_waiting(table, 3, LOCK_MODE_SHARED, 9, 9, &behind);
    take(table, 0, LOCK_MODE_NONE, 0, 4); /* half of it: enough for the reader */
    assert_int_equal(reader.answers, 1);
    assert_int_equal(writer.answers + behind.answers, 0);
    take(table, 0, LOCK_MODE_SHARED, 5, 9); /* weaker: enough for one who reads */
    assert_int_equal(behind.answers, 1);
    take(table, 0, LOCK_MODE_NONE, 0, UINT64_MAX);
    assert_int_equal(writer.answers, 0);
    lock_table_release_owner(table, 7, behind.waiter.request.owner);
    assert_int_equal(writer.answers, 1);
    assert_int_equal(writer.code, CODE_OK);
    assert_int_equal(reader.answers + behind.answers, 2);
    lock_table_destroy(table);
}

static void a_cancelled_waiter_is_not_answered_and_leaves_nothing_behind(void **state)
{
    (void)state;
    struct lock_table *table = make();
    struct noted first, second;
    take(table, 0, LOCK_MODE_EXCLUSIVE, 0, 9);
    expect_waiting(table, 1, LOCK_MODE_EXCLUSIVE, 0, 0, &first);
    expect_waiting(table, 2, LOCK_MODE_EXCLUSIVE, 0, 0, &second);
    assert_true(lock_table_cancel(table, &first.waiter));
    assert_false(lock_table_cancel(table, &first.waiter));
    take(table, 0, LOCK_MODE_NONE, 0, 9);
    assert_int_equal(first.answers, 0);
    assert_int_equal(second.answers, 1);
    assert_false(lock_table_cancel(table, &second.waiter));

    /* Cancelled before it could wait. */
    struct lock_request late = request_of(1, LOCK_MODE_EXCLUSIVE, 0, 0);
    first = (struct noted){.waiter = {.answer = note_answer}};
    assert_false(lock_table_cancel(table, &first.waiter));
    assert_int_equal(lock_table_set(table, &late, &first.waiter, NULL), CODE_INTERRUPTED);
    lock_table_destroy(table);
}

static void a_circle_of_waiters_is_refused_however_long_it_is(void **state)
{
    (void)state;
    struct lock_table *table = make();
    struct noted waiting[OWNERS];
    for (int owner = 0; owner < OWNERS; owner++)
        take(table, owner, LOCK_MODE_EXCLUSIVE, (uint64_t)owner, (uint64_t)owner);
    for (int owner = 0; owner + 1 < OWNERS; owner++)
        expect_waiting(table, owner, LOCK_MODE_SHARED, (uint64_t)owner + 1, (uint64_t)owner + 1, &waiting[owner]);
    struct lock_request closing = request_of(OWNERS - 1, LOCK_MODE_SHARED, 0, 0);
    struct noted refused = {.waiter = {.answer = note_answer}};
    assert_int_equal(lock_table_set(table, &closing, &refused.waiter, NULL), CODE_DEADLOCK);
    take(table, OWNERS - 1, LOCK_MODE_NONE, OWNERS - 1, OWNERS - 1); /* whoever was refused can let go: all go on */
    assert_int_equal(waiting[OWNERS - 2].answers, 1);
    for (int owner = 0; owner + 2 < OWNERS; owner++)
        assert_true(lock_table_cancel(table, &waiting[owner].waiter));
    lock_table_destroy(table);
}

static void both_kinds_of_locks_do_not_see_each_other(void **state)
{
    (void)state;
    struct lock_table *table = make();
    take(table, 0, LOCK_MODE_EXCLUSIVE, 0, UINT64_MAX);
    struct lock_request whole = request_of(1, LOCK_MODE_EXCLUSIVE, 0, UINT64_MAX);
    whole.kind = LOCK_OF_FILE;
    assert_int_equal(lock_table_set(table, &whole, NULL, NULL), CODE_OK);
    whole.owner = request_of(2, LOCK_MODE_SHARED, 0, 0).owner;
    assert_int_equal(lock_table_set(table, &whole, NULL, NULL), CODE_AGAIN);
    lock_table_destroy(table);
}

/* Threads that wait for real, some of which lose patience. */
struct patient {
    struct lock_waiter waiter;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool answered;
};

struct shared_counter {
    struct lock_table *table;
    int value; /* guarded by nothing but the locks in the table */
};

struct counting {
    struct shared_counter *shared;
    int owner, counted;
};

static void on_patient_answer(struct lock_waiter *waiter, enum code code)
{
    struct patient *patient = (struct patient *)waiter;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&patient->mutex);
    patient->answered = code == CODE_OK;
    pthread_cond_signal(&patient->changed);
}

static bool wait_for_lock(struct lock_table *table, const struct lock_request *request, bool give_up)
{
    struct patient patient = {.waiter = {.answer = on_patient_answer}};
    pthread_mutex_init(&patient.mutex, NULL);
    pthread_cond_init(&patient.changed, NULL);
    enum code code = lock_table_set(table, request, &patient.waiter, NULL);
    bool cancelled = code == CODE_AGAIN && give_up && lock_table_cancel(table, &patient.waiter);
    pthread_mutex_lock(&patient.mutex);
    while (code == CODE_AGAIN && !cancelled && !patient.answered)
        pthread_cond_wait(&patient.changed, &patient.mutex);
    pthread_mutex_unlock(&patient.mutex);
    pthread_cond_destroy(&patient.changed);
    pthread_mutex_destroy(&patient.mutex);
    return !cancelled;
}

static void *count_under_the_lock(void *argument)
{
    struct counting *counting = argument;
    struct random random = {.state = (uint64_t)counting->owner + 1};
    for (int i = 0; i < 2000; i++) {
        struct lock_request request = request_of(counting->owner, LOCK_MODE_EXCLUSIVE, 0, 5);
        if (!wait_for_lock(counting->shared->table, &request, random_below(&random, 4) == 0))
            continue;
        counting->shared->value++;
        counting->counted++;
        request.mode = LOCK_MODE_NONE;
        if (lock_table_set(counting->shared->table, &request, NULL, NULL) != CODE_OK)
            break;
    }
    return NULL;
}

static void threads_that_wait_exclude_each_other(void **state)
{
    (void)state;
    struct shared_counter shared = {.table = make()};
    struct counting counting[OWNERS];
    pthread_t threads[OWNERS];
    for (int i = 0; i < OWNERS; i++) {
        counting[i] = (struct counting){.shared = &shared, .owner = i};
        assert_int_equal(pthread_create(&threads[i], NULL, count_under_the_lock, &counting[i]), 0);
    }
    int sum = 0;
    for (int i = 0; i < OWNERS; i++) {
        pthread_join(threads[i], NULL);
        sum += counting[i].counted;
    }
    assert_int_equal(shared.value, sum);
    assert_int_equal(lock_table_count(shared.table), 0);
    lock_table_destroy(shared.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_held_byte_by_byte_as_in_the_model),
        cmocka_unit_test(who_waits_is_answered_once_when_the_way_is_free),
        cmocka_unit_test(a_cancelled_waiter_is_not_answered_and_leaves_nothing_behind),
        cmocka_unit_test(a_circle_of_waiters_is_refused_however_long_it_is),
        cmocka_unit_test(both_kinds_of_locks_do_not_see_each_other),
        cmocka_unit_test(threads_that_wait_exclude_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
