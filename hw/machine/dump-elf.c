/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dump-elf.c - a dump as a core file (System V ABI, gABI chapters 4 and 5): the
 * header, with many program headers a section header that counts them, program
 * headers, notes, memory. Written from front to end, so that a pipe will do.
 *
 * Thread class: a worker; the machine stands still.
 */
#include <elf.h>
#include "dump.h"

#define PIECE (1u << 20)

static void put_phdr(GByteArray *out, uint32_t type, uint64_t off,
                     const DumpMap *m, uint64_t in_file)
{
    Elf64_Phdr p = {
        .p_type = type, .p_offset = off, .p_vaddr = m->va, .p_paddr = m->pa,
        .p_filesz = in_file, .p_memsz = m->len,
    };

    g_byte_array_append(out, (const uint8_t *)&p, sizeof(p));
}

/* Where the memory of a map is in the file. */
static uint64_t place(const Dump *d, const DumpMap *m, uint64_t memory)
{
    for (unsigned i = 0; i < d->blocks->len; i++) {
        const DumpBlock *b = dump_block(d, i);

        if (m->pa >= b->first && m->pa - b->first < b->len) {
            return memory + (m->pa - b->first);
        }
        memory += b->len;
    }
    return 0;
}

static GByteArray *heads(const Dump *d)
{
    GByteArray *out = g_byte_array_new();
    unsigned n = d->maps->len + 1;
    uint64_t at = sizeof(Elf64_Ehdr);
    Elf64_Ehdr e = {
        .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
                     ELFDATA2LSB, EV_CURRENT },
        .e_type = ET_CORE, .e_version = EV_CURRENT,
        .e_machine = d->long_mode ? EM_X86_64 : EM_386,
        .e_ehsize = sizeof(e), .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = (uint16_t)MIN2(n, (unsigned)PN_XNUM),
    };
    Elf64_Shdr s = { .sh_info = n };

    if (n >= PN_XNUM) {
        e.e_shoff = at;
        e.e_shentsize = sizeof(s);
        e.e_shnum = 1;
        at += sizeof(s);
    }
    e.e_phoff = at;
    at += (uint64_t)n * sizeof(Elf64_Phdr);
    g_byte_array_append(out, (const uint8_t *)&e, sizeof(e));
    if (n >= PN_XNUM) {
        g_byte_array_append(out, (const uint8_t *)&s, sizeof(s));
    }
    put_phdr(out, PT_NOTE, at, &(DumpMap){ .len = d->notes->len },
             d->notes->len);
    at += d->notes->len;
    for (unsigned i = 0; i < d->maps->len; i++) {
        const DumpMap *m = &g_array_index(d->maps, DumpMap, i);

        put_phdr(out, PT_LOAD, place(d, m, at), m, m->len);
    }
    g_byte_array_append(out, d->notes->data, d->notes->len);
    return out;
}

bool dump_elf(Dump *d, Error **errp)
{
    GByteArray *h = heads(d);
    bool ok = dump_put(d, h->data, h->len, errp);

    g_byte_array_unref(h);
    for (unsigned i = 0; ok && i < d->blocks->len; i++) {
        const DumpBlock *b = dump_block(d, i);

        for (uint64_t off = 0; ok && off < b->len; ) {
            size_t n = (size_t)MIN2(b->len - off, (uint64_t)PIECE);

            ok = dump_put(d, b->host + off, n, errp);
            off += n;
            __atomic_add_fetch(&d->done, n, __ATOMIC_RELAXED);
        }
    }
    return ok;
}
