/* Addresses to listen on, and host names, as people write them. For the configuration and `valija
 * init`. */
#ifndef CONFIG_LISTENER_H
#define CONFIG_LISTENER_H

#include "config/config.h"

#include <stddef.h>

/* Labels of letters, digits and inner hyphens, 1 to 254 octets in all. */
bool config_host_valid(const char *name);
/* "ADDRESS:PORT", "[V6]:PORT" or, for LMTP and SASL, a path, made absolute with directory (NULL: it
 * stays as it is). */
int config_listener_parse(const char *value, enum config_service service, const char *directory,
			  struct config_listener *ret, struct err *err);
/* Whether only this machine reaches it. */
bool config_listener_is_local(const struct config_listener *listener);
/* As the file writes it: "127.0.0.1:1110", "[::1]:1110", "/run/valija/lmtp". */
void config_listener_print(const struct config_listener *listener, char *buf, size_t size);

#endif
