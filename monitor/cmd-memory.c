/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-memory.c - memory and I/O ports for people: x, xp, i, o, memsave, pmemsave,
 * gpa2hva, sum, and $registers in expressions.
 *
 * MACHINE_CALL. Invariant: what a guest's tables say is followed without side
 * effects and without trust; a length is never allocated, only walked.
 */
#include <fcntl.h>
#include <glib.h>
#include <unistd.h>
#include "loop.h"
#include "mem.h"
#include "monitor.h"
#include "schema/schema.h"
#include "x86.h"

#define PAGE 4096ull

static X86Cpu *session_cpu(void) MACHINE_CALL;
static X86Cpu *session_cpu(void)
{
    unsigned i = mon_cpu_index();

    if (i >= cpu_count) {
        i = 0;
    }
    if (!cpu_count) {
        return NULL;
    }
    cpu_sync(cpus[i]);
    return x86_cpu(cpus[i]);
}

/* cpu NULL: physical. */
static bool fetch(X86Cpu *cpu, uint64_t addr, uint8_t *buf, size_t len)
    MACHINE_CALL;
static bool fetch(X86Cpu *cpu, uint64_t addr, uint8_t *buf, size_t len)
{
    while (len) {
        uint64_t pa = addr;
        size_t n = MIN2((uint64_t)len, PAGE - addr % PAGE);

        if ((cpu && !x86_gva2gpa(cpu, addr, &pa)) ||
            mem_read(&mem_system, pa, buf, n, MEM_ATTRS_NONE) != MEM_OK) {
            return false;
        }
        addr += n;
        buf += n;
        len -= n;
    }
    return true;
}

/* ---- x and xp -- */
static void show_char(uint8_t c)
{
    const char *known = "''\\\\\nn\rr", *m = known;

    while (*m && *m != c) {
        m += 2;
    }
    if (c && *m) {
        mon_printf("'\\%c'", m[1]);
    } else if (c >= 32 && c <= 126) {
        mon_printf("'%c'", c);
    } else {
        mon_printf("'\\x%02x'", c);
    }
}

static void show_number(char format, unsigned size, const uint8_t *p)
{
    uint64_t v = size == 1 ? *p : size == 2 ? ld_le16(p)
               : size == 4 ? ld_le32(p) : ld_le64(p);

    switch (format) {
    case 'o':
        mon_printf("%#*" PRIo64, (int)(size * 8 + 2) / 3, v);
        break;
    case 'd':
    case 'u':
        mon_printf(format == 'd' ? "%*" PRId64 : "%*" PRIu64,
                   size == 1 ? 3 : size == 2 ? 5 : size == 4 ? 10 : 20, v);
        break;
    default:
        mon_printf("0x%0*" PRIx64, (int)size * 2, v);
        break;
    }
}

static void show_numbers(X86Cpu *cpu, uint64_t addr, uint64_t n, char format,
                         unsigned size) MACHINE_CALL;
static void show_numbers(X86Cpu *cpu, uint64_t addr, uint64_t n, char format,
                         unsigned size)
{
    unsigned per_line = size == 1 ? 8 : 16;
    uint64_t left = n * size;

    while (left) {
        uint8_t buf[16];
        unsigned l = MIN2(left, (uint64_t)per_line);

        mon_printf("%016" PRIx64 ":", addr);
        if (!fetch(cpu, addr, buf, l)) {
            mon_puts(" Cannot access memory\n");
            return;
        }
        for (unsigned i = 0; i < l; i += format == 'c' ? 1 : size) {
            mon_puts(" ");
            if (format == 'c') {
                show_char(buf[i]);
            } else {
                show_number(format, size, buf + i);
            }
        }
        mon_puts("\n");
        addr += l;
        left -= l;
    }
}

static unsigned code_bits(const X86Cpu *cpu)
{
    const X86Seg *cs = &cpu->regs.seg[X86_CS];

    return cpu->regs.efer & 1 << 10 && cs->attr & 1 << 9 ? 64
         : cs->attr & 1 << 10 ? 32 : 16;
}

