/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vec-misc.h - the vector forms that are not one host instruction. */
#ifndef ACCEL_SOFT_VEC_MISC_H
#define ACCEL_SOFT_VEC_MISC_H

#include "soft.h"

BindFn soft_b_maskmov, soft_b_gather, soft_b_maskbytes, soft_b_vzero,
    soft_b_mxcsr;
#define SOFT_BINDS_VEC_MISC \
    { "vmaskmovps", soft_b_maskmov, 0 }, { "vmaskmovpd", soft_b_maskmov, 0 }, \
    { "vpmaskmovd", soft_b_maskmov, 0 }, { "vpmaskmovq", soft_b_maskmov, 0 }, \
    { "vpgatherdd", soft_b_gather, 0 }, { "vpgatherdq", soft_b_gather, 0 }, \
    { "vpgatherqd", soft_b_gather, 0 }, { "vpgatherqq", soft_b_gather, 0 }, \
    { "vgatherdps", soft_b_gather, 0 }, { "vgatherdpd", soft_b_gather, 0 }, \
    { "vgatherqps", soft_b_gather, 0 }, { "vgatherqpd", soft_b_gather, 0 }, \
    { "maskmovq", soft_b_maskbytes, 8 }, \
    { "maskmovdqu", soft_b_maskbytes, 16 }, \
    { "vmaskmovdqu", soft_b_maskbytes, 16 }, \
    { "vzeroupper", soft_b_vzero, 0 }, { "vzeroall", soft_b_vzero, 1 }, \
    { "ldmxcsr", soft_b_mxcsr, 0 }, { "stmxcsr", soft_b_mxcsr, 1 }, \
    { "vldmxcsr", soft_b_mxcsr, 0 }, { "vstmxcsr", soft_b_mxcsr, 1 },

#endif
