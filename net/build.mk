# SPDX-License-Identifier: GPL-2.0-or-later
net-y += net/options.o
net-y += net/net.o
net-y += net/card.o
net-y += net/hub.o
net-y += net/netdev.o
net-y += net/announce.o
