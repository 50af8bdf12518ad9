/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * input-cmds.c - keys and mouse movements from monitors: send-key, sendkey,
 * input-send-event, query-mice, mouse_*.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. Keys of send-key, and of displays that pause between keys, form one queue; it
 *    holds QUEUE_MAX events at most, and what does not fit is dropped whole.
 * 2. RESERVE places are for keys that come up: at most so many can be down.
 */
#include <glib.h>
#include "console.h"
#include "input.h"
#include "loop.h"
#include "monitor.h"
#include "runstate.h"
#include "schema/schema.h"

#define QUEUE_MAX 1024
#define RESERVE 256
#define KEYS_MAX ((QUEUE_MAX - RESERVE) / 2)
#define HOLD_DEFAULT 10                /* ms                                  */
#define HOLD_MAX (60 * 60 * 1000)

typedef struct KeyStep {
    int qcode;
    bool down;
    int64_t after_ms;
    const Console *con;                /* screen that it comes from, or NULL  */
} KeyStep;

static KeyStep queue[QUEUE_MAX];
static unsigned first, count;
static Timer timer;

/* ---- the queue ---------------------------------------------------------- */

static void queue_timer(void *arg);
static void queue_run(void) MACHINE_CALL;
static void queue_run(void)
{
    KeyStep k;
    const Console *before = input_source_now();

    if (!count) {
        return;
    }
    k = queue[first];
    first = (first + 1) % QUEUE_MAX;
    count--;
    input_source(k.con);
    input_key(k.qcode, k.down);
    input_sync();
    input_source(before);
    if (!timer.fn) {
        timer_init(&timer, NULL, CLOCK_VM, queue_timer, NULL);
    }
    timer_set(&timer, clock_ns(CLOCK_VM) + k.after_ms * NS_PER_MS);
}

static void queue_timer(void *arg)
{
    machine_assert_locked();
    queue_run();
}

static void queue_put(int qcode, bool down, int64_t after_ms)
    MACHINE_CALL;
static void queue_put(int qcode, bool down, int64_t after_ms)
{
    queue[(first + count++) % QUEUE_MAX] = (KeyStep){
        qcode, down, after_ms, input_source_now(),
    };
}

static void queue_go(void) MACHINE_CALL;
static void queue_go(void)
{
    if (!timer.fn || !timer_armed(&timer)) {
        queue_run();
    }
}

bool input_key_paced(int qcode, bool down, int64_t after_ms)
{
    if (after_ms <= 0 && !count) {
        input_key(qcode, down);
        input_sync();
        return true;
    }
    if (count >= QUEUE_MAX - (down ? RESERVE : 0)) {
        return false;
    }
    queue_put(qcode, down, after_ms);
    queue_go();
    return true;
}

void input_paced_forget(const Console *con)
{
    for (unsigned i = 0; i < count; i++) {
        KeyStep *k = &queue[(first + i) % QUEUE_MAX];

        k->con = k->con == con ? NULL : k->con;
    }
}

static void press(const int *qcodes, size_t n, int64_t hold_ms) MACHINE_CALL;
static void press(const int *qcodes, size_t n, int64_t hold_ms)
{
    if (count + 2 * n > QUEUE_MAX - RESERVE) {
        return;
    }
    hold_ms = hold_ms <= 0 ? HOLD_DEFAULT : MIN2(hold_ms, HOLD_MAX);
    for (size_t i = 0; i < n; i++) {
        queue_put(qcodes[i], true, hold_ms);
    }
    for (size_t i = n; i-- > 0;) {
        queue_put(qcodes[i], false, hold_ms);
    }
    queue_go();
}

/* ---- keys --------------------------------------------------------------- */

static int key_of(const KeyValue *k)
{
    if (k->type == KEY_VALUE_KIND_QCODE) {
        return k->u.qcode.data;
    }
    return k->u.number.data > 0 && k->u.number.data <= 0xff
           ? input_key_of_number(k->u.number.data) : Q_KEY_CODE_UNMAPPED;
}

bool cmd_send_key(const void *arg, void *ret, Error **errp)
{
    const SendKeyArg *a = arg;
    size_t n = a->keys.n;
    int *qcodes;

    if (n > KEYS_MAX) {
        return error_set(errp, "send-key: at most %d keys at a time",
                         KEYS_MAX);
    }
    qcodes = g_new(int, n + 1);
    for (size_t i = 0; i < n; i++) {
        qcodes[i] = key_of(&a->keys.v[i]);
    }
    press(qcodes, n, a->has_hold_time ? a->hold_time : 0);
    g_free(qcodes);
    return true;
}

/* A name, "<" for less, or a number in C notation; -1: neither. */
static int key_named(const char *name)
{
    char *end;
    unsigned long v;

    if (strcmp(name, "<") == 0) {
        name = "less";
    }
    for (int i = 0; i < Q_KEY_CODE__COUNT; i++) {
        if (strcmp(qt_QKeyCode.values[i], name) == 0) {
            return i;
        }
    }
    if (!g_str_has_prefix(name, "0x")) {
        return -1;
    }
    v = strtoul(name, &end, 0);
    if (*end || end == name + 2) {
        return -1;
    }
    return v <= 0xff ? input_key_of_number(v) : Q_KEY_CODE_UNMAPPED;
}

void hmp_sendkey(const Json *args)
{
    char **names = g_strsplit(json_get_str(args, "keys"), "-", 0);
    const Json *hold = json_get(args, "hold-time");
    int qcodes[32];
    size_t n = 0;

    for (char **p = names; *p; p++) {
        int k = key_named(*p);

        if (k < 0 || n == ARRAY_SIZE(qcodes)) {
            mon_printf("invalid parameter: %s\n", *p);
            g_strfreev(names);
            return;
        }
        qcodes[n++] = k;
    }
    press(qcodes, n, hold ? json_int_of(hold) : 0);
    g_strfreev(names);
}

