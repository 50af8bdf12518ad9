/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft.h - the software CPU's engine: vCPU working state, decoded blocks,
 * software TLB, flags, and the narrow interface to the machine around it.
 *
 * Thread class: everything here runs in the vCPU's own thread, without the
 * machine lock, unless a prototype says otherwise.
 *
 * Invariants:
 * 1. A fault leaves the state of the start of its instruction: handlers do
 *    every access that can fault before they write a register.
 * 2. `rip` holds the IP of the running block's first instruction; a slot's
 *    `off` leads to its own. It is true between blocks.
 * 3. Host pointers come only from SoftHooks.page, through the TLB.
 * 4. A block is run only while its page's generation is the one it was
 *    decoded under.
 */
#ifndef ACCEL_SOFT_SOFT_H
#define ACCEL_SOFT_SOFT_H

#include <setjmp.h>
#include "base.h"
#include "x86.h"
#include "target/x86/insn.h"

typedef struct SoftCpu SoftCpu;
typedef struct Slot Slot;
typedef struct Block Block;
typedef const Slot *Handler(SoftCpu *c, const Slot *s);

/* Handlers leave by NEXT: a tail call where the build makes sure that the
 * compiler turns it into a jump (SOFT_TAIL), a return to the loop elsewhere. */
#ifdef SOFT_TAIL
#define NEXT return s[1].fn(c, s + 1)
#define GOTO_SLOT(p) return (p)->fn(c, p)
#else
#define NEXT return s + 1
#define GOTO_SLOT(p) return (p)
#endif
#define LEAVE return NULL

struct Slot {
    Handler *fn;
    uint8_t ra, rb, rc;                /* byte offsets into SoftCpu.r         */
    uint8_t seg;                       /* into segbase; 6: none               */
    uint8_t base, index, shift;        /* register numbers; 16: zero          */
    uint8_t ash;                       /* 0, 32, 48: cuts the offset          */
    int32_t disp;
    uint16_t off;                      /* of the instruction in its block     */
    uint8_t len, osz;
    uint64_t imm;
    union {
        Block *blk;
        const void *p;
        void (*call)(void);
        uint64_t u;
    };
    uint8_t check;                     /* segment limits and rights           */
    uint8_t asz, rep, lock, sub, mem;
    uint16_t row;
};

struct Block {
    const uint8_t *host;               /* of the first byte                   */
    Block *hash_next;
    uint32_t *genp;
    uint64_t key;                      /* as kick_mode() when it may run      */
    uint32_t gen, mode;
    uint16_t bytes, nslots;
    bool cross;                        /* one instruction over two pages      */
    uint8_t code[INSN_MAX];            /* its bytes                           */
    Block *link[2];                    /* where it goes, in the same page     */
    Block *far[2];                     /* in another one: to be translated    */
    Slot slots[];
};

/* Registers beyond the sixteen. */
enum { R_ZERO = 16, R_IP = 17 };
#define SEGB_NONE 6

typedef struct TlbEntry {
    uint64_t r, w, x;                  /* page address, or TLB_NONE           */
    uintptr_t add;                     /* host = add + linear                 */
} TlbEntry;
#define TLB_NONE 0xfffull              /* never a page address                */
#define TLB_BITS 13
#define TLB_SIZE (1u << TLB_BITS)
enum { MMU_KERNEL, MMU_USER, MMU_SMAP, MMU_COUNT };
enum { ACC_READ, ACC_WRITE, ACC_EXEC };

/* Mode word: what decoding depends on. */
enum {
    MW_SIZE   = 3,                     /* InsnMode                            */
    MW_SS32   = 1 << 2,
    MW_SINGLE = 1 << 3,
    MW_NOCHK  = 1 << 4,                /* .. 1 << 9: segment needs no check   */
};

