/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random accesses, pokes and mappings over RAM, ROM and holes, against a model.
 */
#include "tests/tern-test.h"
#include "mem.h"
#include "loop.h"

#define CHECK_RES(a, b) CHECK_EQ((int)(a), (int)(b))

/* Random accesses of all kinds to pages of RAM, ROM and nothing, against an
 * array per block. */
enum { PAGE = 4096, SLOTS = 12, BACKING = 6 };
typedef enum Slot { NOTHING, RAM_PAGE, ROM_PAGE } Slot;

typedef struct Mix {
    MemRegion root, ram, rom, alias[SLOTS];
    MemSpace as;
    Slot kind[SLOTS];
    unsigned page[SLOTS];
    uint8_t ram_copy[BACKING * PAGE], rom_copy[BACKING * PAGE];
} Mix;

static uint8_t *mix_byte(Mix *m, uint64_t addr, bool writing)
{
    unsigned slot = addr / PAGE;
    uint64_t off;

    if (slot >= SLOTS || m->kind[slot] == NOTHING ||
        (writing && m->kind[slot] == ROM_PAGE)) {
        return NULL;
    }
    off = m->page[slot] * PAGE + addr % PAGE;
    return m->kind[slot] == RAM_PAGE ? &m->ram_copy[off] : &m->rom_copy[off];
}

static void mix_start(Mix *m, unsigned *seed)
{
    memset(m, 0, sizeof(*m));
    machine_lock();
    mem_init(&m->root, "root", 0);
    mem_space_init(&m->as, "mix", &m->root);
    CHECK(mem_init_ram(&m->ram, "m.ram", BACKING * PAGE, NULL));
    CHECK(mem_init_rom(&m->rom, "m.rom", BACKING * PAGE, NULL));
    for (int i = 0; i < SLOTS; i++) {
        m->kind[i] = rand_r(seed) % 3;
        m->page[i] = rand_r(seed) % BACKING;
        mem_init_alias(&m->alias[i], "page",
                       m->kind[i] == RAM_PAGE ? &m->ram : &m->rom,
                       m->page[i] * PAGE, PAGE);
        if (m->kind[i] != NOTHING) {
            mem_add(&m->root, i * PAGE, &m->alias[i]);
        }
    }
    machine_unlock();
}

static void mix_stop(Mix *m)
{
    machine_lock();
    for (int i = 0; i < SLOTS; i++) {
        mem_fini(&m->alias[i]);
    }
    mem_fini(&m->ram);
    mem_fini(&m->rom);
    mem_space_fini(&m->as);
    mem_fini(&m->root);
    epoch_drain();
    machine_unlock();
}

static bool mix_hole(Mix *m, uint64_t addr, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++) {
        if (!mix_byte(m, addr + i, false)) {
            return true;
        }
    }
    return false;
}

static void mix_write(Mix *m, unsigned *seed, uint64_t addr, uint64_t len)
{
    MemResult want = mix_hole(m, addr, len) ? MEM_DECODE_ERROR : MEM_OK, got;
    uint8_t buf[3 * PAGE], byte = rand_r(seed);
    int how = rand_r(seed) % 3;

    for (uint64_t i = 0; i < len; i++) {
        uint8_t *b = mix_byte(m, addr + i, how < 2);

        buf[i] = how == 1 ? byte : rand_r(seed);
        if (b) {
            *b = buf[i];
        }
    }
    if (how == 2) {
        machine_lock();
        got = mem_poke(&m->as, addr, buf, len);
        machine_unlock();
    } else {
        got = how == 1 ? mem_set(&m->as, addr, byte, len, MEM_ATTRS_NONE)
                       : mem_write(&m->as, addr, buf, len, MEM_ATTRS_NONE);
    }
    CHECK_RES(got, want);
}

static void mix_read(Mix *m, uint64_t addr, uint64_t len)
{
    uint8_t buf[3 * PAGE], want[3 * PAGE];

    for (uint64_t i = 0; i < len; i++) {
        uint8_t *b = mix_byte(m, addr + i, false);

        want[i] = b ? *b : 0;
    }
    memset(buf, 0xee, sizeof(buf));
    CHECK_RES(mem_read(&m->as, addr, buf, len, MEM_ATTRS_NONE),
              mix_hole(m, addr, len) ? MEM_DECODE_ERROR : MEM_OK);
    CHECK_MEM(buf, want, len);
}

static void mix_map(Mix *m, uint64_t addr, uint64_t len, bool write)
{
    uint64_t got = len;
    uint8_t *p = mem_map_ram(&m->as, addr, &got, write);

    if (!mix_byte(m, addr, write)) {
        CHECK(!p);
        return;
    }
    REQUIRE(p);
    CHECK(got > 0 && got <= len);
    for (uint64_t i = 0; i < got; i++) {
        uint8_t *b = mix_byte(m, addr + i, write);

        if (!b || *b != p[i]) {
            FAIL("mapped byte %" PRIu64 " is not the space's", i);
            break;
        }
        if (write) {
            p[i] = *b = i;
        }
    }
    mem_unmap_ram(&m->as, p, got, write, write ? got : 0);
}

TEST(random_accesses_match_a_model)
{
    static Mix m;
    unsigned seed = 5;

    for (int round = 0; round < 40; round++) {
        mix_start(&m, &seed);
        for (int i = 0; i < 200 && !tt_failures; i++) {
            uint64_t addr = rand_r(&seed) % ((SLOTS + 1) * PAGE);
            uint64_t len = rand_r(&seed) % 4 ? 1 + rand_r(&seed) % 20
                                             : 1 + rand_r(&seed) % (3 * PAGE);

            switch (rand_r(&seed) % 4) {
            case 0:
            case 1:
                mix_write(&m, &seed, addr, len);
                break;
            case 2:
                mix_read(&m, addr, len);
                break;
            case 3:
                mix_map(&m, addr, len, rand_r(&seed) % 2);
                break;
            }
        }
        CHECK_MEM(m.ram.ram->host, m.ram_copy, sizeof(m.ram_copy));
        CHECK_MEM(m.rom.ram->host, m.rom_copy, sizeof(m.rom_copy));
        mix_stop(&m);
    }
}
