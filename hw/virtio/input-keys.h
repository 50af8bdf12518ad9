/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * input-keys.h - codes that virtio input devices send: the event codes of Linux.
 */
#ifndef HW_VIRTIO_INPUT_KEYS_H
#define HW_VIRTIO_INPUT_KEYS_H

/* KEY_* of a QKeyCode, BTN_* of an InputButton; 0: none. */
int evdev_key(int qcode);
int evdev_button(int button);

#endif