/* ---- events ------------------------------------------------------------- */

static const unsigned kind_of[] = {
    [INPUT_EVENT_KIND_KEY] = INPUT_TAKES_KEY,
    [INPUT_EVENT_KIND_BTN] = INPUT_TAKES_BTN,
    [INPUT_EVENT_KIND_REL] = INPUT_TAKES_REL,
    [INPUT_EVENT_KIND_ABS] = INPUT_TAKES_ABS,
};

static int clamp(int64_t v)
{
    return v > INT32_MAX / 2 ? INT32_MAX / 2
         : v < INT32_MIN / 2 ? INT32_MIN / 2 : (int)v;
}

static void send_event(const InputEvent *e) MACHINE_CALL;
static void send_event(const InputEvent *e)
{
    switch (e->type) {
    case INPUT_EVENT_KIND_KEY:
        input_key(key_of(&e->u.key.data.key), e->u.key.data.down);
        break;
    case INPUT_EVENT_KIND_BTN:
        input_btn(e->u.btn.data.button, e->u.btn.data.down);
        break;
    case INPUT_EVENT_KIND_REL:
        input_rel(e->u.rel.data.axis, clamp(e->u.rel.data.value));
        break;
    case INPUT_EVENT_KIND_ABS:
        input_abs(e->u.abs.data.axis, clamp(e->u.abs.data.value));
        break;
    }
}

bool cmd_input_send_event(const void *arg, void *ret, Error **errp)
{
    const InputSendEventArg *a = arg;
    bool ok = true;

    input_source(NULL);
    if (a->device) {
        int64_t head = a->has_head ? a->head : 0;
        Console *con = console_find(a->device, head, errp);

        if (!con) {
            return false;
        }
        input_source(con);
    }
    if (!run_state_is_running() && run_state() != RS_SUSPENDED) {
        return error_set(errp, "VM not running");
    }
    for (size_t i = 0; ok && i < a->events.n; i++) {
        InputEventKind kind = a->events.v[i].type;

        ok = input_has(kind_of[kind]) ||
            error_set(errp, "Input handler not found for event type %s",
                      qt_InputEventKind.values[kind]);
    }
    for (size_t i = 0; ok && i < a->events.n; i++) {
        send_event(&a->events.v[i]);
    }
    if (ok) {
        input_sync();
    }
    input_source(NULL);
    return ok;
}

/* ---- mice --------------------------------------------------------------- */

static bool is_mouse(const InputHandler *h)
{
    return h->takes & (INPUT_TAKES_REL | INPUT_TAKES_ABS);
}

bool cmd_query_mice(const void *arg, void *ret, Error **errp)
{
    MouseInfoList *l = ret;
    bool current = true;

    for (InputHandler *h = input_first(); h; h = h->next) {
        if (!is_mouse(h)) {
            continue;
        }
        /* The one in use comes last, as people know the list. */
        l->v = g_renew(MouseInfo, l->v, l->n + 1);
        memmove(l->v + 1, l->v, l->n++ * sizeof(*l->v));
        l->v[0] = (MouseInfo){
            .name = g_strdup(h->name), .index = h->index, .current = current,
            .absolute = (h->takes & INPUT_TAKES_ABS) != 0,
        };
        current = false;
    }
    return true;
}

void hmp_print_info_mice(const void *ret, const Json *args)
{
    const MouseInfoList *l = ret;

    if (!l->n) {
        mon_puts("No mouse devices connected\n");
    }
    for (size_t i = 0; i < l->n; i++) {
        mon_printf("%c Mouse #%" PRId64 ": %s%s\n",
                   l->v[i].current ? '*' : ' ', l->v[i].index, l->v[i].name,
                   l->v[i].absolute ? " (absolute)" : "");
    }
}

void hmp_mouse_set(const Json *args)
{
    int64_t index = json_int_of(json_get(args, "index"));
    InputHandler *h = input_first();

    while (h && (h->index != index || !is_mouse(h))) {
        h = h->next;
    }
    if (h) {
        input_activate(h);
    } else {
        mon_printf("Mouse at index '%" PRId64 "' not found\n", index);
    }
}

static int number(const Json *args, const char *key)
{
    const char *s = json_get_str(args, key);

    return s ? clamp(strtoll(s, NULL, 0)) : 0;
}

void hmp_mouse_move(const Json *args)
{
    int dz = number(args, "dz");
    int wheel = dz > 0 ? INPUT_BUTTON_WHEEL_UP : INPUT_BUTTON_WHEEL_DOWN;

    input_rel(INPUT_AXIS_X, number(args, "dx"));
    input_rel(INPUT_AXIS_Y, number(args, "dy"));
    if (dz) {
        input_btn(wheel, true);
        input_sync();
        input_btn(wheel, false);
    }
    input_sync();
}

void hmp_mouse_button(const Json *args)
{
    static int before;
    static const struct {
        int bit, button;
    } map[] = {
        { 1, INPUT_BUTTON_LEFT }, { 2, INPUT_BUTTON_RIGHT },
        { 4, INPUT_BUTTON_MIDDLE },
    };
    int64_t now = json_int_of(json_get(args, "state"));

    for (unsigned i = 0; i < ARRAY_SIZE(map); i++) {
        if ((now ^ before) & map[i].bit) {
            input_btn(map[i].button, now & map[i].bit);
        }
    }
    before = now & 7;
    input_sync();
}