/* What the machine gives. All may be called from the vCPU's thread. */
typedef struct SoftPage {
    uint8_t *host;                     /* of the 4-KiB page; NULL: no RAM     */
    uint32_t *gen;                     /* odd: blocks were decoded from it    */
    bool readonly;                     /* writes go to .write                 */
    bool slow_write;                   /* .write, because writes are logged   */
} SoftPage;
typedef struct SoftHooks {
    bool (*page)(SoftCpu *c, uint64_t pa, SoftPage *out);
    uint64_t (*read)(SoftCpu *c, uint64_t pa, unsigned size);
    void (*write)(SoftCpu *c, uint64_t pa, uint64_t v, unsigned size);
    uint64_t (*in)(SoftCpu *c, uint16_t port, unsigned size);
    void (*out)(SoftCpu *c, uint16_t port, uint64_t v, unsigned size);
    void (*cpuid)(SoftCpu *c, uint32_t leaf, uint32_t sub, uint32_t out[4]);
    bool (*msr_read)(SoftCpu *c, uint32_t msr, uint64_t *v);
    bool (*msr_write)(SoftCpu *c, uint32_t msr, uint64_t v);
    uint64_t (*tsc)(SoftCpu *c);
    uint8_t (*tpr_get)(SoftCpu *c);
    void (*tpr_set)(SoftCpu *c, uint8_t v);
    /* Vector of the interrupt to take, acknowledged; -1: none. */
    int (*irq_ack)(SoftCpu *c);
    void (*exclusive)(SoftCpu *c, bool on);     /* stop the other vCPUs      */
    /* An x87 error stands that is no #MF, or does no longer; true: go on in
     * spite of it. NULL: always. */
    bool (*ferr)(SoftCpu *c, bool error);
    /* Blocks are about to be decoded from this page: makes its generation odd
     * while no other vCPU runs or has a write tag for it. NULL: alone. */
    void (*code_page)(SoftCpu *c, const uint8_t *page, uint32_t *gen);
    void (*smm)(SoftCpu *c, bool enter);
    /* Wait a moment, unless something came. NULL: does not wait. */
    void (*nap)(SoftCpu *c);
    /* An exception is about to be delivered; true: soft_run returns
     * SOFT_DEBUG instead, rip at the instruction. May be NULL. */
    bool (*exception)(SoftCpu *c, int vec, uint32_t err);
} SoftHooks;

/* x87 state in FXSAVE's layout; its xmm part is not used. */
typedef struct FxImage {
    uint16_t fcw, fsw;
    uint8_t ftw, rsvd;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    struct { uint64_t mant; uint16_t se; uint8_t pad[6]; } st[8];
    uint8_t rest[352];
} __attribute__((aligned(16))) FxImage;

/* Why soft_run returned. */
enum { SOFT_KICK, SOFT_HALT, SOFT_SHUTDOWN, SOFT_DEBUG };
/* Bits of SoftCpu.kick. */
enum { KICK_EXIT = 1, KICK_IRQ = 2, KICK_MCE = 4, KICK_NMI = 8,
       KICK_SMI = 16, KICK_FLUSH = 32, KICK_INIT = 64, KICK_STEP = 128 };

struct SoftCpu {
    uint64_t r[18];                    /* 16 GPR, zero, IP                    */
    uint64_t fres, faux;               /* flags, see below                    */
    TlbEntry *tlb;                     /* the one of now                      */
    uint64_t segbase[8];               /* [6] is 0                            */
    uint32_t kick __attribute__((aligned(8)));  /* atomic                     */
    uint32_t mode;                     /* right after kick                    */
    uint32_t eflags;                   /* all but the six arithmetic ones     */
    uint8_t cpl, code64, lma, fpu_bad, sse_bad, avx_bad, shadow, single_req;
    bool strict;                       /* the user's accesses are aligned   */
    bool irq_wait;                     /* an interrupt may be there           */
    Block **link_from;
    X86Regs *x;                        /* everything that is not hot          */
    const SoftHooks *hooks;
    void *owner;
    Block *cur;
    /* Exception being raised. */
    uint8_t exc, exc_has_err, exc_soft, delivering, delivering_vec;
    bool ext;                          /* delivering what no INT n asked for  */
    uint32_t exc_err;
    uint64_t pend_db;                  /* DR6 bits for a trap                 */
    uint64_t a20_mask, phys_mask, cr4_valid, efer_valid, xcr0_valid;
    uint64_t insns;
    bool halted, shutdown, nmi_masked, debug_stop;
    int watch_type;                    /* a debugger's; 0: none was met      */
    uint64_t watch_addr;
    struct { uint64_t ip; Block *b; } jc[4096];
    Block *hash[32768];
    uint8_t *pool;
    size_t pool_size, pool_used;
    jmp_buf jb;
    TlbEntry tlbs[MMU_COUNT][TLB_SIZE];
    /* Entries that a switch of address spaces keeps; the others are listed
     * while there is room. */
    uint8_t tlb_global[MMU_COUNT][TLB_SIZE];
    uint16_t writable[16384];          /* write tags by hash of host page     */
    uint16_t local[1024];              /* entry, counted from tlbs[0][0]      */
    unsigned local_count;              /* beyond the array: more than listed  */
    /* Host addresses of pages that tables were read from; lives and dies with
     * the TLB's global entries. */
    struct { uint64_t pa; const uint8_t *host; } tables[64];
    X86Vec vtmp[4];
    FxImage fx;
    uint16_t fcs, fds;
    uint64_t pdpte[4];
    uint64_t mon_addr, mon_value;      /* what MONITOR saw                    */
    bool mon_armed;
    bool rmw_device, exclusive, ferr;
};

