/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * insn-decode.c - bytes to Insn.
 * Intel SDM vol. 2, 2.1-2.3 (prefixes, REX, VEX, ModRM, SIB); AMD64 APM
 * vol. 3, 1.1-1.4.
 *
 * Thread class: ANY_THREAD.
 * Invariants:
 * 1. No byte beyond the given buffer is read; a form that needs more gives
 *    INSN_MORE, and never INSN_UD where a longer buffer would give INSN_OK.
 * 2. len never exceeds 15.
 */
#include <pthread.h>
#include <string.h>
#include "insn.h"

/* Rows of one opcode: index[first[map][op] .. first[map][op + 1]). */
static uint16_t row_first[MAP_COUNT][257];
static uint16_t row_index[8192];
static pthread_once_t index_once = PTHREAD_ONCE_INIT;

static void index_build(void)
{
    unsigned n = 0;

    for (unsigned map = 0; map < MAP_COUNT; map++) {
        for (unsigned op = 0; op < 256; op++) {
            row_first[map][op] = n;
            for (unsigned i = 0; i < insn_row_count; i++) {
                const InsnRow *r = &insn_rows[i];
                unsigned mask = r->attr & IA_PLUSR ? 0xf8 : 0xff;

                if (r->map == map && (op & mask) == r->op &&
                    n < sizeof(row_index) / sizeof(row_index[0])) {
                    row_index[n++] = i;
                }
            }
        }
        row_first[map][256] = n;
    }
}

typedef struct Cursor {
    const uint8_t *p, *end;
    bool more;
} Cursor;

static unsigned get8(Cursor *c)
{
    if (c->p >= c->end) {
        c->more = true;
        return 0;
    }
    return *c->p++;
}

static uint64_t get_n(Cursor *c, unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n; i++) {
        v |= (uint64_t)get8(c) << (8 * i);
    }
    return v;
}

static int64_t sign_extend(uint64_t v, unsigned bytes)
{
    unsigned s = 64 - 8 * bytes;

    return bytes ? (int64_t)(v << s) >> s : 0;
}

unsigned insn_operand_bytes(const Insn *in, unsigned z)
{
    unsigned x = in->vex_l ? 32 : 16;

    switch (z) {
    case OZ_b: return 1;
    case OZ_w: return 2;
    case OZ_d: return 4;
    case OZ_q: return 8;
    case OZ_v: return in->opsize;
    case OZ_z: return in->opsize == 2 ? 2 : 4;
    case OZ_y: return in->opsize == 8 ? 8 : 4;
    case OZ_k: return in->mode == MODE_64 ? 8 : 4;
    case OZ_p: return 2 + in->opsize;
    case OZ_a: return 2 * in->opsize;
    case OZ_s: return in->mode == MODE_64 ? 10 : 6;
    case OZ_t: return 10;
    case OZ_dq: return 16;
    case OZ_qq: return 32;
    case OZ_x: return x;
    case OZ_xh: return x / 2;
    case OZ_xq: return x / 4;
    case OZ_xe: return x / 8;
    case OZ_env: return in->opsize == 2 ? 14 : 28;
    case OZ_fst: return in->opsize == 2 ? 94 : 108;
    case OZ_512: return 512;
    default: return 0;
    }
}

static void get_prefixes(Insn *in, Cursor *c)
{
    in->seg_override = SEG_NONE;
    for (; c->p < c->end; c->p++) {
        uint8_t b = *c->p;

        switch (b) {
        case 0x26: case 0x2e: case 0x36: case 0x3e:
            /* ignored in 64-bit mode, but they do not undo FS or GS */
            if (in->mode != MODE_64) {
                in->seg_override = b >> 3 & 3;
            }
            break;
        case 0x64: in->seg_override = SEG_FS; break;
        case 0x65: in->seg_override = SEG_GS; break;
        case 0x66: in->p66 = true; break;
        case 0x67: in->p67 = true; break;
        case 0xf0: in->lock = true; break;
        case 0xf2: case 0xf3: in->rep = b; break;
        default:
            if (in->mode != MODE_64 || (b & 0xf0) != 0x40) {
                return;
            }
            /* A REX counts only right before the opcode. */
            in->rex = b & 15;
            in->rex_there = true;
            continue;
        }
        in->rex = 0;
        in->rex_there = false;
    }
    c->more = true;
}

