/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * update.c - which parts of the screen each VNC client has yet to see, and
 * updates on their way through the workers.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. `seen` is what clients have been told of or have marked dirty: a tile that
 *    differs from the surface is copied there and marked for all clients.
 * 2. Where loss is allowed it is for tiles that change often (non-adaptive: for
 *    all); a tile that has cooled down is sent once more without loss.
 * 3. A client has at most one job; a new one starts only when what the last one
 *    made has gone to the host, so a client that does not read costs one update.
 */
#include <stdlib.h>
#include <string.h>
#include "input.h"
#include "ui/vnc/vnc.h"

#define BACKLOG (256 << 10)            /* no update while more is waiting     */
#define RECTS_MAX 4096
#define IDLE_STEP_MS 50
#define HEAT_OF_CHANGE 16              /* added by each change                */
#define HOT 64                         /* about five changes a second         */
#define COOLING_NS (500 * NS_PER_MS)

void vnc_format_default(VncFormat *f)
{
    *f = (VncFormat){
        .bits = 32, .depth = 24, .truecolor = true,
        .max = { 255, 255, 255 }, .shift = { 16, 8, 0 },
    };
}

static bool is_native(const VncFormat *f)
{
    VncFormat d;

    vnc_format_default(&d);
    d.depth = f->depth;
    d.big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    return d.bits == f->bits && d.big == f->big && d.truecolor == f->truecolor &&
           !memcmp(d.max, f->max, sizeof(d.max)) &&
           !memcmp(d.shift, f->shift, sizeof(d.shift));
}

/* ---- tiles --------------------------------------------------------------- */
void vnc_tiles_alloc(VncClient *c)
{
    size_t tiles = (size_t)c->srv->tiles_x * (size_t)c->srv->tiles_y;

    g_free(c->dirty);
    g_free(c->blurred);
    c->dirty = g_malloc(tiles + 1);
    c->blurred = g_malloc0(tiles + 1);
    vnc_dirty_all(c);
}

void vnc_dirty_all(VncClient *c)
{
    if (c->dirty) {
        memset(c->dirty, 1,
               (size_t)c->srv->tiles_x * (size_t)c->srv->tiles_y);
    }
}

static void mark(const VncServer *s, uint8_t *map, VncRect r)
{
    int x1 = MIN2((r.x + r.w + VNC_TILE - 1) / VNC_TILE, s->tiles_x);
    int y1 = MIN2((r.y + r.h + VNC_TILE - 1) / VNC_TILE, s->tiles_y);

    for (int y = MAX2(r.y, 0) / VNC_TILE; y < y1; y++) {
        for (int x = MAX2(r.x, 0) / VNC_TILE; x < x1; x++) {
            map[y * s->tiles_x + x] = 1;
        }
    }
}

void vnc_dirty_rect(VncClient *c, VncRect r)
{
    if (c->dirty) {
        mark(c->srv, c->dirty, r);
    }
}

/* ---- the surface --------------------------------------------------------- */
void vnc_server_drop_surface(VncServer *s)
{
    surface_unref(s->seen);
    s->seen = NULL;
    g_free(s->maybe);
    g_free(s->heat);
    s->maybe = s->heat = NULL;
    s->tiles_x = s->tiles_y = 0;
}

static void copy_tile(VncServer *s, const Surface *from, int x, int y, int w,
                      int h)
{
    for (int j = 0; j < h; j++) {
        memcpy(surface_line(s->seen, y + j) + x, surface_line(from, y + j) + x,
               (size_t)w * 4);
    }
}

static bool tile_same(const VncServer *s, const Surface *from, int x, int y,
                      int w, int h)
{
    for (int j = 0; j < h; j++) {
        if (memcmp(surface_line(s->seen, y + j) + x,
                   surface_line(from, y + j) + x, (size_t)w * 4)) {
            return false;
        }
    }
    return true;
}

static void switched(Display *d) MACHINE_CALL;
static void switched(Display *d)
{
    VncServer *s = d->arg;
    const Surface *from = d->con->surface;
    bool same = s->seen && s->seen->width == from->width &&
                s->seen->height == from->height;

    if (!same) {
        vnc_server_drop_surface(s);
        s->seen = surface_new(from->width, from->height);
        if (!s->seen) {
            return;
        }
        s->tiles_x = (from->width + VNC_TILE - 1) / VNC_TILE;
        s->tiles_y = (from->height + VNC_TILE - 1) / VNC_TILE;
        s->maybe = g_malloc0((size_t)s->tiles_x * (size_t)s->tiles_y);
        s->heat = g_malloc0((size_t)s->tiles_x * (size_t)s->tiles_y);
    }
    mark(s, s->maybe, (VncRect){ 0, 0, from->width, from->height });
    for (VncClient *c = s->clients; c; c = c->next_client) {
        if (!same) {
            vnc_tiles_alloc(c);
            c->resize_due = true;
            c->resize_reason = c->resize_status = 0;
        }
        c->cursor_due = true;
    }
    if (d->interval_ms) {
        s->idle_ms = DISPLAY_INTERVAL_MS;
        display_set_interval(d, s->idle_ms);
    }
}

