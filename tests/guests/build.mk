# SPDX-License-Identifier: GPL-2.0-or-later
# Guests: one line here, one source of the same name. See the Makefile.
guests-y += demo
guest-demo = elf32
guests-y += boot-hello
guest-boot-hello = bin
guests-y += first-insn
guest-first-insn = bin
guests-y += machine
guest-machine = mb64
guest-machine-srcs = machine.S machine.c
guests-y += speed
guest-speed = mb64
guest-speed-srcs = machine.S speed.c
CFLAGS-guest-speed.c = -Wno-unused-parameter
guests-y += boot-multiboot
guest-boot-multiboot = elf32
guests-y += boot-pvh
guest-boot-pvh = elf32
guests-y += boot-aout
guest-boot-aout = bin
guests-y += boot-bzimage
guest-boot-bzimage = bin
guests-y += vmport
guest-vmport = bin
guests-y += mce
guest-mce = bin