/*
 * Flags: fres is the result, sign extended; faux holds the carry vector:
 * bit 63 CF, bit 62 CF ^ OF, bit 3 AF; bits 8-15 are xored into the byte that
 * PF is taken from, bit 0 into SF, so that any combination can be loaded.
 */
#define F_CF 0x1u
#define F_PF 0x4u
#define F_AF 0x10u
#define F_ZF 0x40u
#define F_SF 0x80u
#define F_TF 0x100u
#define F_IF 0x200u
#define F_DF 0x400u
#define F_OF 0x800u
#define F_IOPL 0x3000u
#define F_NT 0x4000u
#define F_RF 0x10000u
#define F_VM 0x20000u
#define F_AC 0x40000u
#define F_VIF 0x80000u
#define F_VIP 0x100000u
#define F_ID 0x200000u
#define F_ARITH (F_CF | F_PF | F_AF | F_ZF | F_SF | F_OF)
#define F_VALID 0x3f7fd5u

static inline unsigned fl_c(const SoftCpu *c) { return c->faux >> 63; }
static inline unsigned fl_z(const SoftCpu *c) { return c->fres == 0; }
static inline unsigned fl_s(const SoftCpu *c)
{
    return (c->fres >> 63) ^ (c->faux & 1);
}
static inline unsigned fl_o(const SoftCpu *c)
{
    return (c->faux ^ c->faux << 1) >> 63;
}
static inline unsigned fl_p(const SoftCpu *c)
{
    return !__builtin_parity((c->fres ^ c->faux >> 8) & 0xff);
}
static inline unsigned fl_a(const SoftCpu *c) { return c->faux >> 3 & 1; }
static inline uint32_t fl_get(const SoftCpu *c)
{
    return fl_c(c) | fl_p(c) << 2 | fl_a(c) << 4 | fl_z(c) << 6 |
        fl_s(c) << 7 | fl_o(c) << 11;
}
static inline void fl_set(SoftCpu *c, uint32_t f)
{
    uint64_t aux = 0;
    bool cf = f & F_CF, of = f & F_OF;

    c->fres = f & F_ZF ? 0 : 1;        /* parity of 0 is even, of 1 odd      */
    aux |= (uint64_t)cf << 63 | (uint64_t)(cf ^ of) << 62;
    aux |= f & F_AF ? 8 : 0;
    aux |= f & F_SF ? 1 : 0;
    if (!!(f & F_PF) != !!(f & F_ZF)) {
        aux |= 0x100;
    }
    c->faux = aux;
}
static inline void fl_cf_of(SoftCpu *c, bool cf, bool of)
{
    c->faux = (c->faux & ~(3ull << 62)) | (uint64_t)cf << 63 |
        (uint64_t)(cf ^ of) << 62;
}
/* The condition of the low four opcode bits. */
static inline __attribute__((always_inline))
bool fl_cond(const SoftCpu *c, unsigned cc)
{
    bool r;

    switch (cc >> 1) {
    case 0: r = fl_o(c); break;
    case 1: r = fl_c(c); break;
    case 2: r = fl_z(c); break;
    case 3: r = fl_c(c) | fl_z(c); break;
    case 4: r = fl_s(c); break;
    case 5: r = fl_p(c); break;
    case 6: r = fl_s(c) ^ fl_o(c); break;
    default: r = fl_z(c) | (fl_s(c) ^ fl_o(c)); break;
    }
    return r ^ (cc & 1);
}
static inline uint32_t eflags_get(const SoftCpu *c)
{
    return c->eflags | fl_get(c) | 2;
}

/* Whether an address is canonical with these bits of CR4, of which LA57 counts:
 * those in force for a target, those the processor knows for what is stored. */
static inline bool soft_canonical(uint64_t la, uint64_t cr4)
{
    unsigned k = cr4 >> 12 & 1 ? 7 : 16;

    return (uint64_t)((int64_t)(la << k) >> k) == la;
}

/* ---- exceptions ---------------------------------------------------------- */
enum {
    EXC_DE, EXC_DB, EXC_NMI, EXC_BP, EXC_OF, EXC_BR, EXC_UD, EXC_NM, EXC_DF,
    EXC_TS = 10, EXC_NP, EXC_SS, EXC_GP, EXC_PF, EXC_MF = 16, EXC_AC, EXC_MC,
    EXC_XM
};
/* Leave the running instruction (rip is moved to it) with a fault. */
_Noreturn void soft_fault(SoftCpu *c, const Slot *s, int vec);
_Noreturn void soft_fault_err(SoftCpu *c, const Slot *s, int vec,
                              uint32_t err);
