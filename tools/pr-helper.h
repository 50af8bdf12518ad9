/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pr-helper.h - the two halves of tern-pr-helper. */
#ifndef TERN_TOOLS_PR_HELPER_H
#define TERN_TOOLS_PR_HELPER_H

#include <stdbool.h>

/* Serves one client until it goes, or breaks the protocol; closes fd. */
void pr_serve(int fd, bool verbose);

#endif
