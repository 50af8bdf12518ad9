/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2 under failures: each write of the file fails once (EIO, ENOSPC), and a
 * process that is killed in the middle. What a flush covered is there, the rest
 * is old or new but never another place's, and check finds leaks at most. */
#include "block/commands.h"
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

/* What else happens to an image that may be strange. */
NO_TSA static void strange_work(BlkBackend *b, uint32_t first, uint32_t len)
{
    BlkNode *n = blk_root(b);
    BlkSnapshot s = { .name = "s" };

    if (!rnd(6)) {
        blk_co_discard(n, (uint64_t)first * UNIT, (uint64_t)len * UNIT);
    }
    if (!rnd(10)) {
        if (rnd(2)) {
            n->drv->snapshots->create(n, &s, NULL);
        } else if (rnd(2)) {
            n->drv->snapshots->go(n, "s", NULL);
        } else {
            n->drv->snapshots->del(n, NULL, "s", NULL);
        }
    }
    if (!rnd(15)) {
        blk_node_truncate(n, rnd(2) ? SIZE : SIZE - 300 * KiB, PREALLOC_OFF,
                          true, NULL);
    }
}

/* In the child: never returns. */
NO_TSA static void work_until_killed(unsigned from, bool commits)
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
        if (lg->strange) {
            strange_work(b, first, len);
        }
        if (commits && !rnd(10)) {
            blk_node_commit(blk_root(b));
        }
    }
    _exit(1);
}

/* Plain writes, all kinds of operations, or commits to a backing file: ten of
 * each in turn with each layout. */
NO_TSA static void image_begin(int i, char *base)
{
    const char *layout = layouts[i / 10 % ARRAY_SIZE(layouts)];
    g_autofree char *top = NULL, *name = img;

    memset(lg, 0, sizeof(*lg));
    lg->strange = i / 10 % 3 == 1;
    machine_lock();
    if (i / 10 % 3 == 2) {
        img = base;
        REQUIRE(make_image(layout));
        top = g_strdup_printf("%s,backing_file=%s,backing_fmt=qcow2", layout,
                              base);
    }
    img = g_steal_pointer(&name);
    REQUIRE(make_image(top ? top : layout));
    machine_unlock();
}

/* In a process of its own: the backing file by itself, after the image. */
NO_TSA static void look(int i, char *base)
{
    const char *layout = layouts[i / 10 % ARRAY_SIZE(layouts)];
    pid_t pid = fork();
    int status;

    if (!pid) {
        tt_failures = 0;
        machine_lock();
        verify(layout, i);
        if (i / 10 % 3 == 2) {
            img = base;
            lg = g_memdup2(lg, sizeof(*lg));
            memset(lg->sure, 0, sizeof(lg->sure));
            verify("the backing file", i);
        }
        fflush(stdout);
        _exit(tt_failures > 0);
    }
    waitpid(pid, &status, 0);
    CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
}

NO_TSA static void kills(int times)
{
    g_autofree char *base = g_strdup_printf("%s/base.qcow2", dir);

    for (int i = 0; i < times; i++) {
        int status;
        pid_t pid;

        if (i % 10 == 0) {
            image_begin(i, base);
        }
        fflush(stdout);
        pid = fork();
        if (!pid) {
            work_until_killed((unsigned)i * 77 + 1, i / 10 % 3 == 2);
        }
        usleep(2000 + (unsigned)(i * 7919) % 60000);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        CHECK(WIFSIGNALED(status));
        look(i, base);
    }
}

TEST(killed_in_the_middle)
{
    begin();
    kills(getenv("TEST_SLOW") ? 500 : 60);
    end();
}
