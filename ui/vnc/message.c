/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * message.c - what a VNC client sends (RFC 6143 7.5, and the extensions for
 * keys by number, sizes and power).
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. A message is taken when all of it is there, and its length is bounded by
 *    VNC_IN_MAX.
 * 2. down[] has a bit for each key of the guest that this client holds.
 */
#include <string.h>
#include "input.h"
#include "runstate.h"
#include "schema/schema.h"
#include "ui/vnc/vnc.h"

enum { MSG_SET_FORMAT = 0, MSG_SET_ENCODINGS = 2, MSG_REQUEST = 3, MSG_KEY = 4,
       MSG_POINTER = 5, MSG_CUT_TEXT = 6, MSG_XVP = 250, MSG_SET_SIZE = 251,
       MSG_QEMU = 255 };
enum { XVP_SHUTDOWN = 2, XVP_REBOOT = 3, XVP_RESET = 4 };

static size_t more(VncClient *c, size_t need)
{
    c->need = need;
    return 0;
}

/* ---- format and encodings ------------------------------------------------ */
/* SetColourMapEntries: 256 of 3-3-2 bits. */
static void send_palette(VncClient *c) MACHINE_CALL;
static void send_palette(VncClient *c)
{
    uint8_t m[6 + 256 * 6] = { 1, 0, 0, 0, 1, 0 }, *p = m + 6;

    for (unsigned i = 0; i < 256; i++, p += 6) {
        st_be16(p, (uint16_t)((i & 7) * 65535 / 7));
        st_be16(p + 2, (uint16_t)((i >> 3 & 7) * 65535 / 7));
        st_be16(p + 4, (uint16_t)((i >> 6 & 3) * 65535 / 3));
    }
    vnc_send(c, m, sizeof(m));
}

static ssize_t set_format(VncClient *c, const uint8_t *p) MACHINE_CALL;
static ssize_t set_format(VncClient *c, const uint8_t *p)
{
    VncFormat f = {
        .bits = p[4], .depth = p[5], .big = p[6], .truecolor = p[7],
        .max = { ld_be16(p + 8), ld_be16(p + 10), ld_be16(p + 12) },
        .shift = { p[14], p[15], p[16] },
    };

    if (f.bits != 8 && f.bits != 16 && f.bits != 32) {
        return -1;
    }
    if (!f.truecolor) {                 /* gets a palette of 3-3-2 bits       */
        f = (VncFormat){ .bits = 8, .depth = 8, .truecolor = false,
                         .max = { 7, 7, 3 }, .shift = { 0, 3, 6 } };
        send_palette(c);
    }
    for (int i = 0; i < 3; i++) {
        if (f.shift[i] > 31 || !f.max[i] ||
            ((uint64_t)f.max[i] << f.shift[i]) >> f.bits) {
            return -1;
        }
    }
    c->format = f;
    c->format_set = true;
    vnc_dirty_all(c);
    return 20;
}

static void encoding(VncClient *c, int32_t e)
{
    static const struct { int32_t encoding; unsigned feature; } rows[] = {
        { ENC_DESKTOP_SIZE, FEAT_RESIZE }, { ENC_EXT_DESKTOP, FEAT_EXT_RESIZE },
        { ENC_POINTER_MOTION, FEAT_POINTER }, { ENC_CURSOR, FEAT_CURSOR },
        { ENC_ALPHA_CURSOR, FEAT_ALPHA_CURSOR }, { ENC_LED, FEAT_LED },
        { ENC_XVP, FEAT_XVP }, { ENC_EXT_KEY, FEAT_EXT_KEY },
        { ENC_LAST_RECT, FEAT_LAST_RECT }, { ENC_DESKTOP_NAME, FEAT_NAME },
        { ENC_AUDIO, FEAT_AUDIO },
    };

    if (e >= ENC_QUALITY_0 && e <= ENC_QUALITY_9) {
        c->quality = e - ENC_QUALITY_0;
    } else if (e >= ENC_COMPRESS_0 && e <= ENC_COMPRESS_9) {
        c->compression = e - ENC_COMPRESS_0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].encoding == e) {
            c->features |= rows[i].feature;
        }
    }
}

