/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bios.c - finds firmware files and puts the PC's BIOS below 4 GiB, with its
 * last 128 KiB below 1 MiB.
 *
 * Thread class: machine lock.
 */
#include <glib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "config.h"
#include "pc.h"
#include "settings.h"

/* Where Debian's packages (and others' layouts) put firmware, in order. */
static const char *const search_path[] = {
    CONFIG_DATADIR, "/usr/share/seabios", "/usr/share/qemu", "/usr/share/OVMF",
    "/usr/share/ovmf", "/usr/lib/ipxe/qemu", "/usr/share/qemu-kvm",
};

static const struct {
    const char *prefix, *package;
} packages[] = {
    { "bios", "seabios" }, { "vgabios", "seabios" }, { "OVMF", "ovmf" },
    { "efi-", "ipxe-qemu" }, { "pxe-", "ipxe-qemu" },
};

char *firmware_find(const char *name, Error **errp)
{
    char *path;

    if (strchr(name, '/') || !access(name, R_OK)) {
        if (!access(name, R_OK)) {
            return g_strdup(name);
        }
        error_set_errno(errp, errno, "could not read firmware '%s'", name);
        return NULL;
    }
    for (unsigned i = 0; i < settings.l_dirs.n; i++) {
        path = g_build_filename(settings.l_dirs.v[i].arg, name, NULL);
        if (!access(path, R_OK)) {
            return path;
        }
        g_free(path);
    }
    for (size_t i = 0; i < ARRAY_SIZE(search_path); i++) {
        path = g_build_filename(search_path[i], name, NULL);
        if (!access(path, R_OK)) {
            return path;
        }
        g_free(path);
    }
    error_set(errp, "could not find firmware '%s'", name);
    for (size_t i = 0; i < ARRAY_SIZE(packages); i++) {
        if (!strncmp(name, packages[i].prefix, strlen(packages[i].prefix))) {
            error_hint(errp, "Install Debian's package '%s', or name the "
                       "folder with -L.", packages[i].package);
        }
    }
    return NULL;
}

void firmware_print_path(void)
{
    for (unsigned i = 0; i < settings.l_dirs.n; i++) {
        printf("%s\n", settings.l_dirs.v[i].arg);
    }
    for (size_t i = 0; i < ARRAY_SIZE(search_path); i++) {
        printf("%s\n", search_path[i]);
    }
    fflush(stdout);
}

static bool bios_read(const char *path, uint8_t *to, size_t size, Error **errp)
{
    g_autofree char *data = NULL;
    gsize len;

    if (!g_file_get_contents(path, &data, &len, NULL) || len != size) {
        return error_set(errp, "could not load PC BIOS '%s'", path);
    }
    memcpy(to, data, size);
    return true;
}

bool bios_load(Pc *p, Error **errp)
{
    const char *name = p->m.firmware ? p->m.firmware : "bios-256k.bin";
    /* A kernel that is started without firmware needs none to be there. */
    bool optional = p->m.kernel && !p->m.firmware;
    g_autofree char *path = NULL;
    struct stat st;
    uint64_t size, isa;

    if (pflash_given(p)) {
        return pflash_map(p, errp);
    }
    if (p->is_isapc && !p->m.firmware) {
        name = "bios.bin";
    }
    path = firmware_find(name, NULL);
    if (!path && optional) {
        return true;
    }
    if (!path) {
        error_set(errp, "could not load PC BIOS '%s'", name);
        error_hint(errp, "Install Debian's package 'seabios' (or 'ovmf'), or "
                   "name the folder with -L.");
        return false;
    }
    if (stat(path, &st) || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
        st.st_size % 65536 || (uint64_t)st.st_size > p->max_fw_size) {
        error_set(errp, "could not load PC BIOS '%s'", name);
        error_hint(errp, "A BIOS image is a multiple of 64 KiB, up to "
                   "max-fw-size (%" PRIu64 " MiB).", p->max_fw_size / MiB);
        return false;
    }
    size = st.st_size;
    if (!mem_init_rom(&p->bios, "pc.bios", size, errp) ||
        !bios_read(path, p->bios.ram->host, size, errp)) {
        return false;
    }
    isa = MIN2(size, 128 * KiB);
    mem_begin();
    mem_init_alias(&p->isa_bios, "isa-bios", &p->bios, size - isa, isa);
    p->isa_bios.flags |= MRF_READONLY;
    mem_add_prio(&p->pci_mem, 1 * MiB - isa, &p->isa_bios, 1);
    mem_add(&p->pci_mem, 4 * GiB - size, &p->bios);
    mem_commit();
    return true;
}