/* The VEX prefix after C4 or C5. Returns the map, or -1: not a VEX prefix. */
static int get_vex(Insn *in, Cursor *c, unsigned *pp)
{
    bool three = c->p[-1] == 0xc4;
    unsigned b1, b2, map = 1;

    if (c->p >= c->end) {
        c->more = true;
        return -1;
    }
    if (in->mode != MODE_64 && (c->p[0] & 0xc0) != 0xc0) {
        return -1;
    }
    b1 = get8(c);
    in->vex = true;
    in->rex = (~b1 >> 5) & 4;
    if (three) {
        b2 = get8(c);
        map = b1 & 31;
        in->rex = (~b1 >> 5) & 7;
        in->vex_w = b2 >> 7;
    } else {
        b2 = b1;
    }
    in->vvvv = ~b2 >> 3 & 15;
    in->vex_l = b2 >> 2 & 1;
    *pp = b2 & 3;
    if (in->mode != MODE_64) {
        in->rex = 0;
        in->vvvv &= 7;
    }
    in->rex |= in->vex_w ? 8 : 0;
    return map;
}

static bool row_has_modrm(const InsnRow *r)
{
    if (r->map != MAP_1 && r->map != MAP_0F) {
        return r->map != MAP_V1 || r->op != 0x77;
    }
    if (r->ext != 0xff || r->rm != 0xff || (r->attr & IA_MODRM)) {
        return true;
    }
    for (int i = 0; i < 4; i++) {
        switch (OSPEC_KIND(r->o[i])) {
        case OK_E: case OK_R: case OK_M: case OK_G: case OK_S: case OK_C:
        case OK_D: case OK_P: case OK_Q: case OK_N: case OK_V: case OK_W:
        case OK_U: case OK_VSIB: case OK_ST:
            return true;
        default:
            break;
        }
    }
    return false;
}

static bool prefix_fits(const Insn *in, const InsnRow *r, unsigned pfx)
{
    switch (r->pfx) {
    case PFX_ANY: return true;
    case PFX_NR: return pfx == PFX_NP || pfx == PFX_66;
    case PFX_F3: case PFX_F2: return pfx == r->pfx;
    default: return pfx == r->pfx;
    }
}

static bool mod_fits(const InsnRow *r, unsigned modrm)
{
    bool reg = modrm >= 0xc0;

    if ((r->attr & IA_RMREG && !reg) || (r->attr & IA_RMMEM && reg) ||
        (r->ext != 0xff && r->ext != (modrm >> 3 & 7)) ||
        (r->rm != 0xff && r->rm != (modrm & 7))) {
        return false;
    }
    if (r->attr & IA_REGMOD) {
        return true;
    }
    for (int i = 0; i < 4; i++) {
        switch (OSPEC_KIND(r->o[i])) {
        case OK_M: case OK_VSIB:
            if (reg) {
                return false;
            }
            break;
        case OK_R: case OK_U: case OK_N: case OK_ST:
            if (!reg) {
                return false;
            }
            break;
        }
    }
    return true;
}

static bool mode_fits(const Insn *in, const InsnRow *r)
{
    if ((r->attr & IA_I64 && in->mode == MODE_64) ||
        (r->attr & IA_O64 && in->mode != MODE_64)) {
        return false;
    }
    /* W has no effect on general registers outside 64-bit mode. */
    if (r->attr & (IA_W0 | IA_W1)) {
        bool w = in->rex & 8;

        if (r->attr & IA_W0 ? w : !w) {
            return false;
        }
    }
    return !in->vex || ((!(r->attr & IA_L0) || !in->vex_l) &&
                        (!(r->attr & IA_L1) || in->vex_l));
}

/* With VEX: vvvv must be 1111 where the form has no use for it. */
static bool vvvv_fits(const Insn *in, const InsnRow *r)
{
    if (!in->vex || in->vvvv == 0) {
        return true;
    }
    for (int i = 0; i < 4; i++) {
        unsigned k = OSPEC_KIND(r->o[i]);

        if (k == OK_H || k == OK_B) {
            return true;
        }
    }
    return false;
}

