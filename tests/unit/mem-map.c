/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Region trees to flat maps: random trees against a model that looks at one
 * address at a time, and listeners that must be able to follow.
 */
#include "tests/tern-test.h"
#include "mem.h"
#include "loop.h"

/* ---- random numbers, reproducible ---------------------------------------- */

static uint64_t seed = 1;

static uint64_t rnd(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

/* ---- the model ----------------------------------------------------------- */

#define REGIONS 24
#define WINDOW  128                    /* addresses at both ends of a space   */

static MemRegion regions[REGIONS];
static unsigned age[REGIONS];          /* when it was added to its container  */
static unsigned clock_;

typedef struct Seen {
    MemRegion *mr;
    uint64_t off;
    bool readonly;
} Seen;

/* The enabled child of mr that comes after (prio, age) in hiding order. */
static MemRegion *next_child(MemRegion *mr, const MemRegion *after)
{
    MemRegion *best = NULL;

    for (int i = 0; i < REGIONS; i++) {
        MemRegion *c = &regions[i];
        unsigned a = age[i];

        if (c->container != mr) {
            continue;
        }
        if (after && (c->priority > after->priority ||
                      (c->priority == after->priority &&
                       a >= age[after - regions]))) {
            continue;
        }
        if (!best || c->priority > best->priority ||
            (c->priority == best->priority && a > age[best - regions])) {
            best = c;
        }
    }
    return best;
}

static bool look(MemRegion *mr, uint64_t at, bool readonly, Seen *seen)
{
    if ((mr->flags & MRF_OFF) || at > mr->last) {
        return false;
    }
    readonly |= (mr->flags & MRF_READONLY) != 0;
    if (mr->kind == MR_ALIAS) {
        uint64_t to = at + mr->alias_off;

        return to >= at && look(mr->alias, to, readonly, seen);
    }
    for (MemRegion *c = next_child(mr, NULL); c; c = next_child(mr, c)) {
        if (at >= c->addr && look(c, at - c->addr, readonly, seen)) {
            return true;
        }
    }
    if (mr->kind == MR_CONTAINER) {
        return false;
    }
    *seen = (Seen){ mr, at, readonly };
    return true;
}

static bool check_map(const MemSpace *as, MemRegion *root)
{
    const FlatMap *map = mem_map(as);

    for (uint32_t i = 1; i < map->n; i++) {
        if (map->r[i - 1].last >= map->r[i].first) {
            FAIL("ranges %u and %u overlap", i - 1, i);
            return false;
        }
    }
    for (uint64_t n = 0; n < 2 * WINDOW; n++) {
        uint64_t addr = n < WINDOW ? n : n - 2 * WINDOW;
        const FlatRange *r = mem_find(map, addr);
        Seen s;

        if (!look(root, addr, false, &s)) {
            if (r) {
                FAIL("0x%" PRIx64 ": %s, should be a hole", addr, r->mr->name);
                return false;
            }
            continue;
        }
        if (!r || r->mr != s.mr || r->off + (addr - r->first) != s.off ||
            r->readonly != s.readonly) {
            FAIL("0x%" PRIx64 ": %s, should be %s + 0x%" PRIx64, addr,
                 r ? r->mr->name : "a hole", s.mr->name, s.off);
            return false;
        }
    }
    return true;
}

/* ---- a listener that keeps a copy ---------------------------------------- */

typedef struct Mirror {
    MemListener l;
    FlatRange r[512];
    unsigned n, begun, faults;
    MemIoEvent events[64];
    uint64_t event_at[64];
    unsigned n_events;
} Mirror;

static void mirror_begin(MemListener *l)
{
    Mirror *m = container_of(l, Mirror, l);

    m->faults += m->begun++ != 0;
}

static void mirror_commit(MemListener *l)
{
    Mirror *m = container_of(l, Mirror, l);

    m->faults += --m->begun != 0;
}

static void mirror_add(MemListener *l, const FlatRange *r)
{
    Mirror *m = container_of(l, Mirror, l);

    for (unsigned i = 0; i < m->n; i++) {
        m->faults += m->r[i].first <= r->last && r->first <= m->r[i].last;
    }
    m->r[m->n++] = *r;
}

static FlatRange *mirror_find(Mirror *m, const FlatRange *r)
{
    for (unsigned i = 0; i < m->n; i++) {
        FlatRange *o = &m->r[i];

        if (o->first == r->first && o->last == r->last && o->mr == r->mr &&
            o->off == r->off && o->readonly == r->readonly) {
            return o;
        }
    }
    m->faults++;
    return &m->r[511];
}

static void mirror_del(MemListener *l, const FlatRange *r)
{
    Mirror *m = container_of(l, Mirror, l);

    *mirror_find(m, r) = m->r[m->n - 1];
    m->n--;
}

static void mirror_log(MemListener *l, const FlatRange *r)
{
    Mirror *m = container_of(l, Mirror, l);
    FlatRange *o = mirror_find(m, r);

    m->faults += o->dirty_clients == r->dirty_clients;
    o->dirty_clients = r->dirty_clients;
}

static void mirror_event_add(MemListener *l, const MemIoEvent *e, uint64_t addr)
{
    Mirror *m = container_of(l, Mirror, l);

    for (unsigned i = 0; i < m->n_events; i++) {
        m->faults += m->event_at[i] == addr && m->events[i].fd == e->fd &&
                     m->events[i].value == e->value;
    }
    m->events[m->n_events] = *e;
    m->event_at[m->n_events++] = addr;
}

static void mirror_event_del(MemListener *l, const MemIoEvent *e, uint64_t addr)
{
    Mirror *m = container_of(l, Mirror, l);

    for (unsigned i = 0; i < m->n_events; i++) {
        if (m->event_at[i] == addr && m->events[i].fd == e->fd &&
            m->events[i].value == e->value) {
            m->n_events--;
            m->events[i] = m->events[m->n_events];
            m->event_at[i] = m->event_at[m->n_events];
            return;
        }
    }
    m->faults++;
}

static void mirror_coalesced(MemListener *l, uint64_t first, uint64_t last,
                             bool on)
{
    Mirror *m = container_of(l, Mirror, l);

    for (unsigned i = 0; i < m->n; i++) {
        if (m->r[i].first == first && m->r[i].last == last) {
            m->r[i].coalesced = on;
            return;
        }
    }
    m->faults++;
}

static void mirror_init(Mirror *m)
{
    *m = (Mirror){ .l = {
        .name = "mirror", .begin = mirror_begin, .add = mirror_add,
        .del = mirror_del, .log = mirror_log, .commit = mirror_commit,
        .event_add = mirror_event_add, .event_del = mirror_event_del,
        .coalesced = mirror_coalesced,
    } };
}

static bool mirror_equal(Mirror *m, const MemSpace *as)
{
    const FlatMap *map = mem_map(as);
    unsigned faults = m->faults, events = 0;

    if (m->n != map->n) {
        FAIL("listener has %u ranges, map has %u", m->n, map->n);
        return false;
    }
    for (uint32_t i = 0; i < map->n; i++) {
        const FlatRange *r = &map->r[i], *o = mirror_find(m, r);

        if (o->dirty_clients != r->dirty_clients ||
            o->coalesced != r->coalesced) {
            FAIL("listener missed a change");
            return false;
        }
        for (MemIoEvent *e = r->mr->events; e; e = e->next) {
            events += e->off >= r->off && e->off - r->off <= r->last - r->first;
        }
    }
    if (events != m->n_events) {
        FAIL("listener has %u ioeventfds, map has %u", m->n_events, events);
        return false;
    }
    if (m->faults || m->begun || faults != m->faults) {
        FAIL("listener was told nonsense %u times", m->faults);
        return false;
    }
    return true;
}

/* ---- random trees -------------------------------------------------------- */

static uint64_t some_addr(void)
{
    switch (rnd(8)) {
    case 0:
        return 0;
    case 1:
        return -rnd(WINDOW) - 1;
    default:
        return rnd(WINDOW - 16);
    }
}

static uint64_t some_size(void)
{
    switch (rnd(10)) {
    case 0:
        return 0;                      /* 2^64                                */
    case 1:
        return -rnd(WINDOW) - 1;
    default:
        return 1 + rnd(WINDOW / 2);
    }
}

static const MemOps no_ops = { .read = NULL };

/* Only regions of lower number go into or behind one: no loops. */
static void make_region(int i, RamBlock *rb)
{
    static const char names[REGIONS][4] = {
        "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10",
        "r11", "r12", "r13", "r14", "r15", "r16", "r17", "r18", "r19", "r20",
        "r21", "r22", "r23",
    };
    MemRegion *mr = &regions[i];

    switch (i < 4 ? 2 : rnd(6)) {
    case 0:
    case 1:
        mem_init(mr, names[i], some_size());
        break;
    case 2:
    case 3:
        mem_init_io(mr, names[i], some_size(), &no_ops, NULL);
        break;
    case 4:
        mem_init_alias(mr, names[i], &regions[rnd(i)],
                       rnd(3) ? rnd(WINDOW / 2) : some_addr(), some_size());
        break;
    case 5:
        mem_init_block(mr, names[i], rb);
        mem_set_size(mr, 1 + rnd(WINDOW / 2));
        break;
    }
}

static void add_region(int i)
{
    int to = i + 1 + rnd(REGIONS - 1 - i);

    if (regions[to].kind == MR_ALIAS) {
        to = REGIONS - 1;
    }
    age[i] = ++clock_;
    mem_add_prio(&regions[to], some_addr(), &regions[i], (int)rnd(5) - 2);
}

static void change_something(void)
{
    int i = rnd(REGIONS - 1);
    MemRegion *mr = &regions[i];

    switch (rnd(10)) {
    case 0:
        mem_set_enabled(mr, rnd(2));
        break;
    case 1:
        mem_set_readonly(mr, rnd(2));
        break;
    case 2:
        if (mr->addr != 7) {
            age[i] = ++clock_;
        }
        mem_set_address(mr, 7);
        break;
    case 3:
        if (mr->kind != MR_RAM) {
            mem_set_size(mr, some_size());
        }
        break;
    case 4:
        if (mr->kind == MR_ALIAS) {
            mem_set_alias_offset(mr, rnd(WINDOW));
        }
        break;
    case 5:
        if (mr->container) {
            mem_remove(mr->container, mr);
        } else {
            add_region(i);
        }
        break;
    case 6:
        mem_log(mr, DIRTY_VGA, rnd(2));
        break;
    case 7:
        mem_set_coalescing(mr, rnd(2));
        break;
    case 8:
        if (!mr->events && mr->kind == MR_IO) {
            mem_event_add(mr, rnd(32), 2, true, rnd(4), 1000 + i);
        } else if (mr->events) {
            MemIoEvent *e = mr->events;

            mem_event_del(mr, e->off, e->size, e->match, e->value, e->fd);
        }
        break;
    case 9:
        mem_begin();
        change_something();
        change_something();
        mem_commit();
        break;
    }
}

TEST(random_trees_match_the_model)
{
    static Mirror m;
    RamBlock *rb;
    const char *more = getenv("MEM_MAP_ROUNDS");
    int rounds = more ? atoi(more) : 150;

    TEST_LIMIT(60 + rounds / 10);
    machine_lock();
    rb = ram_new("model", 4096, -1, 0, 0, NULL);
    REQUIRE(rb);
    for (int round = 0; round < rounds; round++) {
        MemRegion *root = &regions[REGIONS - 1];
        MemSpace as;
        bool good = true;

        seed = round * 7919 + 1;
        for (int i = 0; i < REGIONS - 1; i++) {
            make_region(i, rb);
        }
        mem_init(root, "root", rnd(4) ? 0 : some_size());
        mem_space_init(&as, "random", root);
        mirror_init(&m);
        mem_listen(&as, &m.l);
        for (int i = 0; i < REGIONS - 1; i++) {
            if (rnd(5)) {
                add_region(i);
            }
        }
        good = check_map(&as, root) && mirror_equal(&m, &as);
        for (int i = 0; good && i < 60; i++) {
            change_something();
            good = check_map(&as, root) && mirror_equal(&m, &as);
        }
        mem_unlisten(&as, &m.l);
        CHECK_EQ(m.n, 0u);
        CHECK_EQ(m.n_events, 0u);
        mem_space_fini(&as);
        for (int i = 0; i < REGIONS; i++) {
            mem_log(&regions[i], DIRTY_VGA, false);
        }
        for (int i = REGIONS - 1; i >= 0; i--) {
            mem_fini(&regions[i]);
        }
        if (!good) {
            FAIL("in round %d", round);
            break;
        }
    }
    ram_free(rb);
    epoch_drain();
    machine_unlock();
}

/* Roots whose picture is that of one region further down: the way there must
 * not lose a size, an offset or a read-only mark. */
TEST(chains_match_the_model)
{
    machine_lock();
    for (int round = 0; round < 3000; round++) {
        enum { N = 5 };
        MemSpace as;

        seed = round * 104729 + 3;
        mem_init_io(&regions[0], "io", 1 + rnd(WINDOW), &no_ops, NULL);
        for (int i = 1; i < N; i++) {
            uint64_t size = rnd(2) ? 0 : 1 + rnd(WINDOW);

            if (rnd(2)) {
                mem_init(&regions[i], "container", size);
                age[i - 1] = ++clock_;
                mem_add(&regions[i], rnd(4) ? 0 : rnd(8), &regions[i - 1]);
            } else {
                mem_init_alias(&regions[i], "alias", &regions[i - 1],
                               rnd(4) ? 0 : rnd(8), size);
            }
            if (rnd(8) == 0) {
                mem_set_readonly(&regions[i], true);
            }
            if (rnd(16) == 0) {
                mem_set_enabled(&regions[i], false);
            }
        }
        mem_space_init(&as, "chain", &regions[N - 1]);
        if (!check_map(&as, &regions[N - 1])) {
            FAIL("in round %d", round);
            round = 3000;
        }
        mem_space_fini(&as);
        for (int i = N - 1; i >= 0; i--) {
            mem_fini(&regions[i]);
        }
    }
    machine_unlock();
}

/* ---- particular cases ---------------------------------------------------- */

TEST(equal_priority_the_newest_hides)
{
    MemRegion root, a, b;
    MemSpace as;

    machine_lock();
    mem_init(&root, "root", 0);
    mem_init_io(&a, "a", 16, &no_ops, NULL);
    mem_init_io(&b, "b", 4, &no_ops, NULL);
    mem_space_init(&as, "x", &root);
    mem_add(&root, 0x100, &a);
    mem_add(&root, 0x104, &b);
    CHECK_EQ(mem_map(&as)->n, 3u);
    CHECK(mem_find(mem_map(&as), 0x104)->mr == &b);
    CHECK(mem_find(mem_map(&as), 0x108)->mr == &a);
    CHECK_EQ(mem_find(mem_map(&as), 0x108)->off, 8u);
    CHECK(!mem_find(mem_map(&as), 0xff));
    CHECK(!mem_find(mem_map(&as), 0x110));
    mem_set_address(&a, 0x101);        /* now a is the newest                 */
    CHECK_EQ(mem_map(&as)->n, 1u);
    mem_fini(&a);
    CHECK_EQ(mem_map(&as)->n, 1u);
    CHECK(mem_find(mem_map(&as), 0x104)->mr == &b);
    mem_fini(&b);
    mem_space_fini(&as);
    mem_fini(&root);
    machine_unlock();
}

TEST(spaces_with_one_picture_share_a_map)
{
    MemRegion root, ram, master[3], alias[3];
    MemSpace as, dma[3];

    machine_lock();
    mem_init(&root, "root", 0);
    CHECK(mem_init_ram(&ram, "r", 8192, NULL));
    mem_add(&root, 0x1000, &ram);
    mem_space_init(&as, "x", &root);
    for (int i = 0; i < 3; i++) {
        mem_init(&master[i], "bus master container", 0);
        mem_init_alias(&alias[i], "bus master", &root, 0, 0);
        mem_set_enabled(&alias[i], false);
        mem_add(&master[i], 0, &alias[i]);
        mem_space_init(&dma[i], "dev", &master[i]);
        CHECK_EQ(mem_map(&dma[i])->n, 0u);
    }
    mem_set_enabled(&alias[1], true);
    CHECK(mem_map(&dma[1]) == mem_map(&as));
    CHECK(mem_map(&dma[0]) == mem_map(&dma[2]));
    CHECK_EQ(mem_map(&dma[0])->n, 0u);
    for (int i = 0; i < 3; i++) {
        mem_space_fini(&dma[i]);
        mem_fini(&master[i]);
        mem_fini(&alias[i]);
    }
    mem_space_fini(&as);
    mem_fini(&root);
    mem_fini(&ram);
    machine_unlock();
}

TEST(a_change_out_of_sight_tells_nobody)
{
    static Mirror m;
    MemRegion root, a, b;
    MemSpace as;
    unsigned commits;

    machine_lock();
    mirror_init(&m);
    mem_init(&root, "root", 0);
    mem_init_io(&a, "a", 16, &no_ops, NULL);
    mem_init_io(&b, "b", 16, &no_ops, NULL);
    mem_space_init(&as, "x", &root);
    mem_listen(&as, &m.l);
    mem_add_prio(&root, 0, &a, 1);
    commits = m.n;
    mem_add_prio(&root, 0, &b, 0);     /* wholly hidden                       */
    CHECK_EQ(m.n, commits);
    CHECK_EQ(m.faults, 0u);
    mem_unlisten(&as, &m.l);
    mem_fini(&b);
    mem_fini(&a);
    mem_space_fini(&as);
    mem_fini(&root);
    machine_unlock();
}

/* A region may go while a change is under way, and readers never see it. */
TEST(fini_inside_begin_publishes)
{
    MemRegion root, a;
    MemSpace as;

    machine_lock();
    mem_init(&root, "root", 0);
    mem_space_init(&as, "x", &root);
    mem_begin();
    mem_init_io(&a, "a", 16, &no_ops, NULL);
    mem_add(&root, 0, &a);
    CHECK_EQ(mem_map(&as)->n, 0u);
    mem_fini(&a);
    memset(&a, 0xee, sizeof(a));
    CHECK_EQ(mem_map(&as)->n, 0u);
    mem_commit();
    CHECK_EQ(mem_map(&as)->n, 0u);
    mem_space_fini(&as);
    mem_fini(&root);
    machine_unlock();
}
