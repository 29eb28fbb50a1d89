/*
 * The site's certificates on their way from the monitor, which may read the files, to the fronts,
 * which may not: one sealed memory file of PEM texts. Packed by the monitor, unpacked (and checked
 * by OpenSSL) by fronts and `valijad -t`.
 */
#ifndef SERVER_CERTIFICATES_H
#define SERVER_CERTIFICATES_H

#include "base/err.h"
#include "config/config.h"
#include "sys/tls_server.h"

#include <stdint.h>

/* Reads the files. Returns a descriptor and its size, or -1; an err names file and line of the
 * setting. */
int certificates_pack(const struct config *config, uint64_t *ret_size, struct err *err);
/* Makes the TLS server from a packed file. 0 with *ret_server NULL: there are none. */
int certificates_unpack(int fd, uint64_t size, const struct config *config,
			struct tls_server **ret_server, struct err *err);

#endif
