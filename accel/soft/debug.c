/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * debug.c - a debugger's break- and watchpoints on the software CPU. They are
 * linear addresses, the same for every vCPU.
 *
 * Thread class: soft_point_set with the vCPUs stopped; the rest in the vCPU's
 * thread.
 * Invariants:
 * 1. A block is cached by where its code lies, not by its linear address: so
 *    a stop is decoded before each instruction with a breakpoint's offset in
 *    the page, and compares the whole address when it runs.
 * 2. Whoever changes the points flushes blocks and TLBs of every vCPU.
 */
#include "soft.h"

#define MAX_POINTS 1024

typedef struct Point {
    uint64_t addr, len;
    int type;
} Point;

static Point points[MAX_POINTS];
unsigned soft_point_count, soft_watch_count;

bool soft_point_set(uint64_t addr, uint64_t len, int type, bool insert)
{
    bool watch = type >= POINT_WRITE;

    if (watch && (!len || len > 4096)) {
        return false;
    }
    for (unsigned i = 0; i < soft_point_count; i++) {
        Point *p = &points[i];

        if (p->addr == addr && p->type == type && (!watch || p->len == len)) {
            if (!insert) {
                soft_watch_count -= watch;
                *p = points[--soft_point_count];
            }
            return true;
        }
    }
    if (!insert || soft_point_count == MAX_POINTS) {
        return false;
    }
    points[soft_point_count++] = (Point){ addr, watch ? len : 1, type };
    soft_watch_count += watch;
    return true;
}

bool soft_points_near(unsigned offset)
{
    for (unsigned i = 0; i < soft_point_count; i++) {
        if (points[i].type < POINT_WRITE && (points[i].addr & 0xfff) == offset) {
            return true;
        }
    }
    return false;
}

bool soft_point_here(const SoftCpu *c, uint64_t ip)
{
    uint64_t la = ip + c->segbase[SEG_CS];

    if (!c->code64) {
        la = (uint32_t)la;
    }
    for (unsigned i = 0; i < soft_point_count; i++) {
        if (points[i].type < POINT_WRITE && points[i].addr == la) {
            return true;
        }
    }
    return false;
}

const Slot *soft_h_point(SoftCpu *c, const Slot *s)
{
    if (c->mode & MW_SINGLE || !soft_point_here(c, ip_of(c, s))) {
        NEXT;
    }
    c->r[R_IP] = ip_of(c, s);
    c->link_from = NULL;
    c->debug_stop = true;
    soft_kick(c, KICK_EXIT);
    LEAVE;
}

bool soft_watch_page(uint64_t la)
{
    for (unsigned i = 0; i < soft_point_count; i++) {
        const Point *p = &points[i];

        if (p->type >= POINT_WRITE && p->addr >> 12 <= la >> 12 &&
            la >> 12 <= (p->addr + p->len - 1) >> 12) {
            return true;
        }
    }
    return false;
}

void soft_watch_hit(SoftCpu *c, uint64_t la, unsigned size, bool write)
{
    for (unsigned i = 0; i < soft_point_count; i++) {
        const Point *p = &points[i];

        if ((p->type == POINT_ACCESS ||
             p->type == (write ? POINT_WRITE : POINT_READ)) &&
            la < p->addr + p->len && p->addr < la + size) {
            c->watch_type = p->type;
            c->watch_addr = p->addr;
        }
    }
}
