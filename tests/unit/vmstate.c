/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmstate.c, vmstate-dump.c - saved state: round trips, versions, and streams
 * that lie.
 */
#include <glib.h>
#include "loop.h"
#include "vmstate.h"
#include "tests/tern-test.h"

typedef struct Queue {
    uint16_t head, tail;
    uint32_t extra;
} Queue;

typedef struct Dev {
    bool on;
    uint8_t u8;
    int16_t i16;
    uint32_t u32;
    uint64_t u64, late;
    uint8_t regs[5];
    uint16_t words[3];
    Queue one, two[2], *more, *far;
    uint32_t n_more;
    uint8_t *data;
    uint32_t n_data;
    Timer timer;
    bool has_part;
    uint32_t part_value;
    int saves, loads, befores, version;
    bool refuse;
} Dev;

static const VmState queue_state = {
    .name = "queue", .version = 2, .oldest = 1,
    .fields = (const VmField[]){
        VM_U16(Queue, head), VM_U16(Queue, tail),
        VM_U32(Queue, extra, .since = 2), VM_END
    },
};

static bool part_needed(const void *s)
{
    return ((const Dev *)s)->has_part;
}

static bool part_loaded(void *s, int version, Error **errp)
{
    ((Dev *)s)->has_part = true;
    return true;
}

static const VmState part_state = {
    .name = "dev/part", .version = 1, .oldest = 1, .needed = part_needed,
    .after_load = part_loaded,
    .fields = (const VmField[]){ VM_U32(Dev, part_value), VM_END },
};

static void dev_before_save(void *s)
{
    ((Dev *)s)->saves++;
}

static bool dev_before_load(void *s, Error **errp)
{
    ((Dev *)s)->befores++;
    return true;
}

static bool dev_after_load(void *s, int version, Error **errp)
{
    Dev *d = s;
    d->loads++;
    d->version = version;
    return !d->refuse || error_set(errp, "u8 is out of range");
}

#define DEV_FIELDS \
    VM_BOOL(Dev, on), VM_U8(Dev, u8), VM_I16(Dev, i16), VM_U32(Dev, u32), \
    VM_U64(Dev, u64), VM_BYTES(Dev, regs), VM_ARRAY(Dev, words, VK_U16), \
    VM_STRUCT(Dev, one, &queue_state), VM_STRUCTS(Dev, two, &queue_state), \
    VM_PSTRUCT(Dev, far, &queue_state), \
    VM_VSTRUCT(Dev, more, n_more, 8, &queue_state), \
    VM_VBYTES(Dev, data, n_data, 100), VM_TIMER(Dev, timer)

static const VmState dev_state = {
    .name = "dev", .version = 2, .oldest = 1,
    .before_save = dev_before_save, .before_load = dev_before_load,
    .after_load = dev_after_load,
    .fields = (const VmField[]){
        DEV_FIELDS, VM_U64(Dev, late, .since = 2), VM_END
    },
    .sections = (const VmState *const[]){ &part_state, NULL },
};

/* The same device as an older program knew it. */
static const VmState old_queue_state = {
    .name = "queue", .version = 1, .oldest = 1,
    .fields = (const VmField[]){
        VM_U16(Queue, head), VM_U16(Queue, tail), VM_END
    },
};
#define queue_state old_queue_state
static const VmState old_dev_state = {
    .name = "dev", .version = 1, .oldest = 1,
    .fields = (const VmField[]){ DEV_FIELDS, VM_END },
};
#undef queue_state

static void nothing(void *arg)
{
}

static void dev_init(Dev *d)
{
    *d = (Dev){ .n_more = 3, .n_data = 10 };
    d->more = g_new0(Queue, 3);
    d->data = g_malloc0(10);
    d->far = g_new0(Queue, 1);
    timer_init(&d->timer, NULL, CLOCK_VM, nothing, d);
}

static void dev_fill(Dev *d)
{
    dev_init(d);
    d->on = true;
    d->u8 = 0xfe;
    d->i16 = -2;
    d->u32 = 0xdeadbeef;
    d->u64 = 0x0123456789abcdefull;
    d->late = 77;
    memcpy(d->regs, "\1\2\3\4\5", 5);
    d->words[2] = 0xabcd;
    d->one = (Queue){ 1, 2, 3 };
    d->two[1] = (Queue){ 4, 5, 6 };
    d->more[2] = (Queue){ 7, 8, 9 };
    d->far->tail = 10;
    memcpy(d->data, "0123456789", 10);
    timer_set(&d->timer, 123456789);
    d->has_part = true;
    d->part_value = 55;
}

static void dev_clear(Dev *d)
{
    timer_clear(&d->timer);
    g_free(d->more);
    g_free(d->data);
    g_free(d->far);
}

static char *dump(Dev *d)
{
    Json *v = vmstate_dump(&dev_state, d);
    char *t = json_text(v, false, NULL);
    json_free(v);
    return t;
}