static bool is_pixels(int32_t e)
{
    switch (e) {
    case ENC_RAW: case ENC_HEXTILE: case ENC_ZLIB: case ENC_TIGHT:
    case ENC_ZRLE:
        return true;
    case ENC_TIGHT_PNG:
        return vnc_pictures != NULL;
    default:
        return false;
    }
}

/* Tells the client which of its wishes this server knows. */
static void acknowledge(VncClient *c) MACHINE_CALL;
static void acknowledge(VncClient *c)
{
    GByteArray *m = g_byte_array_new();
    unsigned n = 0;

    if (c->features & FEAT_EXT_KEY) {
        vnc_bytes_put(m, 0, 8);
        vnc_bytes_put(m, (uint32_t)ENC_EXT_KEY, 4);
        n++;
    }
    if (c->features & FEAT_POINTER) {
        c->absolute = !input_is_absolute();        /* told by the next update */
    }
    if (n) {
        vnc_send(c, "\0", 2);
        vnc_send_u16(c, (uint16_t)n);
        vnc_send(c, m->data, m->len);
    }
    g_byte_array_free(m, true);
    if (c->features & FEAT_XVP) {
        vnc_send(c, "\xfa\0\1", 3);
        vnc_send_u8(c, c->srv->power_control ? 1 : 0);
    }
}

static ssize_t set_encodings(VncClient *c, const uint8_t *p, size_t n)
    MACHINE_CALL;
static ssize_t set_encodings(VncClient *c, const uint8_t *p, size_t n)
{
    size_t count = ld_be16(p + 2), len = 4 + count * 4;
    bool chosen = false;

    if (n < len) {
        return more(c, len);
    }
    c->encoding = ENC_RAW;
    c->features = 0;
    c->quality = c->compression = -1;
    for (size_t i = 0; i < count; i++) {
        int32_t e = (int32_t)ld_be32(p + 4 + i * 4);

        if (!chosen && is_pixels(e)) {
            c->encoding = e;
            chosen = true;
        }
        encoding(c, e);
    }
    c->cursor_due = true;
    c->led_due = c->features & FEAT_LED;
    if (c->features & FEAT_EXT_RESIZE) {
        c->resize_due = true;
        c->resize_reason = c->resize_status = 0;
    }
    acknowledge(c);
    return (ssize_t)len;
}

static ssize_t request(VncClient *c, const uint8_t *p) MACHINE_CALL;
static ssize_t request(VncClient *c, const uint8_t *p)
{
    VncRect r = { ld_be16(p + 2), ld_be16(p + 4), ld_be16(p + 6),
                  ld_be16(p + 8) };

    c->wants = true;
    c->want_rect = r;
    if (!p[1]) {
        c->wants_all = true;
        vnc_dirty_rect(c, r);
    }
    vnc_interval(c->srv);
    return 10;
}

/* ---- keys ---------------------------------------------------------------- */
/* To the guest, with the pause that -vnc asks for. */
static bool press(const VncClient *c, int qcode, bool down) MACHINE_CALL;
static bool press(const VncClient *c, int qcode, bool down)
{
    return input_key_paced(qcode, down, c->srv->key_delay_ms);
}

static void key(VncClient *c, int qcode, bool down) MACHINE_CALL;
static void key(VncClient *c, int qcode, bool down)
{
    if (qcode <= 0 || qcode >= (int)sizeof(c->down) * 8 ||
        (!down && !(c->down[qcode / 8] & 1 << qcode % 8)) ||
        (!press(c, qcode, down) && down)) {
        return;
    }
    if (down) {
        c->down[qcode / 8] |= (uint8_t)(1 << qcode % 8);
        c->srv->num_lock ^= qcode == Q_KEY_CODE_NUM_LOCK;
    } else {
        c->down[qcode / 8] &= (uint8_t)~(1 << qcode % 8);
    }
}

