/*
 * A self-signed certificate, good enough to begin with, and the pin of one that is there. `valija
 * init` calls it, as the user who runs it; no server process does.
 */
#ifndef SYS_TLS_CERTIFICATE_H
#define SYS_TLS_CERTIFICATE_H

#include "base/err.h"

#include <stddef.h>

/* Writes a new P-256 key (PEM, PKCS #8) and a certificate for localhost, the loopback addresses and
 * host_name, ten years long, into the two descriptors, which stay the caller's. -1: err says why;
 * something may have been written. */
int tls_certificate_make(const char *host_name, int certificate_fd, int key_fd, struct err *err);

#define TLS_CERTIFICATE_PIN_SIZE 64
/* The host names of a PEM file's first certificate, with blanks between them, as far as they have
 * room; "" if there are none. -1: err says why. */
int tls_certificate_names(const char *file, char *buf, size_t size, struct err *err);
/* The pin of a PEM file's first certificate, as clients take it: "sha256//BASE64". -1: err says
 * why. */
int tls_certificate_pin(const char *file, char ret[TLS_CERTIFICATE_PIN_SIZE], struct err *err);

#endif
