/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * progress.c - how far a long command has come: a percentage that rewrites its
 * line with -p, else one line on stderr whenever SIGUSR1 comes.
 *
 * Thread class: main thread; the signal handler writes by write() only.
 */
#include <math.h>
#include <signal.h>
#include <unistd.h>
#include "tools/tool.h"

static struct {
    bool on, begun;
    double part, shown, step;
    volatile sig_atomic_t asked;
} progress;

static void show(void)
{
    printf("    (%3.2f/100%%)\r", progress.part * 100);
    fflush(stdout);
}

static void asked(int sig)
{
    progress.asked = 1;
}

static void asked_show(void)
{
    if (progress.asked) {
        progress.asked = 0;
        fprintf(stderr, "    (%3.2f/100%%)\n", progress.part * 100);
    }
}

void progress_begin(bool on, double step)
{
    struct sigaction act = { .sa_handler = asked, .sa_flags = SA_RESTART };

    progress.on = on;
    progress.begun = true;
    progress.part = progress.shown = 0;
    progress.step = step / 100;
    if (on) {
        show();
    } else {
        sigaction(SIGUSR1, &act, NULL);
    }
}

void progress_set(double part)
{
    if (!progress.begun) {
        return;
    }
    progress.part = part > 1 ? 1 : part;
    if (!progress.on) {
        asked_show();
    } else if (progress.part >= progress.shown + progress.step ||
               (progress.part >= 1 && progress.shown < 1)) {
        progress.shown = progress.part;
        show();
    }
}

void progress_end(void)
{
    if (progress.begun && progress.on) {
        printf("\n");
    }
    progress.begun = progress.on = false;
}
