# SPDX-License-Identifier: GPL-2.0-or-later
hw-y += hw/scsi/bus.o
hw-y += hw/scsi/cd.o
hw-y += hw/scsi/disk.o
hw-y += hw/scsi/disk-info.o
hw-y += hw/scsi/disk-rw.o
hw-y += hw/scsi/mmc.o
hw-y += hw/scsi/req.o
