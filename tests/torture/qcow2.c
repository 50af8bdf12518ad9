/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2 under failures: each write of the file fails once (EIO, ENOSPC), and a
 * process that is killed in the middle. What a flush covered is there, the rest
 * is old or new but never another place's, and check finds leaks at most. */
#include "tests/torture/qcow2-rig.h"

/* ---- one failure --------------------------------------------------------- */

NO_TSA static void some_work(BlkBackend *b, int rounds)
{
    BlkNode *n = blk_root(b);
    BlkSnapshot s = { .name = "s" };

    for (int i = 0; i < rounds; i++) {
        uint32_t first = rnd(UNITS - 200), len = 1 + rnd(rnd(3) ? 16 : 200);

        if (rnd(12)) {
            units_write(b, first, len);
        } else {
            blk_co_discard(n, (uint64_t)first * UNIT, (uint64_t)len * UNIT);
        }
        if (!rnd(10)) {
            blk_flush(b);
        }
        if (i == rounds / 2) {
            n->drv->snapshots->create(n, &s, NULL);
        }
    }
    blk_flush(b);
    n->drv->snapshots->del(n, NULL, "s", NULL);
}

NO_TSA static void failures(const char *layout, int err, bool for_good)
{
    int done = 0;

    for (int at = 0; !done && at < 400; at += 1 + at / 8) {
        BlkBackend *b;

        seed = 5;
        memset(lg, 0, sizeof(*lg));
        lg->strange = true;
        REQUIRE(make_image(layout));
        b = image_open(false);
        REQUIRE(b);
        fail_in = at;
        fail_errno = err;
        fail_on = for_good;
        some_work(b, 60);
        done = fail_in > 0;
        blk_unref(b);
        fail_in = -1;
        fail_on = false;
        verify(layout, at);
    }
}

TEST(each_write_fails_once)
{
    begin();
    quiet(true);
    machine_lock();
    for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
        failures(layouts[i], EIO, false);
        failures(layouts[i], ENOSPC, true);
    }
    machine_unlock();
    quiet(false);
    end();
}

/* ---- kills --------------------------------------------------------------- */

/* In the child: never returns. */
NO_TSA static void work_until_killed(unsigned from)
{
    BlkBackend *b;

    machine_lock();
    seed = from;
    quiet(true);
    b = image_open(false);
    while (b) {
        uint32_t first = rnd(UNITS - 200), len = 1 + rnd(rnd(3) ? 16 : 200);

        units_write(b, first, len);
        if (!rnd(8)) {
            uint32_t *now = g_memdup2(lg->issued, sizeof(lg->issued));

            if (blk_flush(b) >= 0) {
                memcpy(lg->sure, now, sizeof(lg->sure));
            }
            g_free(now);
        }
        if (lg->strange && !rnd(6)) {
            blk_co_discard(blk_root(b), (uint64_t)first * UNIT, len * UNIT);
        }
        if (lg->strange && !rnd(10)) {
            BlkNode *n = blk_root(b);
            BlkSnapshot s = { .name = "s" };

            if (rnd(2)) {
                n->drv->snapshots->create(n, &s, NULL);
            } else if (rnd(2)) {
                n->drv->snapshots->go(n, "s", NULL);
            } else {
                n->drv->snapshots->del(n, NULL, "s", NULL);
            }
        }
        if (lg->strange && !rnd(15)) {
            blk_node_truncate(blk_root(b), rnd(2) ? SIZE : SIZE - 300 * KiB,
                              PREALLOC_OFF, true, NULL);
        }
    }
    _exit(1);
}

NO_TSA static void kills(int times)
{
    for (int i = 0; i < times; i++) {
        int status;
        pid_t pid;

        if (i % 10 == 0) {
            memset(lg, 0, sizeof(*lg));
            lg->strange = i / 10 % 2;
            machine_lock();
            REQUIRE(make_image(layouts[i / 10 % ARRAY_SIZE(layouts)]));
            machine_unlock();
        }
        fflush(stdout);
        pid = fork();
        if (!pid) {
            work_until_killed((unsigned)i * 77 + 1);
        }
        usleep(2000 + (unsigned)(i * 7919) % 60000);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        CHECK(WIFSIGNALED(status));
        pid = fork();
        if (!pid) {
            tt_failures = 0;
            machine_lock();
            verify(layouts[i / 10 % ARRAY_SIZE(layouts)], i);
            fflush(stdout);
            _exit(tt_failures > 0);
        }
        waitpid(pid, &status, 0);
        CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
    }
}

TEST(killed_in_the_middle)
{
    begin();
    kills(getenv("TEST_SLOW") ? 500 : 60);
    end();
}
