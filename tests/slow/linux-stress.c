/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linux-stress: processes, threads, signals, mappings and floating point under
 * load, in a guest and on the host. Prints the same lines wherever the
 * processor does what it should.
 */
#define _GNU_SOURCE
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS 20000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;
static uint64_t plain;
static atomic_ullong shared, turns;
static atomic_uint ticks;
static volatile sig_atomic_t faults;
static char *volatile hole;

static void tick(int sig)
{
    (void)sig;
    atomic_fetch_add(&ticks, 1);
}

/* A write to the protected page opens it. */
static void fault(int sig, siginfo_t *info, void *ctx)
{
    (void)sig;
    (void)ctx;
    if ((char *)info->si_addr < hole || (char *)info->si_addr >= hole + 4096) {
        _exit(9);
    }
    faults++;
    mprotect(hole, 4096, PROT_READ | PROT_WRITE);
}

static double waves(unsigned seed, long double *wide)
{
    double x = 0.1 * seed, s = 0;
    long double w = seed;

    for (int i = 1; i < 4000; i++) {
        x = sin(x) * 1.0001 + 1.0 / (i + x * x);
        s += sqrt(fabs(x)) - exp(-x) + fma(x, 3.0, 1.0) / i;
        w = (w + sqrtl(w * i + 2)) / (1 + w / (i + 1));
    }
    *wide = w;
    return s;
}

static void *work(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    long double wide, wide0;
    double first = waves(me, &wide0);
    uintptr_t bad = 0;

    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        plain = plain * 3 - plain * 2 + 1;
        pthread_mutex_unlock(&lock);
        atomic_fetch_add(&shared, me + 1);
        if (i % 4096 == 0) {
            pthread_barrier_wait(&barrier);
            atomic_fetch_add(&turns, 1);
        }
        /* signals and switches in between must not disturb the registers */
        if (i % 100 == 0) {
            bad += waves(me, &wide) != first || wide != wide0;
        }
    }
    return (void *)bad;
}

static void threads(void)
{
    pthread_t t[THREADS];
    uintptr_t bad = 0;
    void *r;

    pthread_barrier_init(&barrier, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++) {
        pthread_create(&t[i], NULL, work, (void *)i);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], &r);
        bad += (uintptr_t)r;
    }
    printf("threads %llu %llu %llu, wrong sums %lu\n",
           (unsigned long long)plain, (unsigned long long)shared,
           (unsigned long long)turns, (unsigned long)bad);
}

static void processes(void)
{
    uint32_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned sum = 0;

    for (int i = 0; i < 200; i++) {
        pid_t p = fork();

        if (p == 0) {
            char *own = malloc(100000);

            memset(own, i, 100000);
            __atomic_fetch_add(page, (unsigned char)own[99999],
                               __ATOMIC_SEQ_CST);
            _exit(i & 127);
        }
        if (i % 8 == 7) {
            int st;

            while (wait(&st) > 0) {
                sum += WEXITSTATUS(st);
            }
        }
    }
    printf("processes %u %u\n", *page, sum);
}

static void mappings(void)
{
    struct sigaction sa = { .sa_sigaction = fault, .sa_flags = SA_SIGINFO };
    uint64_t sum = 0;

    sigaction(SIGSEGV, &sa, NULL);
    for (int i = 0; i < 2000; i++) {
        size_t n = (size_t)(i % 37 + 1) * 4096;
        char *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        for (size_t k = 0; k < n; k += 4096) {
            p[k] = (char)(i + (int)(k >> 12));
        }
        p = mremap(p, n, n + 4096, MREMAP_MAYMOVE);
        for (size_t k = 0; k < n + 4096; k += 4096) {
            sum = sum * 31 + (unsigned char)p[k];
        }
        mprotect(p, 4096, PROT_READ);
        hole = p;
        *(volatile char *)(p + 5) = 1;
        munmap(p, n + 4096);
    }
    printf("mappings %016llx, faults %d\n", (unsigned long long)sum,
           (int)faults);
}

static void numbers(void)
{
    static const int modes[] = { FE_TONEAREST, FE_UPWARD, FE_DOWNWARD,
                                 FE_TOWARDZERO };
    long double w;

    for (int m = 0; m < 4; m++) {
        volatile double a = 1, b = 3, tiny = 5e-324, big = 1e308;
        volatile float f = 16777217.0f;

        fesetround(modes[m]);
        feclearexcept(FE_ALL_EXCEPT);
        printf("mode %d: %a %a %a %a", m, a / b, -a / b, tiny / 2, big * 10);
        printf(" %a %d %ld", (double)(f / 3), (int)lrint(2.5), lrint(-3.5));
        printf(" flags %x\n", (unsigned)fetestexcept(FE_ALL_EXCEPT));
    }
    fesetround(FE_TONEAREST);
    printf("waves %a", waves(7, &w));
    printf(" %La\n", w);
}

int main(void)
{
    struct itimerval every = { { 0, 1000 }, { 0, 1000 } };
    struct sigaction sa = { .sa_handler = tick, .sa_flags = SA_RESTART };

    setvbuf(stdout, NULL, _IOLBF, 0);
    numbers();
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
    threads();
    mappings();
    every = (struct itimerval){ { 0, 0 }, { 0, 0 } };
    setitimer(ITIMER_REAL, &every, NULL);
    processes();
    printf("ticks %s\n", atomic_load(&ticks) > 10 ? "many" : "few");
    return 0;
}
