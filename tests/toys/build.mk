# SPDX-License-Identifier: GPL-2.0-or-later
# toys-y: devices that only build/tests/toys/tern and the contract tests have.
toys-y += tests/toys/toy-isa.o
toys-y += tests/toys/toy-pci.o
