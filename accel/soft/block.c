/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block.c - decoded blocks: building, finding, invalidating.
 *
 * Thread class: the vCPU's thread; each vCPU has its own blocks.
 * Invariants:
 * 1. A block's bytes lie in one page, except a block of one instruction that
 *    crosses (b->cross), whose bytes are compared before each run.
 * 2. A page's generation is odd before the first byte of it is decoded.
 */
#include "soft.h"

#define BLOCK_INSNS 48

static unsigned hash_of(const uint8_t *host, uint32_t mode)
{
    uintptr_t h = (uintptr_t)host;

    return (h ^ h >> 13 ^ mode * 31) & (ARRAY_SIZE(((SoftCpu *)0)->hash) - 1);
}

static uint32_t steady = 1;
Block soft_no_block = { .key = ~0ull, .genp = &steady, .gen = 1 };

void soft_flush_blocks(SoftCpu *c)
{
    memset(c->hash, 0, sizeof(c->hash));
    for (unsigned i = 0; i < ARRAY_SIZE(c->jc); i++) {
        c->jc[i].ip = 0;
        c->jc[i].b = &soft_no_block;
    }
    c->pool_used = 0;
    c->link_from = NULL;
    c->cur = NULL;
}

static const Slot *stop_here(SoftCpu *c, const Slot *s)
{
    c->r[R_IP] = ip_of(c, s);
    c->link_from = NULL;
    LEAVE;
}

/* A page that holds blocks is written. Ends the running block after the
 * writing instruction when it is in that page. */
void soft_code_written(SoftCpu *c, uint32_t *gen, const uint8_t *host,
                       const Slot *s)
{
    uint32_t g = __atomic_load_n(gen, __ATOMIC_RELAXED);

    if (g & 1) {
        __atomic_compare_exchange_n(gen, &g, g + 1, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST);
    }
    if (s && c->cur && s >= c->cur->slots &&
        s + 1 < c->cur->slots + c->cur->nslots &&
        !(((uintptr_t)c->cur->host ^ (uintptr_t)host) & ~0xfffull)) {
        ((Slot *)s)[1].fn = stop_here;
    }
}

/* Before code of this page is decoded: the generation it is decoded under. */
static uint32_t page_mark(SoftCpu *c, uint32_t *gen, const uint8_t *host)
{
    uint32_t g;

    host = (const uint8_t *)((uintptr_t)host & ~0xfffull);
    while (!((g = __atomic_load_n(gen, __ATOMIC_SEQ_CST)) & 1)) {
        if (c->hooks->code_page) {
            c->hooks->code_page(c, host, gen);
        } else {
            *gen = g + 1;
        }
        soft_tlb_drop_page(c, host);
    }
    return g;
}

static void fill_operand(Slot *s, const Insn *in, int i, uint8_t *reg)
{
    const InsnOperand *o = &in->o[i];

    switch (o->kind) {
    case OK_G: *reg = o->reg * 8 + o->high; break;
    case OK_M: case OK_VSIB: s->mem = i + 1; break;
    default: *reg = o->reg; break;
    }
}

static void fill_memory(SoftCpu *c, Slot *s, const Insn *in)
{
    s->base = in->base == BASE_NONE ? R_ZERO : in->base == BASE_RIP ? R_IP :
        in->base;
    s->index = in->index == BASE_NONE ? R_ZERO : in->index;
    s->shift = in->scale == 8 ? 3 : in->scale >> 1;
    s->disp = in->disp;
    s->ash = in->addrsize == 8 ? 0 : in->addrsize == 4 ? 32 : 48;
    if (in->base == BASE_RIP) {
        s->disp += s->off + s->len;
    }
    s->seg = in->seg;
    if (in->mode == MODE_64) {
        if (in->seg_override != SEG_FS && in->seg_override != SEG_GS) {
            s->seg = in->seg == SEG_SS ? 7 : SEGB_NONE;
        }
    } else {
        /* a code segment's flag is about fetching: it is never written */
        s->check = in->seg == SEG_CS || !(c->mode & MW_NOCHK << in->seg);
    }
}

/* What the pass over a block's flags wants to know of a slot. */
typedef struct Flow {
    Handler *noflags;
    uint8_t reads, writes;             /* FB_...                              */
    bool pure;
} Flow;

/* Handlers without flags where each flag is overwritten before anything reads
 * it or may leave the block: faults show the flags, too. */
static void drop_dead_flags(Slot *slots, const Flow *flow, unsigned n)
{
    unsigned live = 0x3f;

    while (n--) {
        const Flow *f = &flow[n];

        if (f->noflags && !(f->writes & live)) {
            slots[n].fn = f->noflags;
        }
        live = !f->pure || f->reads ? 0x3f : live & ~f->writes;
    }
}

