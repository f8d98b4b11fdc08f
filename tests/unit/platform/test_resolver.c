#include "platform/resolver.h"

#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* No label is that long: refused without asking anybody. */
#define IMPOSSIBLE_NAME                                                                            \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-%zu.invalid"

/* --- the C library's, but for names that this file makes up --- */

#define SLOW_SUFFIX ".slow.invalid"
#define LATE_SUFFIX ".late.invalid" /* answered at once, after a long time by the clock */
#define MANY_NAME   "many.invalid"

static atomic_int  slow_asked_count;
static atomic_bool may_slow_ones_end;
static atomic_int  seconds_ahead;

typedef int clock_fn(clockid_t, struct timespec *);

int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    clock_fn *real = (clock_fn *)dlsym(RTLD_NEXT, "clock_gettime");
    int       result = real(clock, ret_time);
    ret_time->tv_sec += seconds_ahead;
    return result;
}

typedef int lookup_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* One more address than is taken. */
static int answer_many(lookup_fn *real, const struct addrinfo *asked, struct addrinfo **ret_list)
{
    struct addrinfo hints = *asked;
    hints.ai_flags = AI_NUMERICHOST;
    for (int i = 0; i <= RESOLVER_ADDRESSES_MAX; i++) {
        assert_int_equal(real("1.1.1.1", NULL, &hints, ret_list), 0);
        ret_list = &(*ret_list)->ai_next;
    }
    return 0;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret_list)
{
    lookup_fn *real = (lookup_fn *)dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(name, MANY_NAME) == 0) return answer_many(real, hints, ret_list);
    if (strstr(name, LATE_SUFFIX) != NULL) {
        atomic_fetch_add(&seconds_ahead, 2 * RESOLVER_SLOW_MS / 1000);
        return EAI_NONAME;
    }
    if (strstr(name, SLOW_SUFFIX) == NULL) return real(name, service, hints, ret_list);
    atomic_fetch_add(&slow_asked_count, 1);
    while (!may_slow_ones_end)
        sched_yield();
    return EAI_NONAME;
}

struct answer {
    struct resolver_question question;
    int                      calls, count;
    struct sockaddr_storage  first;
};

static void note(void *argument, const struct sockaddr_storage *addresses, int count)
{
    struct answer *answer = argument;
    answer->calls++;
    answer->count = count;
    if (count > 0) answer->first = addresses[0];
}

static void post(void *argument)
{
    sem_post(argument);
}

static sem_t collectable;

static int start(void **state)
{
    assert_int_equal(sem_init(&collectable, 0, 0), 0);
    *state = resolver_start(post, &collectable);
    return 0;
}

static int stop(void **state)
{
    resolver_stop(*state);
    return sem_destroy(&collectable);
}

static struct answer new_answer(void)
{
    return (struct answer){ .question = { .answered = note } };
}

static void ask(struct resolver *resolver, const char *name, struct answer *answer)
{
    answer->question.argument = answer;
    assert_true(resolver_ask(resolver, str_of(name), &answer->question));
}

static void wait_for(struct resolver *resolver, const struct answer *answer)
{
    while (answer->calls == 0) {
        assert_int_equal(sem_wait(&collectable), 0);
        resolver_collect(resolver);
    }
}

static void name_is_answered_with_its_addresses(void **state)
{
    struct answer answer = new_answer();
    ask(*state, "localhost", &answer);
    wait_for(*state, &answer);
    assert_int_equal(answer.calls, 1);
    assert_true(answer.count >= 1);
    assert_true(answer.first.ss_family == AF_INET || answer.first.ss_family == AF_INET6);
    assert_null(answer.question.lookup);
}

static void name_that_nobody_has_is_answered_with_none(void **state)
{
    struct answer answer = new_answer();
    char          name[128];
    snprintf(name, sizeof(name), IMPOSSIBLE_NAME, (size_t)0);
    ask(*state, name, &answer);
    wait_for(*state, &answer);
    assert_int_equal(answer.count, 0);
}

static void all_who_ask_for_a_name_meanwhile_are_answered(void **state)
{
    struct answer answers[20];
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        answers[i] = new_answer();
        ask(*state, "localhost", &answers[i]);
        assert_ptr_equal(answers[i].question.lookup, answers[0].question.lookup);
    }
    wait_for(*state, &answers[0]);
    for (size_t i = 0; i < COUNT_OF(answers); i++)
        assert_int_equal(answers[i].calls, 1);
}

static void forgotten_question_is_never_answered(void **state)
{
    struct answer forgotten = new_answer(), kept = new_answer();
    ask(*state, "localhost", &forgotten);
    ask(*state, "localhost", &kept);
    resolver_forget(&forgotten.question);
    resolver_forget(&forgotten.question);
    wait_for(*state, &kept);
    assert_int_equal(forgotten.calls, 0);
}

static void names_that_cannot_be_are_not_asked(void **state)
{
    struct answer answer = new_answer();
    char          name[RESOLVER_NAME_BYTES_MAX + 1];
    memset(name, 'a', sizeof(name));
    assert_false(resolver_ask(*state, STR(""), &answer.question));
    assert_false(resolver_ask(*state, (struct str){ name, sizeof(name) }, &answer.question));
    assert_true(resolver_ask(*state, (struct str){ name, sizeof(name) - 1 }, &answer.question));
    answer.question.argument = &answer;
    wait_for(*state, &answer);
    assert_int_equal(answer.count, 0);
}

