/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iothread.h - `-object iothread`: a loop that devices are given by name.
 */
#ifndef TERN_IOTHREAD_H
#define TERN_IOTHREAD_H

#include "loop.h"
#include "obj.h"

/* The loop of an iothread object, as a prop_ref_iothread property holds it. */
Loop *iothread_loop(Obj *iothread) MACHINE_CALL;
/* For properties of type link<iothread>: the target is the Obj. While it is
 * claimed it cannot be deleted. */
extern const PropRef prop_ref_iothread;
/* In order of creation. */
void iothread_each(void (*fn)(Obj *iothread, void *arg), void *arg)
    MACHINE_CALL;

#endif
