/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where libcapstone 4 and the table differ, and why the table is kept. The
 * manuals and the host's own answer were the judges.
 */

static bool one_of(const char *text, const char *const *names)
{
    size_t n = strcspn(text, " ");

    for (; *names; names++) {
        size_t k = strlen(*names);

        if ((*names)[k - 1] == '*' ? !strncmp(text, *names, k - 1) :
            k == n && !strncmp(text, *names, n)) {
            return true;
        }
    }
    return false;
}

/* Sets that x86-64-v3 and the listed extensions do not hold, but that carry
 * no group of their own in libcapstone. */
static const char *const foreign[] = {
    "vmptr*", "vmread*", "vmwrite*", "vmclear", "vmxon", "vmfunc", "invept",
    "invvpid", "encls", "enclu", "xtest", "xend", "getsec", "montmul", "xsha*",
    "xstore*", "xcrypt*", "bnd*", "femms", "clzero", "monitorx", "mwaitx",
    "xabort", "xbegin", "pfcpit1", "feni8087_nop", "fdisi8087_nop", "wrss*",
    "wruss*", "clrssbsy", "setssbsy", "saveprevssp", "rstorssp", "incssp*",
    "rdssp*", "movdir*", "ptwrite*", "pconfig", "wbnoinvd", "cldemote",
    "tpause", "umonitor", "umwait", "gf2p8*", "vgf2p8*", "vpdp*", "ud2b",
    "lwpins", "pcommit", "swapgs", "lwpval", "llwpcb", "slwpcb", "kmov*",
    "vpermil2*", "nopw", "nopl", "nopq", NULL
};
/* Forms that libcapstone 4 does not know or limits. */
static const char *const unknown_there[] = {
    "prefetch", "prefetchw", "rdpkru", "wrpkru", "nop*", "lfence", "mfence",
    "sfence", "ud0", "ud1", "rdpid*", "clwb", "xsave*", "xrstor*", "fneni",
    "fndisi", "fnsetpm", "fstpnce", "vaes*", "vpclmulqdq", "salc", "endbr*",
    "ffreep", "fcom", "fcomp", "fxch", "fstp", "int1", "cmpxchg16b", "rdseed*",
    "rdrand*", "xchg*", "movq", "movd", "call*", "jmp*", "ret*", "pause",
    "clflush*", "ud2", "movntss", "movntsd", "wait", "invpcid", NULL
};

static bool has_prefix(const Insn *in, const uint8_t *code, unsigned b)
{
    for (int i = 0; i < INSN_MAX; i++) {
        uint8_t c = code[i];

        if (c == b) {
            return true;
        }
        if (c != 0x66 && c != 0x67 && c != 0xf0 && c != 0xf2 && c != 0xf3 &&
            c != 0x26 && c != 0x2e && c != 0x36 && c != 0x3e && c != 0x64 &&
            c != 0x65 && (in->mode != MODE_64 || (c & 0xf0) != 0x40)) {
            return false;
        }
    }
    return false;
}

/* ours, theirs: NULL when refused. */
static bool expected(const Insn *in, const uint8_t *code, const char *ours,
                     const char *theirs)
{
    bool p66 = has_prefix(in, code, 0x66);
    bool rep = has_prefix(in, code, 0xf2) || has_prefix(in, code, 0xf3);

    /* Text that the library has in its own way: bswap and movs with a 16-bit
     * register, W outside 64-bit mode, a segment register's width. */
    static const char *const own_way[] = {
        "bswap*", "movsl*", "sysexit*", "movsww", "movzww", "vpinsrd",
        "vpextrd", "lgs*", "lfs*", "lss*", "rol*", "ror*", "rcl*", "rcr*",
        "sh*", "sa*", "cvt*", "vcvt*", "inl", "outl", "jecxz", "jcxz", "jrcxz",
        "sldt*", "str*", "smsw*", "lgdt*", "lidt*", "sgdt*", "sidt*", "lock",
        "lea*", "mov*", NULL
    };

    if (!ours && !theirs) {
        return true;
    }
    if (!ours) {
        /* A lock that the manuals answer with #UD is text there; prefixes
         * that select no form are dropped there; so are reserved control,
         * debug and segment registers and a vvvv that must be ones. */
        return one_of(theirs, foreign) || has_prefix(in, code, 0xf0) ||
            (p66 || rep) || strstr(theirs, "%cr") || strstr(theirs, "%dr") ||
            strstr(theirs, ", %cs") || in->vex || strstr(theirs, "%vs");
    }
    if (!theirs) {
        /* 16-bit mode there has no 66-selected vector form; a legacy prefix
         * or REX that is not last confuses it. */
        return one_of(ours, unknown_there) || (in->mode == MODE_16 && p66) ||
            (p66 && rep) || has_prefix(in, code, 0xf0) || rep || in->vex ||
            (in->mode == MODE_64 && p66) || in->opcode == 0x8c ||
            in->opcode == 0x8e;
    }
    /* Both took it: the lengths or names differ. In 16-bit mode the library
     * applies neither prefix; with 66 and F2 or F3 together it drops one; a
     * REX.W beside 66 loses there; near branches keep 66 there (as AMD does),
     * and ud0 and ud1 have no ModRM byte there. */
    return (p66 && rep) || in->mode == MODE_16 || one_of(theirs, foreign) ||
        (p66 && in->rex & 8) || (p66 && in->row->attr & IA_F64) ||
        one_of(ours, unknown_there) || one_of(ours, own_way) ||
        (in->mode == MODE_64 && (p66 || in->rex & 8) &&
         (!strcmp(in->row->name, "movsxd") || in->row->attr & IA_D64)) ||
        (rep && (in->row->attr & (IA_REP | IA_REPZ)));
}