static void same(Dev *a, Dev *b)
{
    char *s = dump(a), *t = dump(b);
    CHECK_STR(s, t);
    g_free(s);
    g_free(t);
}

TEST(round_trip)
{
    machine_lock();
    Dev a, b;
    VmBuf buf = { 0 }, again = { 0 };
    Error *err = NULL;
    dev_fill(&a);
    dev_init(&b);
    vmstate_save(&dev_state, &a, &buf);
    CHECK_EQ(a.saves, 1);
    if (!vmstate_load(&dev_state, &b, buf.p, buf.n, &err)) {
        FAIL("%s", error_text(err));
    }
    same(&a, &b);
    CHECK_EQ(b.version, 2);
    CHECK_EQ(b.befores, 1);
    CHECK_EQ(b.loads, 1);
    CHECK_EQ(b.timer.deadline, 123456789);
    vmstate_save(&dev_state, &b, &again);
    CHECK_EQ(buf.n, again.n);
    CHECK_MEM(buf.p, again.p, buf.n);
    vmbuf_free(&buf);
    vmbuf_free(&again);
    dev_clear(&a);
    dev_clear(&b);
    machine_unlock();
}

TEST(dump_shows_everything)
{
    machine_lock();
    Dev a;
    dev_fill(&a);
    char *t = dump(&a);
    CHECK_STR(t, "{\"on\": true, \"u8\": 254, \"i16\": 65534, \"u32\": "
              "3735928559, \"u64\": 81985529216486895, \"regs\": "
              "\"0102030405\", \"words\": [0, 0, 43981], \"one\": "
              "{\"head\": 1, \"tail\": 2, \"extra\": 3}, \"two\": "
              "[{\"head\": 0, \"tail\": 0, \"extra\": 0}, {\"head\": 4, \"tail\": 5, "
              "\"extra\": 6}], "
              "\"far\": {\"head\": 0, \"tail\": 10, \"extra\": 0}, \"more\": "
              "[{\"head\": 0, \"tail\": 0, \"extra\": 0}, {\"head\": 0, "
              "\"tail\": 0, \"extra\": 0}, {\"head\": 7, \"tail\": 8, "
              "\"extra\": 9}], \"data\": \"30313233343536373839\", "
              "\"timer\": 123456789, "
              "\"late\": 77, \"dev/part\": {\"part_value\": 55}}");
    g_free(t);
    dev_clear(&a);
    machine_unlock();
}

TEST(older_streams)
{
    machine_lock();
    Dev a, b;
    VmBuf buf = { 0 };
    Error *err = NULL;
    dev_fill(&a);
    dev_init(&b);
    b.late = 1;
    vmstate_save(&old_dev_state, &a, &buf);
    if (!vmstate_load(&dev_state, &b, buf.p, buf.n, &err)) {
        FAIL("%s", error_text(err));
    }
    CHECK_EQ(b.version, 1);
    CHECK_EQ((int)b.late, 1);          /* as reset left it                    */
    CHECK_EQ(b.one.tail, 2);
    CHECK_EQ(b.one.extra, 0u);
    CHECK(!b.has_part);
    vmbuf_free(&buf);
    /* A newer stream is refused by the older program. */
    vmstate_save(&dev_state, &a, &buf);
    CHECK(!vmstate_load(&old_dev_state, &b, buf.p, buf.n, &err));
    REQUIRE(err);
    CHECK_STR(error_text(err), "dev: version 2 is newer than 1, which is the "
              "newest known here");
    error_free(err);
    vmbuf_free(&buf);
    dev_clear(&a);
    dev_clear(&b);
    machine_unlock();
}

TEST(allocated_from_the_stream)
{
    machine_lock();
    Dev a, b;
    VmBuf buf = { 0 };
    dev_fill(&a);
    dev_init(&b);
    g_free(b.data);
    g_free(b.more);
    b.data = NULL;
    b.more = NULL;
    b.n_data = b.n_more = 0;
    vmstate_save(&dev_state, &a, &buf);
    CHECK(vmstate_load(&dev_state, &b, buf.p, buf.n, NULL));
    CHECK_EQ(b.n_data, 10u);
    same(&a, &b);
    vmbuf_free(&buf);
    dev_clear(&a);
    dev_clear(&b);
    machine_unlock();
}

static void refused(Dev *a, const VmBuf *buf, const char *wanted)
{
    Error *err = NULL;
    CHECK(!vmstate_load(&dev_state, a, buf->p, buf->n, &err));
    if (err) {
        CHECK_STR(error_text(err), wanted);
    }
    error_free(err);
}