void vnc_keys_up(VncClient *c)
{
    for (int q = 1; q < (int)sizeof(c->down) * 8; q++) {
        if (c->down[q / 8] & 1 << q % 8) {
            key(c, q, false);
        }
    }
}

static bool held(const VncClient *c, int qcode)
{
    return c->down[qcode / 8] & 1 << qcode % 8;
}

/* Ctrl-Alt-1 … 9: another console. */
static bool switches(VncClient *c, int qcode) MACHINE_CALL;
static bool switches(VncClient *c, int qcode)
{
    Console *con;

    if (!held(c, Q_KEY_CODE_CTRL) || !held(c, Q_KEY_CODE_ALT) ||
        qcode < Q_KEY_CODE_1 || qcode > Q_KEY_CODE_9 ||
        c->srv->display.pinned) {
        return false;
    }
    con = console_by_index(qcode - Q_KEY_CODE_1);
    if (con) {
        vnc_keys_up(c);
        console_select(con);
    }
    return true;
}

static void typed(VncClient *c, int qcode, uint32_t sym, bool down)
    MACHINE_CALL;
static void typed(VncClient *c, int qcode, uint32_t sym, bool down)
{
    Console *con = c->srv->display.con;

    if (down && switches(c, qcode)) {
        return;
    }
    if (con && !console_is_graphic(con)) {
        bool ctrl = held(c, Q_KEY_CODE_CTRL) || held(c, Q_KEY_CODE_CTRL_R);
        unsigned k = down ? keymap_text_key(sym, ctrl) : 0;

        /* modifiers are remembered, not sent to the guest */
        if (qcode > 0 && qcode < (int)sizeof(c->down) * 8) {
            uint8_t bit = (uint8_t)(1 << qcode % 8);

            c->down[qcode / 8] = (uint8_t)(down ? c->down[qcode / 8] | bit
                                           : c->down[qcode / 8] & ~bit);
        }
        if (k) {
            con->ops->key(con->arg, k);
        }
        return;
    }
    key(c, qcode, down);
}

/* Holds or lets go of a modifier for the time of one key, if the symbol needs
 * that: the other side's keyboard may have it elsewhere. */
static bool adjust(VncClient *c, int qcode, int right, bool want) MACHINE_CALL;
static bool adjust(VncClient *c, int qcode, int right, bool want)
{
    bool has = held(c, qcode) || held(c, right);

    if (has == want) {
        return false;
    }
    return press(c, held(c, right) ? right : qcode, want);
}

/* Digits of the keypad need Num Lock, its arrows need it not: the guest's may be
 * another than the client's. */
static void sync_num_lock(VncClient *c, uint32_t sym) MACHINE_CALL;
static void sync_num_lock(VncClient *c, uint32_t sym)
{
    bool digit = (sym >= 0xffb0 && sym <= 0xffb9) || sym == 0xffae;
    bool arrow = sym >= 0xff95 && sym <= 0xff9f;

    if (c->srv->lock_key_sync && !held(c, Q_KEY_CODE_SHIFT) &&
        !held(c, Q_KEY_CODE_SHIFT_R) &&
        (c->srv->num_lock ? arrow : digit)) {
        key(c, Q_KEY_CODE_NUM_LOCK, true);
        key(c, Q_KEY_CODE_NUM_LOCK, false);
    }
}

/* Caps Lock stands for Shift where a key has a letter and its capital: not on
 * the French key of 2, whose other level is no E with accent. */
static bool is_letter(const VncClient *c, uint32_t sym)
{
    const Keymap *m = c->srv->keymap;
    int level, other, number = keymap_key(m, sym, &level);

    return ((sym >= 'a' && sym <= 'z') || (sym >= 'A' && sym <= 'Z') ||
            (sym >= 0xc0 && sym <= 0xfe && sym != 0xd7 && sym != 0xf7)) &&
           number && keymap_key(m, sym ^ 0x20, &other) == number &&
           other == (level ^ 1);
}

