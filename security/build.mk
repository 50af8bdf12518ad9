# SPDX-License-Identifier: GPL-2.0-or-later
# sandbox and confine belong to the emulator: hw-y, as start-up calls them.
hw-y += security/sandbox.o
hw-y += security/confine.o
security-y += security/secret.o
security-y += security/authz.o
security-y += security/tls-module.o
security-y += security/tls-creds.o
security-y += security/tls-session.o
modules-$(CONFIG_GNUTLS) += tls
module-tls-objs = security/tls-gnutls.o security/tls-x509.o
uses-security/tls-gnutls.o = GNUTLS
uses-security/tls-x509.o = GNUTLS