/* Makes the slot of one instruction. */
static bool slot_make(SoftCpu *c, Slot *s, const Insn *in, unsigned off,
                      Flow *flow)
{
    const Bind *b = soft_bind(in->row - insn_rows);
    const InsnFlagSet *set;
    Xlate x = { .c = c, .in = in, .s = s };

    *s = (Slot){ .off = off, .len = in->len, .osz = in->opsize,
                 .asz = in->addrsize, .rep = in->rep, .lock = in->lock,
                 .imm = in->imm, .row = in->row - insn_rows,
                 .fn = soft_h_ud };
    fill_operand(s, in, 0, &s->ra);
    fill_operand(s, in, 1, &s->rb);
    fill_operand(s, in, 2, &s->rc);
    fill_memory(c, s, in);
    if (!s->mem && in->mode == MODE_64 && in->seg_override == SEG_NONE) {
        s->seg = 7;
    }
    if (!b) {
        return false;
    }
    x.arg = b->arg;
    x.flat = in->mode == MODE_64 && s->seg >= 6 && !s->ash;
    x.form = in->mode != MODE_64 || s->ash ? EA_GENERAL :
        s->seg >= 6 && s->index == R_ZERO ? EA_BASE : EA_WIDE;
    if (!b->fn(&x)) {
        s->fn = soft_h_ud;
        return false;
    }
    set = &insn_flag_sets[in->row->flags];
    *flow = (Flow){ .noflags = x.noflags, .pure = x.pure, .reads = set->rd,
                    .writes = set->wr | set->undef };
    return !(in->row->attr & (IA_BRANCH | IA_END)) && !x.end;
}

static const Slot *h_too_long(SoftCpu *c, const Slot *s)
{
    SOFT_GP0(c, s);
}

static void end_slot(Slot *s, unsigned off)
{
    *s = (Slot){ .fn = soft_h_end, .off = off };
}

/* Decodes from avail bytes, linear address at, into slots; returns their
 * number, *bytes used. */
static unsigned decode_run(SoftCpu *c, uint64_t at, const uint8_t *p,
                           unsigned avail, Slot *slots, unsigned *bytes)
{
    unsigned n = 0, off = 0;
    unsigned limit = c->mode & MW_SINGLE ? 1 : BLOCK_INSNS;
    Flow flow[BLOCK_INSNS + 1];
    bool more = true;
    Insn in;

    while (more && n < limit && off < avail) {
        enum InsnResult r = insn_decode(&in, p + off, avail - off,
                                        c->mode & MW_SIZE);

        if (r == INSN_MORE) {
            break;
        }
        if (r != INSN_OK) {
            slots[n++] = (Slot){ .off = off, .len = in.len,
                                 .fn = r == INSN_LONG ? h_too_long :
                                 soft_h_ud };
            flow[n - 1] = (Flow){ 0 };
            off += in.len;
            break;
        }
        if (UNLIKELY(soft_point_count) &&
            soft_points_near((at + off) & 0xfff)) {
            flow[n] = (Flow){ 0 };
            slots[n++] = (Slot){ .off = off, .fn = soft_h_point };
        }
        flow[n] = (Flow){ 0 };
        more = slot_make(c, &slots[n], &in, off, &flow[n]);
        n++;
        off += in.len;
    }
    drop_dead_flags(slots, flow, n);
    if (n) {
        end_slot(&slots[n++], off);
    }
    *bytes = off;
    return n;
}

static Block *block_new(SoftCpu *c, const Slot *slots, unsigned n)
{
    size_t need = ALIGN_UP(sizeof(Block) + (n + 1) * sizeof(Slot), 64);
    Block *b;

    if (c->pool_used + need > c->pool_size) {
        soft_flush_blocks(c);
    }
    b = (Block *)(c->pool + c->pool_used);
    c->pool_used += need;
    memset(b, 0, sizeof(*b));
    b->key = ~0ull;
    b->link[0] = b->link[1] = b->far[0] = b->far[1] = &soft_no_block;
    b->nslots = n;
    memcpy(b->slots, slots, n * sizeof(Slot));
    for (unsigned i = 0; i < n; i++) {
        if (!b->slots[i].blk) {
            b->slots[i].blk = b;
        }
    }
    return b;
}

/* Bytes of an instruction that crosses into the next page, or of code without
 * a host page. */
