# SPDX-License-Identifier: GPL-2.0-or-later
fuzz-formats-objs = $(tool_objs)