static const InsnRow *find_row(Insn *in, Cursor *c, unsigned map, unsigned pfx)
{
    unsigned i = row_first[map][in->opcode];
    unsigned end = row_first[map][in->opcode + 1];

    for (; i < end; i++) {
        const InsnRow *r = &insn_rows[row_index[i]];

        if (!prefix_fits(in, r, pfx) || !mode_fits(in, r)) {
            continue;
        }
        /* nop is xchg of the accumulator with itself, unless REX.B */
        if (map == MAP_1 && in->opcode == 0x90 && in->rex & 1 &&
            !(r->attr & IA_PLUSR)) {
            continue;
        }
        if (row_has_modrm(r)) {
            in->modrm_there = true;
            if (c->p >= c->end) {
                c->more = true;
                return NULL;
            }
            if (!mod_fits(r, *c->p) || !vvvv_fits(in, r)) {
                continue;
            }
        } else if (!vvvv_fits(in, r)) {
            continue;
        }
        return r;
    }
    return NULL;
}

static void set_sizes(Insn *in)
{
    const InsnRow *r = in->row;
    bool p66 = in->p66 && r->pfx != PFX_66 && !(r->attr & IA_NOREX2);

    if (in->mode == MODE_64) {
        in->addrsize = in->p67 ? 4 : 8;
        if (in->rex & 8) {
            in->opsize = 8;
        } else if (r->attr & IA_F64) {
            in->opsize = 8;
        } else if (p66) {
            in->opsize = 2;
        } else {
            in->opsize = r->attr & IA_D64 ? 8 : 4;
        }
    } else {
        in->addrsize = (in->mode == MODE_32) != in->p67 ? 4 : 2;
        in->opsize = (in->mode == MODE_32) != p66 ? 4 : 2;
        if (r->attr & IA_NOREX2 || in->vex) {
            in->opsize = 4;
        }
    }
}

static void mem16(Insn *in, Cursor *c)
{
    static const uint8_t bases[8] = { 3, 3, 5, 5, 6, 7, 5, 3 };
    static const uint8_t indexes[8] = {
        6, 7, 6, 7, BASE_NONE, BASE_NONE, BASE_NONE, BASE_NONE
    };
    unsigned mod = in->modrm >> 6, rm = in->modrm & 7;

    in->base = bases[rm];
    in->index = indexes[rm];
    in->disp_size = mod;
    if (mod == 0 && rm == 6) {
        in->base = BASE_NONE;
        in->disp_size = 2;
    }
    in->seg = in->base == 5 ? SEG_SS : SEG_DS;
    in->disp = sign_extend(get_n(c, in->disp_size), in->disp_size);
}

static void mem32(Insn *in, Cursor *c, bool vsib)
{
    unsigned mod = in->modrm >> 6, rm = in->modrm & 7;

    in->disp_size = mod == 2 ? 4 : mod;
    if (rm == 4) {
        in->sib = get8(c);
        in->scale = 1 << (in->sib >> 6);
        in->index = (in->sib >> 3 & 7) | (in->rex & 2) << 2;
        if (in->index == 4 && !vsib) {
            in->index = BASE_NONE;
        }
        in->base = (in->sib & 7) | (in->rex & 1) << 3;
        if ((in->sib & 7) == 5 && mod == 0) {
            in->base = BASE_NONE;
            in->disp_size = 4;
        }
    } else if (rm == 5 && mod == 0) {
        in->base = in->mode == MODE_64 ? BASE_RIP : BASE_NONE;
        in->disp_size = 4;
    } else {
        in->base = rm | (in->rex & 1) << 3;
    }
    in->seg = in->base == 4 || in->base == 5 ? SEG_SS : SEG_DS;
    in->disp = sign_extend(get_n(c, in->disp_size), in->disp_size);
}

static void get_modrm(Insn *in, Cursor *c)
{
    bool vsib = false;

    in->modrm = get8(c);
    if (in->modrm >= 0xc0 || (in->row->attr & IA_REGMOD)) {
        return;
    }
    for (int i = 0; i < 4; i++) {
        vsib |= OSPEC_KIND(in->row->o[i]) == OK_VSIB;
    }
    if (in->addrsize == 2) {
        mem16(in, c);
    } else {
        mem32(in, c, vsib);
    }
}

