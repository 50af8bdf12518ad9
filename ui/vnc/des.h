/* SPDX-License-Identifier: GPL-2.0-or-later */
/* des.h - what the module "ui-des" offers. */
#ifndef UI_VNC_DES_H
#define UI_VNC_DES_H

#include "base.h"

typedef struct DesOps {
    /* Two blocks of single DES in ECB mode; false: the library refuses. */
    bool (*encrypt)(const uint8_t key[8], const uint8_t in[16],
                    uint8_t out[16]);
} DesOps;
extern const DesOps des_ops_table;

#endif
