/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmstate.h - saved state as field tables: migration, savevm, the state dump and
 * the round-trip test walk the same rows. A stream is hostile: lengths are
 * checked against the table, counts against count_max, values by after_load.
 */
#ifndef TERN_VMSTATE_H
#define TERN_VMSTATE_H

#include "prop.h"

typedef enum VmKind {
    VK_BOOL, VK_U8, VK_U16, VK_U32, VK_U64,        /* also signed, same width */
    VK_BYTES,                          /* size bytes                          */
    VK_STRUCT,                         /* sub                                 */
    VK_PSTRUCT,                        /* pointer to a struct, never NULL     */
    VK_TIMER,                          /* Timer: deadline, -1 when not armed  */
    VK_VBYTES,                         /* uint8_t *, length at count_off      */
    VK_VSTRUCT,                        /* sub *, count at count_off, allocated
                                          by before_load or fixed at realize  */
    /* At load, the stream's count must be the live one; where the pointer is
     * NULL, memory for that many is allocated (g_malloc0; the struct owns it).
     * For a length that varies, before_load frees and clears the pointer. */
} VmKind;

typedef struct VmState VmState;
typedef struct VmField {
    const char *name;
    VmKind kind;
    uint16_t since;                    /* first version that carries it       */
    uint32_t offset, size, count;      /* of one element; elements            */
    uint32_t count_off;                /* uint32_t field with the live length */
    uint32_t count_max;
    const VmState *sub;
} VmField;

struct VmState {
    const char *name;
    uint16_t version, oldest;
    const VmField *fields;
    const VmState *const *sections;    /* optional parts, NULL-terminated     */
    bool (*needed)(const void *s);     /* for a section: NULL means always    */
    void (*before_save)(void *s);
    bool (*before_load)(void *s, Error **errp);
    bool (*after_load)(void *s, int version, Error **errp);
};
extern const VmState vm_none;          /* "stateless", said aloud             */

#define VM_ROW_(T, f, K, t, ...) { .name = #f, .kind = K, \
    .offset = offsetof(T, f) + FIELD_IS(T, f, t), \
    .size = sizeof(((T *)0)->f), .count = 1, ##__VA_ARGS__ }
#define VM_BOOL(T, f, ...) VM_ROW_(T, f, VK_BOOL, bool, ##__VA_ARGS__)
#define VM_U8(T, f, ...)   VM_ROW_(T, f, VK_U8, uint8_t, ##__VA_ARGS__)
#define VM_U16(T, f, ...)  VM_ROW_(T, f, VK_U16, uint16_t, ##__VA_ARGS__)
#define VM_U32(T, f, ...)  VM_ROW_(T, f, VK_U32, uint32_t, ##__VA_ARGS__)
#define VM_U64(T, f, ...)  VM_ROW_(T, f, VK_U64, uint64_t, ##__VA_ARGS__)
#define VM_I8(T, f, ...)   VM_ROW_(T, f, VK_U8, int8_t, ##__VA_ARGS__)
#define VM_I16(T, f, ...)  VM_ROW_(T, f, VK_U16, int16_t, ##__VA_ARGS__)
#define VM_I32(T, f, ...)  VM_ROW_(T, f, VK_U32, int32_t, ##__VA_ARGS__)
#define VM_I64(T, f, ...)  VM_ROW_(T, f, VK_U64, int64_t, ##__VA_ARGS__)
#define VM_TIMER(T, f, ...) VM_ROW_(T, f, VK_TIMER, Timer, ##__VA_ARGS__)
#define VM_BYTES(T, f, ...) { .name = #f, .kind = VK_BYTES, \
    .offset = offsetof(T, f), .size = sizeof(((T *)0)->f), .count = 1, \
    ##__VA_ARGS__ }
/* Array of integers: element width from the field. */
#define VM_ARRAY(T, f, K, ...) { .name = #f, .kind = K, \
    .offset = offsetof(T, f), .size = sizeof(((T *)0)->f[0]), \
    .count = sizeof(((T *)0)->f) / sizeof(((T *)0)->f[0]), ##__VA_ARGS__ }
#define VM_STRUCT(T, f, d, ...) { .name = #f, .kind = VK_STRUCT, \
    .offset = offsetof(T, f), .size = sizeof(((T *)0)->f), .count = 1, \
    .sub = d, ##__VA_ARGS__ }
#define VM_STRUCTS(T, f, d, ...) VM_ARRAY(T, f, VK_STRUCT, .sub = d, \
    ##__VA_ARGS__)
#define VM_PSTRUCT(T, f, d, ...) { .name = #f, .kind = VK_PSTRUCT, \
    .offset = offsetof(T, f), .size = sizeof(void *), .count = 1, .sub = d, \
    ##__VA_ARGS__ }
#define VM_VBYTES(T, p, n, most, ...) { .name = #p, .kind = VK_VBYTES, \
    .offset = offsetof(T, p), .size = 1, .count = 1, \
    .count_off = offsetof(T, n) + FIELD_IS(T, n, uint32_t), \
    .count_max = most, ##__VA_ARGS__ }
#define VM_VSTRUCT(T, p, n, most, d, ...) { .name = #p, .kind = VK_VSTRUCT, \
    .offset = offsetof(T, p), .size = sizeof(*((T *)0)->p), .count = 1, \
    .count_off = offsetof(T, n) + FIELD_IS(T, n, uint32_t), \
    .count_max = most, .sub = d, ##__VA_ARGS__ }
#define VM_END { .name = NULL }

/* A growing byte buffer for the encoder. */
typedef struct VmBuf {
    uint8_t *p;
    size_t n, cap;
} VmBuf;
void vmbuf_free(VmBuf *b);

/* One section: name, version, signature of the field list, fields, optional
 * parts; big-endian, length-prefixed. Appends. MACHINE_CALL, machine stopped. */
void vmstate_save(const VmState *v, void *s, VmBuf *out);
/* Loads exactly len bytes; left-over bytes are an error. On failure the struct
 * is partly written: the caller resets or gives up. */
bool vmstate_load(const VmState *v, void *s, const uint8_t *in, size_t len,
                  Error **errp);
uint64_t vmstate_signature(const VmState *v);
Json *vmstate_dump(const VmState *v, void *s);     /* for people and tests    */

#endif
