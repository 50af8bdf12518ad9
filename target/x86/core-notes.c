/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core-notes.c - what a crash dump says of the vCPUs: per vCPU the registers in
 * the form of Linux' core files (struct elf_prstatus, System V ABI's ELF notes),
 * then per vCPU a note named QEMU with segments and control registers, as crash
 * and makedumpfile read it (version 1, 440 bytes).
 *
 * Thread class: MACHINE_CALL.
 */
#include <assert.h>
#include <glib.h>
#include "x86-cpu.h"

#define EFER_LMA (1u << 10)
#define NT_PRSTATUS 1
enum { PRSTATUS_64 = 336, PRSTATUS_32 = 144, STATE_SIZE = 440 };

static void put32(GByteArray *out, uint32_t v)
{
    uint8_t b[4];

    st_le32(b, v);
    g_byte_array_append(out, b, sizeof(b));
}

static void put64(GByteArray *out, uint64_t v)
{
    uint8_t b[8];

    st_le64(b, v);
    g_byte_array_append(out, b, sizeof(b));
}

/* Name and contents each end on four bytes. */
static void put_note(GByteArray *out, const char *name, uint32_t type,
                     uint32_t size)
{
    static const uint8_t zero[4];
    uint32_t n = (uint32_t)strlen(name) + 1;

    put32(out, n);
    put32(out, size);
    put32(out, type);
    g_byte_array_append(out, (const uint8_t *)name, n);
    g_byte_array_append(out, zero, -n & 3);
}

static void put_status_64(GByteArray *out, const X86Cpu *c, const X86Regs *r)
{
    static const uint8_t order[] = {
        15, 14, 13, 12, X86_RBP, X86_RBX, 11, 10, 9, 8, X86_RAX, X86_RCX,
        X86_RDX, X86_RSI, X86_RDI, X86_RAX,
    };
    unsigned end = out->len + PRSTATUS_64;

    g_byte_array_set_size(out, out->len + 112);
    memset(out->data + out->len - 112, 0, 112);
    st_le32(out->data + out->len - 112 + 32, c->cpu.index + 1);
    for (unsigned i = 0; i < sizeof(order); i++) {
        put64(out, r->gpr[order[i]]);
    }
    put64(out, r->rip);
    put64(out, r->seg[X86_CS].sel);
    put64(out, r->rflags);
    put64(out, r->gpr[X86_RSP]);
    put64(out, r->seg[X86_SS].sel);
    put64(out, r->seg[X86_FS].base);
    put64(out, r->seg[X86_GS].base);
    put64(out, r->seg[X86_DS].sel);
    put64(out, r->seg[X86_ES].sel);
    put64(out, r->seg[X86_FS].sel);
    put64(out, r->seg[X86_GS].sel);
    put64(out, 0);                     /* no floating point registers         */
    assert(out->len == end);
}

static void put_status_32(GByteArray *out, const X86Cpu *c, const X86Regs *r)
{
    static const uint8_t order[] = {
        X86_RBX, X86_RCX, X86_RDX, X86_RSI, X86_RDI, X86_RBP, X86_RAX,
    };
    unsigned end = out->len + PRSTATUS_32;

    g_byte_array_set_size(out, out->len + 72);
    memset(out->data + out->len - 72, 0, 72);
    st_le32(out->data + out->len - 72 + 24, c->cpu.index + 1);
    for (unsigned i = 0; i < sizeof(order); i++) {
        put32(out, (uint32_t)r->gpr[order[i]]);
    }
    put32(out, r->seg[X86_DS].sel);
    put32(out, r->seg[X86_ES].sel);
    put32(out, r->seg[X86_FS].sel);
    put32(out, r->seg[X86_GS].sel);
    put32(out, (uint32_t)r->gpr[X86_RAX]);
    put32(out, (uint32_t)r->rip);
    put32(out, r->seg[X86_CS].sel);
    put32(out, (uint32_t)r->rflags);
    put32(out, (uint32_t)r->gpr[X86_RSP]);
    put32(out, r->seg[X86_SS].sel);
    put32(out, 0);
    assert(out->len == end);
}

static void put_seg(GByteArray *out, uint16_t sel, uint32_t limit,
                    uint16_t attr, uint64_t base)
{
    put32(out, sel);
    put32(out, limit);
    /* As in a descriptor's upper half: the attributes' two bytes apart, the
     * limit's upper bits between them. */
    put32(out, (attr & 0xffu) << 8 | (attr & 0xf00u) << 12 |
          (attr >> 11 & 1 ? limit >> 12 & 0xf0000u : limit & 0xf0000u));
    put32(out, 0);
    put64(out, base);
}

static void put_state(GByteArray *out, const X86Regs *r)
{
    static const uint8_t gprs[] = {
        X86_RAX, X86_RBX, X86_RCX, X86_RDX, X86_RSI, X86_RDI, X86_RSP, X86_RBP,
        8, 9, 10, 11, 12, 13, 14, 15,
    };
    static const uint8_t segs[] = {
        X86_CS, X86_DS, X86_ES, X86_FS, X86_GS, X86_SS,
    };
    unsigned end = out->len + STATE_SIZE;

    put32(out, 1);
    put32(out, STATE_SIZE);
    for (unsigned i = 0; i < sizeof(gprs); i++) {
        put64(out, r->gpr[gprs[i]]);
    }
    put64(out, r->rip);
    put64(out, r->rflags);
    for (unsigned i = 0; i < sizeof(segs); i++) {
        const X86Seg *s = &r->seg[segs[i]];

        put_seg(out, s->sel, s->limit, s->attr, s->base);
    }
    put_seg(out, r->ldt.sel, r->ldt.limit, r->ldt.attr, r->ldt.base);
    put_seg(out, r->tr.sel, r->tr.limit, r->tr.attr, r->tr.base);
    put_seg(out, 0, r->gdt.limit, 0, r->gdt.base);
    put_seg(out, 0, r->idt.limit, 0, r->idt.base);
    put64(out, r->cr0);
    put64(out, 0);
    put64(out, r->cr2);
    put64(out, r->cr3);
    put64(out, r->cr4);
    put64(out, r->kernel_gs_base);
    assert(out->len == end);
}

bool x86_core_notes(GByteArray *out)
{
    X86Regs r;
    bool wide = false;

    for (unsigned i = 0; i < cpu_count; i++) {
        x86_regs_read(x86_cpu(cpus[i]), &r);
        wide = i ? wide : (r.efer & EFER_LMA) != 0;
        put_note(out, "CORE", NT_PRSTATUS, wide ? PRSTATUS_64 : PRSTATUS_32);
        if (wide) {
            put_status_64(out, x86_cpu(cpus[i]), &r);
        } else {
            put_status_32(out, x86_cpu(cpus[i]), &r);
        }
    }
    for (unsigned i = 0; i < cpu_count; i++) {
        x86_regs_read(x86_cpu(cpus[i]), &r);
        put_note(out, "QEMU", 0, STATE_SIZE);
        put_state(out, &r);
    }
    return wide;
}
