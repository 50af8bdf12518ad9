/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * regs.c - the register file as gdb numbers it ("Debugging with GDB", appendix
 * G.5.13: features org.gnu.gdb.i386.core, .sse, .segments), and its description.
 *
 * Thread class: MACHINE_CALL, registers in sync.
 *
 * Invariants
 * 1. Order and widths come from one table, for the description, `g` and `p`.
 * 2. What is written keeps a state that a processor can be in: reserved flags
 *    stay, a selector changes in real mode only, where its base follows.
 */
#include "accel/gdbstub/gdb.h"

typedef enum RegKind {
    R_GPR, R_PC, R_FLAGS, R_SEG, R_ST, R_FCTRL, R_XMM, R_MXCSR, R_BASE, R_KGS,
    R_CR, R_EFER,
} RegKind;
typedef enum RegSet { CORE, SSE, SEGMENTS, SYSTEM, SETS } RegSet;
typedef struct RegRow {
    const char *name, *type;
    const char *name32;                /* NULL: the same                      */
    uint16_t bits32, bits64;           /* 0: not there                        */
    uint8_t kind, index, set;
} RegRow;

#define GPR(nm32, nm64, i) { nm64, NULL, nm32, 32, 64, R_GPR, i, CORE }
#define LONG(nm, i) { nm, NULL, NULL, 0, 64, R_GPR, i, CORE }
#define SEG(nm, i) { nm, "int32", NULL, 32, 32, R_SEG, i, CORE }
#define ST(nm, i) { nm, "i387_ext", NULL, 80, 80, R_ST, i, CORE }
#define FC(nm, i) { nm, "int", NULL, 32, 32, R_FCTRL, i, CORE }
#define XMM(nm, i) { nm, "vec128", NULL, 128, 128, R_XMM, i, SSE }
#define XMM64(nm, i) { nm, "vec128", NULL, 0, 128, R_XMM, i, SSE }
#define CR(nm, i) { nm, "int64", NULL, 0, 64, R_CR, i, SYSTEM }

/* The two files have the general registers in different orders. */
static const RegRow gpr32[] = {
    GPR("eax", "rax", X86_RAX), GPR("ecx", "rcx", X86_RCX),
    GPR("edx", "rdx", X86_RDX), GPR("ebx", "rbx", X86_RBX),
    GPR("esp", "rsp", X86_RSP), GPR("ebp", "rbp", X86_RBP),
    GPR("esi", "rsi", X86_RSI), GPR("edi", "rdi", X86_RDI),
};
static const RegRow gpr64[] = {
    GPR("eax", "rax", X86_RAX), GPR("ebx", "rbx", X86_RBX),
    GPR("ecx", "rcx", X86_RCX), GPR("edx", "rdx", X86_RDX),
    GPR("esi", "rsi", X86_RSI), GPR("edi", "rdi", X86_RDI),
    GPR("ebp", "rbp", X86_RBP), GPR("esp", "rsp", X86_RSP),
    LONG("r8", 8), LONG("r9", 9), LONG("r10", 10), LONG("r11", 11),
    LONG("r12", 12), LONG("r13", 13), LONG("r14", 14), LONG("r15", 15),
};
static const RegRow rest[] = {
    { "rip", "code_ptr", "eip", 32, 64, R_PC, 0, CORE },
    { "eflags", "i386_eflags", NULL, 32, 32, R_FLAGS, 0, CORE },
    SEG("cs", X86_CS), SEG("ss", X86_SS), SEG("ds", X86_DS), SEG("es", X86_ES),
    SEG("fs", X86_FS), SEG("gs", X86_GS),
    ST("st0", 0), ST("st1", 1), ST("st2", 2), ST("st3", 3), ST("st4", 4),
    ST("st5", 5), ST("st6", 6), ST("st7", 7),
    FC("fctrl", 0), FC("fstat", 1), FC("ftag", 2), FC("fiseg", 3),
    FC("fioff", 4), FC("foseg", 5), FC("fooff", 6), FC("fop", 7),
    XMM("xmm0", 0), XMM("xmm1", 1), XMM("xmm2", 2), XMM("xmm3", 3),
    XMM("xmm4", 4), XMM("xmm5", 5), XMM("xmm6", 6), XMM("xmm7", 7),
    XMM64("xmm8", 8), XMM64("xmm9", 9), XMM64("xmm10", 10), XMM64("xmm11", 11),
    XMM64("xmm12", 12), XMM64("xmm13", 13), XMM64("xmm14", 14),
    XMM64("xmm15", 15),
    { "mxcsr", "i386_mxcsr", NULL, 32, 32, R_MXCSR, 0, SSE },
    { "fs_base", "int64", NULL, 0, 64, R_BASE, X86_FS, SEGMENTS },
    { "gs_base", "int64", NULL, 0, 64, R_BASE, X86_GS, SEGMENTS },
    { "k_gs_base", "int64", NULL, 0, 64, R_KGS, 0, SYSTEM },
    CR("cr0", 0), CR("cr2", 2), CR("cr3", 3), CR("cr4", 4), CR("cr8", 8),
    { "efer", "int64", NULL, 0, 64, R_EFER, 0, SYSTEM },
};

