# SPDX-License-Identifier: GPL-2.0-or-later
net-y += net/options.o
net-y += net/net.o
net-y += net/card.o
net-y += net/hub.o
net-y += net/netdev.o
net-y += net/announce.o
net-$(CONFIG_SLIRP) += net/user.o
modules-$(CONFIG_SLIRP) += slirp
module-slirp-objs = net/user-slirp.o net/user-config.o net/user-forward.o
uses-net/user-slirp.o = SLIRP
uses-net/user-config.o = SLIRP
uses-net/user-forward.o = SLIRP
