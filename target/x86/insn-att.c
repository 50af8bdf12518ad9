/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * insn-att.c - AT&T text of a decoded instruction, in the form that the
 * monitor's x/i has: suffixed names, operands source first, hexadecimal.
 *
 * Thread class: ANY_THREAD.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "insn.h"
#include "x86.h"

typedef struct Text {
    char *p;
    size_t left;
} Text;

static void put(Text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void put(Text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(t->p, t->left, fmt, ap);
    va_end(ap);
    if (n > 0) {
        size_t k = (size_t)n < t->left ? (size_t)n : t->left ? t->left - 1 : 0;

        t->p += k;
        t->left -= k;
    }
}

static const char *const seg_names[6] = { "es", "cs", "ss", "ds", "fs", "gs" };
static const char *const reg_names[8] = {
    "ax", "cx", "dx", "bx", "sp", "bp", "si", "di"
};

static void put_gpr_name(Text *t, unsigned reg, unsigned size, bool high)
{
    static const char *const low[8] = {
        "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"
    };
    static const char *const hi[4] = { "ah", "ch", "dh", "bh" };

    if (reg >= 8) {
        put(t, "%%r%u%s", reg, size == 1 ? "b" : size == 2 ? "w" :
            size == 4 ? "d" : "");
    } else if (size == 1) {
        put(t, "%%%s", high ? hi[reg & 3] : low[reg]);
    } else {
        put(t, "%%%s%s", size == 2 ? "" : size == 4 ? "e" : "r",
            reg_names[reg]);
    }
}

static void put_hex(Text *t, int64_t v)
{
    uint64_t a = v < 0 ? -(uint64_t)v : (uint64_t)v;

    put(t, a > 9 ? "%s0x%" PRIx64 : "%s%" PRIx64, v < 0 ? "-" : "", a);
}

static void put_unsigned(Text *t, uint64_t a)
{
    put(t, a > 9 ? "0x%" PRIx64 : "%" PRIx64, a);
}

static void put_seg(Text *t, const Insn *in)
{
    if (in->seg_override != SEG_NONE) {
        put(t, "%%%s:", seg_names[in->seg_override]);
    }
}

static void put_mem(Text *t, const Insn *in, unsigned kind)
{
    bool vsib = kind == OK_VSIB, base = in->base != BASE_NONE;
    bool index = in->index != BASE_NONE;

    put_seg(t, in);
    if (!base && !index) {
        uint64_t m = in->addrsize == 2 ? 0xffff : in->addrsize == 4 &&
            in->mode != MODE_64 ? 0xffffffff : ~0ull;

        put_unsigned(t, in->disp & m);
        return;
    }
    if (in->disp_size && (in->disp || (base && index && 0))) {
        put_hex(t, in->disp);
    }
    put(t, "(");
    if (in->base == BASE_RIP) {
        put(t, "%%%s", in->addrsize == 4 ? "eip" : "rip");
    } else if (base) {
        put_gpr_name(t, in->base, in->addrsize, false);
    }
    if (index) {
        put(t, base ? ", " : ", ");
        if (vsib) {
            bool wide = in->o[1].size == 4 ? in->vex_l && !in->vex_w :
                in->vex_l;

            put(t, "%%%cmm%u", wide ? 'y' : 'x', in->index);
        } else {
            put_gpr_name(t, in->index, in->addrsize, false);
        }
        if (in->scale != 1) {
            put(t, ", %u", in->scale);
        }
    }
    put(t, ")");
}

static uint64_t branch_target(const Insn *in, uint64_t pc)
{
    uint64_t to = pc + in->len + in->imm;

    return in->opsize == 2 ? to & 0xffff : in->opsize == 4 ? (uint32_t)to : to;
}

static void put_imm(Text *t, const Insn *in, const InsnOperand *o, bool second)
{
    uint64_t v = second ? in->imm2 : in->imm;

    put(t, "$");
    if (o->kind == OK_IS && o->size == 8) {
        put_hex(t, (int64_t)v);
    } else if (o->kind == OK_IS && in->imm_size == 1) {
        put_hex(t, (int64_t)v);
    } else if (o->kind == OK_IS) {
        put_unsigned(t, o->size == 2 ? (uint16_t)v : (uint32_t)v);
    } else {
        put_unsigned(t, v);
    }
}

static void put_string_mem(Text *t, const Insn *in, bool dest)
{
    if (dest) {
        put(t, in->mode == MODE_64 ? "(" : "%%es:(");
        put_gpr_name(t, 7, in->addrsize, false);
    } else {
        put_seg(t, in);
        put(t, "(");
        put_gpr_name(t, 6, in->addrsize, false);
    }
    put(t, ")");
}

static void put_op(Text *t, const Insn *in, int i, uint64_t pc)
{
    const InsnOperand *o = &in->o[i];
    bool second = false;

    for (int j = 0; j < i; j++) {
        second |= in->o[j].kind == OK_I || in->o[j].kind == OK_IS;
    }
    switch (o->kind) {
    case OK_G:
        if (in->row->map == MAP_1 && (in->opcode & 0xf4) == 0xe4 &&
            in->opcode >= 0xec && o->reg == 2 && o->size == 2) {
            put(t, "%%dx");
        } else {
            put_gpr_name(t, o->reg, o->size, o->high);
        }
        break;
    case OK_M: case OK_VSIB: put_mem(t, in, o->kind); break;
    case OK_I: case OK_IS: put_imm(t, in, o, second); break;
    case OK_J: put_unsigned(t, branch_target(in, pc)); break;
    case OK_A:
        put(t, "$");
        put_unsigned(t, in->imm2);
        put(t, ":$");
        put_unsigned(t, in->imm);
        break;
    case OK_S: put(t, "%%%s", seg_names[o->reg]); break;
    case OK_C: put(t, "%%cr%u", o->reg); break;
    case OK_D: put(t, "%%dr%u", o->reg); break;
    case OK_X: put_string_mem(t, in, false); break;
    case OK_Y: put_string_mem(t, in, true); break;
    case OK_P: put(t, "%%mm%u", o->reg); break;
    case OK_V: put(t, "%%%cmm%u", o->size == 32 ? 'y' : 'x', o->reg); break;
    case OK_ST:
        if (o->reg || OSPEC_KIND(in->row->o[i]) == OK_ST) {
            put(t, "%%st(%u)", o->reg);
        } else {
            put(t, "%%st(0)");
        }
        break;
    case OK_ONE: put(t, "$1"); break;
    }
}

static char suffix_of(unsigned size)
{
    return size == 1 ? 'b' : size == 2 ? 'w' : size == 4 ? 'l' : 'q';
}

static const char *const cmp_names[32] = {
    "eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord",
    "eq_uq", "nge", "ngt", "false", "neq_oq", "ge", "gt", "true",
    "eq_os", "lt_oq", "le_oq", "unord_s", "neq_us", "nlt_uq", "nle_uq",
    "ord_s", "eq_us", "nge_uq", "ngt_uq", "false_os", "neq_os", "ge_oq",
    "gt_oq", "true_us"
};

/* Names whose AT&T spelling is not the row's name plus a suffix. */
static bool put_special(Text *t, const Insn *in, bool *hide_imm)
{
    const char *n = in->row->name;
    unsigned v = *n == 'v';

    if (!strcmp(n, "cbw")) {
        put(t, in->opsize == 2 ? "cbtw" : in->opsize == 4 ? "cwtl" : "cltq");
    } else if (!strcmp(n, "cwd")) {
        put(t, in->opsize == 2 ? "cwtd" : in->opsize == 4 ? "cltd" : "cqto");
    } else if (!strcmp(n, "movsxd")) {
        put(t, in->opsize == 8 ? "movslq" : in->opsize == 4 ? "movsll" :
            "movslw");
    } else if (!strcmp(n, "shl.alias")) {
        put(t, "sal%c", suffix_of(in->o[0].size));
    } else if (!strcmp(n, "xlat") || !strcmp(n, "sysexit")) {
        put(t, "%s%s", n, *n == 'x' ? "b" : in->opsize == 8 ? "q" : "");
    } else if (in->row->map == MAP_1 && (in->opcode == 0xdc ||
               in->opcode == 0xde) && in->modrm >= 0xe0) {
        /* AT&T has the reversed forms of these the other way round. */
        put(t, "f%s%s%s", in->modrm < 0xf0 ? "sub" : "div",
            in->modrm & 8 ? "r" : "", in->opcode == 0xde ? "p" : "");
    } else if (!strcmp(n, "fcompi") || !strcmp(n, "fucompi")) {
        put(t, *(n + 1) == 'c' ? "fcomip" : "fucomip");
    } else if (!strcmp(n, "bound") || !strcmp(n, "emms")) {
        put(t, "%s", n);
    } else if (!strcmp(n, "sysret")) {
        put(t, "sysret%c", in->opsize == 8 ? 'q' : 'l');
    } else if (!strcmp(n, "jcxz")) {
        put(t, in->addrsize == 2 ? "jcxz" : in->addrsize == 4 ? "jecxz" :
            "jrcxz");
    } else if (!strcmp(n, "mov.imm")) {
        put(t, in->opsize == 8 ? "movabsq" : in->opsize == 4 ? "movl" : "movw");
    } else if (!strcmp(n, "movabs") && in->addrsize != 8) {
        put(t, "mov%c", suffix_of(in->o[0].size));
    } else if (!strncmp(n + v, "cmp", 3) && in->nop >= 3 &&
               in->row->op == 0xc2 && in->imm < (v ? 32 : 8)) {
        put(t, "%scmp%s%s", v ? "v" : "", cmp_names[in->imm], n + v + 3);
        *hide_imm = true;
    } else if ((!strcmp(n, "movd") || !strcmp(n, "vmovd")) &&
               in->opsize == 8) {
        put(t, v ? "vmovq" : "movq");
    } else if ((!strcmp(n, "pextrd") || !strcmp(n, "vpextrd") ||
                !strcmp(n, "pinsrd") || !strcmp(n, "vpinsrd")) &&
               in->opsize == 8) {
        put(t, "%.*sq", (int)strlen(n) - 1, n);
    } else if (!strcmp(n, "xsave") || !strcmp(n, "xrstor") ||
               !strncmp(n, "xsave", 5) || !strcmp(n, "xrstors") ||
               !strcmp(n, "fxsave") || !strcmp(n, "fxrstor")) {
        put(t, "%s%s", n, in->opsize == 8 ? "64" : "");
    } else {
        return false;
    }
    return true;
}

/* Size that the suffix tells. */
static unsigned suffix_size(const Insn *in)
{
    const InsnRow *r = in->row;
    int from = 0;

    if (r->map == MAP_1 && (r->op & 0xf4) == 0xe4 && r->attr & IA_IO) {
        from = r->op & 2 ? 1 : 0;
        return in->o[from].size;
    }

    if (in->nop == 0 || OSPEC_SIZE(r->o[0]) == OZ_p ||
        OSPEC_SIZE(r->o[0]) == OZ_0 || OSPEC_SIZE(r->o[0]) == OZ_s ||
        in->o[0].kind == OK_S || in->o[0].kind == OK_J ||
        in->o[0].kind == OK_C || in->o[0].kind == OK_D) {
        if (in->nop > 1 && (in->o[0].kind == OK_S)) {
            return in->o[1].size;
        }
        if (in->o[0].kind == OK_C || in->o[0].kind == OK_D ||
            OSPEC_SIZE(r->o[0]) == OZ_s) {
            return in->mode == MODE_64 ? 8 : 4;
        }
        return in->opsize;
    }
    if (in->o[0].kind == OK_I || in->o[0].kind == OK_IS) {
        return in->opsize;
    }
    if (r->op == 0x6e || r->op == 0x6f) {
        from = r->map == MAP_1;
    }
    if (r->attr & IA_SFX) {
        return in->o[in->nop - 1].size;
    }
    return in->o[from].size;
}

static void put_name(Text *t, const Insn *in, bool *hide_imm)
{
    const InsnRow *r = in->row;
    bool sfx;

    if (in->lock) {
        put(t, "lock ");
    }
    if (in->rep && (r->attr & (IA_REP | IA_REPZ))) {
        put(t, in->rep == 0xf2 ? "repne " : r->attr & IA_REPZ ? "repe " :
            "rep ");
    }
    if (put_special(t, in, hide_imm)) {
        return;
    }
    put(t, "%.*s", (int)strcspn(r->name, "."), r->name);
    sfx = (r->map == MAP_1 || r->map == MAP_0F || r->map == MAP_38) &&
        !(r->attr & IA_NOSFX) && r->feat != FEAT_SVM;
    if (r->map == MAP_0F || r->map == MAP_38) {
        /* Vector forms never take one. */
        for (int i = 0; i < in->nop; i++) {
            unsigned k = OSPEC_KIND(r->o[i]);

            sfx &= k < OK_P || k > OK_XMM0;
        }
    }
    if (r->map >= MAP_V1) {
        sfx = r->feat == FEAT_BMI1 || r->feat == FEAT_BMI2;
    }
    if (r->attr & IA_SFX && r->map != MAP_38) {
        if (in->o[in->nop - 1].kind == OK_V || OSPEC_KIND(
            r->o[in->nop - 1]) == OK_W) {
            if (in->vex && (in->vex_l || in->modrm < 0xc0)) {
                put(t, in->vex_l ? "y" : "x");
            }
            return;
        }
        sfx = true;
    }
    if (sfx) {
        put(t, "%c", suffix_of(suffix_size(in)));
    }
}

/* String forms whose operands the text leaves implicit or reorders. */
static bool operand_hidden(const Insn *in, int i, bool hide_imm)
{
    const InsnOperand *o = &in->o[i];

    if (hide_imm && o->kind == OK_I) {
        return true;
    }
    return o->kind == OK_ONE;
}

char *insn_text(const Insn *in, uint64_t pc, char *buf, size_t size)
{
    Text t = { buf, size };
    bool hide_imm = false, first = true;
    int len;

    if (!size) {
        return buf;
    }
    buf[0] = '\0';
    put_name(&t, in, &hide_imm);
    len = t.p - buf;
    for (int k = 0; k < in->nop; k++) {
        bool forward = in->row->map == MAP_1 &&
            (in->row->op == 0xc8 || (in->row->attr & IA_REPZ &&
             in->row->op < 0xa8) || (in->row->op & ~7) == 0x90);
        int i = forward ? k : in->nop - 1 - k;

        if (operand_hidden(in, i, hide_imm)) {
            continue;
        }
        if (first) {
            put(&t, "%*s", len < 8 ? 9 - len : 1, "");
        } else {
            put(&t, ", ");
        }
        if (in->row->attr & IA_ABS) {
            put(&t, "*");
        }
        first = false;
        put_op(&t, in, i, pc);
    }
    return buf;
}

int x86_disas(const uint8_t *code, size_t n, uint64_t rip, int bits, char *out,
              size_t out_size)
{
    Insn in;
    int mode = bits == 64 ? MODE_64 : bits == 32 ? MODE_32 : MODE_16;

    if (insn_decode(&in, code, n, mode) != INSN_OK) {
        return 0;
    }
    insn_text(&in, rip, out, out_size);
    return in.len;
}