static void more_names_than_there_is_room_for_are_not_asked(void **state)
{
    static struct answer answers[RESOLVER_LOOKUPS_MAX];
    struct answer        more = new_answer();
    char                 name[128];
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        snprintf(name, sizeof(name), IMPOSSIBLE_NAME, i);
        answers[i] = new_answer();
        ask(*state, name, &answers[i]);
    }
    assert_false(resolver_ask(*state, STR("localhost"), &more.question));
    wait_for(*state, &answers[0]);
    ask(*state, "localhost", &more);
    wait_for(*state, &more);
}

/* Some of them might be unchecked otherwise. */
static void name_with_more_addresses_than_are_taken_has_none(void **state)
{
    struct answer answer = new_answer();
    ask(*state, MANY_NAME, &answer);
    wait_for(*state, &answer);
    assert_int_equal(answer.count, 0);
}

/* The first time makes it slow, and each time after that takes one of their places. */
static void slow_name_is_asked_more_often_than_slow_ones_have_places(void **state)
{
    for (int i = 0; i < 2 + RESOLVER_SLOW_THREADS_MAX; i++) {
        struct answer answer = new_answer();
        ask(*state, "a" LATE_SUFFIX, &answer);
        wait_for(*state, &answer);
        assert_int_equal(answer.calls, 1);
    }
    assert_true(seconds_ahead > 0);
}

static void slow_names_that_wait_for_a_place_get_one(void **state)
{
    static struct answer answers[3 * RESOLVER_SLOW_THREADS_MAX];
    struct answer        forgotten = new_answer();
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT_OF(answers); i++) {
            char name[128];
            snprintf(name, sizeof(name), "n%zu" LATE_SUFFIX, i);
            answers[i] = new_answer();
            ask(*state, name, &answers[i]);
        }
        ask(*state, "forgotten" LATE_SUFFIX, &forgotten);
        if (round > 0) resolver_forget(&forgotten.question);
        for (size_t i = 0; i < COUNT_OF(answers); i++)
            wait_for(*state, &answers[i]);
        if (round == 0) wait_for(*state, &forgotten);
    }
    assert_int_equal(forgotten.calls, 1);
}

/* Is that thread waiting for something? */
static bool is_asleep(pid_t thread)
{
    char  path[64], state = '?';
    FILE *file;
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)thread);
    file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d (%*[^)]) %c", &state), 1);
    fclose(file);
    return state == 'S';
}

struct stopper {
    struct resolver *resolver;
    _Atomic pid_t    thread;
};

static void *stop_it(void *argument)
{
    struct stopper *stopper = argument;
    stopper->thread = (pid_t)syscall(SYS_gettid);
    resolver_stop(stopper->resolver);
    return NULL;
}

static void stop_asks_for_nothing_that_waits(void **state)
{
    static struct answer answers[2 * RESOLVER_THREADS];
    struct stopper       stopper = { .resolver = *state };
    pthread_t            thread;
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        char name[128];
        snprintf(name, sizeof(name), "n%zu" SLOW_SUFFIX, i);
        answers[i] = new_answer();
        ask(*state, name, &answers[i]);
    }
    while (slow_asked_count < RESOLVER_THREADS)
        sched_yield();
    assert_int_equal(pthread_create(&thread, NULL, stop_it, &stopper), 0);
    while (stopper.thread == 0 || !is_asleep(stopper.thread))
        sched_yield();
    may_slow_ones_end = true;
    pthread_join(thread, NULL);
    assert_int_equal(slow_asked_count, RESOLVER_THREADS);
    start(state); /* for the teardown */
}

static void stop_ends_with_questions_open(void **state)
{
    static struct answer answers[100];
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        char name[128];
        snprintf(name, sizeof(name), IMPOSSIBLE_NAME, i);
        answers[i] = new_answer();
        ask(*state, name, &answers[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(name_is_answered_with_its_addresses, start, stop),
        cmocka_unit_test_setup_teardown(name_that_nobody_has_is_answered_with_none, start, stop),
        cmocka_unit_test_setup_teardown(all_who_ask_for_a_name_meanwhile_are_answered, start, stop),
        cmocka_unit_test_setup_teardown(forgotten_question_is_never_answered, start, stop),
        cmocka_unit_test_setup_teardown(names_that_cannot_be_are_not_asked, start, stop),
        cmocka_unit_test_setup_teardown(more_names_than_there_is_room_for_are_not_asked, start,
                                        stop),
        cmocka_unit_test_setup_teardown(name_with_more_addresses_than_are_taken_has_none, start,
                                        stop),
        cmocka_unit_test_setup_teardown(slow_name_is_asked_more_often_than_slow_ones_have_places,
                                        start, stop),
        cmocka_unit_test_setup_teardown(slow_names_that_wait_for_a_place_get_one, start, stop),
        cmocka_unit_test_setup_teardown(stop_asks_for_nothing_that_waits, start, stop),
        cmocka_unit_test_setup_teardown(stop_ends_with_questions_open, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
