/* SPDX-License-Identifier: GPL-2.0-or-later */
/* smbios.h - what -smbios gave, and the tables from it. MACHINE_CALL. */
#ifndef TERN_HW_FW_SMBIOS_H
#define TERN_HW_FW_SMBIOS_H

#include <glib.h>
#include "pc.h"

/* Members by option key, as text. Types that may occur often (8, 11, 41) have a
 * list of such objects; for 11 each row has "value". */
typedef struct Smbios {
    Json *fields[128];                 /* NULL: nothing given                 */
    uint8_t from_file[16];             /* bit per type that a file brings     */
    GByteArray *file;                  /* structures read from files          */
    unsigned file_count, file_max;     /* of them; longest                    */
} Smbios;

/* One -smbios argument: checked and kept. */
bool smbios_option(Smbios *s, const char *arg, Error **errp) MACHINE_CALL;
void smbios_free(Smbios *s);

/* Tables and the entry point (31 bytes of 2.8, or 24 of 3.0), its address and
 * checksums still zero. wide: 3.0. Caller g_byte_array_unrefs both. */
typedef struct SmbiosBlob {
    GByteArray *tables, *anchor;
} SmbiosBlob;
bool smbios_tables(const Smbios *s, const Pc *p, bool wide, SmbiosBlob *out,
                   Error **errp) MACHINE_CALL;

#endif
