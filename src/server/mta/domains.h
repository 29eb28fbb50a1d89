/* The domains whose mail is ours, as the configuration has them. */
#ifndef SERVER_MTA_DOMAINS_H
#define SERVER_MTA_DOMAINS_H

#include "config/config.h"

/* Whether a domain is named: in lmtp.domains, login.realm, domain_aliases, or as one of a database
 * that has recipients. Where none is named, none is. */
bool domains_have(const struct config *config, pop3_span domain);

#endif
