/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query-print.c - `info virtio*`: what the x-query-virtio commands tell, for
 * people.
 *
 * Thread class: MACHINE_CALL.
 */
#include <glib.h>
#include "json.h"
#include "monitor.h"
#include "schema/schema.h"

static void row(const char *name, const char *value)
{
    mon_printf("  %-24s %s\n", name, value);
}

static void number(const char *name, uint64_t value)
{
    mon_printf("  %-24s %" PRIu64 "\n", name, value);
}

static void flag(const char *name, bool value)
{
    row(name, value ? "true" : "false");
}

static void names(const char *head, const StrList *a, const StrList *b,
                  uint64_t unknown)
{
    mon_printf("  %s:\n", head);
    for (size_t i = 0; i < a->n + (b ? b->n : 0); i++) {
        mon_printf("\t%s\n", i < a->n ? a->v[i] : b->v[i - a->n]);
    }
    if (unknown) {
        mon_printf("  unknown-features(0x%016" PRIx64 ")\n", unknown);
    }
}

static void features(const char *head, const VirtioDeviceFeatures *f)
{
    names(head, &f->transports, &f->dev_features,
          f->has_unknown_dev_features ? f->unknown_dev_features : 0);
}

void hmp_print_info_virtio(const void *ret, const Json *args)
{
    const VirtioInfoList *l = ret;

    if (!l->n) {
        mon_puts("No VirtIO devices\n");
    }
    for (size_t i = 0; i < l->n; i++) {
        mon_printf("%s [%s]\n", l->v[i].path, l->v[i].name);
    }
}

void hmp_print_info_virtio_status(const void *ret, const Json *args)
{
    const VirtioStatus *i = ret;

    mon_printf("%s:\n", json_get_str(args, "path"));
    row("device_name:", i->name);
    number("device_id:", i->device_id);
    flag("vhost_started:", i->vhost_started);
    row("bus_name:", *i->bus_name ? i->bus_name : "(null)");
    flag("broken:", i->broken);
    flag("disabled:", i->disabled);
    flag("disable_legacy_check:", i->disable_legacy_check);
    flag("started:", i->started);
    flag("use_started:", i->use_started);
    flag("start_on_kick:", i->start_on_kick);
    flag("use_guest_notifier_mask:", i->use_guest_notifier_mask);
    flag("vm_running:", i->vm_running);
    number("num_vqs:", i->num_vqs);
    number("queue_sel:", i->queue_sel);
    number("isr:", i->isr);
    row("endianness:", i->device_endian);
    names("status", &i->status.statuses, NULL, i->status.unknown_statuses);
    features("Guest features", &i->guest_features);
    features("Host features", &i->host_features);
    features("Backend features", &i->backend_features);
}

void hmp_print_info_virtio_queue_status(const void *ret, const Json *args)
{
    const VirtQueueStatus *i = ret;

    mon_printf("%s:\n", json_get_str(args, "path"));
    mon_printf("  device_name:          %s\n", i->name);
    mon_printf("  queue_index:          %d\n", i->queue_index);
    mon_printf("  inuse:                %u\n", i->inuse);
    mon_printf("  used_idx:             %d\n", i->used_idx);
    mon_printf("  signalled_used:       %d\n", i->signalled_used);
    mon_printf("  signalled_used_valid: %s\n",
               i->signalled_used_valid ? "true" : "false");
    mon_printf("  last_avail_idx:       %d\n", i->last_avail_idx);
    mon_printf("  shadow_avail_idx:     %d\n", i->shadow_avail_idx);
    mon_puts("  VRing:\n");
    mon_printf("    num:          %u\n", i->vring_num);
    mon_printf("    num_default:  %u\n", i->vring_num_default);
    mon_printf("    align:        %u\n", i->vring_align);
    mon_printf("    desc:         0x%016" PRIx64 "\n", i->vring_desc);
    mon_printf("    avail:        0x%016" PRIx64 "\n", i->vring_avail);
    mon_printf("    used:         0x%016" PRIx64 "\n", i->vring_used);
}

void hmp_print_info_virtio_queue_element(const void *ret, const Json *args)
{
    const VirtioQueueElement *i = ret;

    mon_printf("%s:\n", json_get_str(args, "path"));
    mon_printf("  device_name: %s\n  index:   %u\n  desc:\n    descs:\n",
               i->name, i->index);
    for (size_t k = 0; k < i->descs.n; k++) {
        const VirtioRingDesc *d = &i->descs.v[k];

        mon_printf("        addr 0x%" PRIx64 " len %u", d->addr, d->len);
        for (size_t f = 0; f < d->flags.n; f++) {
            mon_printf("%s%s", f ? ", " : " (", d->flags.v[f]);
        }
        mon_puts(d->flags.n ? ")\n" : "\n");
    }
    mon_printf("  avail:\n    flags: %d\n    idx:   %d\n    ring:  %d\n",
               i->avail.flags, i->avail.idx, i->avail.ring);
    mon_printf("  used:\n    flags: %d\n    idx:   %d\n", i->used.flags,
               i->used.idx);
}
