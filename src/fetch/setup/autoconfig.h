/* The page by which a domain describes its mail servers to mail programs (Mozilla's autoconfig,
 * config-v1.1.xml). Pure: the text comes from the network. */
#ifndef FETCH_SETUP_AUTOCONFIG_H
#define FETCH_SETUP_AUTOCONFIG_H

#include "fetch/setup/found.h"

#include <pop3/span.h>

/* Its POP3 server with TLS from the first octet, else with STARTTLS. 1: found; 0: there is none;
 * -1: the text is no such page. address: fills the place holders. */
int autoconfig_read(pop3_span xml, const char *address, struct found *ret);

#endif
