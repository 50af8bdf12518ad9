/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nbd-list.c - `tern-nbd --list`: what a server exports. Thread class:
 * MACHINE_CALL. */
#include "tools/nbd.h"

typedef struct Listing {
    const SockAddr *addr;
    const NbdArgs *args;
    Obj *creds;
    NbdInfo *list;
    size_t n;
    Error *err;
    bool ok, over;
} Listing;

static void listing(void *arg)
{
    Listing *l = arg;
    const char *host = l->args->tls_hostname ? l->args->tls_hostname
                     : l->addr->kind == ADDR_INET ? l->addr->host : NULL;
    NbdAsk ask = { .export_name = "", .creds = l->creds, .hostname = host };
    NbdChan c;
    int fd = addr_connect(l->addr, 30000, &l->err);

    machine_assert_locked();
    if (fd >= 0) {
        chan_init(&c, loop_main, fd);
        l->ok = nbd_client_list(&c, &ask, &l->list, &l->n, &l->err);
        chan_close(&c);
    }
    l->over = true;
}

static void flags_print(uint16_t flags)
{
    static const struct {
        uint16_t bit;
        const char *name;
    } rows[] = {
        { NBD_F_READ_ONLY, "readonly" }, { NBD_F_FLUSH, "flush" },
        { NBD_F_FUA, "fua" }, { NBD_F_ROTATIONAL, "rotational" },
        { NBD_F_TRIM, "trim" }, { NBD_F_ZEROES, "zeroes" }, { NBD_F_DF, "df" },
        { NBD_F_MULTI_CONN, "multi" }, { NBD_F_RESIZE, "resize" },
        { NBD_F_CACHE, "cache" }, { NBD_F_FAST_ZERO, "fast-zero" },
    };

    printf("  flags: 0x%x (", flags);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (flags & rows[i].bit) {
            printf(" %s", rows[i].name);
        }
    }
    printf(" )\n");
}

static void export_print(const NbdInfo *x)
{
    printf(" export: '%s'\n", x->name);
    if (x->desc && *x->desc) {
        printf("  description: %s\n", x->desc);
    }
    if (x->flags & NBD_F_HAS_FLAGS) {
        printf("  size:  %" PRIu64 "\n", x->size);
        flags_print(x->flags);
    }
    if (x->min_block) {
        printf("  min block: %u\n  opt block: %u\n  max block: %u\n",
               x->min_block, x->opt_block, x->max_block);
    }
    if (x->contexts && *x->contexts) {
        printf("  available meta contexts: %u\n", g_strv_length(x->contexts));
        for (char **s = x->contexts; *s; s++) {
            printf("   %s\n", *s);
        }
    }
}

int nbd_list(const SockAddr *addr, const NbdArgs *a, Obj *creds)
{
    Listing l = { .addr = addr, .args = a, .creds = creds };

    co_enter(co_new(listing, &l));
    while (!l.over) {
        loop_step(true);
    }
    if (!l.ok) {
        return tool_fail(NULL, l.err);
    }
    error_free(l.err);
    printf("exports available: %zu\n", l.n);
    for (size_t i = 0; i < l.n; i++) {
        export_print(&l.list[i]);
        nbd_info_clear(&l.list[i]);
    }
    g_free(l.list);
    return 0;
}
