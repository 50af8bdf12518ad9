/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmstate-priv.h - what the walkers over state tables share.
 */
#ifndef TERN_VMSTATE_PRIV_H
#define TERN_VMSTATE_PRIV_H

#include "vmstate.h"

bool vmfield_in(const VmField *f, unsigned version);
/* Of the fields of one version, without those of structs inside. */
uint64_t vmstate_signature_at(const VmState *v, unsigned version);
/* First element; elements. */
void *vmfield_at(const VmField *f, void *s);
uint32_t vmfield_count(const VmField *f, const void *s);

#endif