static ssize_t key_event(VncClient *c, const uint8_t *p) MACHINE_CALL;
static ssize_t key_event(VncClient *c, const uint8_t *p)
{
    uint32_t sym = ld_be32(p + 4);
    bool down = p[1], caps = c->srv->lock_key_sync && input_leds() & 4 &&
        is_letter(c, sym);
    bool shift = false, altgr = false;
    int level, number = keymap_key(c->srv->keymap, sym, &level);
    int q = number ? input_key_of_number(number) : 0;

    if (down && level >= 0 && console_is_graphic(c->srv->display.con) &&
        !held(c, Q_KEY_CODE_CTRL) && !held(c, Q_KEY_CODE_ALT)) {
        shift = adjust(c, Q_KEY_CODE_SHIFT, Q_KEY_CODE_SHIFT_R,
                       (level & 1) != caps);
        altgr = adjust(c, Q_KEY_CODE_ALT_R, Q_KEY_CODE_ALT_R, level & 2);
    }
    if (down && console_is_graphic(c->srv->display.con)) {
        sync_num_lock(c, sym);
    }
    typed(c, q, sym, down);
    if (altgr) {
        press(c, Q_KEY_CODE_ALT_R, !(level & 2));
    }
    if (shift) {
        press(c, held(c, Q_KEY_CODE_SHIFT_R) ? Q_KEY_CODE_SHIFT_R
             : Q_KEY_CODE_SHIFT, (level & 1) == caps);
    }
    return 8;
}

static ssize_t qemu_message(VncClient *c, const uint8_t *p, size_t n)
    MACHINE_CALL;
static ssize_t qemu_message(VncClient *c, const uint8_t *p, size_t n)
{
    if (n < 2) {
        return more(c, 2);
    }
    switch (p[1]) {
    case 0:                             /* key by symbol and number           */
        if (n < 12) {
            return more(c, 12);
        }
        {
            uint32_t number = ld_be32(p + 8);
            int q = number && number <= 0xff
                ? input_key_of_number((int)number) : 0;

            typed(c, q, ld_be32(p + 4), ld_be16(p + 2));
        }
        return 12;
    case 1:                             /* sound: there is none               */
        if (n < 4) {
            return more(c, 4);
        }
        if (ld_be16(p + 2) == 2) {
            return n < 10 ? (ssize_t)more(c, 10) : 10;
        }
        return 4;
    default:
        return -1;
    }
}

/* ---- pointer ------------------------------------------------------------- */
static void buttons(VncClient *c, unsigned now) MACHINE_CALL;
static void buttons(VncClient *c, unsigned now)
{
    static const int button[8] = {
        INPUT_BUTTON_LEFT, INPUT_BUTTON_MIDDLE, INPUT_BUTTON_RIGHT,
        INPUT_BUTTON_WHEEL_UP, INPUT_BUTTON_WHEEL_DOWN,
        INPUT_BUTTON_WHEEL_LEFT, INPUT_BUTTON_WHEEL_RIGHT, INPUT_BUTTON_SIDE,
    };

    for (unsigned i = 0; i < 8; i++) {
        if ((now ^ c->buttons) & 1u << i) {
            input_btn(button[i], now & 1u << i);
        }
    }
    c->buttons = now;
}

static ssize_t pointer_event(VncClient *c, const uint8_t *p) MACHINE_CALL;
static ssize_t pointer_event(VncClient *c, const uint8_t *p)
{
    Console *con = c->srv->display.con;
    int x = ld_be16(p + 2), y = ld_be16(p + 4);

    if (!console_is_graphic(con)) {
        return 6;
    }
    if (input_is_absolute()) {
        int w = MAX2(c->shown_w - 1, 1), h = MAX2(c->shown_h - 1, 1);

        input_abs(INPUT_AXIS_X, (int)((int64_t)x * INPUT_ABS_MAX / w));
        input_abs(INPUT_AXIS_Y, (int)((int64_t)y * INPUT_ABS_MAX / h));
    } else if (c->features & FEAT_POINTER) {
        input_rel(INPUT_AXIS_X, x - 0x7fff);       /* as the client was told  */
        input_rel(INPUT_AXIS_Y, y - 0x7fff);
    } else {
        if (c->last_x >= 0) {
            input_rel(INPUT_AXIS_X, x - c->last_x);
            input_rel(INPUT_AXIS_Y, y - c->last_y);
        }
        c->last_x = x;
        c->last_y = y;
    }
    buttons(c, p[1]);
    input_sync();
    return 6;
}

