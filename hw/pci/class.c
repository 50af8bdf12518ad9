/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * class.c - names of PCI class codes (PCI Code and ID Assignment 1.11) as
 * monitors show them and as firmware paths spell them (Open Firmware PCI Bus
 * Binding 2.1, section 2.5).
 */
#include "hw/pci/pci-impl.h"

static const struct PciClass {
    uint16_t code, mask;
    const char *desc, *fw_name;
} classes[] = {
    { 0x0001, 0xffff, "VGA controller", "display" },
    { 0x0100, 0xffff, "SCSI controller", "scsi" },
    { 0x0101, 0xffff, "IDE controller", "ide" },
    { 0x0102, 0xffff, "Floppy controller", "fdc" },
    { 0x0103, 0xffff, "IPI controller", "ipi" },
    { 0x0104, 0xffff, "RAID controller", "raid" },
    { 0x0106, 0xffff, "SATA controller", NULL },
    { 0x0107, 0xffff, "SAS controller", NULL },
    { 0x0180, 0xffff, "Storage controller", NULL },
    { 0x0200, 0xffff, "Ethernet controller", "ethernet" },
    { 0x0201, 0xffff, "Token Ring controller", "token-ring" },
    { 0x0202, 0xffff, "FDDI controller", "fddi" },
    { 0x0203, 0xffff, "ATM controller", "atm" },
    { 0x0280, 0xffff, "Network controller", NULL },
    { 0x0300, 0xff00, "VGA controller", "display" },
    { 0x0301, 0xffff, "XGA controller", NULL },
    { 0x0302, 0xffff, "3D controller", NULL },
    { 0x0380, 0xffff, "Display controller", NULL },
    { 0x0400, 0xffff, "Video controller", "video" },
    { 0x0401, 0xffff, "Audio controller", "sound" },
    { 0x0402, 0xffff, "Phone", NULL },
    { 0x0403, 0xffff, "Audio controller", "sound" },
    { 0x0480, 0xffff, "Multimedia controller", NULL },
    { 0x0500, 0xffff, "RAM controller", "memory" },
    { 0x0501, 0xffff, "Flash controller", "flash" },
    { 0x0580, 0xffff, "Memory controller", NULL },
    { 0x0600, 0xffff, "Host bridge", "host" },
    { 0x0601, 0xffff, "ISA bridge", "isa" },
    { 0x0602, 0xffff, "EISA bridge", "eisa" },
    { 0x0603, 0xffff, "MC bridge", "mca" },
    { 0x0604, 0xffff, "PCI bridge", "pci-bridge" },
    { 0x0605, 0xffff, "PCMCIA bridge", "pcmcia" },
    { 0x0606, 0xffff, "NUBUS bridge", "nubus" },
    { 0x0607, 0xffff, "CARDBUS bridge", "cardbus" },
    { 0x0608, 0xffff, "RACEWAY bridge", NULL },
    { 0x0680, 0xffff, "Bridge", NULL },
    { 0x0700, 0xffff, "Serial port", "serial" },
    { 0x0701, 0xffff, "Parallel port", "parallel" },
    { 0x0800, 0xffff, "Interrupt controller", "interrupt-controller" },
    { 0x0801, 0xffff, "DMA controller", "dma-controller" },
    { 0x0802, 0xffff, "Timer", "timer" },
    { 0x0803, 0xffff, "RTC", "rtc" },
    { 0x0900, 0xffff, "Keyboard", "keyboard" },
    { 0x0901, 0xffff, "Pen", "pen" },
    { 0x0902, 0xffff, "Mouse", "mouse" },
    { 0x0a00, 0xff00, "Dock station", "dock" },
    { 0x0b00, 0xff00, "i386 cpu", "cpu" },
    { 0x0c00, 0xffff, "Firewire controller", "firewire" },
    { 0x0c01, 0xffff, "Access bus controller", "access-bus" },
    { 0x0c02, 0xffff, "SSA controller", "ssa" },
    { 0x0c03, 0xffff, "USB controller", "usb" },
    { 0x0c04, 0xffff, "Fibre channel controller", "fibre-channel" },
    { 0x0c05, 0xffff, "SMBus", NULL },
};

const char *pci_class_desc(uint16_t cls)
{
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
        if (classes[i].code == cls) {
            return classes[i].desc;
        }
    }
    return NULL;
}

const char *pci_class_fw_name(uint16_t cls)
{
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
        if (classes[i].code == (cls & classes[i].mask) && classes[i].fw_name) {
            return classes[i].fw_name;
        }
    }
    return NULL;
}