/* Leave it to be run again, after events. */
_Noreturn void soft_again(SoftCpu *c, const Slot *s);
#define SOFT_UD(c, s) soft_fault(c, s, EXC_UD)
#define SOFT_GP0(c, s) soft_fault_err(c, s, EXC_GP, 0)

/* ---- memory -------------------------------------------------------------- */
uint64_t soft_ld_slow(SoftCpu *c, const Slot *s, uint64_t la, unsigned size);
void soft_st_slow(SoftCpu *c, const Slot *s, uint64_t la, uint64_t v,
                  unsigned size);
/* Host address for a read-modify-write of size bytes; NULL: not plain RAM or
 * across pages (then the caller goes through ld and st). */
void *soft_rmw_slow(SoftCpu *c, const Slot *s, uint64_t la, unsigned size);
void soft_ld_bytes(SoftCpu *c, const Slot *s, uint64_t la, void *p, unsigned n);
void soft_st_bytes(SoftCpu *c, const Slot *s, uint64_t la, const void *p,
                   unsigned n);
/* Around a locked access for which soft_rmw_slow gave no address. On a device
 * it is a load and a store: no other processor may be held up while a device
 * works, which may wait for it. A fault ends it. */
void soft_lock_begin(SoftCpu *c);
void soft_lock_end(SoftCpu *c);
/* Faults unless n bytes at la may be written. */
void soft_probe_write(SoftCpu *c, const Slot *s, uint64_t la, unsigned n);
/* Implicit supervisor accesses: descriptor tables, TSS. */
uint64_t soft_ld_sys(SoftCpu *c, const Slot *s, uint64_t la, unsigned size);
void soft_st_sys(SoftCpu *c, const Slot *s, uint64_t la, uint64_t v,
                 unsigned size);
void soft_probe_sys(SoftCpu *c, const Slot *s, uint64_t la, unsigned n);
const uint8_t *soft_fetch_host(SoftCpu *c, uint64_t la, uint32_t **gen);
/* global: also the entries of global pages. */
void soft_tlb_flush(SoftCpu *c, bool global);
void soft_tlb_flush_page(SoftCpu *c, uint64_t la);
/* Writes to this page of RAM go the slow way. The vCPU's thread, or another
 * one's that has stopped it. */
void soft_tlb_drop_page(SoftCpu *c, const uint8_t *host);
uint64_t soft_phys_ld(SoftCpu *c, uint64_t pa, unsigned size);
void soft_phys_st(SoftCpu *c, uint64_t pa, uint64_t v, unsigned size);
/* Guest translation without side effects; false: not mapped. ANY_THREAD with
 * the vCPU stopped. */
bool soft_translate(SoftCpu *c, uint64_t la, uint64_t *pa);
bool soft_load_pdptes(SoftCpu *c, uint64_t cr3);
/* Segment-checked linear address of a data access. */
uint64_t soft_seg_check(SoftCpu *c, const Slot *s, unsigned seg, uint64_t off,
                        unsigned size, bool write);