TEST(refusals_name_the_field)
{
    machine_lock();
    Dev a, b;
    VmBuf buf = { 0 };
    dev_fill(&a);
    dev_fill(&b);
    b.n_more = 2;
    vmstate_save(&dev_state, &b, &buf);
    refused(&a, &buf, "dev: field 'more': count is 2, but 3 here; is the "
            "machine set up in the same way?");
    CHECK_EQ(a.n_more, 3u);
    vmbuf_free(&buf);
    b.n_more = 3;
    vmstate_save(&dev_state, &b, &buf);
    buf.p[1 + 3 + 14] = 2;             /* the first field                     */
    refused(&a, &buf, "dev: field 'on': 2 is not a boolean");
    buf.p[1 + 3 + 14] = 1;
    buf.p[1 + 3 + 2] ^= 1;
    refused(&a, &buf, "dev: the list of fields of version 2 differs from the "
            "one known here");
    buf.p[1 + 3 + 2] ^= 1;
    buf.p[1] = 'x';
    refused(&a, &buf, "dev: the state is of 'xev'");
    buf.p[1] = 'd';
    a.refuse = true;
    refused(&a, &buf, "dev: u8 is out of range");
    vmbuf_free(&buf);
    dev_clear(&a);
    dev_clear(&b);
    machine_unlock();
}

TEST(truncated_and_lengthened)
{
    machine_lock();
    Dev a, b;
    VmBuf buf = { 0 };
    dev_fill(&a);
    vmstate_save(&dev_state, &a, &buf);
    for (size_t n = 0; n < buf.n; n++) {
        Error *err = NULL;
        uint8_t *part = g_memdup2(buf.p, n);       /* for the sanitizer       */
        dev_init(&b);
        CHECK(!vmstate_load(&dev_state, &b, part, n, &err));
        CHECK(err != NULL);
        error_free(err);
        dev_clear(&b);
        g_free(part);
    }
    uint8_t *more = g_malloc0(buf.n + 1);
    memcpy(more, buf.p, buf.n);
    dev_init(&b);
    Error *err = NULL;
    CHECK(!vmstate_load(&dev_state, &b, more, buf.n + 1, &err));
    REQUIRE(err);
    CHECK_STR(error_text(err), "dev: 1 bytes are left over");
    error_free(err);
    dev_clear(&b);
    g_free(more);
    vmbuf_free(&buf);
    dev_clear(&a);
    machine_unlock();
}

TEST(parts_twice_or_unknown)
{
    machine_lock();
    Dev a, b;
    VmBuf buf = { 0 }, part = { 0 };
    dev_fill(&a);
    dev_init(&b);
    vmstate_save(&part_state, &a, &part);
    vmstate_save(&dev_state, &a, &buf);
    size_t body = ld_be32(buf.p + 14);
    buf.p = g_realloc(buf.p, buf.n + part.n);
    memcpy(buf.p + buf.n, part.p, part.n);
    buf.n += part.n;
    st_be32(buf.p + 14, body + part.n);
    refused(&b, &buf, "dev: part 'dev/part' is not known, or not due here");
    buf.p[buf.n - 2 * part.n + 1] = 'D';
    refused(&b, &buf, "dev: part 'Dev/part' is not known, or not due here");
    vmbuf_free(&buf);
    vmbuf_free(&part);
    dev_clear(&a);
    dev_clear(&b);
    machine_unlock();
}

static uint64_t seed = 362436069362436069ull;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

TEST(random_damage)
{
    machine_lock();
    Dev a;
    VmBuf buf = { 0 };
    dev_fill(&a);
    vmstate_save(&dev_state, &a, &buf);
    for (int i = 0; i < 20000; i++) {
        size_t n = draw() % 4 ? buf.n : draw() % buf.n;
        uint8_t *p = g_memdup2(buf.p, n);
        for (uint64_t k = draw() % 4; k && n; k--) {
            p[draw() % n] = draw() & 1 ? 0xff : draw();
        }
        Dev b;
        dev_init(&b);
        if (draw() & 1) {
            g_free(b.more);
            g_free(b.data);
            b.more = NULL;
            b.data = NULL;
        }
        Error *err = NULL;
        if (!vmstate_load(&dev_state, &b, p, n, &err)) {
            CHECK(err && g_utf8_validate(error_text(err), -1, NULL));
        }
        CHECK_LE(b.n_more, 8u);
        CHECK_LE(b.n_data, 100u);
        error_free(err);
        dev_clear(&b);
        g_free(p);
    }
    vmbuf_free(&buf);
    dev_clear(&a);
    machine_unlock();
}

TEST(signatures)
{
    CHECK_NE(vmstate_signature(&dev_state), vmstate_signature(&old_dev_state));
    CHECK_NE(vmstate_signature(&queue_state),
             vmstate_signature(&old_queue_state));
    VmState v = dev_state;
    v.sections = NULL;
    CHECK_NE(vmstate_signature(&v), vmstate_signature(&dev_state));
    VmBuf buf = { 0 };
    machine_lock();
    vmstate_save(&vm_none, NULL, &buf);
    CHECK(vmstate_load(&vm_none, NULL, buf.p, buf.n, NULL));
    machine_unlock();
    vmbuf_free(&buf);
}