static const RegRow *row_of(bool is64, unsigned n)
{
    const RegRow *first = is64 ? gpr64 : gpr32;
    unsigned gprs = is64 ? ARRAY_SIZE(gpr64) : ARRAY_SIZE(gpr32);

    if (n < gprs) {
        return &first[n];
    }
    n -= gprs;
    for (size_t i = 0; i < ARRAY_SIZE(rest); i++) {
        if ((is64 || rest[i].bits32) && n-- == 0) {
            return &rest[i];
        }
    }
    return NULL;
}

unsigned gdb_reg_count(bool is64)
{
    unsigned n = 0;

    while (row_of(is64, n)) {
        n++;
    }
    return n;
}

unsigned gdb_reg_bytes(bool is64, unsigned n)
{
    const RegRow *row = row_of(is64, n);

    return !row ? 0 : (is64 ? row->bits64 : row->bits32) / 8;
}

/* ---- values ------------------------------------------------------------- */

static unsigned st_slot(const X86Regs *r, unsigned i)
{
    return (i + (r->fsw >> 11)) & 7;
}

static uint64_t word_get(const X86Regs *r, const RegRow *row)
{
    const uint64_t cr[] = { r->cr0, 0, r->cr2, r->cr3, r->cr4, 0, 0, 0,
                            r->cr8 };
    const uint64_t fctrl[] = { r->fcw, r->fsw, r->ftag, r->fcs, r->fip,
                               r->fds, r->fdp, r->fop };

    switch ((RegKind)row->kind) {
    case R_GPR:
        return r->gpr[row->index];
    case R_PC:
        return r->rip;
    case R_FLAGS:
        return r->rflags;
    case R_SEG:
        return r->seg[row->index].sel;
    case R_FCTRL:
        return fctrl[row->index];
    case R_MXCSR:
        return r->mxcsr;
    case R_BASE:
        return r->seg[row->index].base;
    case R_KGS:
        return r->kernel_gs_base;
    case R_CR:
        return cr[row->index];
    case R_EFER:
        return r->efer;
    case R_ST:
    case R_XMM:
        break;
    }
    return 0;
}

void gdb_reg_get(const X86Regs *r, bool is64, unsigned n, uint8_t *out)
{
    const RegRow *row = row_of(is64, n);
    uint8_t word[8];

    if (!row) {
        return;
    }
    if (row->kind == R_ST) {
        st_le64(out, r->fpr[st_slot(r, row->index)].mant);
        st_le16(out + 8, r->fpr[st_slot(r, row->index)].se);
    } else if (row->kind == R_XMM) {
        memcpy(out, r->vec[row->index].b, 16);
    } else {
        st_le64(word, word_get(r, row));
        memcpy(out, word, gdb_reg_bytes(is64, n));
    }
}

static bool seg_set(X86Regs *r, unsigned i, uint64_t v)
{
    bool real = !(r->cr0 & 1) || r->rflags & 1u << 17;

    if (v == r->seg[i].sel) {
        return true;
    }
    if (!real || v > 0xffff) {
        return false;
    }
    r->seg[i].sel = (uint16_t)v;
    r->seg[i].base = v << 4;
    return true;
}

static void fctrl_set(X86Regs *r, unsigned i, uint64_t v)
{
    uint16_t *const words[] = { &r->fcw, &r->fsw, &r->ftag, &r->fcs, NULL,
                                &r->fds, NULL, &r->fop };

    if (words[i]) {
        *words[i] = (uint16_t)v;
    } else {
        *(i == 4 ? &r->fip : &r->fdp) = v;
    }
}

static bool word_set(X86Regs *r, const RegRow *row, uint64_t v)
{
    const uint64_t flags = 0x3f7fd5;   /* those that are not reserved         */

    switch ((RegKind)row->kind) {
    case R_GPR:
        r->gpr[row->index] = v;
        return true;
    case R_PC:
        r->rip = v;
        return true;
    case R_FLAGS:
        r->rflags = (v & flags) | 2;
        return true;
    case R_SEG:
        return seg_set(r, row->index, v);
    case R_FCTRL:
        fctrl_set(r, row->index, v);
        return true;
    case R_MXCSR:
        r->mxcsr = (uint32_t)v & 0xffff;
        return true;
    case R_BASE:
        r->seg[row->index].base = v;
        return true;
    case R_KGS:
        r->kernel_gs_base = v;
        return true;
    case R_CR:
        if (row->index == 2 || row->index == 3) {
            *(row->index == 2 ? &r->cr2 : &r->cr3) = v;
            return true;
        }
        return v == word_get(r, row);
    default:
        return v == word_get(r, row);
    }
}