static unsigned fetch_bytes(SoftCpu *c, uint64_t la, uint8_t *buf,
                            unsigned max)
{
    unsigned n = 0;

    while (n < max) {
        uint32_t *gen;
        uint64_t a = c->code64 ? la + n : (uint32_t)(la + n);
        const uint8_t *h = soft_fetch_host(c, a, &gen);
        unsigned k = 4096 - (a & 0xfff);
        uint64_t pa;
        Insn in;

        k = MIN2(k, max - n);
        if (h) {
            memcpy(buf + n, h, k);
        } else if (soft_translate(c, a, &pa)) {
            for (unsigned i = 0; i < k; i++) {
                buf[n + i] = c->hooks->read(c, pa + i, 1);
            }
        }
        n += k;
        /* the next page is touched only if the instruction needs it */
        if (insn_decode(&in, buf, n, c->mode & MW_SIZE) != INSN_MORE) {
            break;
        }
    }
    return n;
}

static Block *block_odd(SoftCpu *c, uint64_t la, const uint8_t *host,
                        unsigned max)
{
    uint8_t buf[INSN_MAX];
    Slot slots[BLOCK_INSNS + 2];
    unsigned bytes = 0, n, got, h = 0;
    uint32_t mode = c->mode;
    Block *b;

    got = fetch_bytes(c, la, buf, MIN2(max, INSN_MAX));
    if (host) {
        h = hash_of(host, mode);
        for (b = c->hash[h]; b; b = b->hash_next) {
            if (b->host == host && b->mode == mode && b->cross &&
                b->bytes <= got && !memcmp(b->code, buf, b->bytes)) {
                b->gen = *b->genp;
                return b;
            }
        }
    }
    c->mode |= MW_SINGLE;
    n = decode_run(c, la, buf, got, slots, &bytes);
    c->mode = mode;
    if (!n) {
        /* the code segment ends inside the instruction */
        soft_fault_err(c, NULL, EXC_GP, 0);
    }
    b = block_new(c, slots, n);
    b->host = host;
    b->genp = &steady;
    b->gen = steady;
    b->mode = mode;
    b->bytes = bytes;
    b->cross = true;
    memcpy(b->code, buf, MIN2(bytes, INSN_MAX));
    if (host) {
        h = hash_of(host, mode);
        b->hash_next = c->hash[h];
        c->hash[h] = b;
    }
    return b;
}

/* The block made from host, at most avail bytes, under this mode. */
static Block *block_find(SoftCpu *c, const uint8_t *host, unsigned avail)
{
    Block *b;

    for (Block **at = &c->hash[hash_of(host, c->mode)]; (b = *at) != NULL;) {
        if (b->gen != *b->genp) {
            *at = b->hash_next;         /* never valid again */
            continue;
        }
        if (b->host == host && b->mode == c->mode && !b->cross &&
            b->bytes <= avail) {
            return b;
        }
        at = &b->hash_next;
    }
    return NULL;
}

Block *soft_block(SoftCpu *c)
{
    bool searched = false;
    TlbEntry *e;
    uint64_t ip = c->r[R_IP], la = ip + c->segbase[SEG_CS], room = ~0ull;
    const uint8_t *host;
    uint32_t *gen, g;
    unsigned h, avail, bytes, n;
    Slot slots[BLOCK_INSNS + 2];
    Block *b;

    if (!c->code64) {
        la = (uint32_t)la;
        if (!(c->mode & MW_NOCHK << SEG_CS)) {
            uint32_t limit = c->x->seg[SEG_CS].limit;

            if (ip > limit) {
                soft_fault_err(c, NULL, EXC_GP, 0);
            }
            room = limit - ip + 1;
        }
    }
    avail = 4096 - (la & 0xfff);
    if (room < avail) {
        avail = room;
    }
    e = tlb_of(c, la);
    if (e->x == (la & ~0xfffull)) {
        b = block_find(c, (const uint8_t *)(e->add + la), avail);
        if (b) {
            goto found;
        }
        searched = true;
    }
    host = soft_fetch_host(c, la, &gen);
    if (!host || !gen) {
        return block_odd(c, la, NULL, MIN2(room, INSN_MAX));
    }
    if (!searched && (b = block_find(c, host, avail)) != NULL) {
        goto found;
    }
    g = page_mark(c, gen, host);
    n = decode_run(c, la, host, avail, slots, &bytes);
    if (!n) {
        return block_odd(c, la, host, MIN2(room, INSN_MAX));
    }
    b = block_new(c, slots, n);
    b->host = host;
    b->genp = gen;
    b->gen = g;
    b->mode = c->mode;
    b->key = (uint64_t)c->mode << 32;
    b->bytes = bytes;
    h = hash_of(host, c->mode);
    b->hash_next = c->hash[h];
    c->hash[h] = b;
found:
    if (c->mode & MW_SINGLE) {
        return b;
    }
    h = (ip ^ ip >> 12) & 4095;
    c->jc[h].ip = ip;
    c->jc[h].b = b;
    return b;
}
