# SPDX-License-Identifier: GPL-2.0-or-later
# sandbox and confine belong to the emulator: hw-y, as start-up calls them.
hw-y += security/sandbox.o
hw-y += security/confine.o
