/*
 * Certificates that mail programs refuse, or will soon: one warning each. In `valijad -t`, and in
 * the first front at its start (thus at a reload, too) and once a day.
 */
#ifndef SERVER_EXPIRY_H
#define SERVER_EXPIRY_H

#include "config/config.h"
#include "sys/tls_server.h"

#include <stdint.h>

/* Calls warn with one line of text for each certificate that is not valid at now (seconds since
 * 1970), or expires within 14 days, or within a quarter of its life if that is less. */
void expiry_warn(const struct config *config, const struct tls_server *tls, int64_t now,
		 void (*warn)(const char *text));

#endif
