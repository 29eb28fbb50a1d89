/*
 * A self-signed certificate, good enough to begin with. `valija init` calls it, as the user who
 * runs it; no server process does.
 */
#ifndef SYS_TLS_CERTIFICATE_H
#define SYS_TLS_CERTIFICATE_H

#include "base/err.h"

/* Writes a new P-256 key (PEM, PKCS #8) and a certificate for localhost, the loopback addresses and
 * host_name, ten years long, into the two descriptors, which stay the caller's. -1: err says why;
 * something may have been written. */
int tls_certificate_make(const char *host_name, int certificate_fd, int key_fd, struct err *err);

#endif