static void changed(Display *d, int x, int y, int w, int h) MACHINE_CALL;
static void changed(Display *d, int x, int y, int w, int h)
{
    VncServer *s = d->arg;

    if (s->maybe) {
        mark(s, s->maybe, (VncRect){ x, y, w, h });
    }
}

static void cursor(Display *d) MACHINE_CALL;
static void cursor(Display *d)
{
    VncServer *s = d->arg;

    for (VncClient *c = s->clients; c; c = c->next_client) {
        c->cursor_due = true;
    }
}

/* Compares what the source says it changed. Returns whether anything is new. */
static bool compare(VncServer *s, const Surface *from)
{
    bool any = false;

    for (int i = 0; i < s->tiles_x * s->tiles_y; i++) {
        int x = i % s->tiles_x * VNC_TILE, y = i / s->tiles_x * VNC_TILE;
        int w = MIN2(VNC_TILE, from->width - x);
        int h = MIN2(VNC_TILE, from->height - y);

        if (!s->maybe[i]) {
            continue;
        }
        s->maybe[i] = 0;
        if (tile_same(s, from, x, y, w, h)) {
            continue;
        }
        copy_tile(s, from, x, y, w, h);
        s->heat[i] = (uint8_t)MIN2(s->heat[i] + HEAT_OF_CHANGE, 255);
        any = true;
        for (VncClient *c = s->clients; c; c = c->next_client) {
            if (c->dirty) {
                c->dirty[i] = 1;
            }
        }
    }
    return any;
}

void vnc_interval(VncServer *s)
{
    bool any = false;

    for (VncClient *c = s->clients; c; c = c->next_client) {
        any |= c->phase == VNC_RUN && c->wants;
    }
    if (!any) {
        display_set_interval(&s->display, 0);
    } else if (!s->display.interval_ms) {
        s->idle_ms = DISPLAY_INTERVAL_MS;
        display_set_interval(&s->display, s->idle_ms);
        if (s->display.con) {           /* nobody looked for some time        */
            console_refresh(s->display.con);
        }
        if (s->seen && s->display.con) {
            compare(s, s->display.con->surface);
        }
    }
}

/* Half of the heat goes; what is cold becomes sharp where it is not. */
static void cool(VncServer *s) MACHINE_CALL;
static void cool(VncServer *s)
{
    int tiles = s->tiles_x * s->tiles_y;

    if (!s->lossy || s->non_adaptive || !s->heat ||
        clock_ns(CLOCK_RT) - s->cooled < COOLING_NS) {
        return;
    }
    s->cooled = clock_ns(CLOCK_RT);
    for (int i = 0; i < tiles; i++) {
        s->heat[i] /= 2;
    }
    for (VncClient *c = s->clients; c; c = c->next_client) {
        for (int i = 0; c->dirty && i < tiles; i++) {
            if (c->blurred[i] && s->heat[i] < HOT / 4) {
                c->blurred[i] = 0;
                c->dirty[i] = 1;
            }
        }
    }
}

static void refreshed(Display *d) MACHINE_CALL;
static void refreshed(Display *d)
{
    VncServer *s = d->arg;
    bool any = s->seen && d->con && compare(s, d->con->surface);

    cool(s);
    for (VncClient *c = s->clients; c; c = c->next_client) {
        if (c->phase == VNC_RUN) {
            vnc_update_try(c);
        }
    }
    s->idle_ms = any ? DISPLAY_INTERVAL_MS
                     : MIN2(s->idle_ms + IDLE_STEP_MS, DISPLAY_IDLE_MS / 10);
    if (d->interval_ms) {
        display_set_interval(d, s->idle_ms);
    }
    vnc_interval(s);
}

const DisplayOps vnc_display_ops = {
    .switched = switched, .changed = changed, .cursor = cursor,
    .refreshed = refreshed,
};

/* ---- rectangles that are not pixels -------------------------------------- */
static void head_rect(VncJob *j, int x, int y, int w, int h, int32_t encoding)
{
    vnc_bytes_put(j->head, (uint16_t)x, 2);
    vnc_bytes_put(j->head, (uint16_t)y, 2);
    vnc_bytes_put(j->head, (uint16_t)w, 2);
    vnc_bytes_put(j->head, (uint16_t)h, 2);
    vnc_bytes_put(j->head, (uint32_t)encoding, 4);
    j->n_head++;
}

