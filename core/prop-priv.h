/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * prop-priv.h - what core/prop*.c share: typed access to a row's storage.
 */
#ifndef TERN_PROP_PRIV_H
#define TERN_PROP_PRIV_H

#include "prop.h"

/* Where the row's value is; not for PK_CALL. */
static inline void *prop_at(const Obj *base, const Prop *p)
{
    return (char *)base + p->offset;
}

/* Integer kinds, sizes, enums, bits, bool and PCI addresses as 64 bits (signed
 * kinds sign-extended). */
uint64_t prop_word(const Obj *base, const Prop *p);
void prop_word_put(Obj *base, const Prop *p, uint64_t v);
/* Whether the kind's value is such a word. */
bool prop_is_word(const Prop *p);

extern const PropEnum prop_on_off_auto;
/* The names of a PK_ENUM or PK_AUTO row. */
static inline const PropEnum *prop_names(const Prop *p)
{
    return p->kind == PK_AUTO ? &prop_on_off_auto : p->aux;
}

/* Stores without hooks and without asking for the machine lock. */
bool prop_store(Obj *base, const Prop *p, const Json *v, bool text,
                const char *owner, Error **errp);
/* Lets go of what a stored value owns, and clears it. */
void prop_drop(Obj *base, const Prop *p);
/* Bytes of storage. */
size_t prop_bytes(const Prop *p);

#endif
