/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks in iothreads while requests are under way: four queues spread over two
 * iothreads, and one iothread for all; the machine stops and goes on, the block
 * layer drains, the driver resets the device, the machine is reset, the device is
 * taken away. Made for the thread sanitizer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/libqvirtio.h"
#include "tests/tern-test.h"

#define BLOCK 2
#define HEAP 0x200000
#define DISK (8 << 20)
#define QUEUES 4
#define DEPTH 24
enum { F_MQ = 12, FORMS = 4 };

typedef struct Form {
    const char *format, *iothreads;    /* the latter JSON with single quotes  */
} Form;

static const Form forms[FORMS] = {
    { "raw", "'iothread-vq-mapping':[{'iothread':'t1'},{'iothread':'t2'}]" },
    { "raw", "'iothread-vq-mapping':[{'iothread':'t2','vqs':[3]},"
             "{'iothread':'t1','vqs':[0,1,2]}]" },
    { "raw", "'iothread':'t1'" },
    { "qcow2", "'iothread':'t1'" },    /* it has a timer in the iothread      */
};

typedef struct Load {
    char image[64];
    QTest *q;
    QVirtio *d;
    QVirtq *vq[QUEUES];
    uint64_t heads, status, data;      /* of QUEUES * DEPTH requests          */
    unsigned open[QUEUES];             /* made available, not yet seen used   */
} Load;

static void driver_begin(Load *l)
{
    l->d = qvirtio_find(l->q, BLOCK, 0, false, HEAP);
    CHECK(qvirtio_accept(l->d, QV_F(QV_VERSION_1) | QV_F(QV_INDIRECT) |
                         QV_F(F_MQ)));
    for (unsigned i = 0; i < QUEUES; i++) {
        l->vq[i] = qvirtq_setup(l->d, i, 0);
        l->open[i] = 0;
    }
    l->heads = qvirtio_alloc(l->d, 16 * QUEUES * DEPTH, 16);
    l->status = qvirtio_alloc(l->d, QUEUES * DEPTH, 16);
    l->data = qvirtio_alloc(l->d, 512 * QUEUES * DEPTH, 512);
    qvirtio_ready(l->d);
}

static void image_make(Load *l, const char *format)
{
    const char *tool = getenv("TERN_IMG");
    char cmd[200];
    int fd;

    strcpy(l->image, "/tmp/tern-load-XXXXXX");
    fd = mkstemp(l->image);
    REQUIRE(fd >= 0);
    close(fd);
    snprintf(cmd, sizeof(cmd), "%s create -q -f %s %s %d",
             tool ? tool : "build/tern-img", format, l->image, DISK);
    REQUIRE(system(cmd) == 0);
}