static void show_code(X86Cpu *cpu, bool physical, uint64_t addr, uint64_t n)
    MACHINE_CALL;
static void show_code(X86Cpu *cpu, bool physical, uint64_t addr, uint64_t n)
{
    int bits = code_bits(cpu);

    while (n--) {
        uint8_t code[15];
        char text[128], hex[64] = "";
        size_t have = sizeof(code);
        int len;

        while (have && !fetch(physical ? NULL : cpu, addr, code, have)) {
            have--;
        }
        len = have ? x86_disas(code, have, addr, bits, text, sizeof(text)) : 0;
        if (!have) {
            mon_printf("0x%08" PRIx64 ": unable to read memory\n", addr);
            return;
        }
        if (!len) {
            len = 1;
            snprintf(text, sizeof(text), ".byte    0x%02x", code[0]);
        }
        for (int i = 0; i < len; i++) {
            sprintf(hex + i * 3, "%02x ", code[i]);
        }
        mon_printf("0x%08" PRIx64 ":  %-24s %s\n", addr, hex, text);
        addr += len;
    }
}

static void dump(const Json *args, bool physical) MACHINE_CALL;
static void dump(const Json *args, bool physical)
{
    X86Cpu *cpu = session_cpu();
    char format = *json_get_str(args, "format");
    uint64_t n = json_int_of(json_get(args, "count"));
    uint64_t addr = json_int_of(json_get(args, "addr"));
    uint64_t size = json_int_of(json_get(args, "size"));

    size = size == 1 || size == 2 || size == 8 ? size : 4;
    if (!cpu && (!physical || format == 'i')) {
        mon_puts("Can not dump without CPU\n");
    } else if (format == 'i') {
        show_code(cpu, physical, addr, MIN2(n, 10000ull));
    } else {
        show_numbers(physical ? NULL : cpu, addr, MIN2(n, 1ull << 20), format,
                     size);
    }
}

void hmp_x(const Json *args)
{
    dump(args, false);
}

void hmp_xp(const Json *args)
{
    dump(args, true);
}

/* ---- I/O ports -- */
static unsigned port_size(const Json *args)
{
    int64_t size = json_int_of(json_get(args, "size"));

    return size == 1 || size == 2 ? size : 4;
}

void hmp_i(const Json *args)
{
    uint16_t port = json_int_of(json_get(args, "addr"));
    const Json *index = json_get(args, "index");
    unsigned size = port_size(args);
    uint64_t v = 0;

    if (index) {
        mem_store(&mem_io, port++, 1, json_int_of(index) & 0xff,
                  MEM_ATTRS_NONE);
    }
    mem_load(&mem_io, port, size, &v, MEM_ATTRS_NONE);
    mon_printf("port%c[0x%04x] = 0x%0*" PRIx64 "\n",
               size == 1 ? 'b' : size == 2 ? 'w' : 'l', port, (int)size * 2, v);
}

void hmp_o(const Json *args)
{
    mem_store(&mem_io, (uint16_t)json_int_of(json_get(args, "addr")),
              port_size(args), json_int_of(json_get(args, "val")),
              MEM_ATTRS_NONE);
}

/* ---- to a file -- */
static bool write_all(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t r = write(fd, p, n);

        if (r <= 0) {
            return false;
        }
        p += r;
        n -= r;
    }
    return true;
}

/* Is anything at the address, and how far does the address space reach. */
static bool mapped(uint64_t at, uint64_t *last)
{
    const FlatMap *map;
    bool there;

    epoch_enter();
    map = mem_map(&mem_system);
    there = mem_find(map, at) != NULL;
    *last = map->n ? map->r[map->n - 1].last : 0;
    epoch_exit();
    return there;
}

static bool save(X86Cpu *cpu, uint64_t addr, int64_t size, const char *path,
                 Error **errp) MACHINE_CALL;
