# SPDX-License-Identifier: GPL-2.0-or-later
hw-y += hw/net/e1000.o
hw-y += hw/net/e1000-phy.o
hw-y += hw/net/e1000-rx.o
hw-y += hw/net/e1000-tx.o
hw-y += hw/net/virtio-net.o
hw-y += hw/net/virtio-net-rx.o
hw-y += hw/net/virtio-net-ctrl.o
