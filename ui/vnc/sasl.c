/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sasl.c - authentication of VNC clients by SASL (RFB protocol, security type
 * 20; RFC 4422), through cyrus-sasl where it was found.
 *
 * Thread class: machine lock.
 */
#include "ui/vnc/vnc.h"

bool vnc_sasl_ready(void)
{
    return false;
}

bool vnc_sasl_begin(VncClient *c)
{
    return false;
}

void vnc_sasl_end(VncClient *c)
{
}