static void put_reg(InsnOperand *o, unsigned kind, unsigned reg)
{
    o->kind = kind;
    o->reg = reg;
}

static void put_gpr(const Insn *in, InsnOperand *o, unsigned reg)
{
    o->kind = OK_G;
    o->reg = reg;
    if (o->size == 1 && !in->rex_there && !in->vex && reg >= 4 && reg < 8) {
        o->high = true;
        o->reg = reg - 4;
    }
}

static void get_imm(Insn *in, Cursor *c, InsnOperand *o, unsigned spec)
{
    unsigned z = OSPEC_SIZE(spec);
    unsigned n = z == OZ_v ? in->opsize : z == OZ_z ?
        (in->opsize == 2 ? 2 : 4) : z == OZ_w ? 2 : 1;
    uint64_t v = get_n(c, n);

    if (in->imm_size) {               /* second immediate */
        in->imm2 = v;
    } else {
        in->imm = OSPEC_KIND(spec) == OK_I ? v : (uint64_t)sign_extend(v, n);
        in->imm_size = n;
    }
    o->kind = OSPEC_KIND(spec);
    o->size = o->kind == OK_IS ? in->opsize : n;
}

/* Fills operand i; false: the form does not exist (bad segment register). */
static bool put_operand(Insn *in, Cursor *c, int i)
{
    unsigned spec = in->row->o[i], k = OSPEC_KIND(spec);
    InsnOperand *o = &in->o[i];
    unsigned reg = (in->modrm >> 3 & 7) | (in->rex & 4) << 1;
    unsigned rm = (in->modrm & 7) | (in->rex & 1) << 3;
    bool mem = in->modrm < 0xc0;

    o->size = insn_operand_bytes(in, OSPEC_SIZE(spec));
    o->wr = spec & (OSPEC_W | OSPEC_RW);
    o->rd = !(spec & OSPEC_W);
    switch (k) {
    case OK_E: case OK_W: case OK_Q:
        if (mem) {
            put_reg(o, OK_M, 0);
        } else if (k == OK_E) {
            put_gpr(in, o, rm);
        } else {
            put_reg(o, k == OK_W ? OK_V : OK_P, k == OK_W ? rm : rm & 7);
        }
        break;
    case OK_R: put_gpr(in, o, rm); break;
    case OK_M: case OK_VSIB: put_reg(o, k, 0); break;
    case OK_G: put_gpr(in, o, reg); break;
    case OK_Z: put_gpr(in, o, (in->opcode & 7) | (in->rex & 1) << 3); break;
    case OK_B: put_reg(o, OK_G, in->vvvv); break;
    case OK_FIX: put_gpr(in, o, OSPEC_REG(spec)); break;
    case OK_I: case OK_IS: get_imm(in, c, o, spec); break;
    case OK_J: {
        unsigned n = OSPEC_SIZE(spec) == OZ_b ? 1 : in->opsize == 2 ? 2 : 4;

        in->imm = sign_extend(get_n(c, n), n);
        in->imm_size = n;
        o->kind = OK_J;
        break;
    }
    case OK_O:
        in->disp_size = in->addrsize;
        in->disp = get_n(c, in->addrsize);
        put_reg(o, OK_M, 0);
        break;
    case OK_A:
        in->imm_size = in->opsize;
        in->imm = get_n(c, in->opsize);
        in->imm2 = get_n(c, 2);
        o->kind = OK_A;
        break;
    case OK_S:
        put_reg(o, OK_S, reg & 7);
        /* CS cannot be loaded; 6 and 7 do not exist */
        return (reg & 7) < 6 && !(o->wr && (reg & 7) == SEG_CS);
    case OK_C:
        /* lock makes CR8 reachable in 32-bit code on AMD: not offered */
        put_reg(o, k, reg);
        return reg == 0 || (reg >= 2 && reg <= 4) || reg == 8;
    case OK_D:
        put_reg(o, k, reg);
        return reg < 8;
    case OK_X: case OK_Y: o->kind = k; break;
    case OK_P: put_reg(o, OK_P, reg & 7); break;
    case OK_N: put_reg(o, OK_P, rm & 7); break;
    case OK_V: put_reg(o, OK_V, reg); break;
    case OK_U: put_reg(o, OK_V, rm); break;
    case OK_H: put_reg(o, OK_V, in->vvvv); break;
    case OK_L:
        /* shares its byte with nothing else here */
        in->imm = get8(c);
        put_reg(o, OK_V, in->imm >> 4 & (in->mode == MODE_64 ? 15 : 7));
        break;
    case OK_ST: put_reg(o, OK_ST, rm & 7); break;
    case OK_ST0: put_reg(o, OK_ST, 0); break;
    case OK_XMM0: put_reg(o, OK_V, 0); break;
    case OK_FIXSEG: put_reg(o, OK_S, OSPEC_REG(spec)); break;
    case OK_ONE: o->kind = OK_ONE; in->imm = 1; break;
    }
    return true;
}