static MACHINE_CALL void put_resize(VncClient *c, VncJob *j)
{
    const Surface *s = c->srv->seen;
    bool new_size = c->shown_w != s->width || c->shown_h != s->height;

    if (c->features & FEAT_EXT_RESIZE && (c->resize_due || new_size)) {
        head_rect(j, c->resize_reason, c->resize_status, s->width, s->height,
                  ENC_EXT_DESKTOP);
        vnc_bytes_put(j->head, 1u << 24, 4);       /* one screen              */
        vnc_bytes_put(j->head, 0, 8);              /* id, place               */
        vnc_bytes_put(j->head, (uint16_t)s->width, 2);
        vnc_bytes_put(j->head, (uint16_t)s->height, 2);
        vnc_bytes_put(j->head, 0, 4);
    } else if (c->features & FEAT_RESIZE && new_size) {
        head_rect(j, 0, 0, s->width, s->height, ENC_DESKTOP_SIZE);
    }
    c->resize_due = false;
    if (new_size && c->features & (FEAT_RESIZE | FEAT_EXT_RESIZE)) {
        c->shown_w = s->width;
        c->shown_h = s->height;
        c->want_rect = (VncRect){ 0, 0, s->width, s->height };
        vnc_dirty_all(c);
    }
}

static void put_cursor(VncClient *c, VncJob *j, const Cursor *k)
{
    int w = k ? k->width : 0, h = k ? k->height : 0;
    int hx = k ? k->hot_x : 0, hy = k ? k->hot_y : 0;

    if (c->features & FEAT_ALPHA_CURSOR) {
        head_rect(j, hx, hy, w, h, ENC_ALPHA_CURSOR);
        vnc_bytes_put(j->head, ENC_RAW, 4);
        for (int i = 0; i < w * h; i++) {
            uint32_t p = k->data[i], a = p >> 24;
            uint8_t rgba[4] = {
                (uint8_t)((p >> 16 & 255) * a / 255),
                (uint8_t)((p >> 8 & 255) * a / 255),
                (uint8_t)((p & 255) * a / 255), (uint8_t)a };

            g_byte_array_append(j->head, rgba, 4);
        }
        return;
    }
    head_rect(j, hx, hy, w, h, ENC_CURSOR);
    for (int i = 0; i < w * h; i++) {
        uint8_t p[4];

        g_byte_array_append(j->head, p, vnc_pixel(&j->format, k->data[i], p));
    }
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x += 8) {
            unsigned bits = 0;

            for (int b = 0; b < 8 && x + b < w; b++) {
                bits |= (k->data[y * w + x + b] >> 31) << (7 - b);
            }
            vnc_bytes_put(j->head, bits, 1);
        }
    }
}

static void put_extras(VncClient *c, VncJob *j) MACHINE_CALL;
static void put_extras(VncClient *c, VncJob *j)
{
    const Console *con = c->srv->display.con;

    put_resize(c, j);
    if (c->cursor_due && con && con->cursor &&
        c->features & (FEAT_CURSOR | FEAT_ALPHA_CURSOR)) {
        put_cursor(c, j, con->cursor_on ? con->cursor : NULL);
    }
    c->cursor_due = false;
    if (c->features & FEAT_POINTER && c->absolute != input_is_absolute()) {
        c->absolute = !c->absolute;
        head_rect(j, c->absolute, 0, c->shown_w, c->shown_h,
                  ENC_POINTER_MOTION);
    }
    if (c->led_due && c->features & FEAT_LED) {
        head_rect(j, 0, 0, c->shown_w, c->shown_h, ENC_LED);
        vnc_bytes_put(j->head, input_leds(), 1);
    }
    c->led_due = false;
}

/* ---- rectangles of pixels ------------------------------------------------ */
static bool add_rect(VncJob *j, const Surface *s, VncRect r, int most_w,
                     int most_h, bool may_lose)
{
    uint32_t *p;

    r.w = MIN2(r.w, most_w - r.x);
    r.h = MIN2(r.h, most_h - r.y);
    if (r.w <= 0 || r.h <= 0) {
        return true;
    }
    p = malloc((size_t)r.w * (size_t)r.h * 4);
    if (!p) {
        return false;
    }
    for (int y = 0; y < r.h; y++) {
        memcpy(p + (size_t)y * (size_t)r.w, surface_line(s, r.y + y) + r.x,
               (size_t)r.w * 4);
    }
    j->rects = g_renew(VncRect, j->rects, j->n_rects + 1);
    j->pixels = g_renew(uint32_t *, j->pixels, j->n_rects + 1);
    j->may_lose = g_renew(bool, j->may_lose, j->n_rects + 1);
    j->may_lose[j->n_rects] = may_lose;
    j->rects[j->n_rects] = r;
    j->pixels[j->n_rects++] = p;
    return true;
}

