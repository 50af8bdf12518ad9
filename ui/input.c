/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * input.c - from what people do to the guest device that takes it.
 *
 * Thread class: machine lock.
 *
 * Invariants:
 * 1. The list is in order of preference; an event goes to the first handler of
 *    its screen that takes its kind, or to the first of no screen.
 */
#include "input.h"
#include "runstate.h"

static InputHandler *first;
static const struct Console *source;
static int last_index;
static unsigned leds;
void (*input_leds_changed)(unsigned leds) MACHINE_PTR;

static void append(InputHandler *h)
{
    InputHandler **p = &first;

    while (*p) {
        p = &(*p)->next;
    }
    h->next = NULL;
    *p = h;
}

void input_register(InputHandler *h)
{
    h->index = ++last_index;
    append(h);
}

static void unlink_handler(InputHandler *h)
{
    InputHandler **p = &first;

    while (*p && *p != h) {
        p = &(*p)->next;
    }
    if (*p) {
        *p = h->next;
    }
}

void input_unregister(InputHandler *h)
{
    unlink_handler(h);
}

void input_activate(InputHandler *h)
{
    unlink_handler(h);
    h->next = first;
    first = h;
}

void input_deactivate(InputHandler *h)
{
    unlink_handler(h);
    append(h);
}

void input_source(const struct Console *con)
{
    source = con;
}

const struct Console *input_source_now(void)
{
    return source;
}

void input_forget(const struct Console *con)
{
    input_paced_forget(con);
    if (source == con) {
        source = NULL;
    }
    for (InputHandler *h = first; h; h = h->next) {
        if (h->con == con) {
            h->con = NULL;
        }
    }
}

InputHandler *input_first(void)
{
    return first;
}

static InputHandler *taker(unsigned kind)
{
    InputHandler *other = NULL;

    for (InputHandler *h = first; h; h = h->next) {
        if (h->takes & kind && source && h->con == source) {
            return h;
        }
        if (h->takes & kind && !h->con && !other) {
            other = h;
        }
    }
    return other;
}

bool input_has(unsigned kinds)
{
    return taker(kinds) != NULL;
}

static bool guest_listens(void)
{
    return run_state_is_running() || run_state() == RS_SUSPENDED;
}

void input_key(int qcode, bool down)
{
    InputHandler *h = taker(INPUT_TAKES_KEY);

    if (guest_listens() && h && h->key) {
        h->key(h->dev, qcode, down);
    }
}

void input_btn(int button, bool down)
{
    InputHandler *h = taker(INPUT_TAKES_BTN);

    if (guest_listens() && h && h->btn) {
        h->btn(h->dev, button, down);
    }
}

void input_rel(int axis, int delta)
{
    InputHandler *h = taker(INPUT_TAKES_REL);

    if (guest_listens() && h && h->rel) {
        h->rel(h->dev, axis, delta);
    }
}

void input_abs(int axis, int place)
{
    InputHandler *h = taker(INPUT_TAKES_ABS);

    if (guest_listens() && h && h->abs) {
        place = place < 0 ? 0 : place > INPUT_ABS_MAX ? INPUT_ABS_MAX : place;
        h->abs(h->dev, axis, place);
    }
}

void input_sync(void)
{
    if (!guest_listens()) {
        return;
    }
    for (InputHandler *h = first; h; h = h->next) {
        if (h->sync) {
            h->sync(h->dev);
        }
    }
}

bool input_is_absolute(void)
{
    InputHandler *h = taker(INPUT_TAKES_REL | INPUT_TAKES_ABS);

    return h && h->takes & INPUT_TAKES_ABS;
}

void input_leds_set(unsigned now)
{
    if (now != leds) {
        leds = now;
        if (input_leds_changed) {
            input_leds_changed(now);
        }
    }
}

unsigned input_leds(void)
{
    return leds;
}