static enum InsnResult get_operands(Insn *in, Cursor *c)
{
    bool good = true, lockable = false;

    for (int i = 0; i < 4 && OSPEC_KIND(in->row->o[i]); i++) {
        good &= put_operand(in, c, i);
        in->nop = i + 1;
    }
    if (in->seg_override != SEG_NONE) {
        in->seg = in->seg_override;
    } else if (in->mode == MODE_64) {
        /* bases count only for FS and GS, the default is still told apart
         * for stack faults */
    }
    if (c->more) {
        return INSN_MORE;
    }
    if (in->lock) {
        lockable = in->row->attr & IA_LOCK && in->o[0].kind == OK_M;
    }
    /* A gather's destination, index and mask must differ. */
    if (in->nop > 1 && in->o[1].kind == OK_VSIB &&
        (in->o[0].reg == in->index || in->o[0].reg == in->o[2].reg ||
         in->o[2].reg == in->index || (in->modrm & 7) != 4)) {
        good = false;
    }
    return good && (!in->lock || lockable) ? INSN_OK : INSN_UD;
}

static enum InsnResult decode(Insn *in, Cursor *c)
{
    unsigned map = MAP_1, pp = 0, pfx;
    int v = -1;

    get_prefixes(in, c);
    in->opcode = get8(c);
    if (c->more) {
        return INSN_MORE;
    }
    if (in->opcode == 0xc4 || in->opcode == 0xc5) {
        v = get_vex(in, c, &pp);
        if (c->more) {
            return INSN_MORE;
        }
    }
    if (v >= 0) {
        if (in->p66 || in->rep || in->lock || in->rex_there ||
            v < 1 || v > 3) {
            in->opcode = get8(c);
            return c->more ? INSN_MORE : INSN_UD;
        }
        map = MAP_V1 + v - 1;
        in->opcode = get8(c);
        pfx = (unsigned[]){ PFX_NP, PFX_66, PFX_F3, PFX_F2 }[pp];
    } else {
        if (in->opcode == 0x0f) {
            map = MAP_0F;
            in->opcode = get8(c);
            if (in->opcode == 0x38 || in->opcode == 0x3a) {
                map = in->opcode == 0x38 ? MAP_38 : MAP_3A;
                in->opcode = get8(c);
            }
        }
        pfx = in->rep == 0xf3 ? PFX_F3 : in->rep == 0xf2 ? PFX_F2 :
            in->p66 ? PFX_66 : PFX_NP;
    }
    if (c->more) {
        return INSN_MORE;
    }
    in->row = find_row(in, c, map, pfx);
    if (!in->row) {
        return c->more ? INSN_MORE : INSN_UD;
    }
    set_sizes(in);
    if (in->modrm_there && row_has_modrm(in->row)) {
        get_modrm(in, c);
    }
    return get_operands(in, c);
}

enum InsnResult insn_decode(Insn *in, const uint8_t *buf, size_t n, int mode)
{
    size_t room = n < INSN_MAX ? n : INSN_MAX;
    Cursor c = { buf, buf + room, false };
    enum InsnResult res;

    pthread_once(&index_once, index_build);
    memset(in, 0, sizeof(*in));
    in->mode = mode;
    in->base = in->index = BASE_NONE;
    in->scale = 1;
    in->seg = SEG_DS;
    res = decode(in, &c);
    in->len = c.p - buf;
    memcpy(in->bytes, buf, in->len);
    if (res == INSN_MORE && n >= INSN_MAX) {
        return INSN_LONG;
    }
    return res;
}