static Load begin(Form form)
{
    Load l = { .q = NULL };
    char json[256];

    image_make(&l, form.format);
    snprintf(json, sizeof(json), "{\"driver\":\"virtio-blk-pci\",\"id\":\"v\","
             "\"drive\":\"d\",\"num-queues\":%d,%s}", QUEUES,
             form.iothreads);
    for (char *p = json; *p; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    l.q = qtest_start("-machine pc -nodefaults -m 16 -object iothread,id=t1 "
                      "-object iothread,id=t2,poll-max-ns=0 -blockdev "
                      "driver=file,node-name=f,filename=%s,discard=unmap "
                      "-blockdev driver=%s,node-name=d,file=f,discard=unmap "
                      "-device %s", l.image, form.format, json);
    driver_begin(&l);
    return l;
}

static void end(Load *l)
{
    qvirtio_free(l->d);
    qtest_quit(l->q);
    unlink(l->image);
}

/* Queue i gets DEPTH reads or writes of block k, and a kick. */
static void burst(Load *l, unsigned i, bool write)
{
    for (unsigned k = 0; k < DEPTH; k++) {
        unsigned n = i * DEPTH + k;
        QVirtBuf b[3] = { { l->heads + 16 * n, 16, false },
                          { l->data + 512 * n, 512, !write },
                          { l->status + n, 1, true } };

        qtest_writel(l->q, b[0].addr, write);
        qtest_writeq(l->q, b[0].addr + 8, n);
        qtest_writeb(l->q, b[2].addr, 0xee);
        qvirtq_add(l->vq[i], b, 3, true);
    }
    l->open[i] += DEPTH;
    qvirtq_kick(l->vq[i]);
}

static void burst_all(Load *l, bool write)
{
    for (unsigned i = 0; i < QUEUES; i++) {
        burst(l, i, write);
    }
}

/* All requests end, and well. */
static void gather(Load *l)
{
    unsigned id;

    for (unsigned i = 0; i < QUEUES; i++) {
        for (; l->open[i]; l->open[i]--) {
            qvirtq_wait(l->vq[i], &id);
        }
        for (unsigned k = 0; k < DEPTH; k++) {
            CHECK_EQ(qtest_readb(l->q, l->status + i * DEPTH + k), 0u);
        }
    }
}

static void write_pattern(Load *l)
{
    for (unsigned n = 0; n < QUEUES * DEPTH; n++) {
        qtest_memset(l->q, l->data + 512 * n, (uint8_t)(n + 1), 512);
    }
    burst_all(l, true);
    gather(l);
}

static void check_pattern(Load *l)
{
    qtest_memset(l->q, l->data, 0, 512 * QUEUES * DEPTH);
    burst_all(l, false);
    gather(l);
    for (unsigned n = 0; n < QUEUES * DEPTH; n++) {
        CHECK_EQ(qtest_readb(l->q, l->data + 512 * n + 511),
                 (uint8_t)(n + 1));
    }
}

/* ---- what goes on meanwhile ---------------------------------------------- */

TEST(data_of_every_queue)
{
    for (size_t f = 0; f < FORMS; f++) {
        Load l = begin(forms[f]);

        write_pattern(&l);
        for (unsigned i = 0; i < 5; i++) {
            check_pattern(&l);
        }
        end(&l);
    }
}

TEST(stop_and_cont)
{
    for (size_t f = 0; f < FORMS; f++) {
        Load l = begin(forms[f]);

        write_pattern(&l);
        for (unsigned i = 0; i < 6; i++) {
            burst_all(&l, i & 1);
            qtest_qmp_ok(l.q, "{\"execute\":\"stop\"}");
            qtest_qmp_ok(l.q, "{\"execute\":\"cont\"}");
            gather(&l);
        }
        end(&l);
    }
}

TEST(drained_sections)
{
    for (size_t f = 0; f < FORMS; f++) {
        Load l = begin(forms[f]);

        write_pattern(&l);
        for (unsigned i = 0; i < 6; i++) {
            burst_all(&l, false);
            qtest_qmp_ok(l.q, "{\"execute\":\"block_resize\",\"arguments\":{"
                         "\"node-name\":\"d\",\"size\":%u}}",
                         DISK + (i + 1) * 65536);
            qtest_qmp_ok(l.q, "{\"execute\":\"block_set_io_throttle\","
                         "\"arguments\":{\"id\":\"/machine/peripheral/v/"
                         "virtio-backend\",\"bps\":0,\"bps_rd\":0,\"bps_wr\":0,"
                         "\"iops\":%u,\"iops_rd\":0,\"iops_wr\":0}}",
                         i & 1 ? 0 : 100000);
            gather(&l);
        }
        check_pattern(&l);
        end(&l);
    }
}

TEST(the_driver_resets)
{
    for (size_t f = 0; f < FORMS; f++) {
        Load l = begin(forms[f]);

        write_pattern(&l);
        for (unsigned i = 0; i < 6; i++) {
            burst_all(&l, false);
            qvirtio_set_status(l.d, 0);
            CHECK_EQ(qvirtio_status(l.d), 0u);
            qvirtio_free(l.d);
            driver_begin(&l);
        }
        check_pattern(&l);
        end(&l);
    }
}

TEST(the_machine_is_reset)
{
    for (size_t f = 0; f < FORMS; f++) {
        Load l = begin(forms[f]);

        write_pattern(&l);
        for (unsigned i = 0; i < 4; i++) {
            burst_all(&l, false);
            qtest_qmp_ok(l.q, "{\"execute\":\"system_reset\"}");
            free(qtest_event(l.q, "RESET"));
            qvirtio_free(l.d);
            driver_begin(&l);
        }
        check_pattern(&l);
        end(&l);
    }
}

TEST(the_device_is_taken_away)
{
    for (size_t f = 0; f < FORMS; f++) {
        Load l = begin(forms[f]);

        write_pattern(&l);
        burst_all(&l, false);
        qtest_qmp_ok(l.q, "{\"execute\":\"device_del\",\"arguments\":{"
                     "\"id\":\"v\"}}");
        burst_all(&l, false);
        /* Who agreed to go has gone after a reset. */
        qtest_qmp_ok(l.q, "{\"execute\":\"system_reset\"}");
        free(qtest_event(l.q, "DEVICE_DELETED"));
        qtest_qmp_ok(l.q, "{\"execute\":\"blockdev-del\",\"arguments\":{"
                     "\"node-name\":\"d\"}}");
        qtest_qmp_ok(l.q, "{\"execute\":\"object-del\",\"arguments\":{"
                     "\"id\":\"t1\"}}");
        end(&l);
    }
}

/* ---- what a mapping must be ---------------------------------------------- */

static void refused(const char *mapping, const char *why)
{
    char *text;
    char json[512];

    snprintf(json, sizeof(json), "{\"driver\":\"virtio-blk-pci\",\"drive\":"
             "\"n\",\"num-queues\":2,%s}", mapping);
    for (char *p = json; *p; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    CHECK_EQ(qtest_run(&text, "-machine pc -nodefaults -object iothread,id=a "
                       "-object iothread,id=b -blockdev null-co,node-name=n "
                       "-device %s", json), 1);
    if (!strstr(text, why)) {
        printf("# %s\n", text);
        CHECK(false);
    }
    free(text);
}

TEST(mappings_that_are_none)
{
    refused("'iothread':'a','iothread-vq-mapping':[{'iothread':'b'}]",
            "cannot be set at the same time");
    refused("'iothread-vq-mapping':[{'iothread':'c'}]", "does not exist");
    refused("'iothread-vq-mapping':[{'iothread':'a'},{'iothread':'a'}]",
            "duplicate IOThread name");
    refused("'iothread-vq-mapping':[{'iothread':'a','vqs':[0]},"
            "{'iothread':'b'}]", "must have vqs or none");
    refused("'iothread-vq-mapping':[{'iothread':'a','vqs':[0]}]",
            "missing vq 1");
    refused("'iothread-vq-mapping':[{'iothread':'a','vqs':[0,2]}]",
            "must be less than num_queues 2");
    refused("'iothread-vq-mapping':[{'iothread':'a','vqs':[0,1]},"
            "{'iothread':'b','vqs':[1]}]", "already assigned");
    refused("'iothread-vq-mapping':[{'vqs':[0,1]}]", "is missing");
    refused("'iothread-vq-mapping':[{'iothread':'a','x':1}]",
            "is unexpected");
}
