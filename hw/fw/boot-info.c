/* SPDX-License-Identifier: GPL-2.0-or-later */
/* boot-info.c - see boot-info.h. Thread class: machine lock. */
#include <glib.h>
#include "hw/fw/boot-info.h"

uint32_t boot_info_take(BootInfo *b, uint32_t len, Error **errp)
{
    uint32_t at = ALIGN_UP(b->used, 8);

    if (len > BOOT_INFO_ROOM || at > BOOT_INFO_ROOM - len) {
        error_set(errp, "kernel command line and module list are too long: "
                  "at most %u bytes", BOOT_INFO_ROOM);
        return 0;
    }
    b->used = at + len;
    return BOOT_INFO_ADDR + at;
}

uint32_t boot_info_text(BootInfo *b, const char *text, Error **errp)
{
    size_t len = strlen(text) + 1;
    uint32_t at = boot_info_take(b, MIN2(len, UINT32_MAX), errp);

    if (at) {
        memcpy(boot_info_at(b, at), text, len);
    }
    return at;
}

bool boot_info_place(BootInfo *b, Error **errp)
{
    bool ok = blob_add("boot information", BOOT_INFO_ADDR,
                       g_memdup2(b->data, b->used), b->used, 0, errp);

    g_free(b);
    return ok;
}