/* Whether these tiles may be sent with loss; it is remembered. */
static bool may_lose(VncClient *c, int x, int y, int w, int h)
{
    const VncServer *s = c->srv;
    unsigned sum = 0;
    bool yes;

    for (int k = y; k < y + h; k++) {
        for (int i = x; i < x + w; i++) {
            sum += s->heat[k * s->tiles_x + i];
        }
    }
    yes = s->lossy && c->quality >= 0 &&
        (s->non_adaptive || sum >= HOT * (unsigned)(w * h));
    for (int k = y; k < y + h; k++) {
        memset(c->blurred + k * s->tiles_x + x, yes, (size_t)w);
    }
    return yes;
}

/* Gathers dirty tiles into rectangles: runs of a row, as deep as the same run
 * is dirty below. */
static MACHINE_CALL void gather(VncClient *c, VncJob *j)
{
    const VncServer *s = c->srv;
    int tx = s->tiles_x, ty = s->tiles_y;
    int most_w = MIN2(c->shown_w, s->seen->width);
    int most_h = MIN2(c->shown_h, s->seen->height);

    for (int y = 0; y < ty && j->n_rects < RECTS_MAX; y++) {
        for (int x = 0; x < tx && j->n_rects < RECTS_MAX; x++) {
            int w = 0, h = 1;

            while (x + w < tx && c->dirty[y * tx + x + w]) {
                w++;
            }
            if (!w) {
                continue;
            }
            while (y + h < ty &&
                   !memchr(c->dirty + (y + h) * tx + x, 0, (size_t)w)) {
                h++;
            }
            for (int k = 0; k < h; k++) {
                memset(c->dirty + (y + k) * tx + x, 0, (size_t)w);
            }
            if (!add_rect(j, s->seen, (VncRect){ x * VNC_TILE, y * VNC_TILE,
                                                 w * VNC_TILE, h * VNC_TILE },
                          most_w, most_h, may_lose(c, x, y, w, h))) {
                vnc_dirty_all(c);
                return;
            }
            x += w;
        }
    }
}

static void job_free(VncJob *j)
{
    for (unsigned i = 0; i < j->n_rects; i++) {
        free(j->pixels[i]);
    }
    g_free(j->pixels);
    g_free(j->may_lose);
    g_free(j->rects);
    g_byte_array_free(j->head, true);
    if (j->out) {
        g_byte_array_free(j->out, true);
    }
    g_free(j);
}

static void job_done(void *arg, int64_t ret)
{
    VncJob *j = arg;
    VncClient *c = j->client;

    machine_assert_locked();
    if (!c) {
        vnc_coder_free(j->coder);
        job_free(j);
        return;
    }
    c->job = NULL;
    if (j->failed) {
        vnc_client_end(c);
    } else {
        vnc_send(c, j->out->data, j->out->len);
    }
    job_free(j);
    if (c->phase == VNC_RUN) {
        vnc_update_try(c);
    }
}

static bool anything(const VncClient *c) MACHINE_CALL;
static bool anything(const VncClient *c)
{
    size_t tiles = (size_t)c->srv->tiles_x * (size_t)c->srv->tiles_y;
    const Console *con = c->srv->display.con;

    if (memchr(c->dirty, 1, tiles)) {
        return true;
    }
    return (c->resize_due && c->features & FEAT_EXT_RESIZE) ||
        (c->led_due && c->features & FEAT_LED) ||
        (c->cursor_due && con && con->cursor &&
         c->features & (FEAT_CURSOR | FEAT_ALPHA_CURSOR)) ||
        (c->features & FEAT_POINTER && c->absolute != input_is_absolute());
}

void vnc_update_try(VncClient *c)
{
    VncServer *s = c->srv;
    VncJob *j;

    if (c->phase != VNC_RUN || !c->wants || c->job || !s->seen || !c->dirty ||
        vnc_backlog(c) > BACKLOG || !anything(c)) {
        return;
    }
    j = g_new0(VncJob, 1);
    j->client = c;
    j->format = c->format;
    j->native = is_native(&c->format);
    j->encoding = c->encoding;
    j->quality = c->quality;
    j->compression = c->compression;
    j->last_rect = c->features & FEAT_LAST_RECT;
    j->coder = c->coder;
    j->pictures = vnc_pictures;
    j->head = g_byte_array_new();
    put_extras(c, j);
    gather(c, j);
    if (!j->n_rects && !j->n_head) {
        job_free(j);
        return;
    }
    c->wants = c->wants_all = false;
    c->job = j;
    j->task = (PoolTask){ .run = vnc_encode, .done = job_done, .arg = j };
    pool_submit(&j->task);
}