static bool save(X86Cpu *cpu, uint64_t addr, int64_t size, const char *path,
                 Error **errp)
{
    uint64_t at = addr, last;
    int64_t left = size;
    bool ok = true;
    int fd;

    /* Beyond everything there is only more nothing, to the end of a disk; and a
     * guest's tables may map one page without end. */
    mapped(addr, &last);
    if (size < 0 || (size && ((!cpu && addr > last) || (uint64_t)size - 1 >
                              (cpu ? last : last - addr)))) {
        return error_set(errp, "Invalid addr 0x%016" PRIx64 "/size %" PRId64
                         " specified", addr, size);
    }
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        return error_set_errno(errp, errno, "Could not open '%s'", path);
    }
    while (ok && left > 0) {
        uint8_t buf[PAGE] = { 0 };
        size_t n = MIN2((uint64_t)left, PAGE - at % PAGE);
        uint64_t pa = at;
        bool hole = (!cpu || x86_gva2gpa(cpu, at, &pa)) && !mapped(pa, &last);

        if (cpu && !hole && !fetch(cpu, at, buf, n)) {
            ok = error_set(errp, "Invalid addr 0x%016" PRIx64 "/size %" PRId64
                           " specified", addr, size);
        } else if (hole) {
            at += n;                   /* a hole of the bus: one of the file  */
            left -= n;
            ok = lseek(fd, n, SEEK_CUR) >= 0 ||
                 error_set_errno(errp, errno, "Could not write '%s'", path);
            continue;
        } else if (!cpu) {
            mem_read(&mem_system, at, buf, n, MEM_ATTRS_NONE);
        }
        if (ok && !write_all(fd, buf, n)) {
            ok = error_set_errno(errp, errno, "Could not write '%s'", path);
        }
        at += n;
        left -= n;
    }
    if (ok && ftruncate(fd, size) < 0 && errno != EINVAL) {
        ok = error_set_errno(errp, errno, "Could not write '%s'", path);
    }
    close(fd);
    return ok;
}

bool cmd_memsave(const void *arg, void *ret, Error **errp)
{
    const MemsaveArg *a = arg;
    int64_t i = a->has_cpu_index ? a->cpu_index : mon_cpu_index();

    if (i < 0 || i >= cpu_count) {
        return error_set(errp, "Parameter 'cpu-index' expects a CPU number");
    }
    cpu_sync(cpus[i]);
    return save(x86_cpu(cpus[i]), a->val, a->size, a->filename, errp);
}

bool cmd_pmemsave(const void *arg, void *ret, Error **errp)
{
    const PmemsaveArg *a = arg;

    return save(NULL, a->val, a->size, a->filename, errp);
}

/* ---- addresses -- */
/* The host's pointer to a byte of RAM; else NULL and a message. In an epoch. */
static void *ram_pointer(uint64_t addr, const char **name)
{
    const FlatRange *r = mem_find(mem_map(&mem_system), addr);

    if (!r) {
        mon_printf("No memory is mapped at address 0x%" PRIx64 "\n", addr);
    } else if (!r->host) {
        mon_printf("Memory at address 0x%" PRIx64 " is not RAM\n", addr);
    } else {
        *name = r->mr->name;
        return r->host + (addr - r->first);
    }
    return NULL;
}

void hmp_gpa2hva(const Json *args)
{
    uint64_t addr = json_int_of(json_get(args, "addr"));
    const char *name;
    void *p;

    epoch_enter();
    p = ram_pointer(addr, &name);
    if (p) {
        mon_printf("Host virtual address for 0x%" PRIx64 " (%s) is %p\n", addr,
                   name, p);
    }
    epoch_exit();
}

/* Linux Documentation/admin-guide/mm/pagemap.rst */
void hmp_gpa2hpa(const Json *args)
{
    uint64_t addr = json_int_of(json_get(args, "addr")), entry = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    const char *name;
    void *p;

    epoch_enter();
    p = ram_pointer(addr, &name);
    if (p && (fd < 0 || pread(fd, &entry, 8, (uintptr_t)p / PAGE * 8) != 8)) {
        mon_printf("Error: Cannot open /proc/self/pagemap: %s\n",
                   strerror(errno));
    } else if (p && !(entry >> 63)) {
        mon_puts("Error: Page not present\n");
    } else if (p) {
        uint64_t frame = entry & ((1ull << 55) - 1);

        mon_printf("Host physical address for 0x%" PRIx64 " (%s) is 0x%" PRIx64
                   "\n", addr, name, (uint64_t)(frame * PAGE + (uintptr_t)p % PAGE));
    }
    epoch_exit();
    if (fd >= 0) {
        close(fd);
    }
}

