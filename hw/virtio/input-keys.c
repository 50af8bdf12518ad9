/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * input-keys.c - key and button names to Linux's event codes
 * (linux/input-event-codes.h), which virtio 1.2, section 5.8 uses.
 *
 * Thread class: any thread.
 */
#include <linux/input-event-codes.h>
#include "base.h"
#include "hw/virtio/input-keys.h"
#include "schema/schema.h"

#define K(name, code) [Q_KEY_CODE_##name] = KEY_##code
static const uint16_t keys[Q_KEY_CODE__COUNT] = {
    K(SHIFT, LEFTSHIFT), K(SHIFT_R, RIGHTSHIFT), K(ALT, LEFTALT),
    K(ALT_R, RIGHTALT), K(CTRL, LEFTCTRL), K(CTRL_R, RIGHTCTRL),
    K(MENU, MENU), K(ESC, ESC), K(1, 1), K(2, 2), K(3, 3), K(4, 4), K(5, 5),
    K(6, 6), K(7, 7), K(8, 8), K(9, 9), K(0, 0), K(MINUS, MINUS),
    K(EQUAL, EQUAL), K(BACKSPACE, BACKSPACE), K(TAB, TAB), K(Q, Q), K(W, W),
    K(E, E), K(R, R), K(T, T), K(Y, Y), K(U, U), K(I, I), K(O, O), K(P, P),
    K(BRACKET_LEFT, LEFTBRACE), K(BRACKET_RIGHT, RIGHTBRACE), K(RET, ENTER),
    K(A, A), K(S, S), K(D, D), K(F, F), K(G, G), K(H, H), K(J, J), K(K, K),
    K(L, L), K(SEMICOLON, SEMICOLON), K(APOSTROPHE, APOSTROPHE),
    K(GRAVE_ACCENT, GRAVE), K(BACKSLASH, BACKSLASH), K(Z, Z), K(X, X),
    K(C, C), K(V, V), K(B, B), K(N, N), K(M, M), K(COMMA, COMMA), K(DOT, DOT),
    K(SLASH, SLASH), K(ASTERISK, KPASTERISK), K(SPC, SPACE),
    K(CAPS_LOCK, CAPSLOCK), K(F1, F1), K(F2, F2), K(F3, F3), K(F4, F4),
    K(F5, F5), K(F6, F6), K(F7, F7), K(F8, F8), K(F9, F9), K(F10, F10),
    K(NUM_LOCK, NUMLOCK), K(SCROLL_LOCK, SCROLLLOCK), K(KP_DIVIDE, KPSLASH),
    K(KP_MULTIPLY, KPASTERISK), K(KP_SUBTRACT, KPMINUS), K(KP_ADD, KPPLUS),
    K(KP_ENTER, KPENTER), K(KP_DECIMAL, KPDOT), K(SYSRQ, SYSRQ), K(KP_0, KP0),
    K(KP_1, KP1), K(KP_2, KP2), K(KP_3, KP3), K(KP_4, KP4), K(KP_5, KP5),
    K(KP_6, KP6), K(KP_7, KP7), K(KP_8, KP8), K(KP_9, KP9), K(LESS, 102ND),
    K(F11, F11), K(F12, F12), K(PRINT, SYSRQ), K(HOME, HOME), K(PGUP, PAGEUP),
    K(PGDN, PAGEDOWN), K(END, END), K(LEFT, LEFT), K(UP, UP), K(DOWN, DOWN),
    K(RIGHT, RIGHT), K(INSERT, INSERT), K(DELETE, DELETE), K(STOP, STOP),
    K(AGAIN, AGAIN), K(PROPS, PROPS), K(UNDO, UNDO), K(FRONT, FRONT),
    K(COPY, COPY), K(OPEN, OPEN), K(PASTE, PASTE), K(FIND, FIND), K(CUT, CUT),
    K(LF, LINEFEED), K(HELP, HELP), K(META_L, LEFTMETA),
    K(META_R, RIGHTMETA), K(COMPOSE, COMPOSE), K(PAUSE, PAUSE), K(RO, RO),
    K(HIRAGANA, HIRAGANA), K(HENKAN, HENKAN), K(YEN, YEN),
    K(MUHENKAN, MUHENKAN), K(KATAKANAHIRAGANA, KATAKANAHIRAGANA),
    K(KP_COMMA, KPCOMMA), K(KP_EQUALS, KPEQUAL), K(POWER, POWER),
    K(SLEEP, SLEEP), K(WAKE, WAKEUP), K(AUDIONEXT, NEXTSONG),
    K(AUDIOPREV, PREVIOUSSONG), K(AUDIOSTOP, STOPCD),
    K(AUDIOPLAY, PLAYPAUSE), K(AUDIOMUTE, MUTE), K(VOLUMEUP, VOLUMEUP),
    K(VOLUMEDOWN, VOLUMEDOWN), K(MEDIASELECT, MEDIA), K(MAIL, MAIL),
    K(CALCULATOR, CALC), K(COMPUTER, COMPUTER), K(AC_HOME, HOMEPAGE),
    K(AC_BACK, BACK), K(AC_FORWARD, FORWARD), K(AC_REFRESH, REFRESH),
    K(AC_BOOKMARKS, BOOKMARKS), K(LANG1, HANGEUL), K(LANG2, HANJA),
};

static const uint16_t buttons[INPUT_BUTTON__COUNT] = {
    [INPUT_BUTTON_LEFT] = BTN_LEFT, [INPUT_BUTTON_RIGHT] = BTN_RIGHT,
    [INPUT_BUTTON_MIDDLE] = BTN_MIDDLE, [INPUT_BUTTON_SIDE] = BTN_SIDE,
    [INPUT_BUTTON_EXTRA] = BTN_EXTRA,
    [INPUT_BUTTON_WHEEL_UP] = BTN_GEAR_UP,
    [INPUT_BUTTON_WHEEL_DOWN] = BTN_GEAR_DOWN,
};

int evdev_key(int qcode)
{
    return qcode > 0 && qcode < Q_KEY_CODE__COUNT ? keys[qcode] : 0;
}

int evdev_button(int button)
{
    return button >= 0 && button < INPUT_BUTTON__COUNT ? buttons[button] : 0;
}