static inline TlbEntry *tlb_of(SoftCpu *c, uint64_t la)
{
    return &c->tlb[la >> 12 & (TLB_SIZE - 1)];
}
#define LD_ST(n, T) \
typedef T __attribute__((may_alias, aligned(1))) una_##n; \
static inline T ld##n(SoftCpu *c, const Slot *s, uint64_t la) \
{ \
    TlbEntry *e = tlb_of(c, la); \
    if (LIKELY(e->r == ((la + sizeof(T) - 1) & ~0xfffull))) { \
        return *(volatile una_##n *)(e->add + la); \
    } \
    return soft_ld_slow(c, s, la, sizeof(T)); \
} \
static inline void st##n(SoftCpu *c, const Slot *s, uint64_t la, T v) \
{ \
    TlbEntry *e = tlb_of(c, la); \
    if (LIKELY(e->w == ((la + sizeof(T) - 1) & ~0xfffull))) { \
        *(volatile una_##n *)(e->add + la) = v; \
        return; \
    } \
    soft_st_slow(c, s, la, v, sizeof(T)); \
} \
static inline una_##n *rmw##n(SoftCpu *c, const Slot *s, uint64_t la) \
{ \
    TlbEntry *e = tlb_of(c, la); \
    if (LIKELY(e->w == ((la + sizeof(T) - 1) & ~0xfffull))) { \
        return (una_##n *)(e->add + la); \
    } \
    return soft_rmw_slow(c, s, la, sizeof(T)); \
}
LD_ST(8, uint8_t)
LD_ST(16, uint16_t)
LD_ST(32, uint32_t)
LD_ST(64, uint64_t)
#undef LD_ST

/* For handlers whose only call is the last: what the TLB has, else all of it
 * by another handler, so that no register is saved on the way. */
#define FAST_LD(n, v, la, slow) \
    const TlbEntry *e_##v = tlb_of(c, la); \
    if (UNLIKELY(e_##v->r != (((la) + n / 8 - 1) & ~0xfffull))) { \
        return slow(c, s); \
    } \
    v = *(volatile una_##n *)(e_##v->add + (la))
#define FAST_AT(n, p, la, slow) \
    const TlbEntry *e_##p = tlb_of(c, la); \
    if (UNLIKELY(e_##p->w != (((la) + n / 8 - 1) & ~0xfffull))) { \
        return slow(c, s); \
    } \
    volatile una_##n *p = (volatile una_##n *)(e_##p->add + (la))

static inline uint64_t ld_n(SoftCpu *c, const Slot *s, uint64_t la, unsigned n)
{
    switch (n) {
    case 1: return ld8(c, s, la);
    case 2: return ld16(c, s, la);
    case 4: return ld32(c, s, la);
    default: return ld64(c, s, la);
    }
}
static inline void st_n(SoftCpu *c, const Slot *s, uint64_t la, uint64_t v,
                        unsigned n)
{
    switch (n) {
    case 1: st8(c, s, la, v); break;
    case 2: st16(c, s, la, v); break;
    case 4: st32(c, s, la, v); break;
    default: st64(c, s, la, v); break;
    }
}

/* Effective address: offset, then linear. */
static inline uint64_t ea_off(const SoftCpu *c, const Slot *s)
{
    uint64_t a = c->r[s->base] + (c->r[s->index] << s->shift) + s->disp;

    return a << s->ash >> s->ash;
}
static inline uint64_t ea_flat(const SoftCpu *c, const Slot *s)
{
    return c->r[s->base] + (c->r[s->index] << s->shift) + s->disp;
}
static inline uint64_t seg_lin(SoftCpu *c, const Slot *s, unsigned seg,
                               uint64_t off, unsigned size, bool write)
{
    if (UNLIKELY(s->check)) {
        return soft_seg_check(c, s, seg, off, size, write);
    }
    off += c->segbase[seg];
    return c->code64 ? off : (uint32_t)off;
}
static inline uint64_t ea(SoftCpu *c, const Slot *s, unsigned size, bool write)
{
    return seg_lin(c, s, s->seg, ea_off(c, s), size, write);
}

/* ---- registers ----------------------------------------------------------- */
#define RP(c, o) ((void *)((uint8_t *)(c)->r + (o)))
static inline uint64_t reg_n(const SoftCpu *c, unsigned o, unsigned n)
{
    const void *p = (const uint8_t *)c->r + o;

    switch (n) {
    case 1: return *(const una_8 *)p;
    case 2: return *(const una_16 *)p;
    case 4: return *(const una_32 *)p;
    default: return *(const una_64 *)p;
    }
}
static inline void reg_set(SoftCpu *c, unsigned o, uint64_t v, unsigned n)
{
    void *p = RP(c, o);

    switch (n) {
    case 1: *(una_8 *)p = v; break;
    case 2: *(una_16 *)p = v; break;
    case 4: *(una_64 *)p = (uint32_t)v; break;
    default: *(una_64 *)p = v; break;
    }
}
static inline int64_t sext_n(uint64_t v, unsigned n)
{
    unsigned k = 64 - 8 * n;

    return (int64_t)(v << k) >> k;
}
static inline uint64_t mask_n(unsigned n)
{
    return n == 8 ? ~0ull : (1ull << 8 * n) - 1;
}
static inline void fl_logic(SoftCpu *c, uint64_t v, unsigned n)
{
    c->fres = sext_n(v, n);
    c->faux = 0;
}
static inline uint64_t aux_of(uint64_t carries, unsigned n)
{
    return n == 8 ? carries & 0xc000000000000008ull :
        carries << (64 - 8 * n) | (carries & 8);
}
static inline void fl_add(SoftCpu *c, uint64_t a, uint64_t b, uint64_t r,
                          unsigned n)
{
    c->fres = sext_n(r, n);
    c->faux = aux_of(((a & b) | ((a | b) & ~r)) &
                     (n == 8 ? ~0ull : mask_n(n)), n);
}
static inline void fl_sub(SoftCpu *c, uint64_t a, uint64_t b, uint64_t r,
                          unsigned n)
{
    c->fres = sext_n(r, n);
    c->faux = aux_of(((~a & b) | ((~a | b) & r)) &
                     (n == 8 ? ~0ull : mask_n(n)), n);
}

/* IP of the instruction and of the one after it. */
static inline uint64_t ip_mask(const SoftCpu *c, uint64_t ip)
{
    return c->code64 ? ip : (c->mode & MW_SIZE) == MODE_32 ? (uint32_t)ip :
        (uint16_t)ip;
}
static inline uint64_t ip_of(const SoftCpu *c, const Slot *s)
{
    return ip_mask(c, c->r[R_IP] + s->off);
}
static inline uint64_t ip_next(const SoftCpu *c, const Slot *s)
{
    return ip_mask(c, c->r[R_IP] + s->off + s->len);
}

/* ---- stack --------------------------------------------------------------- */
static inline unsigned stack_bytes(const SoftCpu *c)
{
    return c->code64 ? 8 : c->mode & MW_SS32 ? 4 : 2;
}
static inline void sp_set(SoftCpu *c, uint64_t v)
{
    if (c->code64) {
        c->r[X86_RSP] = v;
    } else if (c->mode & MW_SS32) {
        c->r[X86_RSP] = (uint32_t)v;
    } else {
        *(una_16 *)&c->r[X86_RSP] = v;
    }
}
static inline uint64_t sp_cut(const SoftCpu *c, uint64_t v)
{
    return c->code64 ? v : c->mode & MW_SS32 ? (uint32_t)v : (uint16_t)v;
}
/* Linear address of stack offset off. */
uint64_t soft_stack_lin(SoftCpu *c, const Slot *s, uint64_t off, unsigned n,
                        bool write);
static inline uint64_t stack_lin(SoftCpu *c, const Slot *s, uint64_t off,
                                 unsigned n, bool write)
{
    return LIKELY(c->code64) ? off : soft_stack_lin(c, s, off, n, write);
}
/* An address that is not canonical is the stack's fault, whatever segment the
 * instruction's own operand is in. */
static inline void stack_judge(SoftCpu *c, const Slot *s, uint64_t sp)
{
    if (c->code64 && s && s->mem && UNLIKELY(!soft_canonical(sp, c->x->cr4))) {
        soft_fault_err(c, s, EXC_SS, 0);
    }
}
static inline void push_n(SoftCpu *c, const Slot *s, uint64_t v, unsigned n)
{
    uint64_t sp = sp_cut(c, c->r[X86_RSP] - n);

    stack_judge(c, s, sp);
    st_n(c, s, stack_lin(c, s, sp, n, true), v, n);
    sp_set(c, sp);
}
static inline uint64_t peek_n(SoftCpu *c, const Slot *s, unsigned at,
                              unsigned n)
{
    uint64_t sp = sp_cut(c, c->r[X86_RSP] + at);

    stack_judge(c, s, sp);
    return ld_n(c, s, stack_lin(c, s, sp, n, false), n);
}

/* ---- operand E of unspecialised handlers --------------------------------- */
typedef struct Rm {
    uint64_t la, v;
    void *p;
} Rm;
static inline uint64_t rm_load(SoftCpu *c, const Slot *s, unsigned reg,
                               unsigned n)
{
    return s->mem ? ld_n(c, s, ea(c, s, n, false), n) : reg_n(c, reg, n);
}
/* Operand 0, to be read and then written with rm_close, which cannot fault. */
Rm soft_rm_open(SoftCpu *c, const Slot *s, unsigned n);
void soft_rm_close(SoftCpu *c, const Slot *s, Rm *m, uint64_t v, unsigned n);
/* With a lock prefix: false: memory changed since rm_open, m->v is new. */
bool soft_rm_swap(SoftCpu *c, const Slot *s, Rm *m, uint64_t v, unsigned n);

/* ---- engine -------------------------------------------------------------- */
bool soft_init(SoftCpu *c, X86Regs *x, const SoftHooks *hooks, void *owner,
               size_t pool);
void soft_fini(SoftCpu *c);
/* X86Regs -> working state, and back. */
void soft_load(SoftCpu *c);
void soft_save(SoftCpu *c);
int soft_run(SoftCpu *c);
/* Make the vCPU look up. ANY_THREAD. */
void soft_kick(SoftCpu *c, uint32_t bits);
void soft_mode_update(SoftCpu *c);
void soft_seg_update(SoftCpu *c, unsigned seg);
void soft_cpl_set(SoftCpu *c, unsigned cpl);
void soft_mmu_pick(SoftCpu *c);
void soft_fpu_pick(SoftCpu *c);
void soft_flush_blocks(SoftCpu *c);
void soft_code_written(SoftCpu *c, uint32_t *gen, const uint8_t *host,
                       const Slot *s);
Block *soft_block(SoftCpu *c);

/* What no link leads to: its key never matches. */
extern Block soft_no_block;

/* No kick, and the mode: in one load. */
static inline uint64_t kick_mode(const SoftCpu *c)
{
    typedef uint64_t __attribute__((may_alias)) Both;

    return __atomic_load_n((const Both *)&c->kick, __ATOMIC_RELAXED);
}
static inline bool block_good(const SoftCpu *c, const Block *b)
{
    return b->key == kick_mode(c) &&
        __atomic_load_n(b->genp, __ATOMIC_RELAXED) == b->gen;
}
/* Whether the code at la is now what the block was made from. */
static inline bool block_mapped(SoftCpu *c, const Block *b, uint64_t la)
{
    const TlbEntry *e = tlb_of(c, la);

    return e->x == (la & ~0xfffull) && (const uint8_t *)(e->add + la) == b->host;
}
/* Continue at c->r[R_IP], already set. */
static inline const Slot *soft_jump(SoftCpu *c)
{
    uint64_t ip = c->r[R_IP], la = ip + c->segbase[SEG_CS];
    unsigned h = (ip ^ ip >> 12) & 4095;
    Block *b = c->jc[h].b;

    if (!c->code64) {
        la = (uint32_t)la;
    }
    if (LIKELY(c->jc[h].ip == ip && block_good(c, b) &&
               block_mapped(c, b, la))) {
        c->cur = b;
        return b->slots;
    }
    c->link_from = NULL;
    return NULL;
}
/* The same in 64-bit code, where the code segment's base is 0. */
static inline const Slot *soft_jump64(SoftCpu *c, uint64_t ip)
{
    unsigned h = (ip ^ ip >> 12) & 4095;
    Block *b = c->jc[h].b;

    c->r[R_IP] = ip;
    if (LIKELY(c->jc[h].ip == ip && block_good(c, b) &&
               block_mapped(c, b, ip))) {
        c->cur = b;
        return b->slots;
    }
    c->link_from = NULL;
    return NULL;
}
/* There is no good link k for the running block, which goes to ip. */
const Slot *soft_branch_out(SoftCpu *c, const Slot *s, uint64_t ip, unsigned k);
/* Direct branch to ip along link k of the running block, by its slot p. */
#define BRANCH_OF(p, k, ip) do { \
    uint64_t to_ = (ip); \
    Block *n_ = (p)->blk->link[k]; \
    if (LIKELY(block_good(c, n_))) { \
        c->r[R_IP] = to_; \
        c->cur = n_; \
        GOTO_SLOT(n_->slots); \
    } \
    return soft_branch_out(c, p, to_, k); } while (0)
#define BRANCH(k, ip) BRANCH_OF(s, k, ip)
#define JUMP64(ip) do { const Slot *n_ = soft_jump64(c, ip); \
    if (LIKELY(n_ != NULL)) { GOTO_SLOT(n_); } LEAVE; } while (0)
#define JUMP do { const Slot *n_ = soft_jump(c); \
    if (LIKELY(n_ != NULL)) { GOTO_SLOT(n_); } LEAVE; } while (0)

/* ---- control transfer, events (seg.c, gate.c, task.c, event.c) ----------- */
enum { EV_EXC, EV_SOFT, EV_HARD, EV_INT1 };
typedef struct Desc { uint32_t lo, hi; } Desc;
bool soft_desc_read(SoftCpu *c, const Slot *s, uint16_t sel, Desc *d);
void soft_desc_to_seg(Desc d, uint16_t sel, X86Seg *out);
uint32_t soft_desc_limit(Desc d);
uint64_t soft_desc_base(Desc d);
void soft_desc_accessed(SoftCpu *c, const Slot *s, uint16_t sel, Desc *d);
void soft_seg_load(SoftCpu *c, const Slot *s, unsigned seg, uint16_t sel);
void soft_seg_real(SoftCpu *c, unsigned seg, uint16_t sel);
void soft_cs_set(SoftCpu *c, uint16_t sel, Desc d, unsigned cpl);
void soft_ss_set(SoftCpu *c, uint16_t sel, Desc d);
void soft_far_jump(SoftCpu *c, const Slot *s, uint16_t sel, uint64_t ip,
                   bool call);
void soft_far_ret(SoftCpu *c, const Slot *s, unsigned imm);
void soft_iret(SoftCpu *c, const Slot *s);
void soft_event(SoftCpu *c, int vec, int kind, bool has_err, uint32_t err,
                uint64_t ip);
void soft_task_switch(SoftCpu *c, const Slot *s, uint16_t sel, Desc d,
                      int why, uint64_t ip, bool has_err, uint32_t err);
enum { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_INT };
void soft_ldt_load(SoftCpu *c, const Slot *s, uint16_t sel);
void soft_tr_load(SoftCpu *c, const Slot *s, uint16_t sel);
void soft_tss_stack(SoftCpu *c, const Slot *s, unsigned dpl, uint16_t *ss,
                    uint64_t *sp);
bool soft_cr_write(SoftCpu *c, unsigned n, uint64_t v);
void soft_eflags_write(SoftCpu *c, uint32_t v, uint32_t mask);
bool soft_msr_read(SoftCpu *c, uint32_t msr, uint64_t *v);
bool soft_msr_write(SoftCpu *c, uint32_t msr, uint64_t v);
void soft_smm_enter(SoftCpu *c);
void soft_rsm(SoftCpu *c, const Slot *s);
void soft_db_trap(SoftCpu *c, uint64_t dr6);

static inline bool soft_pe(const SoftCpu *c) { return c->x->cr0 & 1; }
static inline bool soft_v86(const SoftCpu *c) { return c->eflags & F_VM; }

/* ---- a debugger's points (debug.c) --------------------------------------- */
/* As the gdb protocol numbers them. */
enum { POINT_SOFT, POINT_HARD, POINT_WRITE, POINT_READ, POINT_ACCESS };
extern unsigned soft_point_count, soft_watch_count;
/* False: cannot be had. The caller flushes every vCPU, all stopped. */
bool soft_point_set(uint64_t addr, uint64_t len, int type, bool insert);
/* A breakpoint with this offset in its page; one at this IP. */
bool soft_points_near(unsigned offset);
bool soft_point_here(const SoftCpu *c, uint64_t ip);
bool soft_watch_page(uint64_t la);
void soft_watch_hit(SoftCpu *c, uint64_t la, unsigned size, bool write);
Handler soft_h_point;

/* ---- x87 and vectors (thunk.c, x87.c, vec.c, xsave.c) -------------------- */
/* From a SIGFPE handler: does not return when the trap was the engine's. */
bool soft_vec_trap(void *ctx);
void soft_x87_load(SoftCpu *c);
void soft_x87_save(SoftCpu *c);
void soft_mmx_enter(SoftCpu *c);
/* Before an instruction that waits for x87 exceptions. */
void soft_x87_pending(SoftCpu *c, const Slot *s);
static inline void soft_x87_wait(SoftCpu *c, const Slot *s)
{
    if (UNLIKELY(c->fx.fsw & 0x80 || c->ferr)) {
        soft_x87_pending(c, s);
    }
}
/* The guest's x87 tag word in full form. */
uint16_t soft_x87_tags(const FxImage *f);

/* Forms of addresses: 64-bit with a base and without a segment; any 64-bit
 * one; all others. */
enum EaForm { EA_BASE, EA_WIDE, EA_GENERAL };
#define EA_b(sz, w) (c->r[s->base] + (int64_t)s->disp)
#define EA_f(sz, w) (ea_flat(c, s) + c->segbase[s->seg])
#define EA_g(sz, w) ea(c, s, sz, w)

/* ---- binding rows to handlers (bind.c) ----------------------------------- */
typedef struct Xlate Xlate;
struct Xlate {
    SoftCpu *c;
    const Insn *in;
    Slot *s;
    unsigned arg;
    bool flat;                         /* memory operand: the short EA        */
    uint8_t form;                      /* EaForm                              */
    bool end;                          /* the block ends after this           */
    /* Registers only, and never leaves the block: flags that are overwritten
     * later need not be set before it. */
    bool pure;
    Handler *noflags;                  /* the same without flags; may be NULL */
};
/* Chooses the handler; false: this form is not there (#UD). */
typedef bool BindFn(Xlate *x);
typedef struct Bind {
    const char *name;
    BindFn *fn;
    unsigned arg;
} Bind;
extern const Bind soft_binds_int[], soft_binds_flow[], soft_binds_sys[],
    soft_binds_str[], soft_binds_x87[], soft_binds_xsave[], soft_binds_vec[],
    soft_binds_misc[];
const Bind *soft_bind(unsigned row);
/* True when every row of a feature has a handler. */
bool soft_feature_done(unsigned feat);
Handler soft_h_ud, soft_h_end, soft_h_fetch_fault;

#endif