void hmp_sum(const Json *args)
{
    uint64_t addr = json_int_of(json_get(args, "start"));
    uint32_t n = json_int_of(json_get(args, "size"));
    uint16_t sum = 0;

    while (n) {
        uint8_t buf[PAGE];
        uint32_t part = MIN2((uint64_t)n, PAGE - addr % PAGE);
        uint64_t last;

        /* Nothing is there: zeroes, of which whole pages leave the sum alone. */
        if (!mapped(addr, &last)) {
            memset(buf, 0, sizeof(buf));
            addr += part - part % 16;
            n -= part - part % 16;
            part %= 16;
        } else {
            mem_read(&mem_system, addr, buf, part, MEM_ATTRS_NONE);
        }
        for (uint32_t i = 0; i < part; i++) {      /* BSD sum(1)              */
            sum = (sum >> 1 | sum << 15) + buf[i];
        }
        addr += part;
        n -= part;
    }
    mon_printf("%05d\n", sum);
}

/* ---- registers in expressions -- */
static bool gpr(const X86Regs *r, const char *name, uint64_t *v)
{
    static const char *const names[] = { "ax", "cx", "dx", "bx", "sp", "bp",
                                         "si", "di" };

    if (name[0] == 'r' && g_ascii_isdigit(name[1])) {
        int n = atoi(name + 1);

        *v = n >= 8 && n <= 15 ? r->gpr[n] : 0;
        return n >= 8 && n <= 15;
    }
    for (int i = 0; i < 8; i++) {
        if ((name[0] == 'e' || name[0] == 'r') && !strcmp(name + 1, names[i])) {
            *v = name[0] == 'e' ? (uint32_t)r->gpr[i] : r->gpr[i];
            return true;
        }
    }
    return false;
}

static bool segment(const X86Regs *r, const char *name, uint64_t *v)
{
    static const char names[] = "es" "cs" "ss" "ds" "fs" "gs";

    for (int i = 0; i < X86_SEG_COUNT; i++) {
        if (!strncmp(name, names + i * 2, 2)) {
            if (!name[2]) {
                *v = r->seg[i].sel;
                return true;
            }
            *v = !strcmp(name + 2, ".base") ? r->seg[i].base : r->seg[i].limit;
            return !strcmp(name + 2, ".base") || !strcmp(name + 2, ".limit");
        }
    }
    return false;
}

static bool register_get(int index, const char *name, uint64_t *v)
{
    const X86Regs *r;
    X86Cpu *cpu;

    machine_assert_locked();
    cpu = session_cpu();
    if (!cpu) {
        return false;
    }
    r = &cpu->regs;
    if (!strcmp(name, "pc")) {
        *v = r->seg[X86_CS].base + r->rip;
    } else if (!strcmp(name, "rip") || !strcmp(name, "eip")) {
        *v = r->rip;
    } else if (!strcmp(name, "eflags") || !strcmp(name, "rflags")) {
        *v = r->rflags;
    } else if (name[0] == 'c' && name[1] == 'r' && name[2] && !name[3]) {
        *v = name[2] == '0' ? r->cr0 : name[2] == '2' ? r->cr2
           : name[2] == '3' ? r->cr3 : name[2] == '4' ? r->cr4 : r->cr8;
        return strchr("02348", name[2]) != NULL;
    } else {
        return gpr(r, name, v) || segment(r, name, v);
    }
    return true;
}

static bool cpu_there(int64_t i)
{
    machine_assert_locked();
    return i >= 0 && i < cpu_count;
}

__attribute__((constructor)) static void hooks_init(void)
{
    mon_register_get = register_get;
    mon_cpu_exists = cpu_there;
}
