# SPDX-License-Identifier: GPL-2.0-or-later
core-y += core/module.o
core-y += core/lock.o
core-y += core/error.o
core-y += core/json.o
core-y += core/json-out.o
core-y += core/json-parse.o