/* ---- the rest ------------------------------------------------------------ */
static ssize_t cut_text(VncClient *c, const uint8_t *p, size_t n)
{
    uint32_t len = ld_be32(p + 4);

    /* extended clipboard has a negative length; there is no clipboard here */
    if (len & 0x80000000u) {
        len = -len;
    }
    if (len > VNC_IN_MAX - 8) {
        return -1;
    }
    return n < 8 + len ? (ssize_t)more(c, 8 + len) : (ssize_t)(8 + len);
}

static ssize_t xvp(VncClient *c, const uint8_t *p) MACHINE_CALL;
static ssize_t xvp(VncClient *c, const uint8_t *p)
{
    if (p[2] != 1 || !c->srv->power_control) {
        vnc_send(c, "\xfa\0\1\0", 4);   /* refused                            */
        return 4;
    }
    switch (p[3]) {
    case XVP_SHUTDOWN: request_powerdown(); break;
    case XVP_REBOOT: case XVP_RESET:
        request_reset(WHY_HOST_UI);
        break;
    default: vnc_send(c, "\xfa\0\1\0", 4); break;
    }
    return 4;
}

static ssize_t set_size(VncClient *c, const uint8_t *p, size_t n) MACHINE_CALL;
static ssize_t set_size(VncClient *c, const uint8_t *p, size_t n)
{
    size_t len = 8 + (size_t)p[6] * 16;
    uint16_t w = ld_be16(p + 2), h = ld_be16(p + 4);
    Console *con = c->srv->display.con;
    bool can = con && con->ops->wish;

    if (n < len) {
        return more(c, len);
    }
    if (can && w && h) {
        ConsoleWish wish = { .width = w, .height = h };

        console_wish(con, &wish);
    }
    c->resize_due = true;
    c->resize_reason = 1;
    c->resize_status = can ? 4 : 3;     /* passed on; not possible            */
    return (ssize_t)len;
}

static const struct { uint8_t type; size_t len; } sizes[] = {
    { MSG_SET_FORMAT, 20 }, { MSG_SET_ENCODINGS, 4 }, { MSG_REQUEST, 10 },
    { MSG_KEY, 8 }, { MSG_POINTER, 6 }, { MSG_CUT_TEXT, 8 }, { MSG_XVP, 4 },
    { MSG_SET_SIZE, 8 }, { MSG_QEMU, 2 },
};

ssize_t vnc_message(VncClient *c, const uint8_t *p, size_t n)
{
    ssize_t used = -1;

    machine_assert_locked();
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        if (sizes[i].type == p[0] && n < sizes[i].len) {
            return (ssize_t)more(c, sizes[i].len);
        }
    }
    input_source(c->srv->display.con);
    switch (p[0]) {
    case MSG_SET_FORMAT: used = set_format(c, p); break;
    case MSG_SET_ENCODINGS: used = set_encodings(c, p, n); break;
    case MSG_REQUEST: used = request(c, p); break;
    case MSG_KEY: used = key_event(c, p); break;
    case MSG_POINTER: used = pointer_event(c, p); break;
    case MSG_CUT_TEXT: used = cut_text(c, p, n); break;
    case MSG_XVP: used = xvp(c, p); break;
    case MSG_SET_SIZE: used = set_size(c, p, n); break;
    case MSG_QEMU: used = qemu_message(c, p, n); break;
    default: break;
    }
    input_source(NULL);
    if (used > 0) {
        c->need = 1;
    }
    return used;
}
