/* A process's wall clock, WALL_CLOCK_SHIFT seconds from the machine's; monotonic time is left alone.
 *
 * For LD_PRELOAD: brokers, the browser and every service live by it alike. The kernel's own times
 * (of files, of a wait until a moment) stay the machine's: such waits are shifted back.
 * libfaketime does the same for most programs, but Chromium stands still under it, and 0.9.10 breaks
 * Python's sleep.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {
    static long seconds;
    static int known;
    if (!known) {
        const char *text = getenv("WALL_CLOCK_SHIFT");
        seconds = text ? atol(text) : 0;
        known = 1;
    }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += shift();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int failed = syscall(SYS_gettimeofday, now, zone);
    if (!failed)
        now->tv_sec += shift();
    return failed;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, now) ? base : 0;
}

/* Monotonic time begins with the machine: what is later than 2001 is a time of the wall clock. */
static clockid_t clock_of(struct timespec *moment) {
    if (moment->tv_sec < 1000000000)
        return CLOCK_MONOTONIC;
    moment->tv_sec -= shift();
    return CLOCK_REALTIME;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    struct timespec moment = *until;
    clockid_t clock = clock_of(&moment);
    return pthread_cond_clockwait(condition, mutex, clock, &moment);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    struct timespec moment = *until;
    clockid_t clock = clock_of(&moment);
    return pthread_mutex_clocklock(mutex, clock, &moment);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    struct timespec moment = *until;
    clockid_t clock = clock_of(&moment);
    return sem_clockwait(semaphore, clock, &moment);
}
