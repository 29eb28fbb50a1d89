/*
 * The site's certificates on their way from the monitor, which may read the files, to the fronts,
 * which may not: one sealed memory file of PEM texts. The monitor packs it; fronts and `valijad -t`
 * unpack it, and OpenSSL checks it there.
 */
#ifndef SERVER_CERTIFICATES_H
#define SERVER_CERTIFICATES_H

#include "base/err.h"
#include "config/config.h"
#include "sys/tls_server.h"

#include <stdint.h>

/* Reads the files. Returns a descriptor and its size, or -1 with an err that names file and line of
 * the setting. */
int certificates_pack(const struct config *config, uint64_t *ret_size, struct err *err);
/* Makes the TLS server from a packed file. Returns 0, or -1 with err. 0 with *ret_server NULL: the
 * site has no certificates. */
int certificates_unpack(int fd, uint64_t size, const struct config *config,
			struct tls_server **ret_server, struct err *err);

#endif