bool gdb_reg_set(X86Regs *r, bool is64, unsigned n, const uint8_t *in)
{
    const RegRow *row = row_of(is64, n);
    uint8_t word[8] = { 0 };

    if (!row) {
        return false;
    }
    if (row->kind == R_ST) {
        r->fpr[st_slot(r, row->index)].mant = ld_le64(in);
        r->fpr[st_slot(r, row->index)].se = ld_le16(in + 8);
        return true;
    }
    if (row->kind == R_XMM) {
        memcpy(r->vec[row->index].b, in, 16);
        return true;
    }
    memcpy(word, in, gdb_reg_bytes(is64, n));
    return word_set(r, row, ld_le64(word));
}

/* ---- description -------------------------------------------------------- */

static const char *shown_type(const RegRow *row, bool is64)
{
    if (row->type) {
        return row->type;
    }
    return row->index == X86_RSP || row->index == X86_RBP ? "data_ptr"
           : is64 ? "int64" : "int32";
}

#define BIT(nm, n) "<field name=\"" nm "\" start=\"" #n "\" end=\"" #n "\"/>"
static const char types_core[] =
    "<flags id=\"i386_eflags\" size=\"4\">"
    BIT("CF", 0) BIT("", 1) BIT("PF", 2) BIT("AF", 4) BIT("ZF", 6)
    BIT("SF", 7) BIT("TF", 8) BIT("IF", 9) BIT("DF", 10) BIT("OF", 11)
    BIT("NT", 14) BIT("RF", 16) BIT("VM", 17) BIT("AC", 18) BIT("VIF", 19)
    BIT("VIP", 20) BIT("ID", 21) "</flags>";
#define VEC(id, type, n) \
    "<vector id=\"" id "\" type=\"" type "\" count=\"" #n "\"/>"
#define PART(nm, type) "<field name=\"" nm "\" type=\"" type "\"/>"
static const char types_sse[] =
    VEC("v4f", "ieee_single", 4) VEC("v2d", "ieee_double", 2)
    VEC("v16i8", "int8", 16) VEC("v8i16", "int16", 8) VEC("v4i32", "int32", 4)
    VEC("v2i64", "int64", 2)
    "<union id=\"vec128\">"
    PART("v4_float", "v4f") PART("v2_double", "v2d") PART("v16_int8", "v16i8")
    PART("v8_int16", "v8i16") PART("v4_int32", "v4i32")
    PART("v2_int64", "v2i64") PART("uint128", "uint128") "</union>"
    "<flags id=\"i386_mxcsr\" size=\"4\">"
    BIT("IE", 0) BIT("DE", 1) BIT("ZE", 2) BIT("OE", 3) BIT("UE", 4)
    BIT("PE", 5) BIT("DAZ", 6) BIT("IM", 7) BIT("DM", 8) BIT("ZM", 9)
    BIT("OM", 10) BIT("UM", 11) BIT("PM", 12) BIT("FZ", 15) "</flags>";

static char *describe(bool is64)
{
    static const char *const features[SETS] = {
        "org.gnu.gdb.i386.core", "org.gnu.gdb.i386.sse",
        "org.gnu.gdb.i386.segments", "org.tern.i386.system",
    };
    static const char *const types[SETS] = { types_core, types_sse, "", "" };
    GString *s = g_string_new("<?xml version=\"1.0\"?>"
                              "<!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
                              "<target><architecture>");
    const RegRow *row;
    int set = -1;

    g_string_append(s, is64 ? "i386:x86-64" : "i386");
    g_string_append(s, "</architecture>");
    for (unsigned n = 0; (row = row_of(is64, n)); n++) {
        if (row->set != set) {
            g_string_append_printf(s, "%s<feature name=\"%s\">%s",
                                   set < 0 ? "" : "</feature>",
                                   features[row->set], types[row->set]);
            set = row->set;
        }
        g_string_append_printf(s, "<reg name=\"%s\" bitsize=\"%u\" "
                               "type=\"%s\" regnum=\"%u\"/>",
                               !is64 && row->name32 ? row->name32 : row->name,
                               gdb_reg_bytes(is64, n) * 8,
                               shown_type(row, is64), n);
    }
    g_string_append(s, "</feature></target>");
    return g_string_free(s, FALSE);
}

const char *gdb_target_xml(bool is64)
{
    static char *xml[2];

    if (!xml[is64]) {
        xml[is64] = describe(is64);
    }
    return xml[is64];
}
