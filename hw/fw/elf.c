/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * elf.c - loads kernels in ELF (System V ABI, "Object Files" and "Program
 * Loading") and finds notes in them.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. The file is hostile: every offset is checked against its length before it
 *    is used, every address against the guest's low memory.
 */
#include <glib.h>
#include "hw/fw/elf.h"

#define PT_LOAD 1
#define PT_NOTE 4
#define EM_386 3
#define EM_X86_64 62

typedef struct Segment {
    uint32_t type;
    uint64_t off, addr, filesz, memsz, align;
} Segment;

bool elf_is(const KernelFile *k)
{
    return k->len >= 52 && !memcmp(k->data, "\177ELF", 4);
}

bool elf_is_64(const KernelFile *k)
{
    return k->len >= 64 && k->data[4] == 2;
}

/* Little-endian, x86, with a program header table inside the file. */
static bool header_ok(const KernelFile *k, uint64_t *table, unsigned *n,
                      unsigned *each)
{
    bool wide = elf_is_64(k);
    unsigned machine;

    if (!elf_is(k) || k->data[5] != 1 || (k->data[4] != 1 && !wide)) {
        return false;
    }
    machine = ld_le16(k->data + 18);
    *table = wide ? ld_le64(k->data + 32) : ld_le32(k->data + 28);
    *each = ld_le16(k->data + (wide ? 54 : 42));
    *n = ld_le16(k->data + (wide ? 56 : 44));
    return (machine == EM_386 || machine == EM_X86_64) &&
           *each >= (wide ? 56u : 32u) && *table <= k->len &&
           (uint64_t)*n * *each <= k->len - *table;
}

static Segment segment_read(const KernelFile *k, uint64_t at)
{
    const uint8_t *p = k->data + at;

    if (elf_is_64(k)) {
        return (Segment){
            .type = ld_le32(p), .off = ld_le64(p + 8), .addr = ld_le64(p + 24),
            .filesz = ld_le64(p + 32), .memsz = ld_le64(p + 40),
            .align = ld_le64(p + 48),
        };
    }
    return (Segment){
        .type = ld_le32(p), .off = ld_le32(p + 4), .addr = ld_le32(p + 12),
        .filesz = ld_le32(p + 16), .memsz = ld_le32(p + 20),
        .align = ld_le32(p + 28),
    };
}

static MACHINE_CALL
bool segment_load(const KernelFile *k, const Segment *s, uint64_t top,
                         Error **errp)
{
    uint64_t room = MAX2(s->memsz, s->filesz);

    if (s->off > k->len || s->filesz > k->len - s->off) {
        return error_set(errp, "kernel '%s' is truncated", k->path);
    }
    if (s->addr >= top || room > top - s->addr) {
        error_set(errp, "kernel '%s' has a segment of %" PRIu64 " bytes at 0x%"
                  PRIx64 ", beyond the guest's memory", k->path, room,
                  s->addr);
        error_hint(errp, "Give the guest more memory with -m.");
        return false;
    }
    return blob_add(k->path, s->addr, g_memdup2(k->data + s->off, s->filesz),
                    s->filesz, room - s->filesz, errp);
}

bool elf_load(Pc *p, const KernelFile *k, uint64_t *entry, uint64_t *low,
              uint64_t *high, Error **errp)
{
    uint64_t table, top = blob_ram_top(p);
    unsigned n, each;

    if (!header_ok(k, &table, &n, &each)) {
        return error_set(errp, "could not load kernel '%s': not an ELF file "
                         "for x86", k->path);
    }
    *entry = elf_is_64(k) ? ld_le64(k->data + 24) : ld_le32(k->data + 24);
    *low = UINT64_MAX;
    *high = 0;
    for (unsigned i = 0; i < n; i++) {
        Segment s = segment_read(k, table + (uint64_t)i * each);

        if (s.type != PT_LOAD || !(s.memsz | s.filesz)) {
            continue;
        }
        if (!segment_load(k, &s, top, errp)) {
            return false;
        }
        *low = MIN2(*low, s.addr);
        *high = MAX2(*high, s.addr + MAX2(s.memsz, s.filesz));
    }
    return *high || error_set(errp, "kernel '%s' has nothing to load",
                              k->path);
}

/* One PT_NOTE segment; notes and their parts are padded to 4 bytes (8 where the
 * segment says so). */
static bool note_in(const KernelFile *k, const Segment *s, const char *name,
                    uint32_t type, uint64_t *value)
{
    uint64_t at = s->off, end, pad = s->align == 8 ? 8 : 4;

    if (s->off > k->len || s->filesz > k->len - s->off) {
        return false;
    }
    end = s->off + s->filesz;
    while (end - at >= 12) {
        uint64_t nlen = ld_le32(k->data + at), dlen = ld_le32(k->data + at + 4);
        uint64_t desc = at + 12 + ALIGN_UP(nlen, pad);

        if (desc > end || dlen > end - desc) {
            return false;
        }
        if (ld_le32(k->data + at + 8) == type && nlen == strlen(name) + 1 &&
            !memcmp(k->data + at + 12, name, nlen) && dlen >= 4) {
            *value = dlen >= 8 ? ld_le64(k->data + desc)
                               : ld_le32(k->data + desc);
            return true;
        }
        at = desc + ALIGN_UP(dlen, pad);
        if (at > end) {
            return false;
        }
    }
    return false;
}

bool elf_note(const KernelFile *k, const char *name, uint32_t type,
              uint64_t *value)
{
    uint64_t table;
    unsigned n, each;

    if (!header_ok(k, &table, &n, &each)) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        Segment s = segment_read(k, table + (uint64_t)i * each);

        if (s.type == PT_NOTE && note_in(k, &s, name, type, value)) {
            return true;
        }
    }
    return false;
}
