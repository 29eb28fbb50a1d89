/*
 * The site's certificates and private keys on their way from the monitor, which may read the files:
 * two sealed memory files of PEM texts. Fronts get the one with certificates, the process keys gets
 * both. The monitor packs them; fronts, keys and `valijad -t` unpack them, and OpenSSL checks them
 * there.
 */
#ifndef SERVER_CERTIFICATES_H
#define SERVER_CERTIFICATES_H

#include "base/err.h"
#include "base/siphash.h"
#include "config/config.h"
#include "sys/tls_keys.h"
#include "sys/tls_server.h"

#include <stdint.h>

enum packed_kind { PACKED_CERTIFICATES, PACKED_KEYS, PACKED_COUNT };

/* The memory files that a process has; descriptors -1: not that one. */
struct packed {
	int fds[PACKED_COUNT];
	uint64_t sizes[PACKED_COUNT];
};

/* Reads the files. Of a certificate's file only the certificates are taken: sites keep the key in
 * the same file. Returns a descriptor and its size, or -1 with an err that names file and line of
 * the setting. Nothing of the files stays in this process's memory. */
int certificates_pack(const struct config *config, enum packed_kind kind, uint64_t *ret_size,
		      struct err *err);
/* The digest of a packed file's contents. */
int certificates_digest(int fd, uint64_t size, const struct siphash_key *key, uint64_t *ret,
			struct err *err);
/* Whether files that have changed may be used: each chain is readable and its first certificate is
 * valid at now (seconds since 1970). 0, or -1 with err. The keys: certificates_unpack_keys. */
int certificates_judge(const struct packed *packed, const struct config *config, int64_t now,
		       struct err *err);
/* Makes the TLS server from certificates; minimum: enum config_tls. Returns 0, or -1 with err. 0
 * with *ret_server NULL: the site has no certificates. */
int certificates_unpack(const struct packed *packed, const struct config *config, uint32_t minimum,
			struct tls_server **ret_server, struct err *err);
/* Whether a listener of the site has that tls_min. */
bool certificates_minimum_used(const struct config *config, uint32_t minimum);
/* The same for what signs: needs both files. */
int certificates_unpack_keys(const struct packed *packed, const struct config *config,
			     struct tls_keys **ret_keys, struct err *err);

#endif
